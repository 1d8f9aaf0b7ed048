"""The order in which competitors take turns: random, balanced, and the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

__all__ = ["sweeps"]

T = TypeVar("T")


def sweeps(competitors: Sequence[T], slots: int, seed: int) -> Iterator[list[tuple[T, int]]]:
    """Yield sweeps without end; in each, every competitor has one turn in every slot.

    Within a sweep the slots come in random order, and in a slot its competitors do, all before the
    next slot, so that the turns which are compared lie close together in time. The next sweep is
    the same order reversed: over each two sweeps every competitor comes as often before another as
    after it, and a drift of the machine hits both alike (counterbalancing, as in ABBA designs).
    """
    rng = random.Random(seed)
    while True:
        order = []
        for slot in rng.sample(range(slots), slots):
            order += [(who, slot) for who in rng.sample(list(competitors), len(competitors))]
        yield order
        yield order[::-1]
