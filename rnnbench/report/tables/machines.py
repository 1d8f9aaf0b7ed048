"""Device against device: speed-ups, and the sizes from which the other device is faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnnbench.numbers import column_unit, format_ratio, format_share
from rnnbench.report.content import Cell, Table
from rnnbench.report.crossover import AXES, STATES, crossovers_of
from rnnbench.report.groups import CASE_NAMES
from rnnbench.report.speedups import FASTEST, speedups_of
from rnnbench.report.tables._columns import (
    HEADINGS,
    Column,
    Values,
    assemble,
    constant_setting,
    footing_columns,
    joined_axes,
    setting_columns,
    sort_key,
    time_cell,
    times_of,
    values_of,
    varying_settings,
    with_axis_named,
)
from rnnbench.results import Results

__all__ = ["crossover", "devices"]

_TRANSFER = "Inputs lie on the device that computes: no transfer is in these times."


def devices(results: Results) -> Table | None:
    """Each case on one device and on another; None where nothing was measured on two.

    ``data``: what `rnnbench.report.speedups.speedups` returns, in the order of the rows.
    """
    frame = speedups_of(results)
    if frame.empty:
        return None
    values = values_of(frame)
    rows = list(range(len(frame)))
    varied = _varied(values, rows)
    key = sort_key(values, varied)
    rows.sort(key=lambda row: (key(row), values["implementation"][row] != FASTEST, row))
    known = values_of(results.frame, ["run", *CASE_NAMES, "time", "time_low", "time_high"])
    sides = {side: [values[f"row_{side}"][row] for row in rows] for side in ("base", "new")}
    scale, unit = column_unit(known["time"][row] for side in sides.values() for row in side)
    base, new = (_side_names(values, rows, side) for side in ("base", "new"))
    speeds = [_ratio(*times_of(values, row, "speedup")) for row in rows]
    footings, meanings = footing_columns([values["pairing"][row] for row in rows])
    shares = [
        Cell("no device clock") if share is None else Cell(format_share(share), share)
        for share in (values["device_share"][row] for row in rows)
    ]
    columns = [
        *setting_columns(values, rows, varied),
        Column("competitor", [Cell(_name(values, row)) for row in rows], choices=True),
        Column("from", [Cell(name) for name in base], choices=True, once=True),
        Column("to", [Cell(name) for name in new], choices=True, once=True),
        *(
            Column(
                f"{word}, {unit} [95 % interval]",
                [time_cell(*times_of(known, row), scale) for row in sides[side]],
                "right",
            )
            for word, side in (("from", "base"), ("to", "new"))
        ),
        Column("speed-up", speeds, "right"),
        Column("device busy", shares, "right", once=True),
        *footings,
    ]
    sentences = [
        constant_setting(values, rows),
        "Above 1 the second device is faster.",
        "Device busy: time by the device's own clock over the wall clock's; where it is small, the "
        "device waits for the CPU to launch its work.",
        _TRANSFER,
        *meanings,
    ]
    data = frame.iloc[rows].reset_index(drop=True)
    return assemble("devices", "Device against device", sentences, columns, data)


def crossover(results: Results) -> Table | None:
    """From which size on the other device is faster, for each axis; None where there is no curve.

    ``data``: what `rnnbench.report.crossover.crossovers` returns, the axes one after the other.
    """
    if speedups_of(results).empty:
        return None
    frame = joined_axes(crossovers_of(results, axis) for axis in AXES)
    if frame is None:
        return None
    values = values_of(frame)
    rows = list(range(len(frame)))
    varied = _varied(values, rows)
    key = sort_key(values, varied)
    rows.sort(key=lambda row: (AXES.index(values["axis"][row]), key(row), row))
    base, new = (_side_names(values, rows, side) for side in ("base", "new"))
    met = [state for state in STATES if state in values["state"]]
    footings, meanings = footing_columns([values["pairing"][row] for row in rows])
    columns = [
        Column("axis", [Cell(HEADINGS[values["axis"][r]]) for r in rows], choices=True),
        *setting_columns(with_axis_named(values), rows, varied),
        Column("competitor", [Cell(_name(values, row)) for row in rows], choices=True),
        Column("from", [Cell(name) for name in base], choices=True, once=True),
        Column("to", [Cell(name) for name in new], choices=True, once=True),
        Column("measured", [_range(values, row) for row in rows], "right"),
        Column("crosses 1 at [95 % interval]", [_crossing(values, row) for row in rows], "right"),
        Column("state", [_state(values, row) for row in rows]),
        *footings,
    ]
    sentences = [
        constant_setting(values, rows, without=AXES),
        "Sizes at which the speed-up is 1, between measured sizes only.",
        "; ".join(f"{state}: {STATES[state]}" for state in met) + ".",
        _TRANSFER,
        *meanings,
    ]
    data = frame.iloc[rows].reset_index(drop=True)
    return assemble("crossover", "Where the other device becomes faster", sentences, columns, data)


def _varied(values: Values, rows: Sequence[int]) -> list[str]:
    """Settings that vary; rows of the fastest have no threads, which alone is no difference."""
    threads = {values["threads"][row] for row in rows} - {None}
    names = varying_settings(values, rows)
    return [name for name in names if name != "threads" or len(threads) > 1]


def _name(values: Values, row: int) -> str:
    name = str(values["implementation"][row])
    if name != FASTEST or "implementation_base" not in values:
        return name
    pair = values["implementation_base"][row], values["implementation_new"][row]
    return f"{FASTEST}: {' against '.join(dict.fromkeys(pair))}"


def _side_names(values: Values, rows: Sequence[int], side: str) -> list[str]:
    """The device, and its environment and run where those of the two sides differ anywhere."""
    named = [f"device_{side}"]
    for name in ("environment", "run"):
        if any(values[f"{name}_base"][row] != values[f"{name}_new"][row] for row in rows):
            named.append(f"{name}_{side}")
    return [", ".join(str(values[name][row]) for name in named) for row in rows]


def _ratio(value: float | None, low: float | None, high: float | None) -> Cell:
    if value is None:
        return Cell("unknown")
    text, interval = format_ratio(value, low, high)
    return Cell(f"{text} {interval}", value)


def _range(values: Values, row: int) -> Cell:
    smallest, largest, sizes = (values[name][row] for name in ("smallest", "largest", "sizes"))
    return Cell(f"{smallest} to {largest} ({sizes} sizes)", float(smallest))


def _crossing(values: Values, row: int) -> Cell:
    size, low, high = times_of(values, row, "size")
    if size is None:
        return Cell("none")
    # An open end is the largest or smallest size that was measured: nothing is known beyond.
    ends = (
        low if low is not None else values["smallest"][row],
        high if high is not None else values["largest"][row],
    )
    start = f"below {ends[0]}" if low is None else _size(ends[0])
    stop = f"above {ends[1]}" if high is None else _size(ends[1])
    return Cell(f"{_size(size)} [{start}, {stop}]", size)


def _size(size: float) -> str:
    """Sizes are whole: a decimal matters to the smallest alone."""
    return f"{size:.1f}" if size < 10 else f"{size:.0f}"


def _state(values: Values, row: int) -> Cell:
    state: Any = values["state"][row]
    above = values["faster_above"][row]
    if state != "crosses" or above is None:
        return Cell(str(state))
    return Cell(f"crosses: faster {'above' if above else 'below'}")
