"""Canaries: the same few cases in every shard, which tell how much nodes differ that should not.

Each job measures them before its shard and after it. What counts is the mean of their rounds, not
the median: a program that takes every other slice of the processor leaves the median round alone
and doubles the mean.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.cases import Case
from rnnbench.fleet.costs import Budget, modelled_cost
from rnnbench.regressions.stages import grid_of
from rnnbench.validation import read_document
from rnnbench.work import work_of

__all__ = [
    "BUDGET",
    "Spread",
    "Visit",
    "canary_grid",
    "choose_canaries",
    "read_visit",
    "spread_of",
]

BUDGET = Budget(seconds=0.5, replicates=2)

_MOST = 4
_DEAREST = 5.0
"""Seconds: a canary that costs more would be felt in every shard."""

_SLOW = math.log(1.6)
_SIGMAS = 3.5
"""A visit is slow where its canaries take so much longer than in the middle visit of the others,
and lie outside of what these differ by anyway: on a shared machine that may be a third."""

_FEWEST = 3
"""Of two shards nobody can say which one is the slow one."""


@dataclass(frozen=True)
class Visit:
    """What a shard's job measured of the canaries at one moment: the mean seconds of a call."""

    shard: int
    kind: str
    node: str
    moment: str
    means: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """As the result holds it."""
        return {
            "shard": self.shard,
            "kind": self.kind,
            "node": self.node,
            "moment": self.moment,
            "seconds": dict(self.means),
        }


@dataclass(frozen=True)
class Spread:
    """How much the shards of a kind differ in the same cases.

    ``deviation`` is the standard deviation of log-times between the ``even`` shards that are not
    slow; None of fewer than three, of which it would say nothing. ``slow`` are the shards, each
    with how many times the middle it took.
    """

    kind: str
    shards: int
    even: int
    deviation: float | None
    slow: Mapping[int, float]

    def as_dict(self) -> dict[str, Any]:
        """As the result holds it."""
        return {
            "kind": self.kind,
            "shards": self.shards,
            "even": self.even,
            "deviation": self.deviation,
            "slow": [{"shard": shard, "times": times} for shard, times in self.slow.items()],
        }


def choose_canaries(cases: Sequence[Case]) -> list[Case]:
    """A handful of cases that are cheap, need no compilation and are unlike each other.

    Of each device and number of threads the smallest, the largest and one in the middle, as far as
    they cost little; all of one implementation, which every version of PyTorch has.
    """
    wanted = [case for case in cases if case.implementation == "nn_rnn"]
    cheap = [case for case in wanted if modelled_cost(case, BUDGET) <= _DEAREST]
    places: dict[tuple[str, int], list[Case]] = {}
    for case in sorted(cheap, key=lambda case: (work_of(case)["flops"], case)):
        if case.pass_ in ("inference", "forward"):
            places.setdefault((case.device, case.threads), []).append(case)
    chosen: list[Case] = []
    for found in places.values():
        chosen += [found[-1], found[len(found) // 2], found[0]]
    return sorted(dict.fromkeys(chosen))[: max(_MOST, len(places))]


def canary_grid(cases: Sequence[Case]) -> str:
    """The grid file of the canaries."""
    text = grid_of(cases, "The same cases in every shard of a fleet.")
    options = f"\n[options]\nseconds = {BUDGET.seconds}\nreplicates = {BUDGET.replicates}\n"
    return text.replace("plugins = false\n", f"plugins = false\n{options}", 1)


def read_visit(file: Path, shard: int, kind: str) -> Visit:
    """What a job measured of the canaries.

    Raises:
        UserError: the file is no valid result.
    """
    document = read_document(file)
    means = {}
    for benchmark in document["benchmarks"]:
        case = Case.from_columns(benchmark["extra_info"]["rnnbench"]["case"])
        means[case.id] = statistics.fmean(benchmark["stats"]["data"])
    node = str(document.get("machine_info", {}).get("node", ""))
    return Visit(shard, kind, node, file.stem.rpartition("-")[2], means)


def spread_of(visits: Sequence[Visit]) -> list[Spread]:
    """How much the shards of each kind differ, and which of them are slow."""
    kinds: dict[str, list[Visit]] = {}
    for visit in visits:
        kinds.setdefault(visit.kind, []).append(visit)
    return [_spread(kind, found) for kind, found in kinds.items()]


def _spread(kind: str, visits: Sequence[Visit]) -> Spread:
    effects = _effects(visits, statistics.median)
    shards: dict[int, list[float]] = {}
    for visit, effect in zip(visits, effects, strict=True):
        if effect is not None:
            shards.setdefault(visit.shard, []).append(effect)
    slow: dict[int, float] = {}
    if len(shards) >= _FEWEST:
        # Each shard against the others: its own slowness must not hide it.
        for shard, own in shards.items():
            others = [e for number, found in shards.items() if number != shard for e in found]
            middle = statistics.median(others)
            sigma = 1.4826 * statistics.median([abs(e - middle) for e in others])
            worst = max(own) - middle
            if worst > max(_SLOW, _SIGMAS * sigma):
                slow[shard] = math.exp(worst)
    # The mean over the canaries: a middle of few is a middle visit's own, and would differ from
    # itself by nothing.
    by_shard: dict[int, list[float]] = {}
    for visit, effect in zip(visits, _effects(visits, statistics.fmean), strict=True):
        if effect is not None and visit.shard not in slow:
            by_shard.setdefault(visit.shard, []).append(effect)
    even = [statistics.fmean(own) for own in by_shard.values()]
    deviation = statistics.stdev(even) if len(even) >= _FEWEST else None
    return Spread(kind, len(shards), len(even), deviation, slow)


def _effects(
    visits: Sequence[Visit], middle: Callable[[Sequence[float]], float]
) -> list[float | None]:
    """By how much each visit took longer than the middle one, as a logarithm."""
    ids = dict.fromkeys(name for visit in visits for name in visit.means)
    middles = {
        name: statistics.median(v.means[name] for v in visits if name in v.means) for name in ids
    }
    found: list[float | None] = []
    for visit in visits:
        logs = [math.log(mean / middles[name]) for name, mean in visit.means.items()]
        found.append(middle(logs) if logs else None)
    return found
