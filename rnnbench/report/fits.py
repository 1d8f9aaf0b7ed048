"""Time against size: a fixed cost and a cost per step, or a power law, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rnnbench.report._processes import Floats, figures_of, middles, shared_matrix
from rnnbench.report._records import dtypes_of, frame_of
from rnnbench.report.groups import CASE_NAMES, groups
from rnnbench.results import Results
from rnnbench.schema import CASE_COLUMNS

__all__ = ["fits", "relative_line", "scalings"]

_LEAST_SIZES = 3  # two points lie on every line
_MISS = 0.05  # of a time: what a line may miss by without being called bad
_WORST_MISS = 0.20  # and what no noise excuses
_SIZES = tuple(column.name for column in CASE_COLUMNS if column.type is int)

_FIT_COLUMNS = ("fixed", "fixed_low", "fixed_high", "per_step", "per_step_low", "per_step_high")
_SCALING_COLUMNS = (
    "exponent",
    "exponent_low",
    "exponent_high",
    "last_exponent",
    "last_exponent_low",
    "last_exponent_high",
)


@dataclass(frozen=True, eq=False)
class _Curve:
    """One case at several sizes: ``times`` in seconds has the shape (processes, sizes)."""

    rows: list[int]
    sizes: Floats
    times: Floats
    processes: int


def fits(results: Results, axis: str = "seq_len", *, level: float = 0.95) -> pd.DataFrame:
    """Fit time = fixed + per_step · size to each case that was measured at three sizes or more.

    A line is fitted in each process by least squares of relative errors (weights 1 / time²), so
    that short sequences count as much as long ones, to the process's median times. ``fixed`` and
    ``per_step`` are the middle over processes, in seconds and in seconds per step of the axis, and
    their intervals come from the processes alone: only those that hold all sizes count. Where no
    process does, the line is fitted to the typical times and ``processes`` is 0. Sizes are
    measured one after the other, so a drift of the machine in between is not in the intervals.

    ``residual`` is the largest relative deviation of a size from the line, each the middle over
    processes of the deviations from their own lines, so that a slow process does not count as a
    bad fit. ``good`` says that the line describes the times: no size misses by more than 5 %, or
    by more than the half width of its own interval where that is wider, and none by more than
    20 %, which no noise excuses; and ``fixed`` is not below 0 beyond doubt, which no cost can be.

    Columns: ``run``, the columns of the case without the axis, ``axis``, ``sizes`` (how many),
    ``smallest``, ``largest``, ``fixed``, ``fixed_low``, ``fixed_high``, ``per_step``,
    ``per_step_low``, ``per_step_high``, ``residual``, ``good``, ``processes``, ``rows`` (those of
    `Results.frame`, by size). Bounds are missing below two processes.

    Raises:
        ValueError: the axis is no size.
    """
    curves = _curves(results, axis)
    lines = [relative_line(curve.sizes, curve.times) for curve in curves]
    fixed = middles([line[:, 0] for line in lines], level)
    slope = middles([line[:, 1] for line in lines], level)
    predictions = [
        line[:, :1] + line[:, 1:] * curve.sizes for line, curve in zip(lines, curves, strict=True)
    ]
    residuals = _residuals(curves, predictions, level)
    found = []
    for curve, a, b, (residual, close) in zip(curves, fixed, slope, residuals, strict=True):
        negative = a[2] is not None and a[2] < -_MISS * float(curve.times.min())
        values = dict(zip(_FIT_COLUMNS, (*a, *b), strict=True))
        found.append(_record(results, axis, curve, values, residual, close and not negative))
    return _frame(found, axis, _FIT_COLUMNS)


def scalings(results: Results, axis: str, *, level: float = 0.95) -> pd.DataFrame:
    """Fit time ∝ size^exponent to each case that was measured at three sizes or more.

    A straight line in logarithms, in each process as in `fits`. An exponent of 1 is in proportion
    to the size, 0 does not depend on it. ``last_exponent`` is that between the two largest sizes
    alone: where fixed costs rule the small sizes and arithmetic the large ones, one power law
    describes neither, ``good`` (as in `fits`) says no, and the last exponent is nearer to what
    larger sizes would show.

    Columns: as `fits`, with ``exponent``, ``exponent_low``, ``exponent_high``, ``last_exponent``,
    ``last_exponent_low`` and ``last_exponent_high`` in the place of the line's.

    Raises:
        ValueError: the axis is no size.
    """
    curves = _curves(results, axis)
    powers = []
    predictions = []
    last = []
    for curve in curves:
        x, y = np.log(curve.sizes), np.log(curve.times)
        away = x - x.mean()
        power = (y - y.mean(axis=1, keepdims=True)) @ away / (away @ away)
        powers.append(power)
        predictions.append(np.exp(y.mean(axis=1, keepdims=True) + power[:, None] * away))
        last.append((y[:, -1] - y[:, -2]) / (x[-1] - x[-2]))
    exponents, last_exponents = middles(powers, level), middles(last, level)
    residuals = _residuals(curves, predictions, level)
    found = []
    for curve, whole, end, (residual, close) in zip(
        curves, exponents, last_exponents, residuals, strict=True
    ):
        values = dict(zip(_SCALING_COLUMNS, (*whole, *end), strict=True))
        found.append(_record(results, axis, curve, values, residual, close))
    return _frame(found, axis, _SCALING_COLUMNS)


def _curves(results: Results, axis: str) -> list[_Curve]:
    if axis not in _SIZES:
        raise ValueError(f"axis is {axis!r}; give a size, one of {', '.join(_SIZES)}")
    figures = figures_of(results)
    curves = []
    for members in groups(results.measured, (axis,)).values():
        if len(members) < _LEAST_SIZES:
            continue
        rows = sorted(members, key=lambda row: figures.columns[axis][row])
        sizes = np.array([figures.columns[axis][row] for row in rows], dtype=np.float64)
        times = shared_matrix([figures.medians(row) for row in rows])
        processes = len(times)
        if processes == 0:
            times = np.array([[figures.times[row] for row in rows]])
        curves.append(_Curve(rows, sizes, times, processes))
    return curves


def relative_line(sizes: Floats, times: Floats) -> Floats:
    """Intercept and slope by process, shape (processes, 2); the normal equations, weighted."""
    weights = times**-2.0
    total = weights.sum(axis=1, keepdims=True)
    x = (weights * sizes).sum(axis=1, keepdims=True) / total
    y = (weights * times).sum(axis=1, keepdims=True) / total
    away = weights * (sizes - x)
    slope = (away * (times - y)).sum(axis=1, keepdims=True) / (away * (sizes - x)).sum(
        axis=1, keepdims=True
    )
    return np.concatenate((y - slope * x, slope), axis=1)


def _residuals(
    curves: Sequence[_Curve], predictions: Sequence[Floats], level: float
) -> list[tuple[float, bool]]:
    """For each curve the largest relative deviation, and whether all can be excused."""
    columns = [
        deviation
        for curve, predicted in zip(curves, predictions, strict=True)
        for deviation in (curve.times / predicted - 1).T
    ]
    bounds = middles(columns, level)
    found = []
    start = 0
    for curve in curves:
        taken = bounds[start : start + len(curve.sizes)]
        start += len(curve.sizes)
        found.append((max(abs(value) for value, _, _ in taken), all(map(_excused, taken))))
    return found


def _excused(deviation: tuple[float, float | None, float | None]) -> bool:
    value, low, high = deviation
    half = 0.0 if low is None or high is None else (high - low) / 2
    return abs(value) <= min(max(_MISS, half), _WORST_MISS)


def _record(
    results: Results,
    axis: str,
    curve: _Curve,
    values: Mapping[str, float | None],
    residual: float,
    good: bool,
) -> dict[str, Any]:
    columns = figures_of(results).columns
    first = curve.rows[0]
    return {
        **{name: columns[name][first] for name in ("run", *CASE_NAMES) if name != axis},
        "axis": axis,
        "sizes": len(curve.rows),
        "smallest": int(curve.sizes[0]),
        "largest": int(curve.sizes[-1]),
        **values,
        "residual": residual,
        "good": bool(good),
        "processes": curve.processes,
        "rows": curve.rows,
    }


def _frame(records: Sequence[Mapping[str, Any]], axis: str, numbers: Sequence[str]) -> pd.DataFrame:
    dtypes = {
        **dtypes_of(name for name in ("run", *CASE_NAMES) if name != axis),
        "axis": "string",
        "sizes": "Int64",
        "smallest": "Int64",
        "largest": "Int64",
        **dict.fromkeys(numbers, "float64"),
        "residual": "float64",
        "good": "boolean",
        "processes": "Int64",
        "rows": "object",
    }
    return frame_of(records, dtypes)
