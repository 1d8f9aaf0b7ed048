"""Change points in a series of times, one for each run: steps, told apart from spikes and drifts.

A step is found in two parts. Where it lies comes from ruptures (Truong, Oudre and Vayatis 2020,
Signal Process. 167, 107299), whose dynamic programming finds the segments with the least sum of
squares. Whether it is one comes from permutations: runs that differ by nothing but noise could have
come in any order, whatever the noise is like. Before both, runs that are far off from their
neighbours are drawn in (Hampel's identifier), so that a slow process moves no border; permuted
series are treated likewise, so that the chance stays exact.

ruptures and not apache-otava 0.8: the latter is maintained and its core would do, but to install it
is to install clients of BigQuery, PostgreSQL and Slack, and numpy 2.2.0 and nothing newer.
`results/noise/history.py` compares what both find, and counts the errors of what is here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from rnnbench.regressions._segments import (
    FAR_OFF,
    PERMUTATIONS,
    TO_DEVIATION,
    Floats,
    medians,
    next_step,
    rank_chance,
)
from rnnbench.regressions._slopes import Drift, better_drift, levels_of
from rnnbench.statistics import side_interval, verdict_of

__all__ = ["FEWEST_RUNS", "Drift", "Kind", "Shape", "Spike", "Step", "shape_of", "shapes_of"]

Kind: TypeAlias = Literal["step", "drift", "spike", "steady", "too_few"]

FEWEST_RUNS = 10
"""Below this not even a step in the middle that stands out of all noise is more than chance."""

_MOST_STEPS = 8
_LASTING = 3  # runs: one or two that are off and come back are a spike
_FURTHER = 0.01  # level of further steps in a series that is known to change
_NO_SPREAD = 1e-12


@dataclass(frozen=True)
class Step:
    """A change between two runs that lasts; ``index`` is the first run after it.

    ``ratio`` is after over before, up to the steps beside it, with its 95 % interval by the rule
    of `rnnbench.statistics.side_interval`; the interval does not know that the place was looked
    for. ``p`` is how often runs that do not change there would show as much.
    """

    index: int
    ratio: float
    low: float | None
    high: float | None
    p: float


@dataclass(frozen=True)
class Spike:
    """One or two runs that are off, ``first`` to ``last``, as a ratio to what is around them.

    ``open`` where the series begins or ends in it: it may be (what was before) a step.
    """

    first: int
    last: int
    ratio: float
    open: bool


@dataclass(frozen=True)
class Shape:
    """What a series of times does; ``levels`` are the logarithms that it would have without noise.

    ``p`` is the chance that runs which differ by nothing but noise show as much change: twice the
    smaller of two chances, that of the best one or two steps and that of the largest rank sum. None
    where there are too few runs.
    """

    kind: Kind
    p: float | None
    steps: tuple[Step, ...] = ()
    drift: Drift | None = None
    spikes: tuple[Spike, ...] = ()
    levels: tuple[float, ...] = ()


def shape_of(
    times: Sequence[float], *, level: float = 0.05, margin: float = 0.02, seed: int = 0
) -> Shape:
    """Return what a series does: times in seconds, one for each run, in order.

    Changes that lie within the margin with all of their interval are left out. Of series that do
    not change, at most the share ``level`` are said to.

    Raises:
        UserError: ruptures is not installed.
        ValueError: a time that is not a finite number above 0.
    """
    return _shape(_first(times, seed), level, margin, seed)


def shapes_of(
    series: Sequence[Sequence[float]], *, rate: float = 0.05, margin: float = 0.02, seed: int = 0
) -> list[Shape]:
    """Return the shapes of a family of series, such as all cases of a machine.

    Of those that are said to change at most the share ``rate`` is expected not to (Benjamini and
    Hochberg 1995), so that many cases do not make chance a change.

    Raises:
        UserError: ruptures is not installed.
        ValueError: as `shape_of`.
    """
    firsts = [_first(times, seed) for times in series]
    known = sorted(first.p for first in firsts if first.p is not None)
    passed = [p for rank, p in enumerate(known, 1) if p <= rate * rank / len(known)]
    level = max(passed, default=0.0)
    return [_shape(first, level, margin, seed) for first in firsts]


def _logarithms(times: Sequence[float]) -> Floats:
    values = np.asarray(times, dtype=np.float64)
    if not bool(np.all((values > 0) & (values < np.inf))):
        raise ValueError("times has one that is not a finite number of seconds above 0")
    return np.log(values)


@dataclass(frozen=True)
class _First:
    """The logarithms of a series, the chance that it does not change, and its first steps."""

    logs: Floats
    p: float | None
    borders: Sequence[int]


def _first(times: Sequence[float], seed: int) -> _First:
    logs = _logarithms(times)
    if len(logs) < FEWEST_RUNS:
        return _First(logs, None, ())
    by_rank = rank_chance(logs)
    # Permutations could not say less than this, so they are not worth their time.
    enough = by_rank <= 1 / (PERMUTATIONS + 1)
    rng = np.random.default_rng(seed)
    permuted, borders = next_step(logs, [], rng, permutations=0 if enough else PERMUTATIONS)
    return _First(logs, min(1.0, 2 * min(permuted, by_rank)), borders)


def _shape(first: _First, level: float, margin: float, seed: int) -> Shape:
    if first.p is None:
        return Shape("too_few", None)
    logs = first.logs
    steps, drift = _changes(first, margin, seed) if first.p <= level else ((), None)
    fitted = medians(logs, [step.index for step in steps])
    if drift is not None:
        fitted = levels_of(logs, drift)
    spikes = _spikes(logs, fitted)
    kind: Kind = "step" if steps else "drift" if drift else "spike" if spikes else "steady"
    return Shape(kind, first.p, steps, drift, spikes, tuple(fitted.tolist()))


def _changes(first: _First, margin: float, seed: int) -> tuple[tuple[Step, ...], Drift | None]:
    assert first.p is not None
    logs, borders = first.logs, first.borders
    chances = dict.fromkeys(borders, first.p)
    rng = np.random.default_rng(seed)
    while len(borders) < _MOST_STEPS:
        chance, more = next_step(logs, borders, rng)
        if chance > _FURTHER:
            break
        # A border that only moved a little is the same one, and keeps its chance.
        chances = {
            border: min(
                (known for at, known in chances.items() if abs(at - border) < _LASTING),
                default=chance,
            )
            for border in more
        }
        borders = more
    borders = _lasting(logs, borders)
    if not borders:
        return (), None
    drift = better_drift(logs, borders)
    if drift is not None:
        return (), None if _within(drift, margin) else drift
    steps = _steps(logs, borders, chances)
    while small := [step for step in steps if _within(step, margin)]:
        least = min(small, key=lambda step: abs(math.log(step.ratio)))
        steps = _steps(logs, [step.index for step in steps if step is not least], chances)
    return steps, None


def _lasting(logs: Floats, borders: Sequence[int]) -> list[int]:
    """The borders without those of segments that come back too soon to be more than a spike.

    Between two steps three runs must be nearer to their own median than to those beside it; at an
    end of the series nothing has come back. The border of the smaller change goes.
    """
    kept = list(borders)
    while True:
        parts = np.split(logs, kept)
        levels = [float(np.median(part)) for part in parts]
        for at in range(1, len(parts) - 1):
            own, beside = levels[at], (levels[at - 1], levels[at + 1])
            near = np.all([np.abs(parts[at] - own) < np.abs(parts[at] - x) for x in beside], axis=0)
            if near.sum() < _LASTING:
                del kept[at - 1 if abs(own - beside[0]) < abs(own - beside[1]) else at]
                break
        else:
            return kept


def _steps(logs: Floats, borders: Sequence[int], chances: dict[int, float]) -> tuple[Step, ...]:
    parts = np.split(logs, list(borders))
    found = []
    for index, before, after in zip(borders, parts, parts[1:], strict=False):
        size, *ends = side_interval(before, after)
        low, high = (None if end is None else math.exp(end) for end in ends)
        found.append(Step(int(index), math.exp(size), low, high, chances[index]))
    return tuple(found)


def _within(change: Step | Drift, margin: float) -> bool:
    return verdict_of(change.low, change.high, margin) == "same"


def _spikes(logs: Floats, fitted: Floats) -> tuple[Spike, ...]:
    """Runs that are far off, at most two in a row."""
    off = logs - fitted
    deviation = max(TO_DEVIATION * float(np.median(np.abs(off))), _NO_SPREAD)
    far = np.flatnonzero(np.abs(off) > FAR_OFF * deviation)
    groups = np.split(far, np.flatnonzero(np.diff(far) > 1) + 1) if len(far) else []
    found = []
    for group in groups:
        if len(group) < _LASTING:
            first, last = int(group[0]), int(group[-1])
            ratio = math.exp(float(np.mean(off[group])))
            found.append(Spike(first, last, ratio, first == 0 or last == len(logs) - 1))
    return tuple(found)
