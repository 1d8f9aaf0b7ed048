"""What an implementation's passes cost beside each other, and what its layouts cost."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from rnnbench.numbers import column_unit
from rnnbench.report._processes import ratios_of
from rnnbench.report.content import Cell, Table
from rnnbench.report.groups import CASE_NAMES, groups
from rnnbench.report.ratios import Ratio
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
from rnnbench.report.tables.comparison import best_rows, time_alone
from rnnbench.results import Results
from rnnbench.schema import PASSES

__all__ = ["layouts", "passes"]

_TIME = ("time", "time_low", "time_high")
_USED = ("run", *CASE_NAMES, *_TIME)


def passes(results: Results) -> Table | None:
    """Each implementation and shape with a column for each pass; None where there is one pass.

    ``data``: run, the columns of the case without ``pass``, label, for each pass measured
    ``<pass>``, ``<pass>_low``, ``<pass>_high`` (seconds) and ``<pass>_best``, then
    backward_over_forward with ``_low``, ``_high`` and ``_pairing``.
    """
    frame = results.measured
    values = values_of(results.frame, _USED)
    met = set(frame["pass"].tolist())
    names = [name for name in PASSES if name in met]
    if len(names) < 2:
        return None
    lines = list(groups(frame, apart=("pass",)).values())
    cells = [{values["pass"][row]: row for row in rows} for rows in lines]
    firsts = [rows[0] for rows in lines]
    varied = [name for name in varying_settings(values, firsts) if name != "pass"]
    key = sort_key(values, varied)
    order = sorted(range(len(lines)), key=lambda i: (key(firsts[i]), firsts[i]))
    cells, firsts = [cells[i] for i in order], [firsts[i] for i in order]
    best = best_rows(results)
    split = _ratios(results, [(c.get("forward"), c.get("backward")) for c in cells])
    scale, unit = column_unit(values["time"][row] for row in frame.index)
    labels = competitors(values, firsts)

    def pass_cells(name: str) -> list[Cell]:
        return [
            time_alone(values, line.get(name), scale, best=line.get(name) in best) for line in cells
        ]

    columns = [
        *setting_columns(values, firsts, varied),
        Column("competitor", [Cell(label) for label in labels], choices=True),
        *(Column(name, pass_cells(name), "right") for name in names),
    ]
    sentences = [
        constant_setting(values, firsts, without=("pass",)),
        f"Times in {unit}, with as many digits as their intervals support.",
    ]
    if any(split):
        columns.append(
            Column("backward / forward", [ratio_cell(r, "none") for r in split], "right")
        )
        sentences.append("The two passes of the last column took no turns with each other.")
    data = pd.DataFrame(
        {
            **{
                name: [values[name][row] for row in firsts]
                for name in ("run", *CASE_NAMES)
                if name != "pass"
            },
            "label": labels,
            **{
                column: series
                for name in names
                for column, series in _pass_data(values, name, [c.get(name) for c in cells]).items()
            },
            **{f"{name}_best": [line.get(name) in best for line in cells] for name in names},
            **ratio_data("backward_over_forward", split),
        }
    )
    return assemble("passes", "Passes beside each other", sentences, columns, data)


def layouts(results: Results) -> Table | None:
    """What a layout costs over ``time_major``, for each implementation, pass and shape.

    None where no case was measured in both. ``data``: run, the columns of the case, label, row,
    base (the row in ``time_major``), time, time_low, time_high, base_time (seconds), ratio,
    ratio_low, ratio_high, ratio_pairing.
    """
    values = values_of(results.frame, _USED)
    pairs = []
    for rows in groups(results.measured, apart=("layout",)).values():
        by_layout = {values["layout"][row]: row for row in rows}
        base = by_layout.get("time_major")
        pairs += [(base, row) for row in rows if base is not None and row != base]
    if not pairs:
        return None
    varied = varying_settings(values, [row for _, row in pairs])
    key = sort_key(values, varied)
    pairs.sort(key=lambda pair: (key(pair[1]), pair[1]))
    rows = [row for _, row in pairs]
    ratios = ratios_of(results, pairs)
    footings, meanings = footing_columns(pairings_of(ratios))
    scale, unit = column_unit(values["time"][row] for pair in pairs for row in pair)
    labels = competitors(values, rows)
    layouts_met = sorted({values["layout"][row] for row in rows})
    measured = layouts_met[0] if len(layouts_met) == 1 else "layout"

    def times(taken: Sequence[int]) -> list[Cell]:
        return [time_cell(*times_of(values, row), scale) for row in taken]

    columns = [
        *setting_columns(values, rows, varied),
        Column("competitor", [Cell(label) for label in labels], choices=True),
        Column(f"time_major, {unit}", times([base for base, _ in pairs]), "right"),
        Column(f"{measured}, {unit}", times(rows), "right"),
        Column(f"{measured} / time_major", [ratio_cell(ratio) for ratio in ratios], "right"),
        *footings,
    ]
    data = pd.DataFrame(
        {
            **{name: [values[name][row] for row in rows] for name in ("run", *CASE_NAMES)},
            "label": labels,
            "row": rows,
            "base": [base for base, _ in pairs],
            **{name: [values[name][row] for row in rows] for name in _TIME},
            "base_time": [values["time"][base] for base, _ in pairs],
            **ratio_data("ratio", ratios),
        }
    )
    return assemble(
        "layouts",
        "What the layout of the input costs",
        [
            constant_setting(values, rows, without=("layout",)),
            "Above 1, time_major is faster.",
            *meanings,
        ],
        columns,
        data,
    )


def _ratios(results: Results, pairs: Sequence[tuple[int | None, int | None]]) -> list[Ratio | None]:
    found: list[Ratio | None] = [None] * len(pairs)
    both = [(i, a, b) for i, (a, b) in enumerate(pairs) if a is not None and b is not None]
    ratios = ratios_of(results, [(a, b) for _, a, b in both])
    for (index, _, _), ratio in zip(both, ratios, strict=True):
        found[index] = ratio
    return found


def _pass_data(values: Values, name: str, rows: Sequence[int | None]) -> dict[str, pd.Series]:
    return {
        column.replace("time", name): pd.Series(
            [None if row is None else values[column][row] for row in rows], dtype="float64"
        )
        for column in _TIME
    }
