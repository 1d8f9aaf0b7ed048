"""From which size on another device is faster: where the speed-up passes 1, between measured sizes.

The speed-ups themselves are in `rnnbench.report.speedups`, whose names this module hands on.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from rnnbench.report._processes import Figures, Floats, figures_of, paired_matrix, shared_matrix
from rnnbench.report._records import DTYPES, frame_of
from rnnbench.report.groups import CASE_NAMES
from rnnbench.report.ratios import Pairing
from rnnbench.report.speedups import FASTEST, SIDES, devices, speedups, speedups_of
from rnnbench.results import Results
from rnnbench.statistics import middle_interval

__all__ = [
    "AXES",
    "FASTEST",
    "STATES",
    "Crossing",
    "crossing_along",
    "crossovers",
    "crossovers_of",
    "devices",
    "speedups",
]

Crossing: TypeAlias = Literal[
    "crosses", "faster everywhere", "slower everywhere", "cannot tell", "crosses more than once"
]

AXES = ("batch", "seq_len", "hidden_size")
"""Sizes along which a crossover is looked for."""

STATES: dict[Crossing, str] = {
    "crosses": "slower at some measured sizes and faster at others beyond doubt, with one change "
    "in between",
    "faster everywhere": "faster beyond doubt at all sizes from the smallest to the largest",
    "slower everywhere": "slower beyond doubt at all sizes from the smallest to the largest",
    "cannot tell": "at some sizes the interval holds 1 or there is none, and it is not both slower "
    "and faster beyond doubt at others",
    "crosses more than once": "faster and slower beyond doubt in turns, with more than one change",
}
"""What is said of a curve of the new device against the base, and what it means."""

_STEPS = 32  # points between two measured sizes at which intervals are worked out
_LOWER_QUARTILE = 0.25  # of processes, as in `compare_blocks`


@dataclass(frozen=True, eq=False)
class _Bounds:
    """Logarithm of the speed-up along a curve; without an interval ``low`` and ``high`` are NaN."""

    sizes: Floats
    value: Floats
    low: Floats
    high: Floats


_KNOWN: WeakKeyDictionary[Results, dict[str, pd.DataFrame]] = WeakKeyDictionary()


def crossovers_of(results: Results, axis: str) -> pd.DataFrame:
    """`crossovers` with its defaults, computed once while the results live: only to be read."""
    known = _KNOWN.setdefault(results, {})
    if axis not in known:
        known[axis] = crossovers(results, axis, speedups_of(results))
    return known[axis]


def crossovers(
    results: Results, axis: str, pairs: pd.DataFrame | None = None, *, level: float = 0.95
) -> pd.DataFrame:
    """Find the size at which the speed-up passes 1, for each curve of two or more sizes.

    ``pairs`` is what `speedups` returned (by default of the CPU against all others). A curve has
    the same of everything but the axis. Between two neighbouring measured sizes the logarithm of
    the speed-up is taken as a straight line over the logarithm of the size, in each process by
    itself; nothing is said outside the measured range, and nothing of what a curve does between
    two sizes apart from that line.

    ``size`` is where the estimate passes 1 (in the middle one of several such places, if the
    intervals know of one change alone); ``size_low`` and ``size_high`` are the ends of the set of
    sizes at which the interval of the speed-up holds 1 (Fieller 1954), so that they hold the true
    crossing as often as the interval holds the truth. An end that reaches the smallest or largest
    measured size is open: it is missing, and ``below_smallest`` or ``above_largest`` is true. Of
    rows in common processes the interval is that of their ratio; otherwise it is Welch's for the
    two sides, while a table of ratios uses a rank test where there are enough processes.

    Columns: the shared columns of `speedups` without the axis, ``axis``, ``sizes`` (how many),
    ``smallest``, ``largest``, ``state`` (one of `STATES`), ``faster_above`` (whether the new device
    is faster at the larger sizes; missing where the estimate does not cross once), ``size``,
    ``size_low``, ``size_high``, ``below_smallest``, ``above_largest``, ``pairing``, ``processes``,
    ``rows_base`` and ``rows_new`` (by size).

    Raises:
        ValueError: the axis is none of `AXES`.
    """
    if axis not in AXES:
        raise ValueError(f"axis is {axis!r}; give one of {', '.join(AXES)}")
    pairs = speedups(results, level=level) if pairs is None else pairs
    figures = figures_of(results)
    keys = _key_columns(axis)
    by_curve: dict[tuple[Hashable, ...], list[int]] = {}
    columns = [pairs[name].tolist() for name in keys]
    for index, values in enumerate(zip(*columns, strict=True)):
        by_curve.setdefault(values, []).append(index)
    sizes, bases, news = (pairs[name].tolist() for name in (axis, "row_base", "row_new"))
    pairings: list[Pairing] = pairs["pairing"].tolist()
    records = []
    for values, found in by_curve.items():
        members = sorted(found, key=lambda index: sizes[index])
        if len(members) < 2:
            continue
        rows_base = [bases[index] for index in members]
        rows_new = [news[index] for index in members]
        x = [float(sizes[index]) for index in members]
        records.append(
            {
                **dict(zip(keys, values, strict=True)),
                "axis": axis,
                "sizes": len(members),
                "smallest": int(x[0]),
                "largest": int(x[-1]),
                **crossing_along(figures, x, rows_base, rows_new, level),
                "pairing": pairings[members[0]],
                "rows_base": rows_base,
                "rows_new": rows_new,
            }
        )
    return _frame(records, axis)


def crossing_along(
    figures: Figures,
    sizes: Sequence[float],
    bases: Sequence[int],
    news: Sequence[int],
    level: float = 0.95,
) -> dict[str, Any]:
    """What `crossovers` says of one curve, from ``state`` to ``above_largest``, and ``processes``.

    ``bases`` and ``news`` are the rows at each of the sizes, which grow and are above 0.
    """
    x = np.array(sizes, dtype=np.float64)
    bounds, processes = _bounds(figures, x, bases, news, level)
    return {**_crossing(bounds), "processes": processes}


def _key_columns(axis: str) -> list[str]:
    """Columns in which the points of a curve agree; its fastest may be of any implementation."""
    shared = [n for n in CASE_NAMES if n not in ("device", "environment", axis)]
    sides = [name for name in SIDES if name not in ("implementation", "threads")]
    return [*shared, *(f"{name}_{side}" for name in sides for side in ("base", "new"))]


def _bounds(
    figures: Figures, sizes: Floats, bases: Sequence[int], news: Sequence[int], level: float
) -> tuple[_Bounds, int]:
    """The speed-up at the measured sizes and between them, and from how many processes."""
    x, weights = _between(np.log(sizes))
    base_sides = [figures.lows(row) for row in bases]
    new_sides = [figures.lows(row) for row in news]
    nothing = np.full(len(x), np.nan)
    if figures.place(bases[0]) == figures.place(news[0]):
        shifts = paired_matrix(new_sides, base_sides)
        if len(shifts):
            value, low, high = middle_interval(shifts @ weights, level)
            if low is None or high is None:
                low = high = nothing
            return _Bounds(np.exp(x), value, low, high), len(shifts)
    base, new = (np.log(shared_matrix(sides)) for sides in (base_sides, new_sides))
    if min(len(base), len(new)) == 0:  # no process has all sizes: estimates alone
        times = [[figures.times[row] for row in rows] for rows in (bases, news)]
        base, new = (np.log(np.array([side])) for side in times)
    base, new = base @ weights, new @ weights
    value = np.quantile(base, _LOWER_QUARTILE, axis=0) - np.quantile(new, _LOWER_QUARTILE, axis=0)
    processes = min(len(base), len(new))
    if processes < 2:
        return _Bounds(np.exp(x), value, nothing, nothing), processes
    low, high = _welch(new, base, level)
    return _Bounds(np.exp(x), value, np.minimum(low, value), np.maximum(high, value)), processes


def _between(knots: Floats) -> tuple[Floats, Floats]:
    """Points along the knots, and how much of each knot is in each point: (knots, points)."""
    steps = np.arange((len(knots) - 1) * _STEPS + 1) / _STEPS
    left = np.minimum(steps.astype(np.intp), len(knots) - 2)
    share = steps - left
    weights = np.zeros((len(knots), len(steps)))
    points = np.arange(len(steps))
    weights[left, points] = 1 - share
    weights[left + 1, points] = share
    return knots @ weights, weights


def _welch(x: Floats, y: Floats, level: float) -> tuple[Floats, Floats]:
    """Welch's interval for mean(y) - mean(x) of each column (Welch 1947)."""
    from scipy.special import stdtrit

    parts = [side.var(axis=0, ddof=1) / len(side) for side in (x, y)]
    middle, variance = y.mean(axis=0) - x.mean(axis=0), parts[0] + parts[1]
    spread = parts[0] ** 2 / (len(x) - 1) + parts[1] ** 2 / (len(y) - 1)
    freedom = np.divide(variance**2, spread, out=np.ones_like(spread), where=spread > 0)
    half = stdtrit(np.maximum(freedom, 1.0), (1 + level) / 2) * np.sqrt(variance)
    return middle - half, middle + half


def _crossing(bounds: _Bounds) -> dict[str, Any]:
    """State, size and interval of a curve."""
    signs = np.where(bounds.low > 0, 1, np.where(bounds.high < 0, -1, 0))
    known = bool(np.isfinite(bounds.low).all())
    sure = [int(sign) for sign in signs if sign]
    turns = sum(a != b for a, b in pairwise(sure))
    state: Crossing
    if turns > 1:
        state = "crosses more than once"
    elif turns == 1:
        state = "crosses"
    elif len(sure) == len(signs):
        state = "faster everywhere" if sure[0] > 0 else "slower everywhere"
    else:
        state = "cannot tell"
    found: dict[str, Any] = {"state": state, "below_smallest": None, "above_largest": None}
    zeros = _zeros(bounds.sizes, bounds.value)
    if turns <= 1 and len(zeros) % 2:
        found["size"] = float(zeros[len(zeros) // 2])
        found["faster_above"] = bool(bounds.value[-1] > 0)
    if known and turns <= 1:
        low, high = _held(bounds)
        held = low is not None and high is not None
        found["below_smallest"] = held and low == bounds.sizes[0]
        found["above_largest"] = held and high == bounds.sizes[-1]
        found["size_low"] = None if found["below_smallest"] else low
        found["size_high"] = None if found["above_largest"] else high
    return found


def _zeros(sizes: Floats, values: Floats) -> Floats:
    """Sizes at which a curve changes its sign, by straight lines over the logarithm of the size."""
    signs = np.where(values > 0, 1, -1)
    at = np.flatnonzero(signs[1:] != signs[:-1])
    x = np.log(sizes)
    share = values[at] / (values[at] - values[at + 1])
    passing: Floats = np.exp(x[at] + share * (x[at + 1] - x[at]))
    return passing


def _held(bounds: _Bounds) -> tuple[float | None, float | None]:
    """The ends of the set of sizes at which the interval holds 0; (None, None) if there is none.

    An interval that excludes 0 at two neighbouring points in opposite directions holds it in
    between, where both of its ends pass 0.
    """
    inside = (bounds.low <= 0) & (bounds.high >= 0)
    ends = [bounds.sizes[0]] if inside[0] else []
    ends += [bounds.sizes[-1]] if inside[-1] else []
    ends += _zeros(bounds.sizes, bounds.low).tolist() + _zeros(bounds.sizes, bounds.high).tolist()
    if not ends or not math.isfinite(sum(ends)):
        return None, None
    return float(min(ends)), float(max(ends))


def _frame(records: Sequence[Mapping[str, Any]], axis: str) -> pd.DataFrame:
    dtypes = {
        **{
            name: DTYPES[name.removesuffix("_base").removesuffix("_new")]
            for name in _key_columns(axis)
        },
        "axis": "string",
        "sizes": "Int64",
        "smallest": "Int64",
        "largest": "Int64",
        "state": "string",
        "faster_above": "boolean",
        "size": "float64",
        "size_low": "float64",
        "size_high": "float64",
        "below_smallest": "boolean",
        "above_largest": "boolean",
        "pairing": "string",
        "processes": "Int64",
        "rows_base": "object",
        "rows_new": "object",
    }
    return frame_of(records, dtypes)
