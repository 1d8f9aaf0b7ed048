"""All cases in one table, measured or not: what the page searches and filters."""

from __future__ import annotations

import pandas as pd

from rnnbench.numbers import column_unit
from rnnbench.report.content import Cell, Table
from rnnbench.report.groups import CASE_NAMES
from rnnbench.report.tables._columns import (
    LIMITS,
    Column,
    assemble,
    competitors,
    constant_setting,
    limit_columns,
    ratio_data,
    setting_columns,
    time_cell,
    times_of,
    values_of,
    varying_settings,
)
from rnnbench.report.tables._standings import against_baseline
from rnnbench.report.tables.comparison import DEFAULT_BASELINE, best_rows, to_baseline
from rnnbench.results import MEASURED, Results

__all__ = ["cases"]

_USED = ("run", *CASE_NAMES, "status", "reason", "time", "time_low", "time_high", *LIMITS)


def cases(results: Results, baseline: str = DEFAULT_BASELINE) -> Table | None:
    """Every case in the order of the frame, so that row i is the frame's; None without a case.

    ``data``: the frame's columns, then ratio, ratio_low, ratio_high, ratio_pairing (time over the
    baseline's).
    """
    frame = results.frame
    if frame.empty:
        return None
    values = values_of(frame, _USED)
    rows = list(range(len(frame)))
    varied = varying_settings(values, rows)
    best = best_rows(results)
    against = against_baseline(results, baseline)
    scale, unit = column_unit(time for time in values["time"] if time is not None)
    measured = [status == MEASURED for status in values["status"]]
    times = [time_cell(*times_of(values, row), scale, best=row in best) for row in rows]
    states = [
        Cell(status) if status == MEASURED else Cell(f"{status}: {reason or 'no reason given'}")
        for status, reason in zip(values["status"], values["reason"], strict=True)
    ]
    ratios = [to_baseline(against, row) if measured[row] else Cell("not measured") for row in rows]
    columns = [
        *setting_columns(values, rows, varied),
        Column("competitor", [Cell(label) for label in competitors(values, rows)], choices=True),
        Column(f"time, {unit} [95 % interval]", times, "right"),
        Column(f"time / {baseline}", ratios, "right"),
        *limit_columns(values, rows),
        Column("status", states, once=True),
    ]
    data = pd.DataFrame(
        {
            **{name: frame[name].reset_index(drop=True) for name in frame},
            **ratio_data("ratio", [against.ratio.get(row) for row in rows]),
        }
    )
    sentences = [
        constant_setting(values, rows),
        f"Ratios are times over that of {baseline} in the same setting: below 1 is faster.",
    ]
    return assemble("cases", "All cases", sentences, columns, data)
