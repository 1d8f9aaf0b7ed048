"""The commands `report`, `table` and `export`; what they need is imported when one of them runs."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rnnbench.limits import Limits
    from rnnbench.report.content import Table
    from rnnbench.results import Results

__all__ = ["Format", "print_sentences", "register", "rendered", "terminal_width"]

_BASELINE = "nn_rnn"
_LONGEST = 40
"""Rows up to which `report` prints a table to the terminal."""

_IN_FILES_ALONE = frozenset({"cases", "environments"})
"""Tables that are long or wide by nature; `rnnbench table` shows them."""

Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE…", help="Result files; those packed with gzip are read as well."),
]
Baseline = Annotated[
    str,
    typer.Option(metavar="NAME", help="The implementation that ratios are to."),
]
Paired = Annotated[
    bool,
    typer.Option(
        "--paired",
        help="Refuse to compare separate runs: only cases that took turns have firm ratios.",
    ),
]

MachineLimits = Annotated[
    str | None,
    typer.Option(
        "--limits",
        metavar="FILE",
        help="Limits of the machine that measured, as `rnnbench machine --output` writes them, for "
        "results that hold none.",
        show_default=False,
    ),
]


class Format(StrEnum):
    """How `table` prints."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    CSV = "csv"
    HTML = "html"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(report)
    app.command()(table)
    app.command()(export)


def report(
    context: typer.Context,
    files: Files,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Write the report there: a page, tables and plots. Without it, the verdict and "
            "the short tables are printed.",
        ),
    ] = None,
    baseline: Baseline = _BASELINE,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Title of the page.", show_default=False)
    ] = None,
    paired: Paired = False,
    limits: MachineLimits = None,
) -> None:
    """Say what is fastest, as tables, plots and one page.

    `rnnbench report quick.json --output report` writes report/index.html, which opens without a
    network, and beside it every table (CSV, Markdown), every plot (SVG, PNG) and all cases. An
    earlier report in the folder is replaced as a whole, or kept if anything fails.
    """
    from rnnbench.report.outputs import check_output_folder

    if output is not None:
        check_output_folder(output)
    with _without_collector():
        results = _read(files, baseline, paired=paired, limits=limits)
        if output is None:
            _print_report(results, files, baseline)
            return
        from rnnbench.report.build import build_report
        from rnnbench.report.writer import write_report

        made = build_report(results, baseline=baseline, title=title)
        if context.obj is not None:  # what the command line adds from rooms that build on this one
            made = made.with_sections(context.obj.sections(results), before="limits")
        page = write_report(made, results, output)
    print_sentences(made.verdict)
    typer.echo(f"The report is {_shown(page)}")


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """No search for cycles: what a report makes lives until its end, and looking takes long."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def table(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The table; a wrong name lists those there are.")
    ],
    files: Files,
    format: Annotated[  # noqa: A002
        Format, typer.Option(help="Markdown pastes into a GitHub comment; CSV has all digits.")
    ] = Format.TERMINAL,
    baseline: Baseline = _BASELINE,
    paired: Paired = False,
    limits: MachineLimits = None,
) -> None:
    """Print one table, such as `fastest` or `comparison`."""
    from rnnbench.report import tables

    known = [function for function in tables.__all__ if function != "all_tables"]
    if name not in known:
        raise UserError(f"table {name!r}: there is none of this name; known: {', '.join(known)}")
    results = _read(files, baseline, paired=paired, limits=limits)
    found = tables.all_tables(results, baseline)
    if name not in found:
        raise UserError(
            f"table {name!r}: {', '.join(files)} {'has' if len(files) == 1 else 'have'} nothing to "
            f"show in it; these have: {', '.join(found)}"
        )
    typer.echo(rendered(found[name], format), nl=False)


def export(
    files: Files,
    output: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="File to write; its ending says as what: .csv, .parquet (needs pyarrow), .md or "
            ".json.",
            show_default=False,
        ),
    ],
    rounds: Annotated[
        bool,
        typer.Option("--rounds", help="The raw rounds with block and process, not the cases."),
    ] = False,
    limits: MachineLimits = None,
) -> None:
    """Write all cases, or all rounds, for other programs.

    Seconds, bytes and all digits; rnnbench.report.exports.read_frame reads CSV and Parquet back.
    """
    from rnnbench.report.exports import check_ending, write_frame
    from rnnbench.report.outputs import check_output_file
    from rnnbench.results import read, rounds_of

    # Before the work of reading, too.
    check_ending(output)
    check_output_file(output, files)
    results = read(files, limits=_limits(limits))
    frame = rounds_of(results) if rounds else results.frame
    write_frame(frame, output, files)
    noun = "round" if rounds else "case"
    typer.echo(f"{_shown(output)}: {len(frame):,} {noun}{'' if len(frame) == 1 else 's'}")


def _limits(file: str | None) -> Limits | None:
    from rnnbench.limits import read_limits

    return None if file is None else read_limits(Path(file))


def _read(files: Sequence[str], baseline: str, *, paired: bool, limits: str | None) -> Results:
    from rnnbench.report.ratios import check_baseline, require_paired
    from rnnbench.results import read

    results = read(files, limits=_limits(limits))
    # Millions of numbers that stay until the end: the collector need not look at them again.
    gc.freeze()
    check_baseline(results, baseline)
    if paired:
        require_paired(results, results.measured.index.tolist(), "--paired")
    elif not _have_common_case(results):
        raise UserError(
            f"{', '.join(files)}: no two of these files have a case in common, so nothing can be "
            "compared between them; give each to a report of its own"
        )
    return results


def _have_common_case(results: Results) -> bool:
    """Whether there are two files of which cases could stand side by side; true of a single one."""
    from rnnbench.report.groups import COMPETITOR, groups

    if len(results.runs) == 1:
        return True
    apart = (*COMPETITOR, "device", "threads")
    runs = results.frame["run"].tolist()
    shared = groups(results.frame, apart, across_runs=True).values()
    return any(len({runs[row] for row in rows}) > 1 for rows in shared)


def _print_report(results: Results, files: Sequence[str], baseline: str) -> None:
    from rnnbench.report.tables import all_tables
    from rnnbench.report.verdict import verdict

    print_sentences(verdict(results, baseline))
    longer = []
    for name, found in all_tables(results, baseline).items():
        if name in _IN_FILES_ALONE or len(found.rows) > _LONGEST:
            longer.append(f"{name} ({len(found.rows):,} rows)")
        else:
            typer.echo(rendered(found, Format.TERMINAL))
    typer.echo(f"Longer tables: {', '.join(longer)}.")
    typer.echo(f"`rnnbench table NAME {' '.join(map(_shown, files))}` prints one;")
    typer.echo("`rnnbench report … --output DIR` writes a page with all tables and the plots.")


def _shown(path: str | os.PathLike[str]) -> str:
    """A path as any terminal can show it; bytes that are no letters would end in an error."""
    return os.fspath(path).encode("utf-8", "replace").decode("utf-8")


def print_sentences(sentences: Iterable[str]) -> None:
    """Print sentences as paragraphs as wide as the terminal."""
    from rnnbench.report.escaping import clean

    for sentence in sentences:
        typer.echo(textwrap.fill(clean(sentence, None), terminal_width()) + "\n")


def rendered(found: Table, format: Format) -> str:  # noqa: A002
    """A table as text, in one of the formats."""
    from rnnbench.report import render

    match format:
        case Format.MARKDOWN:
            return render.to_markdown(found)
        case Format.CSV:
            return render.to_csv(found)
        case Format.HTML:
            return str(render.to_html(found))
    return (
        _drawn(found, terminal_width())
        if sys.stdout.isatty()
        else render.to_text(found, terminal_width())
    )


def terminal_width() -> int:
    """Columns of the terminal; 100 where there is none."""
    return shutil.get_terminal_size((100, 24)).columns


def _drawn(found: Table, width: int) -> str:
    """The table with the colours that this terminal has."""
    import io

    from rich.console import Console

    from rnnbench.report.render import to_rich

    text = io.StringIO()
    # An encoding without the signs of a frame gets plain ones.
    text_encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    console = Console(
        file=text,
        force_terminal=True,
        width=width,
        legacy_windows=False,
        no_color="NO_COLOR" in os.environ,
        safe_box=not text_encoding.lower().startswith("utf"),
    )
    console.print(to_rich(found))
    return text.getvalue()
