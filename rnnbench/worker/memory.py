"""Peak memory of one call, outside of all timing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch._C._profiler import _EventType
from torch.profiler import ProfilerActivity, profile

from rnnbench.cases import Case
from rnnbench.worker.blocks import Timed
from rnnbench.worker.clocks import Clock

__all__ = ["MEMORY_EVENT", "changes", "peak_bytes", "peak_in"]

MEMORY_EVENT = "[memory]"
"""As the profiler names an allocation or a release."""


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
    return peak_in(profiler)


def peak_in(profiler: profile) -> int:
    """The most bytes that were held at one time on a CPU while a profiler watched its memory."""
    held = most = 0
    for change in changes(profiler):
        held += change
        most = max(most, held)
    return most


def changes(profiler: profile) -> Iterator[int]:
    """Bytes of each allocation, negative of each release, in the order in which they happened.

    Releases of what was allocated before are left out. The profiler knows the size of such a block
    only where an earlier profile saw its address in other use, and then it is a wrong one.
    """
    results = profiler.profiler.kineto_results if profiler.profiler is not None else None
    waiting: list[Any] = [] if results is None else list(results.experimental_event_tree())
    found = []
    while waiting:
        event = waiting.pop()
        waiting.extend(event.children)
        if event.tag == _EventType.Allocation:
            fields = event.extra_fields
            found.append((event.start_time_ns, fields.ptr, fields.alloc_size))
    found.sort(key=lambda entry: entry[0])
    live: dict[int, int] = {}
    for _, address, size in found:
        if size > 0:
            live[address] = size
            yield size
        elif address in live:
            yield -live.pop(address)
