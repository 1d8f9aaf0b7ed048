"""A slowdown of known size, planted to see whether a comparison finds it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from rnnbench.worker.blocks import Timed

__all__ = ["Slowed"]


class Slowed:
    """A pass each call of which keeps its processor busy for ``share`` of its own time longer.

    The time is spent looking at the clock, inside of what is timed. Work of the layer's own kind in
    its place was tried: steps that took 5 % more made calls 5 to 8 % slower, because they took the
    caches from the next call, and a slowdown whose size is not known says nothing of what is
    found. On a device that computes asynchronously a call has not ended when it returns, so there
    it is not offered.
    """

    def __init__(
        self, timed: Timed, share: float, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._timed = timed
        self._share = share
        self._clock = clock

    def context(self) -> AbstractContextManager[Any]:
        return self._timed.context()

    def prepare(self) -> Any:
        return self._timed.prepare()

    def run(self, prepared: Any) -> Any:
        start = self._clock()
        result = self._timed.run(prepared)
        end = self._clock()
        until = end + self._share * (end - start)
        while self._clock() < until:
            pass
        return result
