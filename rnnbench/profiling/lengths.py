"""Times at several sequence lengths, from which the cost of a call and of a step follow."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from rnnbench.cases import Case
from rnnbench.worker.bench import Bench
from rnnbench.worker.blocks import Timed, calibrate, run_block
from rnnbench.worker.clocks import Clock

__all__ = ["seconds_at"]


def seconds_at(
    cases: Sequence[Case], make_bench: Callable[[], Bench], *, turns: int, seconds: float
) -> list[list[float]]:
    """For each turn the seconds of a call of each case, as the middle of a block's rounds.

    A call is what is profiled of the case: of an epoch one training step. The cases, which differ
    in their lengths, take turns, so that a drift hits all of them. Each has a bench of its own,
    because a bench holds one length at a time.
    """
    benches = [make_bench() for _ in cases]
    for bench, case in zip(benches, cases, strict=True):
        bench.prepare(case)
    # Only now: a bench that began anew has had the compiler forget what the others compiled, and
    # calls that are tried out have it compiled again.
    calls = [_calls_of(bench, case) for bench, case in zip(benches, cases, strict=True)]
    return [
        [
            statistics.median(
                run_block(timed, clock, seconds=seconds, iterations=iterations).rounds
            )
            for timed, clock, iterations in calls
        ]
        for _ in range(turns)
    ]


def _calls_of(bench: Bench, case: Case) -> tuple[Timed, Clock, int]:
    """What is called, by which clock, and how many calls make a round."""
    timed, _, clock = bench.ready(case)
    return timed, clock, calibrate(timed, clock)
