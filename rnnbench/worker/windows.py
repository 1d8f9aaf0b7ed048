"""A window: calls back to back from one moment on the system's clock to another, beside others."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

from rnnbench.worker.blocks import Timed

__all__ = ["Window", "run_window"]


@dataclass(frozen=True)
class Window:
    """What was done between two moments; all in seconds.

    ``began`` is on the monotonic clock. ``latencies`` are those of the calls that ended in the
    window, each from the end of the call before it: with what prepares a call and with every pause
    that the system made, so that they add up to the window, but for the calls at its two ends.
    ``late``: the first call ended after the window's start, so that a part of it was lost.
    """

    began: float
    late: bool
    latencies: list[float]


def run_window(
    timed: Timed, start: float, end: float, monotonic: Callable[[], float] = time.monotonic
) -> Window:
    """Call at once and without a pause until ``end``; what ended by ``start`` is warm-up.

    ``start`` and ``end`` are on the monotonic clock, which all processes of a system share, so that
    several that are told the same moments compute at the same time, each from before the start to
    beyond the end.
    """
    began = monotonic()
    ends: list[float] = []
    with timed.context():
        while True:
            timed.run(timed.prepare())
            now = monotonic()
            ends.append(now)
            if now > end:
                break
    before = sum(1 for each in ends if each <= start)
    # From the last call of the warm-up to the last that ended in the window.
    inside = ends[max(0, before - 1) : -1]
    latencies = [round(b - a, 9) for a, b in itertools.pairwise(inside)]
    return Window(began, before == 0, latencies)
