"""A device that is none: its clock goes on only where the host or the device works."""

from __future__ import annotations

import time
from typing import Any


class StandIn:
    """A device's module: work is queued by `launch` and done when somebody waits for it."""

    def __init__(self, monkeypatch: Any) -> None:
        self.log: list[Any] = []
        self.now = 0.0
        self.queue = 0.0
        self.device_now = 0.0
        monkeypatch.setattr(time, "perf_counter", self._perf_counter)

    def _perf_counter(self) -> float:
        self.log.append("read")
        return self.now

    def launch(self, host: float, device: float) -> str:
        """A call that keeps the host and the device busy for these seconds."""
        self.log.append("call")
        self.now += host
        self.queue += device
        return "result"

    def synchronize(self, device: Any = None) -> None:
        self.log.append(("synchronize", str(device)))
        self.now += self.queue
        self.device_now += self.queue
        self.queue = 0.0

    def current_stream(self, device: Any) -> str:
        return f"the stream of {device}"

    def Event(self, enable_timing: bool = False) -> _Event:  # noqa: N802  # as torch.cuda names it
        assert enable_timing
        return _Event(self)


class _Event:
    def __init__(self, module: StandIn) -> None:
        self.module = module

    def record(self, stream: str) -> None:
        assert stream == "the stream of cuda:1", "not that of another device"
        self.module.log.append("record")
        self.at = self.module.device_now + self.module.queue

    def elapsed_time(self, end: _Event) -> float:
        assert self.module.queue == 0, "asked before the device was done"
        return (end.at - self.at) * 1000
