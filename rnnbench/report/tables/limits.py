"""How near each case comes to the least time that its machine could need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnbench.bounds import defect_sentences
from rnnbench.numbers import column_unit, format_share
from rnnbench.report._words import capital, name, sentence_end
from rnnbench.report.content import Cell, Table
from rnnbench.report.groups import CASE_NAMES
from rnnbench.report.tables._columns import (
    LIMITS,
    Column,
    Values,
    assemble,
    competitors,
    constant_setting,
    setting_columns,
    share_cell,
    sort_key,
    time_cell,
    times_of,
    values_of,
    varying_settings,
)
from rnnbench.results import Results

__all__ = ["limits", "why_no_limits"]

_ID_LENGTH, _REASON_LENGTH = 120, 300
_TIME = ("time", "time_low", "time_high")
_USED = ("run", *CASE_NAMES, *_TIME, *LIMITS)


def limits(results: Results) -> Table | None:
    """Each case's time, its limit, what that is made by, and the share of it; None without one.

    The limit is that of `rnnbench.bounds`. ``data``: row, run, the columns of the case, label,
    time, time_low, time_high, limit, limit_low, limit_high (seconds), limit_by, limit_share,
    limit_share_low, limit_share_high (limit over time), limit_defect (whether the limit is wrong).
    """
    values = values_of(results.frame, _USED)
    rows = [row for row, limit in enumerate(values["limit"]) if limit is not None]
    if not rows:
        return None
    varied = varying_settings(values, rows)
    key = sort_key(values, varied)
    rows.sort(key=lambda row: (key(row), -values["limit_share"][row]))
    labels = competitors(values, rows)
    scale, unit = column_unit(values[column][row] for column in ("time", "limit") for row in rows)
    columns = [
        *setting_columns(values, rows, varied),
        Column("competitor", [Cell(label) for label in labels], choices=True),
        Column(f"time, {unit}", [time_cell(*times_of(values, r), scale) for r in rows], "right"),
        Column(
            f"limit, {unit}",
            [time_cell(*times_of(values, row, "limit"), scale) for row in rows],
            "right",
        ),
        Column("bound by", [Cell(values["limit_by"][row]) for row in rows], choices=True),
        Column("share of limit", [_share_cell(values, row) for row in rows], "right"),
        Column("beaten", [Cell(_beaten(values, row)) for row in rows], choices=True, once=True),
    ]
    data = results.frame.loc[rows, list(_USED)].rename_axis("row").reset_index()
    data.insert(len(("row", "run", *CASE_NAMES)), "label", labels)
    return assemble(
        "limits",
        "Share of the machine's limit",
        [
            constant_setting(values, rows),
            *_wrong(results, values, rows),
            "The limit is the largest of three least times: the matrix products, each at what "
            "was measured for its shape, or at the best rate of any; the bytes that must move, "
            "at what was measured for such an amount; and T calls of an operator. A share is "
            "the limit over the time: 1 is as fast as this machine could be; its interval holds "
            "that of the limit and that of the time.",
            *why_no_limits(results),
        ],
        columns,
        data,
    )


def _share_cell(values: Values, row: int) -> Cell:
    low, high = (format_share(values[f"limit_share_{end}"][row]) for end in ("low", "high"))
    share = share_cell(values, row)
    return Cell(f"{share.text} [{low}, {high}]", share.sort)


def _beaten(values: Values, row: int) -> str:
    if values["limit_defect"][row]:
        return "by more than its interval"
    return "within its interval" if values["limit_share"][row] > 1 else "no"


def _wrong(results: Results, values: Values, rows: list[int]) -> list[str]:
    found = list(
        defect_sentences(
            (
                name(results.case_of(row).id, _ID_LENGTH),
                values["limit_share"][row],
                bool(values["limit_defect"][row]),
            )
            for row in rows
        )
    )
    return found or ["No case is faster than its limit by more than the limit's own interval."]


def why_no_limits(results: Results) -> list[str]:
    """Why there is no limit of what should have one, as the files say, each a sentence."""
    told: dict[str, None] = {}
    for run in results.runs.values():
        for environment in run.environments.values():
            reason = _reason(environment)
            if reason is not None:
                told[sentence_end(capital(name(reason, _REASON_LENGTH)))] = None
    return list(told)


def _reason(environment: Mapping[str, Any]) -> str | None:
    reason = environment.get("no_limits")
    return reason if isinstance(reason, str) and reason else None
