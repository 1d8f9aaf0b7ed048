"""Clocks: a wall clock for every device, and beside it the device's own where it has one.

A round is timed by the wall clock, in seconds, with the device idle before it starts and after it
ends; so the times of all devices mean the same and stand in one column. A device that computes
asynchronously also records events before the first and after the last of its work: the time between
them is another column, also in seconds. Pauses in which it waited for the host are part of it, so
a loop that is bound by launches shows little difference between the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import torch

__all__ = ["Clock", "DeviceClock", "WallClock", "clock_for"]


class Clock(Protocol):
    """Times one call; see :meth:`time`."""

    name: str
    device_clock: str | None

    @property
    def resolution(self) -> float:
        """The smallest difference, in seconds, that every part of this clock can see."""

    def time(self, call: Callable[[], Any]) -> tuple[float, float | None, Any]:
        """Call once; returns wall seconds, device seconds or None, and what the call returned."""

    def settle(self) -> None:
        """Return when the device is idle."""


def _perf_counter_resolution() -> float:
    """Smallest step seen between two readings, which is what a short round is measured with."""
    steps = []
    for _ in range(200):
        start = time.perf_counter()
        while (now := time.perf_counter()) == start:
            pass
        steps.append(now - start)
    return min(steps)


class WallClock:
    """``time.perf_counter`` around a call that returns when its work is done: the CPU's clock."""

    name = "perf_counter"
    device_clock: str | None = None

    def __init__(self) -> None:
        self._resolution = _perf_counter_resolution()

    @property
    def resolution(self) -> float:
        return self._resolution

    def time(self, call: Callable[[], Any]) -> tuple[float, float | None, Any]:
        start = time.perf_counter()
        result = call()
        return time.perf_counter() - start, None, result

    def settle(self) -> None:
        """A CPU call has ended when it returns."""


class DeviceClock:
    """A wall clock that waits for the device, and the device's own events beside it.

    ``module`` is ``torch.cuda`` or what else has ``Event`` and ``synchronize`` like it.
    """

    name = "perf_counter"

    # Documented for cudaEventElapsedTime: "a resolution of around 0.5 microseconds"
    # (CUDA Runtime API, Event Management). Twice that, since two events bound a time.
    _event_resolution = 1e-6

    def __init__(self, module: Any, device: torch.device) -> None:
        self._module = module
        self._device = device
        self.device_clock: str | None = f"{device.type}_event"
        self._resolution = max(self._event_resolution, _perf_counter_resolution())

    @property
    def resolution(self) -> float:
        return self._resolution

    def time(self, call: Callable[[], Any]) -> tuple[float, float | None, Any]:
        begin = self._module.Event(enable_timing=True)
        end = self._module.Event(enable_timing=True)
        # Named, because the current device may be another one, whose stream would be idle.
        stream = self._module.current_stream(self._device)
        self._module.synchronize(self._device)
        start = time.perf_counter()
        begin.record(stream)
        result = call()
        end.record(stream)
        self._module.synchronize(self._device)
        wall = time.perf_counter() - start
        # elapsed_time answers in milliseconds.
        return wall, begin.elapsed_time(end) / 1000, result

    def settle(self) -> None:
        self._module.synchronize(self._device)


class SynchronisedClock(WallClock):
    """A wall clock for a device that can be waited for but has no events with times."""

    def __init__(self, synchronize: Callable[[], Any]) -> None:
        super().__init__()
        self._synchronize = synchronize

    def time(self, call: Callable[[], Any]) -> tuple[float, float | None, Any]:
        self._synchronize()
        start = time.perf_counter()
        result = call()
        self._synchronize()
        return time.perf_counter() - start, None, result

    def settle(self) -> None:
        self._synchronize()


def clock_for(device: str) -> Clock:
    """The clock of a device: ``cpu``, ``cuda``, ``mps``, ``xpu`` and what else torch knows."""
    where = torch.device(device)
    if where.type == "cpu":
        return WallClock()
    module = getattr(torch, where.type)
    if where.type in ("cuda", "xpu"):
        return DeviceClock(module, where)
    return SynchronisedClock(module.synchronize)
