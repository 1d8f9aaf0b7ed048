"""Instructions of two sides, case by case: the channel that no neighbour disturbs, and no time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pandas as pd

from rnnbench.numbers import format_count, format_ratio, format_share
from rnnbench.regressions.compare import Comparison
from rnnbench.regressions.family import Bounds
from rnnbench.report.content import Align, Cell, Table, TableColumn
from rnnbench.report.escaping import clean, escape_markdown
from rnnbench.report.groups import CASE_NAMES
from rnnbench.report.render import to_markdown
from rnnbench.statistics import Verdict

__all__ = [
    "MARGIN",
    "Change",
    "Counted",
    "FunctionChange",
    "change_between",
    "functions_table",
    "instruction_changes",
    "instruction_records",
    "instruction_tables",
    "instructions_comment",
    "instructions_table",
    "said_of_instructions",
]

MARGIN = 0.005
"""A share up to which a change of instructions does not matter."""

Change: TypeAlias = Literal["more", "fewer", "same"]

_RIGHT: Align = "right"
_AGAINST: dict[Verdict, Change] = {"slower": "fewer", "faster": "more"}
"""What a verdict about times contradicts."""

_SHOWN_FUNCTIONS = 12
_KEPT_FUNCTIONS = 40
_LONGEST_NAME = 90

_COPIES = re.compile(r"(\.(isra|constprop|part|cold|lto_priv)(\.\d+)*)+(?= \[)")
_HASH = re.compile(r"-[0-9a-f]{8}(?=\.so)")
_ADDRESS = re.compile(r"^0x[0-9a-f]+(?= \[)")


@dataclass(frozen=True)
class FunctionChange:
    """Instructions of one function itself on both sides, without what it calls.

    A side is None where the function is not among those that are named there; then it has at most
    as many as ``below``.
    """

    name: str
    base: int | None
    new: int | None
    below: int

    @property
    def difference(self) -> int:
        """New less base; what is not named counts as nothing."""
        return (self.new or 0) - (self.base or 0)


@dataclass(frozen=True)
class Counted:
    """A case whose instructions were counted on both sides; ``row`` is one of the results.

    ``time`` is the ratio of its times with the ends of its interval, None where there is none.
    ``functions`` are those that differ, the largest differences first.
    """

    row: int
    base: int
    new: int
    change: Change
    verdict: Verdict | None
    time: Bounds | None = None
    functions: Sequence[FunctionChange] = ()

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

    @property
    def is_news(self) -> bool:
        """Whether there is something to look at."""
        return self.change != "same" or self.disagrees


def change_between(base: int, new: int, margin: float) -> Change:
    """What became of a count.

    Counts of equal code differ by less than ``margin`` or it is too small: there is no interval,
    since what they differ by is no noise of the machine but the program's own, such as where its
    objects lie.
    """
    if abs(new / base - 1) <= margin:
        return "same"
    return "more" if new > base else "fewer"


def instruction_changes(comparison: Comparison, margin: float) -> list[Counted]:
    """Cases that were counted on both sides, the largest changes first; see `change_between`."""
    sides = comparison.sides
    results = sides.results
    findings = {case.row: case.finding for case in comparison.cases}
    found = []
    for key, row in sides.new.rows.items():
        before = sides.base.rows.get(key)
        counts = [None if r is None else results.frame.at[r, "instructions"] for r in (before, row)]
        if before is None or any(count is None or pd.isna(count) for count in counts):
            continue
        base, new = (int(count) for count in counts if count is not None)
        finding = findings.get(row)
        found.append(
            Counted(
                row,
                base,
                new,
                change_between(base, new, margin),
                None if finding is None else finding.verdict,
                None if finding is None else (finding.ratio, finding.low, finding.high),
                _functions(results.functions.get(before, {}), results.functions.get(row, {})),
            )
        )
    return sorted(found, key=lambda one: -abs(one.ratio - 1))


def _functions(base: Mapping[str, int], new: Mapping[str, int]) -> list[FunctionChange]:
    """Functions that differ, the largest differences first."""
    if not base or not new:
        return []
    least = min(base.values()), min(new.values())
    before, after = _joined(base), _joined(new)
    changes = [
        FunctionChange(name, before.get(name), after.get(name), least[name in before])
        for name in dict.fromkeys([*before, *after])
    ]
    changes = [one for one in changes if one.difference]
    return sorted(changes, key=lambda one: (-abs(one.difference), one.name))


def _joined(functions: Mapping[str, int]) -> Counter[str]:
    """By names that two builds share.

    A compiler's copies of a function count as the function, and what a library gives no name is
    one. A library's own name may hold a digest of it.
    """
    found: Counter[str] = Counter()
    for name, count in functions.items():
        name = _HASH.sub("", _COPIES.sub("", name))
        found[_ADDRESS.sub("functions without a name", name)] += count
    return found


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


def instructions_comment(comparison: Comparison, found: Sequence[Counted], margin: float) -> str:
    """Markdown for a comment, to stand below that of the times; empty where nothing was counted.

    What changed, or contradicts its time, is in sight, and all else folded away.
    """
    if not found:
        return ""
    news = [one for one in found if one.is_news]
    rest = [one for one in found if not one.is_news]
    parts = [
        "",
        *(f"- {escape_markdown(s, None)}" for s in said_of_instructions(found, margin)),
        "",
    ]
    parts += [to_markdown(table) for table in instruction_tables(comparison, news)]
    if rest:
        parts += [
            f"<details><summary>Instructions of {len(rest)} without news</summary>",
            "",
            to_markdown(instructions_table(comparison, rest)),
            "</details>",
            "",
        ]
    return "\n".join(parts)


def instruction_tables(comparison: Comparison, found: Sequence[Counted]) -> list[Table]:
    """Both channels case by case, and the functions of the case that changed most."""
    if not found:
        return []
    tables = [instructions_table(comparison, found)]
    most = found[0]
    if most.change != "same" and most.functions:
        tables.append(functions_table(comparison, most))
    return tables


def instructions_table(comparison: Comparison, found: Sequence[Counted]) -> Table:
    """A row for each case: both counts and their ratio, and what its time says beside."""
    frame = comparison.sides.results.frame
    names = [name for name in CASE_NAMES if name != "environment"]
    columns = {name: frame[name].tolist() for name in names}
    varied = [name for name in names if len({columns[name][one.row] for one in found}) > 1]
    shown = list(dict.fromkeys(["implementation", *varied]))
    named = any(one.change != "same" and one.functions for one in found)
    rows = [
        [
            *(Cell(str(columns[name][one.row])) for name in shown),
            Cell(one.change),
            Cell(f"{one.ratio:.4f}", one.ratio),
            Cell(format_count(one.base), one.base),
            Cell(format_count(one.new), one.new),
            Cell(one.verdict or "no verdict"),
            _time_cell(one.time),
            Cell("disagree" if one.disagrees else ""),
            *([Cell(_most(one))] if named else []),
        ]
        for one in found
    ]
    return Table(
        "compare_instructions",
        "Instructions, new against base",
        "Counted by Valgrind in one thread, and what was timed beside them."
        + (
            " Changed most: the function whose own instructions account for most of the difference."
            if named
            else ""
        ),
        [
            *(TableColumn(name) for name in shown),
            TableColumn("instructions", choices=True),
            TableColumn("new / base", _RIGHT),
            TableColumn("base", _RIGHT),
            TableColumn("new", _RIGHT),
            TableColumn("time", choices=True),
            TableColumn("its new / base", _RIGHT),
            TableColumn("channels", choices=True),
            *([TableColumn("changed most")] if named else []),
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
                    "time_ratio": None if one.time is None else one.time[0],
                    "time_ratio_low": None if one.time is None else one.time[1],
                    "time_ratio_high": None if one.time is None else one.time[2],
                    "disagrees": one.disagrees,
                }
                for one in found
            ]
        ),
    )


def functions_table(comparison: Comparison, one: Counted) -> Table:
    """The functions that account for most of a case's difference, with their counts."""
    case = comparison.sides.results.case_of(one.row)
    whole = one.new - one.base
    rows = [
        [
            Cell(_short(each.name)),
            _count_cell(each.base, each.below),
            _count_cell(each.new, each.below),
            Cell(f"{each.difference:+,}", each.difference),
            Cell(format_share(each.difference / whole) if whole else ""),
        ]
        for each in one.functions[:_SHOWN_FUNCTIONS]
    ]
    rest = whole - sum(each.difference for each in one.functions[:_SHOWN_FUNCTIONS])
    headings = ("base", "new", "new less base", "of the whole difference")
    return Table(
        "compare_functions",
        f"Functions: {case.id}",
        f"Of the case whose instructions changed most, by {whole:+,}: those of a function itself, "
        f"without what it calls. All others together: {rest:+,}.",
        [
            TableColumn("function [file]"),
            *(TableColumn(heading, _RIGHT) for heading in headings),
        ],
        rows,
        pd.DataFrame(_function_records(one)),
    )


def instruction_records(comparison: Comparison, found: Sequence[Counted]) -> list[dict[str, Any]]:
    """The same for JSON, with the functions of each case that changed."""
    if not found:
        return []
    data = instructions_table(comparison, found).data
    records: list[dict[str, Any]] = data.astype(object).where(data.notna(), None).to_dict("records")
    return [
        {**record, "functions": [] if one.change == "same" else _function_records(one)}
        for record, one in zip(records, found, strict=True)
    ]


def _function_records(one: Counted) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "base_instructions": each.base,
            "new_instructions": each.new,
            "difference": each.difference,
        }
        for each in one.functions[:_KEPT_FUNCTIONS]
    ]


def _most(one: Counted) -> str:
    """The function that accounts for most of a difference, of those that go the same way."""
    if one.change == "same":
        return ""
    sign = 1 if one.change == "more" else -1
    same_way = [each for each in one.functions if each.difference * sign > 0]
    if not same_way:
        return ""
    return f"{_short(same_way[0].name)} {same_way[0].difference:+,}"


def _short(name: str) -> str:
    """A function with its file; of a long one the end is cut, and the file is not."""
    function, bracket, file = name.rpartition(" [")
    return f"{clean(function, _LONGEST_NAME)}{bracket}{clean(file, _LONGEST_NAME)}"


def _count_cell(count: int | None, below: int) -> Cell:
    return Cell(f"below {below:,}", 0) if count is None else Cell(format_count(count), count)


def _time_cell(time: Bounds | None) -> Cell:
    if time is None:
        return Cell("")
    text, interval = format_ratio(*time)
    return Cell(f"{text} {interval}", time[0])
