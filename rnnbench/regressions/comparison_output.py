"""A comparison for people and programs: sentences, table, Markdown, JSON and CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from rnnbench.numbers import column_unit, format_ratio, format_share
from rnnbench.regressions.compare import STATES, Compared, Comparison, State
from rnnbench.report.content import Cell, Table
from rnnbench.report.escaping import clean, escape_markdown
from rnnbench.report.groups import CASE_NAMES
from rnnbench.report.ratios import PAIRINGS
from rnnbench.report.render import to_markdown
from rnnbench.report.tables._columns import (
    Column,
    assemble,
    constant_setting,
    setting_columns,
    sort_key,
    text_cell,
    time_cell,
    values_of,
    varying_settings,
)

__all__ = [
    "headline",
    "sentences",
    "to_document",
    "to_frame",
    "to_json",
    "to_pull_request",
    "to_table",
]

_FORMAT = 1
_NO_INTERVAL = "[no interval]"
"""Where there are replicates: what lies between two runs is not known, or too little is."""
_ORDER = ("slower", "failing", "faster", "mended", "inconclusive", "missing", "added")
_NEW_STATES: dict[State, str] = {
    "failing": "no longer measured",
    "mended": "measured again",
    "missing": "missing",
    "added": "added",
}
_NEWS = frozenset({"slower", "faster", *_NEW_STATES})


def headline(comparison: Comparison) -> str:
    """What was found, in one line."""
    counts = comparison.verdicts
    states = comparison.states
    found = [f"{counts[word]} {word}" for word in ("slower", "faster") if counts[word]]
    found += [f"{states[state]} {word}" for state, word in _NEW_STATES.items() if states[state]]
    of = _cases(len(comparison.cases))
    return f"{', '.join(found)} of {of}" if found else f"Nothing slower and nothing faster in {of}"


def sentences(comparison: Comparison) -> list[str]:
    """What was compared, what was found, and how far that can be trusted."""
    sides, counts = comparison.sides, comparison.verdicts
    base, new = sides.base, sides.new
    judged = sum(counts.values())
    said = [
        f"{headline(comparison)}: {_name(base.environment, base.torch)} is the base, "
        f"{_name(new.environment, new.torch)} is new.",
        f"Of {judged} compared: {counts['slower']} slower, {counts['faster']} faster, "
        f"{counts['same']} the same within ± {format_share(comparison.margin)}, "
        f"{counts['inconclusive']} inconclusive. At most {format_share(comparison.rate)} of the "
        "changes found are expected to be none.",
        f"Footing: {comparison.footing} ({PAIRINGS[comparison.footing]}).",
    ]
    changed = sum(bool(case.path) for case in comparison.cases)
    if changed:
        said.append(f"{_cases(changed)} took another path than before, whatever the speed.")
    return said + list(comparison.notes)


def to_table(comparison: Comparison, cases: Sequence[Compared] | None = None) -> Table:
    """A row for each case, what is news first; ``data`` is `to_frame` of the same cases."""
    chosen = sorted(comparison.cases if cases is None else cases, key=_place)
    rows = [case.row for case in chosen]
    values = values_of(comparison.sides.results.frame, ["run", *CASE_NAMES])
    varied = [name for name in varying_settings(values, rows) if name != "run"]
    key = sort_key(values, ["implementation", *varied])
    chosen.sort(key=lambda case: (_place(case), key(case.row)))
    rows = [case.row for case in chosen]
    scale, unit = column_unit(
        time[0] for case in chosen for time in (case.base_time, case.new_time) if time
    )
    base, new = comparison.sides.base, comparison.sides.new
    columns = [
        Column(
            "implementation", [Cell(values["implementation"][row]) for row in rows], choices=True
        ),
        *setting_columns(values, rows, varied),
        Column("verdict", [Cell(_word(case)) for case in chosen], choices=True),
        Column("new / base", [_ratio_cell(case) for case in chosen], "right"),
        Column("could find", [_detectable_cell(case) for case in chosen], "right"),
        Column(
            f"{clean(base.environment, 40)}, {unit}",
            [_time_cell(case.base_time, scale) for case in chosen],
            "right",
        ),
        Column(
            f"{clean(new.environment, 40)}, {unit}",
            [_time_cell(case.new_time, scale) for case in chosen],
            "right",
        ),
    ]
    if any(case.path or case.reason for case in chosen):
        beside = [", ".join(filter(None, (case.path, case.reason))) for case in chosen]
        columns.append(Column("what else", [text_cell(text or None, "") for text in beside]))
    described = [
        constant_setting({name: values[name] for name in CASE_NAMES if name != "environment"}, rows)
        if rows
        else "",
        "New / base: below 1 the new side is faster; in brackets the interval that the verdict "
        "rests on.",
        "Could find: the change that would have been found in about four of five such runs.",
    ]
    return assemble("compare", "New against base", described, columns, to_frame(comparison, chosen))


def to_frame(comparison: Comparison, cases: Sequence[Compared] | None = None) -> pd.DataFrame:
    """A row for each case: its columns but the environment, then state, verdict, ratio and times.

    Times are seconds; ``ratio`` is new over base with the ends of its interval at ``level``;
    ``detectable`` is a share.
    """
    return pd.DataFrame(_records(comparison, comparison.cases if cases is None else cases))


def to_document(comparison: Comparison) -> dict[str, Any]:
    """Everything, ready for JSON."""
    sides = comparison.sides
    records = _records(comparison, comparison.cases)
    return {
        "rnnbench_comparison": _FORMAT,
        **{
            name: {
                "file": side.run.path,
                "environment": side.environment,
                "torch": side.torch,
                "measured_at": side.run.measured_at,
            }
            for name, side in (("base", sides.base), ("new", sides.new))
        },
        "footing": comparison.footing,
        "margin": comparison.margin,
        "false_discovery_rate": comparison.rate,
        "verdicts": {
            word: comparison.verdicts[word] for word in ("slower", "faster", "same", "inconclusive")
        },
        "states": {state: comparison.states[state] for state in STATES},
        "differences": [
            {"name": found.name, "base": found.base, "new": found.new}
            for found in comparison.differences
        ],
        "notes": list(comparison.notes),
        "cases": records,
    }


def to_json(comparison: Comparison, instructions: Sequence[dict[str, Any]] = ()) -> str:
    """`to_document` as text, with the records of instructions where they were counted."""
    document = to_document(comparison)
    if instructions:
        document["instructions"] = list(instructions)
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def to_pull_request(comparison: Comparison) -> str:
    """Markdown for a comment: the headline, what is news, and all else folded away."""
    base, new = comparison.sides.base, comparison.sides.new
    news = [case for case in comparison.cases if _word(case) in _NEWS or case.path]
    rest = [case for case in comparison.cases if not (_word(case) in _NEWS or case.path)]
    title = (
        f"{headline(comparison)}: {_name(base.environment, base.torch)} → "
        f"{_name(new.environment, new.torch)}"
    )
    parts = [f"### {escape_markdown(title)}", ""]
    parts += [f"- {escape_markdown(text, None)}" for text in sentences(comparison)[1:]]
    parts.append("")
    if news:
        parts.append(_untitled(to_markdown(to_table(comparison, news))))
    if rest:
        parts += [
            f"<details><summary>{len(rest)} without news</summary>",
            "",
            _untitled(to_markdown(to_table(comparison, rest))),
            "</details>",
            "",
        ]
    return "\n".join(parts)


def _untitled(markdown: str) -> str:
    """A table without its heading, which the comment has already."""
    return markdown.split("\n", 2)[2]


def _records(comparison: Comparison, cases: Sequence[Compared]) -> list[dict[str, Any]]:
    sides = comparison.sides
    names = [name for name in CASE_NAMES if name != "environment"]
    columns = {name: sides.results.frame[name].tolist() for name in names}
    return [
        {
            **{name: columns[name][case.row] for name in names},
            "base": sides.base.environment,
            "new": sides.new.environment,
            "state": case.state,
            "verdict": case.verdict,
            "ratio": case.finding and case.finding.ratio,
            "ratio_low": case.finding and case.finding.low,
            "ratio_high": case.finding and case.finding.high,
            "level": case.finding and case.finding.level,
            "detectable": case.finding and case.finding.detectable,
            **_bounds("base_time", case.base_time),
            **_bounds("new_time", case.new_time),
            "processes": case.processes,
            "path": case.path,
            "reason": case.reason,
        }
        for case in cases
    ]


def _bounds(name: str, time: tuple[float, float | None, float | None] | None) -> dict[str, Any]:
    value, low, high = time or (None, None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _word(case: Compared) -> str:
    return case.verdict or case.state


def _place(case: Compared) -> tuple[int, float]:
    """News first: what is slower most of all, then the other words in their order."""
    word = _word(case)
    at = _ORDER.index(word) if word in _ORDER else len(_ORDER)
    ratio = case.finding.ratio if case.finding and word in ("slower", "faster") else 0.0
    return at, -ratio if word == "slower" else ratio


def _ratio_cell(case: Compared) -> Cell:
    if case.finding is None:
        return Cell("")
    found = case.finding
    text, interval = format_ratio(found.ratio, found.low, found.high)
    if found.low is None and case.processes > 1:
        interval = _NO_INTERVAL
    return Cell(f"{text} {interval}", found.ratio)


def _detectable_cell(case: Compared) -> Cell:
    share = case.finding.detectable if case.finding else None
    return Cell("") if share is None else Cell(f"± {format_share(share)}", share)


def _time_cell(time: tuple[float, float | None, float | None] | None, scale: float) -> Cell:
    if time is None:
        return Cell("none")
    return Cell(time_cell(*time, scale).text.split(" [")[0], time[0])


def _name(environment: str, torch: str) -> str:
    """An environment with its PyTorch, where its name does not say that already."""
    name, version = clean(environment, 60), clean(torch, 40)
    return name if version.split("+")[0] in name else f"{name} (torch {version})"


def _cases(count: int) -> str:
    return f"{count:,} case{'' if count == 1 else 's'}"
