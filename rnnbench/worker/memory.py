"""Peak memory of one call, outside of all timing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch._C._profiler import _EventType
from torch.profiler import ProfilerActivity, profile

from rnnbench.cases import Case
from rnnbench.worker.blocks import Timed
from rnnbench.worker.clocks import Clock

__all__ = ["changes", "changes_of_call", "peak_bytes", "peak_of"]


def peak_bytes(case: Case, timed: Timed, clock: Clock) -> int | None:
    """The most bytes that a call had allocated and not yet freed at one time.

    Counted by PyTorch's allocator, exactly: activations, gradients and temporary tensors. What was
    there before the call counts neither while it is kept nor where the call frees it; what a
    library takes by itself is not seen. None where the device's allocator does not tell.
    """
    device = torch.device(case.device)
    if device.type == "cpu":
        return peak_of(changes_of_call(timed, clock))
    if device.type != "cuda":
        return None
    with timed.context():
        prepared = _prepared(timed, clock)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        timed.run(prepared)
        return torch.cuda.max_memory_allocated(device) - before


def changes_of_call(timed: Timed, clock: Clock) -> list[int]:
    """`changes` of one call on a CPU."""
    with timed.context():
        prepared = _prepared(timed, clock)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            result = timed.run(prepared)
        del result, prepared
    return list(changes(profiler))


def _prepared(timed: Timed, clock: Clock) -> Any:
    """What a call needs, after one call: an optimizer makes its state in its first step."""
    timed.run(timed.prepare())
    prepared = timed.prepare()
    clock.settle()
    return prepared


def peak_of(found: Iterable[int]) -> int:
    """The most bytes that were held at one time, by the `changes` of a call."""
    held = most = 0
    for change in found:
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
