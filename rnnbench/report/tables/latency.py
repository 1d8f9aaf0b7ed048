"""Latency of streams: percentiles of single steps, with intervals over processes."""

from __future__ import annotations

import pandas as pd

from rnnbench.numbers import column_unit
from rnnbench.report.content import Cell, Table
from rnnbench.report.groups import CASE_NAMES
from rnnbench.report.tables._columns import (
    Column,
    assemble,
    competitors,
    constant_setting,
    setting_columns,
    sort_key,
    time_cell,
    values_of,
    varying_settings,
)
from rnnbench.results import Results, Samples
from rnnbench.statistics import Estimate, estimate_quantile

__all__ = ["latency"]

_QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_USED = ("run", *CASE_NAMES, "time", "processes", "rounds", "iterations")


def latency(results: Results) -> Table | None:
    """Median, 95 % and 99 % quantile of the steps of each stream.

    None where no stream was measured. ``data``: run, the columns of the case, label, row, p50, p95
    and p99, each with ``_low`` and ``_high`` (seconds), rounds, processes and iterations (steps of
    a round: above 1 the percentiles are those of means of so many).
    """
    values = values_of(results.frame, _USED)
    measured = results.measured
    names = zip(measured.index.tolist(), measured["workload"].tolist(), strict=True)
    rows = [row for row, name in names if name.partition(".")[0] == "streaming"]
    if not rows:
        return None
    found = {row: _percentiles(results.samples[row]) for row in rows}
    varied = varying_settings(values, rows)
    key = sort_key(values, varied)
    rows.sort(key=lambda row: (key(row), found[row]["p50"].value, row))
    scale, unit = column_unit(each.value for row in rows for each in found[row].values())
    several = any(values["iterations"][row] > 1 for row in rows)
    columns = [
        *setting_columns(values, rows, varied),
        Column("competitor", [Cell(label) for label in competitors(values, rows)], choices=True),
        *(
            Column(
                f"{name}, {unit}",
                [
                    time_cell(each.value, each.low, each.high, scale)
                    for each in (found[row][name] for row in rows)
                ],
                "right",
            )
            for name in _QUANTILES
        ),
        Column(
            "rounds of a process",
            [_count_cell(values["rounds"][row] // values["processes"][row]) for row in rows],
            "right",
        ),
    ]
    if several:
        steps = [_count_cell(values["iterations"][row]) for row in rows]
        columns.append(Column("steps of a round", steps, "right", once=True))
    data = pd.DataFrame(
        {
            **{name: [values[name][row] for row in rows] for name in ("run", *CASE_NAMES)},
            "label": competitors(values, rows),
            "row": rows,
            **{
                f"{name}{suffix}": pd.Series(
                    [getattr(found[row][name], part) for row in rows], dtype="float64"
                )
                for name in _QUANTILES
                for suffix, part in (("", "value"), ("_low", "low"), ("_high", "high"))
            },
            **{name: [values[name][row] for row in rows] for name in _USED[-3:]},
        }
    )
    return assemble(
        "latency",
        "Latency of single steps",
        [
            constant_setting(values, rows),
            "Percentiles over all kept rounds of a process, then the median of the processes, with "
            "its interval over them.",
            "Left out are the first rounds of each turn, up to four or 10 ms: steps after a pause, "
            "which find cold caches, take longer than these say. One stream at a time has the "
            "core; `rnnbench streaming` measures many.",
            "A round of several steps shows only their mean, whose percentiles lie nearer together "
            "than those of single steps."
            if several
            else "Each round is one step.",
        ],
        columns,
        data,
    )


def _percentiles(samples: Samples | None) -> dict[str, Estimate]:
    assert samples is not None
    processes = list(samples.by_replicate().values())
    return {name: estimate_quantile(processes, quantile) for name, quantile in _QUANTILES.items()}


def _count_cell(count: int) -> Cell:
    return Cell(f"{count:,}", float(count))
