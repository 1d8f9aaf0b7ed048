"""A folder of result files as a history: read file by file, and of each only its times are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from rnnbench.errors import UserError
from rnnbench.regressions.history import By, History, Skipped, history_of
from rnnbench.results import Results, Run, read

__all__ = ["read_folder"]

_ENDINGS = (".json", ".json.gz")


def read_folder(
    folder: str | os.PathLike[str], *, by: By | None = None, case: str | None = None
) -> History:
    """Read all result files in a folder and in those within it; other files are skipped and named.

    ``by`` is the order of the points: by when they were measured, or by their PyTorch's version.
    None stands for versions where a file has several environments, and for time elsewhere.
    ``case`` keeps those cases in whose words this text stands.

    Raises:
        UserError: it is no folder, or holds no result, or no case has ``case`` in it.
    """
    root = Path(folder)
    if not root.is_dir():
        what = "is no folder" if os.path.lexists(root) else "there is no such folder"
        raise UserError(f"{_said(root)}: {what}; give one with result files")
    skipped: list[Skipped] = []
    frames: list[pd.DataFrame] = []
    runs: dict[str, Run] = {}
    for path in _files(root):
        label = os.fspath(path.relative_to(root)).encode("utf-8", "replace").decode("utf-8")
        try:
            found = read([path])
        except UserError as error:
            skipped.append(Skipped(label, _reason(str(error), os.fspath(path))))
            continue
        (run,) = found.runs.values()
        frames.append(found.frame.assign(run=pd.Series(label, found.frame.index, dtype="string")))
        runs[label] = replace(run, label=label)
    if not runs:
        others = ""
        if skipped:
            first = f"{skipped[0].path}: {skipped[0].reason}"
            many = f"{len(skipped)} other files, such as " if len(skipped) > 1 else "1 other file, "
            others = f" ({many}{first})"
        raise UserError(
            f"{_said(root)}: has no result file of rnnbench{others}; give a "
            "folder with the JSON files that `pytest suites --benchmark-json=…` wrote"
        )
    frame = pd.concat(frames, ignore_index=True)
    results = Results(frame, [None] * len(frame), runs)
    made = history_of(results, by=by, case=case)
    return replace(made, skipped=(*skipped, *made.skipped))


def _files(root: Path) -> Iterator[Path]:
    """Files that could be results, in the order of their names; hidden ones are never any."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(names):
            if name.endswith(_ENDINGS) and not name.startswith("."):
                yield Path(folder, name)


def _reason(message: str, path: str) -> str:
    return message.removeprefix(path).lstrip(": ")


def _said(path: Path) -> str:
    text = os.fspath(path)
    return text if text.isprintable() else repr(text)
