"""Instructions of two sides, case by case: the channel that no neighbour disturbs, and no time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pandas as pd

from rnnbench.numbers import format_count, format_share
from rnnbench.regressions.compare import Comparison
from rnnbench.report.content import Align, Cell, Table, TableColumn
from rnnbench.report.groups import CASE_NAMES
from rnnbench.statistics import Verdict

__all__ = [
    "Change",
    "Counted",
    "instruction_changes",
    "instruction_records",
    "instructions_table",
    "said_of_instructions",
]

Change: TypeAlias = Literal["more", "fewer", "same"]

_RIGHT: Align = "right"
_AGAINST: dict[Verdict, Change] = {"slower": "fewer", "faster": "more"}
"""What a verdict about times contradicts."""


@dataclass(frozen=True)
class Counted:
    """A case whose instructions were counted on both sides; ``row`` is one of the results."""

    row: int
    base: int
    new: int
    change: Change
    verdict: Verdict | None

    @property
    def ratio(self) -> float:
        """New over base."""
        return self.new / self.base

    @property
    def disagrees(self) -> bool:
        """Whether time and instructions say opposite things, or one alone has changed for sure."""
        if self.verdict in (None, "inconclusive"):
            return False
        if self.verdict == "same":
            return self.change != "same"
        return self.change in ("same", _AGAINST[self.verdict])


def instruction_changes(comparison: Comparison, margin: float) -> list[Counted]:
    """Cases that were counted on both sides, the largest changes first.

    Counts of equal code differ by less than ``margin`` or it is too small: there is no interval,
    since what they differ by is no noise of the machine but the program's own, such as what its
    allocator has to do.
    """
    sides = comparison.sides
    frame = sides.results.frame
    verdicts = {case.row: case.verdict for case in comparison.cases}
    found = []
    for key, row in sides.new.rows.items():
        before = sides.base.rows.get(key)
        counts = [None if r is None else frame.at[r, "instructions"] for r in (before, row)]
        if any(count is None or pd.isna(count) for count in counts):
            continue
        base, new = (int(count) for count in counts if count is not None)
        change: Change = "same"
        if abs(new / base - 1) > margin:
            change = "more" if new > base else "fewer"
        found.append(Counted(row, base, new, change, verdicts.get(row)))
    return sorted(found, key=lambda one: -abs(one.ratio - 1))


def said_of_instructions(found: Sequence[Counted], margin: float) -> Iterator[str]:
    """What was found, what it does not say, and where both channels disagree."""
    if not found:
        return
    more, fewer = (sum(one.change == word for one in found) for word in ("more", "fewer"))
    yield (
        f"Instructions of {len(found):,} case{'' if len(found) == 1 else 's'}: {more} more, "
        f"{fewer} fewer by over {format_share(margin)}. They are no time: they leave out caches, "
        "how wide a vector is, threads and devices."
    )
    apart = sum(one.disagrees for one in found)
    if apart:
        yield (
            f"Time and instructions disagree in {apart:,} of them: work was moved between few slow "
            "and many quick instructions, or what changed is what instructions leave out."
        )


def instructions_table(comparison: Comparison, found: Sequence[Counted]) -> Table:
    """A row for each case: both counts, their ratio, and the verdict about its time beside."""
    frame = comparison.sides.results.frame
    names = [name for name in CASE_NAMES if name != "environment"]
    columns = {name: frame[name].tolist() for name in names}
    varied = [name for name in names if len({columns[name][one.row] for one in found}) > 1]
    shown = list(dict.fromkeys(["implementation", *varied]))
    rows = [
        [
            *(Cell(str(columns[name][one.row])) for name in shown),
            Cell(one.change),
            Cell(f"{one.ratio:.4f}", one.ratio),
            Cell(format_count(one.base), one.base),
            Cell(format_count(one.new), one.new),
            Cell(one.verdict or "no verdict"),
            Cell("disagree" if one.disagrees else ""),
        ]
        for one in found
    ]
    return Table(
        "compare_instructions",
        "Instructions, new against base",
        "Counted by Valgrind in one thread.",
        [
            *(TableColumn(name) for name in shown),
            TableColumn("instructions", choices=True),
            TableColumn("new / base", _RIGHT),
            TableColumn("base", _RIGHT),
            TableColumn("new", _RIGHT),
            TableColumn("time", choices=True),
            TableColumn("channels"),
        ],
        rows,
        pd.DataFrame(
            [
                {
                    **{name: columns[name][one.row] for name in names},
                    "change": one.change,
                    "ratio": one.ratio,
                    "base_instructions": one.base,
                    "new_instructions": one.new,
                    "verdict": one.verdict,
                    "disagrees": one.disagrees,
                }
                for one in found
            ]
        ),
    )


def instruction_records(comparison: Comparison, found: Sequence[Counted]) -> list[dict[str, Any]]:
    """The same for JSON."""
    records: list[dict[str, Any]] = instructions_table(comparison, found).data.to_dict("records")
    return records
