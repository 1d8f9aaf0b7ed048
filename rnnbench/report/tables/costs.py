"""What compilation costs and when it has paid off, and how times grow with the size."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rnnbench.numbers import column_unit, format_count, format_in_unit, format_share
from rnnbench.report.content import Cell, Table
from rnnbench.report.economics import economics
from rnnbench.report.fits import fits, scalings
from rnnbench.report.tables._columns import (
    HEADINGS,
    Column,
    Values,
    assemble,
    competitors,
    constant_setting,
    joined_axes,
    setting_columns,
    sort_key,
    times_of,
    values_of,
    varying_settings,
    with_axis_named,
)
from rnnbench.report.tables.ran import compiled_cell
from rnnbench.results import Results

__all__ = ["compilation", "exponents", "scaling"]


def compilation(results: Results, baseline: str = "nn_rnn") -> Table | None:
    """When each compilation has paid for itself; None where nothing was compiled.

    ``data``: what `rnnbench.report.economics.economics` returns, in the order of the rows.
    """
    frame = economics(results, baseline)
    if frame.empty:
        return None
    values = values_of(frame)
    rows = list(range(len(frame)))
    varied = varying_settings(values, rows)
    key = sort_key(values, varied)
    rows.sort(key=lambda row: (key(row), row))
    firsts = [*values["compile_cold"], *values["compile_warm"]]
    whole, unit = column_unit(time for time in firsts if time)
    scale, gain_unit = _typical_unit(values["base_gain"])
    columns = [
        *setting_columns(values, rows, varied),
        Column("competitor", [Cell(c) for c in competitors(values, rows)], choices=True),
        *(
            Column(
                f"{word}, {unit}",
                [_once(values[f"compile_{word}"][row], whole) for row in rows],
                "right",
            )
            for word in ("cold", "warm")
        ),
        Column(
            f"gain a call, {gain_unit}",
            [_gain(values, row, scale, baseline) for row in rows],
            "right",
        ),
        Column(
            f"calls to pay, over {baseline}",
            [_calls(values, row, "base", interval=True) for row in rows],
            "right",
        ),
        Column(
            "over the fastest eager",
            [_calls(values, row, "eager", interval=False) for row in rows],
            "right",
        ),
        Column("torch.compile", [compiled_cell(values, row) for row in rows], once=True),
    ]
    starts = sorted({start for start in values["compiler_start"] if start})
    met = {values[f"{base}_state"][row] for base in ("base", "eager") for row in rows}
    sentences = [
        constant_setting(values, rows),
        "Cold and warm: until the pass could first be used, with an empty cache and with a full "
        "one, each taken once.",
        _start_sentence(starts),
        f"Gain: what a call is faster than {baseline}'s.",
        "Calls to pay: after so many calls the cold compilation is won back.",
        "Never: a call is not faster." if "never" in met else "",
        "At least, or cannot tell: the interval of the gain holds 0, or processes are too few."
        if "cannot tell" in met
        else "",
    ]
    data = frame.iloc[rows].reset_index(drop=True)
    return assemble("compilation", "When compilation pays", sentences, columns, data)


def scaling(results: Results) -> Table | None:
    """Fixed cost and cost per step of the sequence; None where no case has three lengths.

    ``data``: what `rnnbench.report.fits.fits` returns for ``seq_len``.
    """
    frame = fits(results, "seq_len")
    if frame.empty:
        return None
    values = values_of(frame)
    rows, columns = _sized(values)
    scale, unit = _typical_unit([*values["fixed"], *values["fixed_high"]])
    step_scale, step_unit = _typical_unit(values["per_step"])
    for heading, name, each in (
        (f"fixed, {unit} [95 % interval]", "fixed", scale),
        (f"per step, {step_unit} [95 % interval]", "per_step", step_scale),
    ):
        cells = [_signed(*times_of(values, row, name), each) for row in rows]
        columns.append(Column(heading, cells, "right"))
    return assemble(
        "scaling",
        "Fixed cost, and cost per time step",
        [
            constant_setting(values, rows),
            "Time as a + b·T: a, the fixed cost of a call, and b, the cost of a step.",
            _DEVIATION,
        ],
        [*columns, *_goodness(values, rows)],
        frame.iloc[rows].reset_index(drop=True),
    )


def exponents(results: Results) -> Table | None:
    """The power of the batch and of the hidden size that times grow with; None where none is known.

    ``data``: what `rnnbench.report.fits.scalings` returns, for ``batch``, then ``hidden_size``.
    """
    frame = joined_axes(scalings(results, axis) for axis in ("batch", "hidden_size"))
    if frame is None:
        return None
    values = values_of(frame)
    rows, columns = _sized(values)
    for heading, name in (
        ("exponent [95 % interval]", "exponent"),
        ("between the two largest", "last_exponent"),
    ):
        cells = [_signed(*times_of(values, row, name), 1.0) for row in rows]
        columns.append(Column(heading, cells, "right"))
    axis = Column("axis", [Cell(HEADINGS[values["axis"][row]]) for row in rows], choices=True)
    return assemble(
        "exponents",
        "How times grow with batch and width",
        [
            constant_setting(values, rows, without=["batch", "hidden_size"]),
            "Time in proportion to a power of the size: 1 is in proportion, 0 does not depend on "
            "it.",
            _DEVIATION,
        ],
        [axis, *columns, *_goodness(values, rows)],
        frame.iloc[rows].reset_index(drop=True),
    )


_DEVIATION = (
    "Deviation: what the size that fits worst misses by. Where the fit is called bad, its numbers "
    "describe nothing."
)


def _sized(values: Values) -> tuple[list[int], list[Column]]:
    """Rows in order, and the columns that say what they are about."""
    rows = list(range(len(values["run"])))
    varied = varying_settings(values, rows)
    key = sort_key(values, ["axis", *varied])
    rows.sort(key=lambda row: (key(row), row))
    ranges = [f"{values['smallest'][r]} to {values['largest'][r]}" for r in rows]
    counts = [f"{text} ({values['sizes'][r]} sizes)" for text, r in zip(ranges, rows, strict=True)]
    return rows, [
        *setting_columns(with_axis_named(values), rows, varied),
        Column("competitor", [Cell(c) for c in competitors(values, rows)], choices=True),
        Column("measured", [Cell(text) for text in counts], "right", once=True),
    ]


def _goodness(values: Values, rows: Sequence[int]) -> list[Column]:
    residuals = [values["residual"][row] for row in rows]
    cells = [Cell(format_share(x), x) if x is not None else Cell("unknown") for x in residuals]
    fit = [Cell("good" if values["good"][row] else "bad") for row in rows]
    return [Column("deviation", cells, "right"), Column("fit", fit, choices=True)]


def _typical_unit(seconds: Sequence[float | None]) -> tuple[float, str]:
    """The unit of the middle of numbers of any sign: the smallest may be next to nothing."""
    sizes = sorted(abs(x) for x in seconds if x)
    return column_unit(sizes[len(sizes) // 2 :][:1])


def _once(seconds: float | None, scale: float) -> Cell:
    if seconds is None:
        return Cell("not recorded")
    return Cell(format_in_unit(seconds, None, None, scale)[0], seconds)


def _signed(value: float | None, low: float | None, high: float | None, scale: float) -> Cell:
    if value is None:
        return Cell("unknown")
    return Cell(" ".join(format_in_unit(value, low, high, scale)), value)


def _gain(values: Values, row: int, scale: float, baseline: str) -> Cell:
    if values["base_gain"][row] is None:
        same = values["implementation"][row] == baseline
        return Cell(f"is {baseline}" if same else "no baseline")
    value, low, high = times_of(values, row, "base_gain")
    return Cell(format_in_unit(value or 0.0, low, high, scale)[0], value)


def _calls(values: Values, row: int, base: str, *, interval: bool) -> Cell:
    state = values[f"{base}_state"][row]
    calls, low, high = times_of(values, row, f"{base}_calls")
    if state is None:
        return Cell("no such case")
    if state == "never":
        return Cell("never", math.inf)
    if state != "pays":
        known = f"at least {_whole(low)}" if low is not None else "cannot tell"
        return Cell(known, math.inf)
    text = _whole(calls or 0.0)
    if interval and low is not None and high is not None:
        text += f" [{_whole(low)}, {_whole(high)}]"
    return Cell(text, calls)


def _whole(calls: float) -> str:
    """Calls with three digits: more are never supported by what was taken once."""
    digits = max(0, len(f"{calls:.0f}") - 3)
    return format_count(round(calls, -digits))


def _start_sentence(starts: Sequence[float]) -> str:
    if not starts:
        return ""
    least, most = (format_in_unit(x, None, None, 1.0)[0] for x in (starts[0], starts[-1]))
    span = least if least == most else f"{least} to {most}"
    return f"Starting the compiler took {span} s more, once in a process."
