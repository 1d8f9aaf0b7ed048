"""What a process counts as, on machines that have two speeds.

Where two virtual cores are at times the halves of one real core, computations on two threads take
1.8 times as long, for seconds, and whoever has a turn then is hit alike. A figure over all blocks
would tell there which speed was the more frequent one; elsewhere it is the surest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "all_figures",
    "lower_quartile",
    "own_figures",
    "process_figure",
    "side_figures",
    "steady_figures",
]

_Floats: TypeAlias = NDArray[np.float64]

_LOWER_QUARTILE = 0.25
"""Of a side's processes: about one in six is slow for its whole life."""

_STEADY = math.log1p(0.05)
"""How far blocks, or pairs of processes, of one speed may lie apart."""

_FASTEST = 0.05
"""Of the pairs: where the faster half is taken to begin. One that met a speed that no other did
must not choose for all."""

_ROUNDING = 1e-12
"""Where both ways say the same up to rounding, moving all times by a factor must not change which
of them is taken."""

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
    are used. There are two ways to count, and all processes of a session count in one of them:

    - as `steady_figures` says, which stands on machines that have two speeds;
    - as the median of all blocks, which is surer where a machine has one, and programs that come
      and go slow a block here and another there.

    It is the way in which the faster half of the pairs lie closer together. A pair counts there as
    the mean of its two processes, so that by how much the sides differ has no part in the choice.
    Of fewer than four pairs it is the steady blocks.

    Processes that have no partner count by themselves, in the way of those that have one.
    ``sessions`` numbers those of the pairs; each has quartiles and a way of its own.
    """
    pairs = min(len(base), len(new))
    both = [min(len(left), len(right)) for left, right in zip(base, new, strict=False)]
    numbers = np.zeros(pairs) if sessions is None else np.asarray(sessions)
    x, y = np.empty(len(base)), np.empty(len(new))
    alone: Callable[[_Floats], float] = process_figure
    for number in np.unique(numbers):
        of_session = np.flatnonzero(numbers == number)
        shared = [[side[i][: both[i]] for i in of_session.tolist()] for side in (base, new)]
        steady, whole = steady_figures(*shared), all_figures(*shared)
        closer = len(of_session) >= _FEWEST_PAIRS and (_apart(*whole) < _apart(*steady) - _ROUNDING)
        x[of_session], y[of_session] = whole if closer else steady
        alone = _median if closer else process_figure
    for side, found in ((base, x), (new, y)):
        found[pairs:] = [alone(logs) for logs in side[pairs:]]
    return x, y


def steady_figures(base: Sequence[_Floats], new: Sequence[_Floats]) -> tuple[_Floats, _Floats]:
    """Return what pairs count as by the blocks that were steady for both, less a shared speed.

    Both sides have the same processes, and process i of both the same blocks. Steady are the blocks
    in which both together are at most 5 % slower than in the block a quarter of the way up; their
    median counts. Then what both processes of a pair are slower, or faster, than the lower quartile
    of their side is taken off both: one process may be slow for its life, two at the same time are
    a speed of the machine. It is the smaller of the two and the same for both, so that it makes no
    difference between sides where there is none. It must be more than 5 %, and more than four times
    what the ratio of a pair differs from the middle one in the median; of fewer than four pairs
    nothing is known of that.
    """
    x, y = np.empty(len(base)), np.empty(len(new))
    for i, (left, right) in enumerate(zip(base, new, strict=True)):
        together = (left + right) / 2
        steady = together <= _limit(np.sort(together))
        x[i], y[i] = _median(left[steady]), _median(right[steady])
    shared = _shared(x, y)
    return x - shared, y - shared


def all_figures(base: Sequence[_Floats], new: Sequence[_Floats]) -> tuple[_Floats, _Floats]:
    """Return what processes count as by the median of all their blocks."""
    x, y = (np.array([_median(logs) for logs in side]) for side in (base, new))
    return x, y


def _apart(x: _Floats, y: _Floats) -> float:
    """Return how far the faster half of the pairs reaches, but for its very fastest."""
    ordered = np.sort((x + y) / 2)
    return _middle(ordered) - _quantile(ordered, _FASTEST)


def lower_quartile(values: _Floats) -> float:
    """Return the quartile that `numpy.quantile` does, which takes ten times as long for so few."""
    return _quantile(np.sort(values), _LOWER_QUARTILE)


def _median(values: _Floats) -> float:
    """Return the median, which `numpy.median` takes ten times as long for."""
    return _middle(np.sort(values))


def _quantile(ordered: _Floats, share: float) -> float:
    """Return a quantile of values in order; Hyndman and Fan 1996, definition 7."""
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (position - below) * (ordered[above] - ordered[below]))


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
