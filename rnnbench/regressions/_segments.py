"""Whether a series changes at all, and where its steps lie: ruptures finds, permutations judge."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnnbench.errors import UserError

__all__ = [
    "FAR_OFF",
    "PERMUTATIONS",
    "SHORTEST",
    "TO_DEVIATION",
    "Floats",
    "drawn_in",
    "medians",
    "next_step",
    "rank_chance",
]

Floats: TypeAlias = NDArray[np.float64]

SHORTEST = 2
"""Runs of a segment; that one between two steps has more is asked later."""

PERMUTATIONS = 999

FAR_OFF = 5.0
"""Standard deviations from which a run is a spike."""

TO_DEVIATION = 1.4826
"""From a median absolute deviation to a normal standard deviation."""

_NEIGHBOURS = 2  # on each side of a run
_DRAWN_IN = 3.0  # standard deviations
_RANK_ORDERS = 3999
_BATCH = 40
_NO_SQUARES = 1e-18  # stands for none left
_ENOUGH = 10  # permutations that do as well: then the chance is known (Besag and Clifford 1991)


def rank_chance(logs: Floats) -> float:
    """The chance of as large a rank sum before, or after, any place where a step could lie.

    It comes from permutations of the ranks, and below what those can say from the normal
    distribution times the number of places (Bonferroni), which at a far end gives more than the
    true chance and so errs on the safe side.
    """
    # Half a second to import, which a report without a history need not wait for.
    from scipy.stats import norm, rankdata

    ranks = rankdata(logs)
    places = len(ranks) - 2 * SHORTEST + 1
    spread = float(ranks.std())
    if spread == 0:
        return 1.0
    found = float(_largest_rank_sum(ranks[None], spread)[0])
    known = _rank_sums(len(ranks))
    by_permutation = (len(known) - int(np.searchsorted(known, found - 1e-9)) + 1) / (len(known) + 1)
    return min(by_permutation, float(places * 2 * norm.sf(found)))


@lru_cache(maxsize=64)
def _rank_sums(n: int) -> Floats:
    """What `_largest_rank_sum` is for so many runs in random orders, ascending."""
    ranks = np.arange(1.0, n + 1)
    orders = np.random.default_rng(n).permuted(np.tile(ranks, (_RANK_ORDERS, 1)), axis=1)
    return np.sort(_largest_rank_sum(orders, float(ranks.std())))


def _largest_rank_sum(ranks: Floats, spread: float) -> Floats:
    """How many standard deviations the rank sum is off at the place where it is so most, by row."""
    n = ranks.shape[1]
    before = np.arange(SHORTEST, n - SHORTEST + 1)
    off = np.abs(np.cumsum(ranks, axis=1)[:, before - 1] - before * (n + 1) / 2)
    most: Floats = (off / (spread * np.sqrt(before * (n - before) / (n - 1)))).max(axis=1)
    return most


def next_step(
    logs: Floats,
    borders: Sequence[int],
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> tuple[float, list[int]]:
    """The chance that there are no more steps than these, and the borders with one or two more.

    The statistic is by how much one step more, or two for each of them, lessen the squares, over
    those that are left, as permuted series have spikes of another size. Of a change that comes and
    goes one step alone sees little.
    """
    count = len(borders)
    segmentations, squares = _segmentations(drawn_in(logs[None])[0], count + 2)
    if len(squares) <= count + 1:
        return 1.0, list(borders)
    gain, more = _gain(squares, count)
    fitted = medians(logs, borders)
    residuals = logs - fitted
    as_good = drawn = 0
    while drawn < permutations:
        size = min(_BATCH, permutations - drawn)
        shuffled = rng.permuted(np.tile(residuals, (size, 1)), axis=1)
        for series in drawn_in(fitted + shuffled):
            drawn += 1
            found, _ = _gain(_segmentations(series, count + 2)[1], count)
            as_good += found >= gain * (1 - 1e-9)
            if as_good == _ENOUGH:
                return _ENOUGH / drawn, segmentations[count + more]
    return (as_good + 1) / (drawn + 1), segmentations[count + more]


def _gain(squares: Sequence[float], count: int) -> tuple[float, int]:
    now, *left = (left + _NO_SQUARES for left in squares[count : count + 3])
    gains = [(now - after) / (more * after) for more, after in enumerate(left, 1)]
    best = int(np.argmax(gains))
    return gains[best], best + 1


def _segmentations(series: Floats, most: int) -> tuple[list[list[int]], list[float]]:
    """For each number of steps up to ``most``: where they are best, and what squares are left."""
    n = len(series)
    most = min(most, n // SHORTEST - 1)
    search = _ruptures().KernelCPD(kernel="linear", min_size=SHORTEST)
    search.fit((series - series.mean())[:, None])
    search.predict(n_bkps=most)
    found = [[], *(search.segmentations_dict[count][:-1] for count in range(1, most + 1))]
    sums = np.concatenate(([0.0], np.cumsum(series - series.mean())))
    whole = float(((series - series.mean()) ** 2).sum())
    squares = []
    for borders in found:
        ends = np.array([0, *borders, n])
        squares.append(whole - float((np.diff(sums[ends]) ** 2 / np.diff(ends)).sum()))
    return found, squares


def _ruptures() -> Any:
    try:
        import ruptures
    except ImportError:
        raise UserError(
            "finding change points needs ruptures; install it with `pip install "
            "'rnnbench[history]'`"
        ) from None
    return ruptures


def drawn_in(series: Floats) -> Floats:
    """Rows with what is far off from the median of its neighbours drawn in (Hampel's identifier).

    What is so far off that it is a spike becomes that median. With two neighbours on each side,
    three runs that are off make a median and two do not, unless the series ends with them.
    """
    padded = np.pad(series, ((0, 0), (_NEIGHBOURS, _NEIGHBOURS)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBOURS + 1, axis=1)
    middle = np.median(windows, axis=2)
    off = series - middle
    deviation = TO_DEVIATION * np.median(np.abs(off), axis=1, keepdims=True)
    kept = np.where(np.abs(off) > FAR_OFF * deviation, 0.0, off)
    drawn: Floats = middle + np.clip(kept, -_DRAWN_IN * deviation, _DRAWN_IN * deviation)
    return drawn


def medians(logs: Floats, borders: Sequence[int]) -> Floats:
    """For each run the median of the runs between the same two borders."""
    parts = np.split(logs, list(borders))
    return np.concatenate([np.full(len(part), np.median(part)) for part in parts])
