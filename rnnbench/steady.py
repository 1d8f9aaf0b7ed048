"""What a process counts as, on machines that have two speeds.

Where two virtual cores are at times the halves of one real core, computations on two threads take
1.8 times as long, for seconds, and whoever has a turn then is hit alike. A figure over all blocks
would tell which speed was the more frequent one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["lower_quartile", "own_figures", "process_figure", "side_figures"]

_Floats: TypeAlias = NDArray[np.float64]

_LOWER_QUARTILE = 0.25
"""Of a side's processes: about one in six is slow for its whole life."""

_STEADY = math.log1p(0.05)
"""How far blocks, or pairs of processes, of one speed may lie apart."""

_FEWEST_PAIRS = 4
_CLEAR = 4.0
"""Times the median deviation of the pairs' ratios. Processes whose times are scattered each by
itself lie on one side of both quartiles by chance at times, but hardly ever by so much more than
they differ from each other. With 2 the intervals of such processes would hold 1 too rarely."""


def process_figure(logs: _Floats) -> float:
    """Return what a process counts as by itself: the median of its steady blocks, as logarithms.

    Steady are those that are at most 5 % slower than the block a quarter of the way up from the
    fastest.
    """
    ordered = np.sort(logs)
    return _middle(ordered[: int(np.searchsorted(ordered, _limit(ordered), side="right"))])


def own_figures(base: Sequence[_Floats], new: Sequence[_Floats]) -> tuple[_Floats, _Floats]:
    """Return what the processes of two sides count as, each by itself: see `process_figure`.

    Of two processes of one number only as many blocks are used as both have.
    """

    def of(side: Sequence[_Floats], other: Sequence[_Floats]) -> _Floats:
        taken = [p[: len(q)] for p, q in zip(side, other, strict=False)]
        return np.array([process_figure(logs) for logs in (*taken, *side[len(taken) :])])

    return of(base, new), of(new, base)


def side_figures(
    base: Sequence[_Floats], new: Sequence[_Floats], sessions: Sequence[int] | None = None
) -> tuple[_Floats, _Floats]:
    """Return what the processes of two sides count as, where those of a pair took turns.

    Block j of process i of both sides are neighbours in time. Of a pair only blocks that both have
    are used, and of these the median of the steady ones, of the same blocks on both sides: steady
    are those in which both together are at most 5 % slower than in the block a quarter of the way
    up. Then what both processes of a pair are slower, or faster, than the lower quartile of their
    side is taken off both: one process may be slow for its life, two at the same time are a speed
    of the machine. It is the smaller of the two and the same for both, so that it makes no
    difference between sides where there is none. It must be more than 5 %, and more than four times
    what the ratio of a pair differs from the middle one in the median; of fewer than four pairs
    nothing is known of that.

    Processes that have no partner count by themselves, as `process_figure` says. ``sessions``
    numbers those of the pairs; the lower quartile is that of the session.
    """
    pairs = min(len(base), len(new))
    x, y = np.empty(len(base)), np.empty(len(new))
    for i in range(pairs):
        both = min(len(base[i]), len(new[i]))
        left, right = base[i][:both], new[i][:both]
        together = (left + right) / 2
        steady = together <= _limit(np.sort(together))
        x[i], y[i] = _median(left[steady]), _median(right[steady])
    numbers = np.zeros(pairs) if sessions is None else np.asarray(sessions)
    for number in np.unique(numbers):
        of_session = np.flatnonzero(numbers == number)
        shared = _shared(x[of_session], y[of_session])
        x[of_session] -= shared
        y[of_session] -= shared
    for side, found in ((base, x), (new, y)):
        found[pairs:] = [process_figure(logs) for logs in side[pairs:]]
    return x, y


def lower_quartile(values: _Floats) -> float:
    """Return the quartile that `numpy.quantile` does, which takes ten times as long for so few."""
    ordered = np.sort(values)
    position = _LOWER_QUARTILE * (len(values) - 1)
    below = int(position)
    above = min(below + 1, len(values) - 1)
    return float(ordered[below] + (position - below) * (ordered[above] - ordered[below]))


def _median(values: _Floats) -> float:
    """Return the median, which `numpy.median` takes ten times as long for."""
    return _middle(np.sort(values))


def _middle(ordered: _Floats) -> float:
    """Return the median of values in order."""
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _limit(ordered: _Floats) -> float:
    """Return up to where blocks are steady."""
    return float(ordered[(len(ordered) - 1) // 4]) + _STEADY


def _shared(x: _Floats, y: _Floats) -> _Floats | float:
    """Return how far both processes of each pair are off their sides, 0 where only one is."""
    if len(x) < _FEWEST_PAIRS:
        return 0.0
    off_x, off_y = x - lower_quartile(x), y - lower_quartile(y)
    least = np.minimum(abs(off_x), abs(off_y))
    ratios = y - x
    apart = _median(abs(ratios - _median(ratios)))
    alike = (np.sign(off_x) == np.sign(off_y)) & (least > max(_STEADY, _CLEAR * apart))
    found: _Floats = np.where(alike, np.sign(off_x) * least, 0.0)
    return found
