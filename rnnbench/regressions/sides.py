"""The two sides of a comparison: which file, and which of its environments."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rnnbench.errors import UserError
from rnnbench.report.escaping import clean
from rnnbench.report.groups import CASE_NAMES
from rnnbench.report.ratios import pairing_apart
from rnnbench.results import Results, Run, read

__all__ = ["Side", "Sides", "against_first", "read_sides", "sides_of", "sides_within"]

_MARK = "@"


@dataclass(frozen=True)
class Side:
    """One environment of one result file; ``rows`` are by case without environment."""

    run: Run
    environment: str
    rows: Mapping[tuple[Hashable, ...], int]

    @property
    def described(self) -> Mapping[str, Any]:
        """What the file says of the environment."""
        return self.run.environments.get(self.environment, {})

    @property
    def torch(self) -> str:
        """PyTorch's version, as the file says it."""
        version = self.described.get("torch")
        return version if isinstance(version, str) else "unknown"


@dataclass(frozen=True)
class Sides:
    """Both sides, and the results that hold their rows."""

    results: Results
    base: Side
    new: Side

    @property
    def one_run(self) -> bool:
        """Whether both took turns in one run, be it in one file or in files split from it."""
        if self.base.run.label == self.new.run.label:
            # Of a file that was merged from several, only its sessions tell.
            return not any(
                pairing_apart(self.results, row, self.new.rows[key])
                for key, row in self.base.rows.items()
                if key in self.new.rows
            )
        return bool(self.base.run.run_id) and self.base.run.run_id == self.new.run.run_id


def read_sides(base: str, new: str) -> Sides:
    """Read ``FILE`` or ``FILE@ENVIRONMENT`` twice, from one file or from two.

    Raises:
        UserError: a file is no valid result, it holds several environments and none was named, the
            named one is not in it, or both sides are the same.
    """
    named = [_split(text) for text in (base, new)]
    files = list({Path(file).resolve(): file for file, _ in named}.values())
    results = read(files)
    labels = {Path(run.path).resolve(): label for label, run in results.runs.items()}
    sides = [
        _side(results, labels[Path(file).resolve()], environment, option)
        for (file, environment), option in zip(named, ("BASE", "NEW"), strict=True)
    ]
    left, right = sides
    if left.run.label == right.run.label and left.environment == right.environment:
        raise UserError(
            f"BASE and NEW are both {clean(left.environment)} of {named[0][0]}; give two files, or "
            "two environments of one as FILE@NAME"
        )
    return Sides(results, left, right)


def sides_of(results: Results, base: str, new: str) -> Sides:
    """Two environments of results from one file.

    Raises:
        UserError: they are not both in it.
    """
    (label,) = results.runs
    return sides_within(results, label, base, new)


def sides_within(results: Results, label: str, base: str, new: str) -> Sides:
    """Two environments of one of the runs.

    Raises:
        UserError: they are not both in it.
    """
    return Sides(
        results, _side(results, label, base, "base"), _side(results, label, new, "new side")
    )


def against_first(results: Results, rows: pd.DataFrame) -> Iterator[Sides]:
    """Each environment with the first one of its run, in the order in which they were given.

    Of those that some of the ``rows`` of the results' frame are of; pairs with no case in common
    are left out.
    """
    for label, run in results.runs.items():
        there = set(rows.loc[rows["run"] == label, "environment"])
        base, *others = [name for name in run.environments if name in there] or [""]
        for other in others:
            sides = sides_within(results, label, base, other)
            if sides.base.rows.keys() & sides.new.rows.keys():
                yield sides


def _split(text: str) -> tuple[str, str | None]:
    # A file's own name may hold the mark: what is there as a whole is meant as a whole.
    if _MARK not in text or Path(text).exists():
        return text, None
    file, _, environment = text.rpartition(_MARK)
    return file, environment


def _side(results: Results, label: str, environment: str | None, option: str) -> Side:
    run = results.runs[label]
    frame = results.frame[results.frame["run"] == label]
    known = list(dict.fromkeys(frame["environment"].tolist()))
    listed = ", ".join(clean(str(name), 60) for name in known)
    if not known:
        raise UserError(f"{option} {run.path}: it holds no case; give another file")
    if environment is None:
        if len(known) > 1:
            raise UserError(
                f"{option} {run.path}: it holds several environments ({listed}); say which, such "
                f"as {run.path}{_MARK}{clean(str(known[0]), 60)}"
            )
        environment = str(known[0])
    if environment not in known:
        raise UserError(
            f"{option} {run.path}: it holds no environment {clean(environment)!r}; there is: "
            f"{listed}"
        )
    mine = frame[frame["environment"] == environment]
    names = [name for name in CASE_NAMES if name != "environment"]
    keys = zip(*(mine[name].tolist() for name in names), strict=True)
    return Side(run, environment, dict(zip(keys, mine.index.tolist(), strict=True)))
