"""What the variants of a workload cost over the plain one, in time and in memory."""

from __future__ import annotations

import pandas as pd

from rnnbench.numbers import column_unit
from rnnbench.report._processes import ratios_of
from rnnbench.report.content import Cell, Table
from rnnbench.report.groups import CASE_NAMES, groups
from rnnbench.report.tables._columns import (
    Column,
    Values,
    assemble,
    competitors,
    constant_setting,
    footing_columns,
    pairings_of,
    ratio_cell,
    ratio_data,
    setting_columns,
    sort_key,
    time_cell,
    times_of,
    values_of,
    varying_settings,
)
from rnnbench.results import Results

__all__ = ["variants"]

_TIME = ("time", "time_low", "time_high")
_USED = ("run", *CASE_NAMES, *_TIME, "peak_bytes")


def variants(results: Results) -> Table | None:
    """Each variant of a workload over the plain one, for each implementation, pass and shape.

    None where no variant was measured beside its plain workload. ``data``: run, the columns of the
    case, label, row, base (the plain one's row), time, time_low, time_high, base_time (seconds),
    ratio, ratio_low, ratio_high, ratio_pairing, peak_bytes and base_peak_bytes (missing where the
    run did not record them), peak_ratio.
    """
    values = values_of(results.frame, _USED)
    pairs = []
    for rows in groups(results.measured, apart=("workload",)).values():
        plain = {values["workload"][row]: row for row in rows}
        for row in rows:
            family, dot, _ = values["workload"][row].partition(".")
            if dot and family in plain:
                pairs.append((plain[family], row))
    if not pairs:
        return None
    varied = varying_settings(values, [row for _, row in pairs])
    # The variant has a column of its own, which comes first.
    varied = ["workload", *(name for name in varied if name != "workload")]
    key = sort_key(values, varied)
    pairs.sort(key=lambda pair: (key(pair[1]), pair[1]))
    rows = [row for _, row in pairs]
    bases = [base for base, _ in pairs]
    ratios = ratios_of(results, pairs)
    footings, meanings = footing_columns(pairings_of(ratios))
    scale, unit = column_unit(values["time"][row] for pair in pairs for row in pair)
    peaks = [_quotient(values, base, row) for base, row in pairs]
    columns = [
        *setting_columns(values, rows, varied),
        Column("competitor", [Cell(label) for label in competitors(values, rows)], choices=True),
        Column(f"plain, {unit}", [time_cell(*times_of(values, r), scale) for r in bases], "right"),
        Column(f"variant, {unit}", [time_cell(*times_of(values, r), scale) for r in rows], "right"),
        Column("variant / plain", [ratio_cell(ratio) for ratio in ratios], "right"),
        *footings,
    ]
    known = any(peak is not None for peak in peaks)
    if known:
        columns += [
            Column("peak memory, plain", [_bytes_cell(values, row) for row in bases], "right"),
            Column("variant", [_bytes_cell(values, row) for row in rows], "right"),
            Column("memory / plain", [_share_cell(peak) for peak in peaks], "right"),
        ]
    data = pd.DataFrame(
        {
            **{name: [values[name][row] for row in rows] for name in ("run", *CASE_NAMES)},
            "label": competitors(values, rows),
            "row": rows,
            "base": bases,
            **{name: [values[name][row] for row in rows] for name in _TIME},
            "base_time": [values["time"][base] for base in bases],
            **ratio_data("ratio", ratios),
            "peak_bytes": pd.array([values["peak_bytes"][r] for r in rows], dtype="Int64"),
            "base_peak_bytes": pd.array([values["peak_bytes"][r] for r in bases], dtype="Int64"),
            "peak_ratio": pd.Series(peaks, dtype="float64"),
        }
    )
    return assemble(
        "variants",
        "What variants of a workload cost",
        [
            constant_setting(values, rows, without=["workload"]),
            "Above 1, the plain one is faster.",
            *meanings,
            "Peak memory: the most that one call had allocated at a time, which the allocator "
            "counts; weights and inputs were there before it."
            if known
            else "",
        ],
        columns,
        data,
    )


def _quotient(values: Values, base: int, row: int) -> float | None:
    plain, variant = values["peak_bytes"][base], values["peak_bytes"][row]
    return variant / plain if plain and variant is not None else None


def _bytes_cell(values: Values, row: int) -> Cell:
    amount = values["peak_bytes"][row]
    return Cell("not recorded") if amount is None else Cell(_mib(amount), float(amount))


def _share_cell(share: float | None) -> Cell:
    return Cell("not recorded") if share is None else Cell(f"{share:.2f}", share)


def _mib(amount: int) -> str:
    return f"{amount / 2**20:,.2f} MiB" if amount >= 2**20 / 10 else f"{amount / 2**10:,.1f} KiB"
