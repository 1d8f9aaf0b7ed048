"""Peak memory of one call, outside of all timing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from rnnbench.cases import Case
from rnnbench.worker.blocks import Timed
from rnnbench.worker.clocks import Clock

__all__ = ["changes", "peak_bytes"]

_MEMORY_EVENT = "[memory]"


def peak_bytes(case: Case, timed: Timed, clock: Clock) -> int | None:
    """The most bytes that a call had allocated and not yet freed at one time.

    Counted by PyTorch's allocator, exactly: activations, gradients and temporary tensors. What was
    there before the call counts neither while it is kept nor where the call frees it; what a
    library takes by itself is not seen. None where the device's allocator does not tell.
    """
    device = torch.device(case.device)
    with timed.context():
        # An optimizer makes its state in its first step; it was there before any later one.
        prepared = timed.prepare()
        timed.run(prepared)
        prepared = timed.prepare()
        clock.settle()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
            timed.run(prepared)
            return torch.cuda.max_memory_allocated(device) - before
        if device.type != "cpu":
            return None
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            result = timed.run(prepared)
        del result, prepared
    return _peak(changes(profiler))


def changes(profiler: profile) -> Iterator[int]:
    """Bytes of each allocation, negative of each release, in the order in which they happened."""
    results = profiler.profiler.kineto_results if profiler.profiler is not None else None
    events: list[Any] = results.events() if results is not None else []
    found = []
    for event in events:
        if event.name() == _MEMORY_EVENT:
            # Versions before 2.4 know microseconds alone; the sort keeps what they tell apart.
            start = event.start_ns() if hasattr(event, "start_ns") else event.start_us()
            found.append((start, event.nbytes()))
    found.sort(key=lambda entry: entry[0])
    return iter([size for _, size in found])


def _peak(changes: Iterator[int]) -> int:
    held = most = 0
    for change in changes:
        held += change
        most = max(most, held)
    return most
