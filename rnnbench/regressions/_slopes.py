"""A slow slope through a series: the best one, and whether it says more than steps do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rnnbench.regressions._segments import SHORTEST, Floats, drawn_in
from rnnbench.statistics import student_t_quantile

__all__ = ["Drift", "better_drift", "levels_of"]

_SLOW = 0.25  # share of the runs over which a drift extends, at least
_MOST_PLACES = 61  # at which a slope may begin or end
_NO_SPREAD = 1e-12


@dataclass(frozen=True)
class Drift:
    """A slope: the last run before it, the first after it, and last over first time.

    The 95 % interval is that of least squares with its ends held where they are.
    """

    first: int
    last: int
    ratio: float
    low: float
    high: float


def better_drift(logs: Floats, borders: Sequence[int]) -> Drift | None:
    """The slope that explains the series better than these steps do; None where none does.

    Both are judged by the Bayesian information criterion on the drawn-in series: a slope has four
    parameters, the levels and the places of its two ends. A step counts as three, its level and
    two for its place (Zhang and Siegmund 2007, Biometrics 63, 22-32), beside the first level.
    """
    n = len(logs)
    series = drawn_in(logs[None])[0]
    ends = _slope_ends(n)
    if len(ends) == 0:
        return None
    levels, left = _fit_slopes(series, ends)
    best = int(np.argmin(left))
    squares = float(((series - _means(series, borders)) ** 2).sum())
    if _criterion(left[best], n, 4) >= _criterion(squares, n, 3 * len(borders) + 1):
        return None
    first, last = map(int, ends[best])
    share = _shares(n, ends[best : best + 1])[0]
    design = np.column_stack((1 - share, share))
    apart = np.array([-1.0, 1.0])
    error = math.sqrt(
        float(apart @ np.linalg.inv(design.T @ design) @ apart) * left[best] / (n - 4)
    )
    half = student_t_quantile(0.975, n - 4) * error
    size = float(levels[best, 1] - levels[best, 0])
    return Drift(first, last, *(math.exp(size + by) for by in (0.0, -half, half)))


def _criterion(squares: float, n: int, parameters: int) -> float:
    return n * math.log(max(squares / n, _NO_SPREAD**2)) + parameters * math.log(n)


def _means(series: Floats, borders: Sequence[int]) -> Floats:
    parts = np.split(series, list(borders))
    return np.concatenate([np.full(len(part), part.mean()) for part in parts])


@lru_cache(maxsize=64)
def _slope_ends(n: int) -> NDArray[np.intp]:
    """The runs between which a slope may lie, (slopes, 2); long series are looked at coarsely."""
    shortest = max(SHORTEST + 2, math.ceil(_SLOW * n))
    places = np.unique(np.linspace(0, n - 1, min(n, _MOST_PLACES)).round().astype(np.intp))
    pairs = np.array([(a, b) for a in places for b in places if b - a >= shortest], dtype=np.intp)
    return pairs.reshape(-1, 2)


def _shares(n: int, ends: NDArray[np.intp]) -> Floats:
    """How far each run is on its way from the first level to the last, (slopes, runs)."""
    first, last = ends[:, :1], ends[:, 1:]
    share: Floats = np.clip((np.arange(n) - first) / (last - first), 0.0, 1.0)
    return share


def _fit_slopes(series: Floats, ends: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """The best two levels of each slope, (slopes, 2), and the squares that it leaves."""
    share = _shares(len(series), ends)
    rest = 1 - share
    a, b, c = (
        (one * two).sum(axis=1) for one, two in ((rest, rest), (rest, share), (share, share))
    )
    u, v = rest @ series, share @ series
    levels = np.column_stack((c * u - b * v, a * v - b * u)) / (a * c - b * b)[:, None]
    left = ((series - rest * levels[:, :1] - share * levels[:, 1:]) ** 2).sum(axis=1)
    return levels, left


def levels_of(logs: Floats, drift: Drift) -> Floats:
    """The logarithms that a series with this slope has without noise."""
    ends = np.array([[drift.first, drift.last]], dtype=np.intp)
    levels, _ = _fit_slopes(drawn_in(logs[None])[0], ends)
    share = _shares(len(logs), ends)[0]
    fitted: Floats = levels[0, 0] * (1 - share) + levels[0, 1] * share
    return fitted
