"""A report as a folder: the page, its tables and plots as files, and all cases for programs.

Everything is drawn before the folder is touched, staged, and then moved file by file. If any of
that fails the folder is as it was. Names of files are rnnbench's own words, never a file's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from rnnbench import __version__
from rnnbench.errors import UserError
from rnnbench.report import page, plots
from rnnbench.report.content import Picture, Report, Table
from rnnbench.report.escaping import escape_markdown
from rnnbench.report.exports import frame_bytes
from rnnbench.report.outputs import check_output_folder, staged_name, undisturbed
from rnnbench.report.render import to_csv, to_markdown
from rnnbench.results import Results

__all__ = ["MANIFEST", "render_report", "write_report"]

MANIFEST = ".rnnbench-report.json"
"""Lists the files of the report, so that the next one replaces them and nothing else."""

_WORD = re.compile(r"[a-z0-9_]+")
_OURS = re.compile(
    r"index\.(html|md)|cases\.(csv|json)|tables/[a-z0-9_]+\.(csv|md)|plots/[a-z0-9_]+\.(svg|png)"
)
_FOLDERS = ("tables", "plots")
_LONGEST_TABLE = 200
"""Rows that index.md shows of a table; all stand in the table's own file."""


def write_report(report: Report, results: Results, folder: str | os.PathLike[str]) -> Path:
    """Write a report; returns the path of its page.

    An earlier report in the folder is replaced, files that are not of one are never touched.

    Raises:
        UserError: the folder cannot be written, or holds a file of another program where one of
            the report must go.
    """
    target = check_output_folder(folder)
    earlier = _earlier(target)
    files = render_report(report, results)
    _refuse_strangers(target, files, earlier)
    try:
        with undisturbed():
            _place(target, files, earlier)
    except OSError as error:
        raise UserError(
            f"--output {target}: the report cannot be written: {error.strerror or error}; what was "
            "there is unchanged"
        ) from None
    return target / "index.html"


def render_report(report: Report, results: Results) -> dict[str, bytes]:
    """All files of a report by their names within its folder.

    Raises:
        ValueError: a table or picture has a name that is no plain word.
    """
    for name in [*(table.name for table in report.tables), *(p.name for p in report.pictures)]:
        if not _WORD.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a file; use lower-case letters and _")
    # Each is drawn once, although it goes into the page and into a file.
    drawn = {id(p.figure): plots.svg_text(p.figure, p.name) for p in report.pictures}
    whole = page.page(report, results, svg=lambda figure: drawn[id(figure)])
    files = {"index.html": whole.encode()}
    for table in report.tables:
        files[f"tables/{table.name}.csv"] = to_csv(table).encode()
        files[f"tables/{table.name}.md"] = to_markdown(table).encode()
    for picture in report.pictures:
        files[f"plots/{picture.name}.svg"] = plots.on_paper(drawn[id(picture.figure)]).encode()
        files[f"plots/{picture.name}.png"] = plots.png_bytes(picture.figure)
    files["cases.csv"] = frame_bytes(results.frame, ".csv")
    files["cases.json"] = frame_bytes(results.frame, ".json")
    files["index.md"] = "\n".join(_index(report)).encode()
    return files


def _index(report: Report) -> Iterator[str]:
    yield f"# {escape_markdown(report.title)}\n"
    yield from (f"{escape_markdown(sentence, None)}\n" for sentence in report.verdict)
    for section in report.sections:
        yield f"## {escape_markdown(section.title)}\n"
        yield from (f"{escape_markdown(sentence, None)}\n" for sentence in section.sentences)
        yield from map(_table_in_index, section.tables)
        yield from map(_picture_in_index, section.pictures)
    yield "All cases: [cases.csv](cases.csv), [cases.json](cases.json).\n"


def _table_in_index(table: Table) -> str:
    links = f"[CSV](tables/{table.name}.csv)"
    if len(table.rows) <= _LONGEST_TABLE:
        return f"{to_markdown(table)}\n{links}\n"
    return (
        f"### {escape_markdown(table.title)}\n\n{len(table.rows):,} rows: "
        f"[Markdown](tables/{table.name}.md), {links}\n"
    )


def _picture_in_index(picture: Picture) -> str:
    alternative = escape_markdown(picture.alternative, 1000)
    return (
        f"### {escape_markdown(picture.title)}\n\n![{alternative}](plots/{picture.name}.svg)\n\n"
        f"{escape_markdown(picture.caption, 1000)}\n"
    )


# --- what is there


def _earlier(folder: Path) -> frozenset[str]:
    """Files of an earlier report, as its manifest lists them; whatever else it says is ignored."""
    manifest = folder / MANIFEST
    if manifest.is_symlink() or not manifest.is_file():
        return frozenset()
    try:
        listed = json.loads(manifest.read_bytes())["files"]
        names = [name for name in listed if isinstance(name, str) and _OURS.fullmatch(name)]
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return frozenset()
    return frozenset(names)


def _refuse_strangers(folder: Path, files: Mapping[str, bytes], earlier: frozenset[str]) -> None:
    """Refuse to replace what no earlier report wrote, and to write through a link."""
    for name in _FOLDERS:
        inner = folder / name
        if inner.is_symlink() or (inner.exists() and not inner.is_dir()):
            raise UserError(
                f"--output {folder}: {name} in it is no folder of a report; give another folder"
            )
    for name in (*files, MANIFEST):
        path = folder / name
        known = name in earlier or name == MANIFEST
        if path.is_dir() or (os.path.lexists(path) and not known):
            raise UserError(
                f"--output {folder}: {name} is there already and is of no earlier report; move it "
                "away, or give another folder"
            )


# --- putting it there


def _place(folder: Path, files: Mapping[str, bytes], earlier: frozenset[str]) -> None:
    manifest = {"made_by": f"rnnbench {__version__}", "files": sorted(files)}
    complete = {**files, MANIFEST: (json.dumps(manifest, indent=1) + "\n").encode()}
    new = not folder.exists()
    # In the folder where there is one: beside it might be another file system.
    staged = folder.with_name(staged_name()) if new else folder / staged_name()
    try:
        staged.mkdir()
        for name, content in complete.items():
            path = staged / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        if new:
            os.rename(staged, folder)
        else:
            _move(staged, folder, complete, earlier - files.keys())
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _move(
    staged: Path, folder: Path, files: Mapping[str, bytes], stale: frozenset[str] | set[str]
) -> None:
    """Move all files from where they are staged; an error brings back what was there."""
    aside = staged / "aside"
    undo: list[tuple[Path, Path | None]] = []
    made: list[Path] = []
    try:
        for name in _FOLDERS:
            if any(file.startswith(f"{name}/") for file in files) and not (folder / name).exists():
                (folder / name).mkdir()
                made.append(folder / name)
            (aside / name).mkdir(parents=True, exist_ok=True)
        for name in (*files, *sorted(stale)):
            path = folder / name
            if path.is_dir() and not path.is_symlink():
                continue  # no file of ours: only the name of one that is gone
            kept = aside / name if os.path.lexists(path) else None
            if kept is not None:
                _keep(path, kept)
            undo.append((path, kept))
            if name in files:
                os.replace(staged / name, path)
            elif kept is not None:
                path.unlink()
    except BaseException:
        for path, kept in reversed(undo):
            if kept is not None:
                os.replace(kept, path)
            else:
                path.unlink(missing_ok=True)
        for inner in made:
            inner.rmdir()
        raise
    for name in _FOLDERS:
        if any(file.startswith(f"{name}/") for file in stale):
            with suppress(OSError):  # it still has files
                (folder / name).rmdir()


def _keep(path: Path, kept: Path) -> None:
    """Have a second name for a file, so that there is no moment without it."""
    try:
        os.link(path, kept, follow_symlinks=False)
    except (OSError, NotImplementedError):  # a file system without hard links
        shutil.copy2(path, kept, follow_symlinks=False)
