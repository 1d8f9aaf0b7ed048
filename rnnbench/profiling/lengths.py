"""Times at several sequence lengths, from which the cost of a call and of a step follow."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from rnnbench.cases import Case
from rnnbench.worker.bench import Bench

__all__ = ["seconds_at"]


def seconds_at(
    cases: Sequence[Case], make_bench: Callable[[], Bench], *, turns: int, seconds: float
) -> list[list[float]]:
    """For each turn the seconds of a call of each case, as the middle of a block's rounds.

    The cases, which differ in their lengths, take turns, so that a drift hits all of them. Each has
    a bench of its own, because a bench holds one length at a time.
    """
    benches = [make_bench() for _ in cases]
    iterations = [
        bench.prepare(case)["iterations"] for bench, case in zip(benches, cases, strict=True)
    ]
    prepared = list(zip(benches, cases, iterations, strict=True))
    for bench, case, calls in prepared:
        # A bench that began anew has had the compiler forget what the others compiled.
        bench.block(case, 0.0, calls)
    return [
        [
            statistics.median(bench.block(case, seconds, calls).rounds)
            for bench, case, calls in prepared
        ]
        for _ in range(turns)
    ]
