"""A block: rounds that run back to back, each one call or a fixed number of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from rnnbench.worker.clocks import Clock

__all__ = ["RESOLUTIONS_PER_ROUND", "Block", "Parts", "Timed", "calibrate", "run_block"]

RESOLUTIONS_PER_ROUND = 100
"""A round lasts at least this many steps of the clock, so that a step is at most 1 % of it."""

_SURELY = 10
"""A call that is so many times as long as a round must be is long enough, however cold it was when
it was seen."""

_WARMUP_ROUNDS = 4
_WARMUP_SECONDS = 0.01
"""A turn begins with rounds that find cold caches: the first takes 1.1 to 5.8 times the block's
median, the third up to 1.13 times. Warm-up is four rounds, or fewer once it has lasted 10 ms:
refilling the caches takes a time and not a number of rounds, and a last-level cache of some tens of
MiB is refilled at the ten GB/s of a shared machine in a few milliseconds."""

_KEPT_ROUNDS = 2
"""At least this many rounds of a block are kept, however long one takes."""


class Timed(Protocol):
    """One pass of one layer, split into what is prepared and what is timed."""

    def context(self) -> AbstractContextManager[Any]:
        """What a block runs in, such as inference mode."""

    def prepare(self) -> Any:
        """Build what one call needs, outside the timed region."""

    def run(self, prepared: Any) -> Any:
        """What is timed; returns whatever must not be freed in the timed region.

        `Parts` among it say that the call has timed its own parts.
        """


@dataclass(frozen=True)
class Parts:
    """Seconds of each part of a call by name, in their order, as the call itself has timed them."""

    seconds: Mapping[str, float]


@dataclass
class Block:
    """Rounds of one turn, in seconds per call.

    ``start`` is on the monotonic clock; ``seconds`` is how long all of the block's rounds took with
    what prepared them, as the clock on the wall saw it.
    """

    start: float
    seconds: float = 0.0
    warmup: list[float] = field(default_factory=list)
    rounds: list[float] = field(default_factory=list)
    device_rounds: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)


_Round = tuple[float, float | None, Mapping[str, float]]
"""Seconds per call by the wall clock, by the device's, and of each part of a call."""

_NO_PARTS: Mapping[str, float] = {}


def _one_round(timed: Timed, clock: Clock, iterations: int) -> _Round:
    if iterations == 1:
        prepared = timed.prepare()
        wall, device, result = clock.time(partial(timed.run, prepared))
        parts = result.seconds if isinstance(result, Parts) else _NO_PARTS
        # The outputs, and with them the graph, are freed here: after the clock has stopped.
        del result, prepared
        return wall, device, parts
    waiting = [timed.prepare() for _ in range(iterations)]
    results: list[Any] = [None] * iterations

    def call() -> None:
        for index in range(iterations):
            results[index] = timed.run(waiting[index])

    wall, device, _ = clock.time(call)
    device = None if device is None else device / iterations
    return wall / iterations, device, _mean_parts(results)


def _mean_parts(results: list[Any]) -> Mapping[str, float]:
    told = [result.seconds for result in results if isinstance(result, Parts)]
    if not told:
        return _NO_PARTS
    return {name: sum(each[name] for each in told) / len(told) for name in told[0]}


def calibrate(timed: Timed, clock: Clock, resolutions: int = RESOLUTIONS_PER_ROUND) -> int:
    """How many calls make a round of at least so many steps of the clock."""
    iterations, least = 1, resolutions * clock.resolution
    with timed.context():
        # Most calls are far longer than that, and then two of them, the first one cold, show it.
        if min(_one_round(timed, clock, 1)[0] for _ in range(2)) > _SURELY * least:
            return 1
        for _ in range(2):
            seconds = min(_one_round(timed, clock, iterations)[0] for _ in range(3))
            # A round that the clock cannot see at all is taken for one of its steps.
            seconds = max(seconds, clock.resolution / iterations)
            iterations = max(iterations, math.ceil(least / seconds))
    return iterations


def run_block(
    timed: Timed,
    clock: Clock,
    *,
    seconds: float,
    iterations: int,
    monotonic: Callable[[], float] = time.monotonic,
) -> Block:
    """Run rounds for ``seconds``, the turn's warm-up rounds first and apart.

    Ends with the device idle. Warm-up counts towards the block's time, so that a turn is as long as
    it was promised to be.
    """
    block = Block(start=monotonic())
    with timed.context():
        while True:
            elapsed = monotonic() - block.start
            if len(block.warmup) < _WARMUP_ROUNDS and (
                not block.warmup or elapsed < _WARMUP_SECONDS
            ):
                block.warmup.append(_one_round(timed, clock, iterations)[0])
                continue
            if elapsed >= seconds and len(block.rounds) >= _KEPT_ROUNDS:
                break
            wall, device, parts = _one_round(timed, clock, iterations)
            block.rounds.append(wall)
            if device is not None:
                block.device_rounds.append(device)
            for name, part in parts.items():
                block.parts.setdefault(name, []).append(part)
    clock.settle()
    block.seconds = monotonic() - block.start
    return block
