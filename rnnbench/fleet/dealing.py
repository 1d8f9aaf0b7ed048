"""Deals groups of competitors to shards so that all shards take about as long."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rnnbench.cases import Case
from rnnbench.errors import UserError

__all__ = ["Shard", "deal", "imbalance"]


@dataclass(frozen=True)
class Shard:
    """Cases that one job measures, in the order in which they run, and their cost in seconds."""

    cases: tuple[Case, ...]
    cost: float


def deal(cases: Sequence[Case], cost: Callable[[Case], float], shards: int) -> list[Shard]:
    """Deal cases to as many shards, fewer where there are fewer groups; the longest comes first.

    Cases that are compared with each other stay together: they must take turns. The costliest group
    goes first, each to the shard that has least so far (longest processing time first; Graham 1969:
    at most 4/3 of the best there is, and next to it where groups are many). The same cases and
    costs are dealt the same way each time.

    Raises:
        UserError: the number of shards is not positive.
    """
    if shards < 1:
        raise UserError(f"--shards is {shards}; give 1 or more")
    groups: dict[Case, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    costed = [(sum(map(cost, group)), group) for group in groups.values()]
    costed.sort(key=lambda pair: -pair[0])
    heap: list[tuple[float, int]] = [(0.0, number) for number in range(min(shards, len(costed)))]
    dealt: list[list[Case]] = [[] for _ in heap]
    totals = [0.0] * len(heap)
    for seconds, group in costed:
        total, number = heapq.heappop(heap)
        dealt[number] += group
        totals[number] = total + seconds
        heapq.heappush(heap, (totals[number], number))
    made = [Shard(tuple(sorted(mine)), total) for mine, total in zip(dealt, totals, strict=True)]
    return sorted(made, key=lambda shard: -shard.cost)


def imbalance(shards: Sequence[Shard]) -> float:
    """How much longer the longest shard is than the mean, as a share of the mean."""
    mean = sum(shard.cost for shard in shards) / len(shards)
    return max(shard.cost for shard in shards) / mean - 1 if mean else 0.0
