"""What sequences of different lengths cost, packed, padded or masked, and where packing pays."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from rnnbench.lengths import is_sorted
from rnnbench.numbers import column_unit, format_share
from rnnbench.report._processes import figures_of, ratios_of
from rnnbench.report._records import dtypes_of, frame_of
from rnnbench.report.content import Cell, Table
from rnnbench.report.crossover import Crossing, crossing_along
from rnnbench.report.groups import CASE_NAMES, groups
from rnnbench.report.ratios import Ratio
from rnnbench.report.tables._columns import (
    LIMITS,
    Column,
    Values,
    assemble,
    competitors,
    constant_setting,
    footing_columns,
    limit_columns,
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

__all__ = ["lengths", "packing"]

_TIME = ("time", "time_low", "time_high")
_USED = ("run", *CASE_NAMES, *_TIME, "tokens", "valid_tokens", *LIMITS)
_BASE = "padded"


def lengths(results: Results) -> Table | None:
    """Each layout of each distribution of lengths: its cost of a valid token, and over padded.

    None where all sequences have the same length. ``data``: run, the columns of the case, label,
    row, base (the row of the same implementation that is padded, missing where there is none),
    time, time_low, time_high (seconds), valid_share, per_token, per_token_low, per_token_high
    (seconds), ratio, ratio_low, ratio_high, ratio_pairing.
    """
    values = values_of(results.frame, _USED)
    base = _bases(results, values)
    rows = list(base)
    if not rows:
        return None
    varied = [name for name in varying_settings(values, rows) if name not in ("lengths", "layout")]
    shares = {row: _share(values, row) for row in rows}
    key, layout = sort_key(values, varied), sort_key(values, ["implementation", "layout"])
    rows.sort(key=lambda row: (key(row), -shares[row], values["lengths"][row], layout(row), row))
    ratios = _ratios(results, base, rows)
    footings, meanings = footing_columns(pairings_of(ratios))
    costs = [_per_token(values, row) for row in rows]
    scale, unit = column_unit(cost[0] for cost in costs if cost[0])
    columns = [
        *setting_columns(values, rows, varied),
        Column("lengths", [Cell(values["lengths"][row]) for row in rows], choices=True),
        Column("valid", [_share_cell(shares[row]) for row in rows], "right"),
        Column("competitor", [Cell(label) for label in competitors(values, rows)], choices=True),
        Column("layout", [Cell(values["layout"][row]) for row in rows], choices=True),
        Column(f"a valid token, {unit}", [time_cell(*cost, scale) for cost in costs], "right"),
        Column(
            f"time / {_BASE}",
            [
                Cell("1", 1.0) if base[row] == row else ratio_cell(ratio, f"no {_BASE} one")
                for row, ratio in zip(rows, ratios, strict=True)
            ],
            "right",
        ),
        *footings,
        *limit_columns(values, rows),
    ]
    names = ("time", "time_low", "time_high")
    data = pd.DataFrame(
        {
            **{name: [values[name][row] for row in rows] for name in ("run", *CASE_NAMES)},
            "label": competitors(values, rows),
            "row": rows,
            "base": pd.array([base[row] for row in rows], dtype="Int64"),
            **{name: [values[name][row] for row in rows] for name in names},
            "valid_share": [shares[row] for row in rows],
            **{
                name.replace("time", "per_token"): pd.Series(
                    [cost[place] for cost in costs], dtype="float64"
                )
                for place, name in enumerate(names)
            },
            **ratio_data("ratio", ratios),
        }
    )
    return assemble(
        "lengths",
        "Sequences of different lengths",
        [
            constant_setting(values, rows, without=["lengths", "layout"]),
            "Valid: the share of the steps of all sequences that are no padding. A valid token: "
            "the time of a call over the number of these, whatever else was computed.",
            f"Time / {_BASE}: over the same implementation on the same batch, {_BASE}; below 1 the "
            "layout is faster.",
            *meanings,
        ],
        columns,
        data,
    )


def packing(results: Results) -> Table | None:
    """Below which share of valid tokens packing pays; None where no two shares were measured.

    A curve has the same of everything but the lengths, which are either sorted or not. ``data``:
    run, the columns of the case without lengths and layout, label, sorted, distributions (how
    many), smallest, largest (shares of valid tokens), the ratios packed / padded there as
    ratio_smallest and ratio_largest with ``_low``, ``_high`` and ``_pairing``, state (of
    `rnnbench.report.crossover.STATES`), faster_above, size, size_low, size_high (the share at which
    the ratio is 1), below_smallest, above_largest, processes, rows_base and rows_new (by share).
    """
    values = values_of(results.frame, _USED)
    curves = _curves(results, values)
    if not curves:
        return None
    figures = figures_of(results)
    firsts = [curve[0][1] for curve in curves]
    varied = [name for name in varying_settings(values, firsts) if name not in _ASIDE]
    key = sort_key(values, varied)
    curves.sort(key=lambda curve: (key(curve[0][1]), _in_order(values, curve[0][1]), curve[0][1]))
    firsts = [curve[0][1] for curve in curves]
    ends = [ratios_of(results, [curve[at] for curve in curves]) for at in (0, -1)]
    shares = [[_share(values, row) for _, row in curve] for curve in curves]
    found = [
        crossing_along(figures, share, [base for base, _ in curve], [row for _, row in curve])
        for share, curve in zip(shares, curves, strict=True)
    ]
    orders = ["sorted" if _in_order(values, row) else "unsorted" for row in firsts]
    footings, meanings = footing_columns(pairings_of(ends[0]))
    columns = [
        *setting_columns(values, firsts, varied),
        Column("competitor", [Cell(c) for c in competitors(values, firsts)], choices=True),
        Column("order", [Cell(order) for order in orders], choices=True),
        Column("valid", [_range_cell(share) for share in shares], "right", once=True),
        Column(f"packed / {_BASE} at the least", [ratio_cell(r) for r in ends[0]], "right"),
        Column("at the most", [ratio_cell(r) for r in ends[1]], "right"),
        Column(
            "crosses 1 at [95 % interval]",
            [_crossing_cell(f, share) for f, share in zip(found, shares, strict=True)],
            "right",
        ),
        Column("packing", [Cell(_pays(f)) for f in found], choices=True),
        *footings,
    ]
    records = [
        {
            **{name: values[name][first] for name in ("run", *CASE_NAMES) if name not in _ASIDE},
            "label": label,
            "sorted": order == "sorted",
            "distributions": len(curve),
            "smallest": share[0],
            "largest": share[-1],
            **_end_data("smallest", ends[0][at]),
            **_end_data("largest", ends[1][at]),
            **found[at],
            "rows_base": [base for base, _ in curve],
            "rows_new": [row for _, row in curve],
        }
        for at, (first, label, order, curve, share) in enumerate(
            zip(firsts, competitors(values, firsts), orders, curves, shares, strict=True)
        )
    ]
    return assemble(
        "packing",
        "Where packing pays",
        [
            constant_setting(values, firsts, without=_ASIDE),
            "Valid: the least and the largest share of valid tokens that was measured, and how "
            "many distributions of lengths. Below 1 packing is faster.",
            "Crosses 1: between two measured shares the logarithm of the ratio is taken as a "
            "straight line over that of the share; of batches with other distributions than these "
            "the share alone need not decide. Sorted: the longest sequence comes first, and "
            "packing need not sort.",
            "Packing: pays below or above the crossing, at all measured shares or at none, where "
            "the intervals leave no doubt; at some, where they do and the estimate crosses 1 in "
            "several places; now and then, where they cross it more than once. Cannot tell: an "
            "interval holds 1.",
            *meanings,
        ],
        columns,
        frame_of(records, _PACKING),
    )


_ASIDE = ("lengths", "layout")
_ENDS = ("ratio_smallest", "ratio_largest")
_PACKING = {
    **dtypes_of(name for name in ("run", *CASE_NAMES) if name not in _ASIDE),
    "label": "string",
    "sorted": "boolean",
    "distributions": "Int64",
    "smallest": "float64",
    "largest": "float64",
    **{f"{end}{part}": "float64" for end in _ENDS for part in ("", "_low", "_high")},
    **{f"{end}_pairing": "string" for end in _ENDS},
    "state": "string",
    "faster_above": "boolean",
    "size": "float64",
    "size_low": "float64",
    "size_high": "float64",
    "below_smallest": "boolean",
    "above_largest": "boolean",
    "processes": "Int64",
    "rows_base": "object",
    "rows_new": "object",
}


def _bases(results: Results, values: Values) -> dict[int, int | None]:
    """By row of sequences of different lengths the row of the same batch that is padded, if any."""
    found: dict[int, int | None] = {}
    for rows in groups(results.measured, apart=("layout",)).values():
        if values["lengths"][rows[0]] == "full":
            continue
        by_layout = {values["layout"][row]: row for row in rows if values["valid_tokens"][row]}
        found.update((row, by_layout.get(_BASE)) for row in by_layout.values())
    return found


def _ratios(
    results: Results, base: dict[int, int | None], rows: Sequence[int]
) -> list[Ratio | None]:
    pairs = [(of, row) for row in rows if (of := base[row]) is not None and of != row]
    known = dict(zip(pairs, ratios_of(results, pairs), strict=True))
    by_row = {row: ratio for (_, row), ratio in known.items()}
    return [by_row.get(row) for row in rows]


def _curves(results: Results, values: Values) -> list[list[tuple[int, int]]]:
    """Pairs of padded and packed rows by the share of valid tokens, of two shares or more."""
    by_curve: dict[tuple[Hashable, ...], dict[float, tuple[int, int]]] = {}
    shared = [name for name in ("run", *CASE_NAMES) if name not in _ASIDE]
    bases = _bases(results, values)
    for row in sorted(bases, key=lambda row: (values["lengths"][row], row)):
        base = bases[row]
        if base is None or values["layout"][row] != "packed":
            continue
        curve = (*(values[name][row] for name in shared), _in_order(values, row))
        # A share has one place on a curve: of two distributions with the same the first has it.
        by_curve.setdefault(curve, {}).setdefault(_share(values, row), (base, row))
    return [
        [pair for _, pair in sorted(points.items())]
        for points in by_curve.values()
        if len(points) > 1
    ]


def _in_order(values: Values, row: int) -> bool:
    return is_sorted(values["lengths"][row])


def _share(values: Values, row: int) -> float:
    return float(values["valid_tokens"][row] / values["tokens"][row])


def _per_token(values: Values, row: int) -> tuple[float | None, float | None, float | None]:
    """The time of a row and its interval for each valid token."""
    tokens = values["valid_tokens"][row]
    time, low, high = (None if t is None else t / tokens for t in times_of(values, row))
    return time, low, high


def _end_data(end: str, ratio: Ratio) -> dict[str, Any]:
    return {
        f"ratio_{end}": ratio.value,
        f"ratio_{end}_low": ratio.low,
        f"ratio_{end}_high": ratio.high,
        f"ratio_{end}_pairing": ratio.pairing,
    }


def _share_cell(share: float) -> Cell:
    return Cell(format_share(share), share)


def _range_cell(shares: Sequence[float]) -> Cell:
    least, most = (format_share(share) for share in (shares[0], shares[-1]))
    return Cell(f"{least} to {most} ({len(shares)} distributions)", shares[0])


def _crossing_cell(found: Mapping[str, Any], shares: Sequence[float]) -> Cell:
    size = found.get("size")
    if size is None:
        return Cell("none")
    low, high = found.get("size_low"), found.get("size_high")
    # An open end is the least or largest share that was measured: nothing is known beyond.
    start = f"below {format_share(shares[0])}" if low is None else format_share(low)
    stop = f"above {format_share(shares[-1])}" if high is None else format_share(high)
    return Cell(f"{format_share(size)} [{start}, {stop}]", size)


_SAID: dict[Crossing, str] = {
    "crosses": "pays at some",
    "faster everywhere": "pays at all",
    "slower everywhere": "pays at none",
    "cannot tell": "cannot tell",
    "crosses more than once": "pays now and then",
}


def _pays(found: Mapping[str, Any]) -> str:
    above = found.get("faster_above")
    if found["state"] == "crosses" and above is not None:
        return "pays above" if above else "pays below"
    return _SAID[found["state"]]
