"""Spans: what the profiler saw of one call, as a tree in which each has the time of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import profile, record_function

from rnnbench.worker.blocks import Timed
from rnnbench.worker.clocks import Clock
from rnnbench.worker.ran import MEMORY_EVENT, activities_of

__all__ = ["CALL", "Incomplete", "Recording", "Span", "nested", "record"]

CALL = "rnnbench::call"
"""The span that all others of a call lie in."""

_NANO = 1e-9


class Incomplete(Exception):
    """The profiler's record cannot be what happened: events were dropped."""


@dataclass(frozen=True)
class Span:
    """Something that ran, from ``start`` seconds after the call's own start.

    ``own`` are its seconds without what ran in it; ``parent`` is the place of the span that it ran
    in, -1 of the call itself; ``leaf`` says that nothing ran in it.
    """

    name: str
    start: float
    seconds: float
    own: float
    parent: int
    leaf: bool


@dataclass(frozen=True)
class Recording:
    """One profiled call: ``seconds`` by a clock around it, its spans, and kernels of a device."""

    seconds: float
    spans: Sequence[Span]
    kernels: Sequence[Span]


@dataclass
class _Open:
    name: str
    start: int
    end: int
    parent: int
    covered: int = 0
    leaf: bool = True


def record(timed: Timed, clock: Clock, device: str) -> Recording:
    """Profile one call of what is timed; what prepares it is not seen.

    Raises:
        Incomplete: the record lacks the call or ends before it.
    """
    activities = activities_of(torch.device(device).type)
    with timed.context():
        prepared = timed.prepare()
        clock.settle()
        with profile(activities=activities) as profiler, _announced(CALL):
            start = time.perf_counter()
            result = timed.run(prepared)
            clock.settle()
            seconds = time.perf_counter() - start
        del result, prepared
    results = profiler.profiler.kineto_results if profiler.profiler is not None else None
    events: list[Any] = results.events() if results is not None else []
    if events and not hasattr(events[0], "start_ns"):
        raise Incomplete(
            f"the profiler of PyTorch {torch.__version__} tells microseconds alone, which do not "
            "say what ran in what; profile with 2.4 or newer"
        )
    return Recording(seconds, *_split(events))


def _announced(name: str) -> AbstractContextManager[Any]:
    """A span of that name, as near to what runs in it as the version can have it.

    `record_function` calls an operator when it begins and another when it ends, which takes 60 µs;
    what newer versions have beside it takes one.
    """
    fast = getattr(torch._C._profiler, "_RecordFunctionFast", None)
    made: AbstractContextManager[Any] = record_function(name) if fast is None else fast(name)
    return made


def _split(events: Iterable[Any]) -> tuple[list[Span], list[Span]]:
    on_cpu, on_device = [], []
    for event in events:
        entry = (event.name(), event.start_ns(), event.start_ns() + event.duration_ns())
        if event.name() == MEMORY_EVENT or _is_hidden(event):
            continue
        if event.device_type().name == "CPU":
            on_cpu.append(entry)
        elif not (hasattr(event, "is_user_annotation") and event.is_user_annotation()):
            on_device.append(entry)
    spans = nested(on_cpu)
    begin = next(start for name, start, _ in on_cpu if name == CALL)
    kernels = [
        Span(name, (start - begin) * _NANO, (end - start) * _NANO, (end - start) * _NANO, -1, True)
        for name, start, end in sorted(on_device, key=lambda entry: entry[1:])
    ]
    return spans, kernels


def _is_hidden(event: Any) -> bool:
    return hasattr(event, "is_hidden_event") and bool(event.is_hidden_event())


def nested(entries: Iterable[tuple[str, int, int]]) -> list[Span]:
    """The spans of a call from names, starts and ends in nanoseconds; the call itself first.

    By time alone, whatever thread they were in: where another thread computes for a call, as those
    of autograd do for a device, the call's own thread waits for it. What overlaps in part is cut
    where its parent ends, so that no second counts twice. A span that holds nothing but one of its
    own name, such as an operator that TorchScript's interpreter announces too, is one with it.

    Raises:
        Incomplete: the call is not among them.
    """
    ordered = sorted(entries, key=lambda entry: (entry[1], -entry[2]))
    call = next((entry for entry in ordered if entry[0] == CALL), None)
    if call is None:
        raise Incomplete("the profiler dropped events: the call itself is not among them")
    made = [_Open(*call, parent=-1)]
    stack = [0]
    for name, start, end in ordered:
        if start < call[1] or start >= call[2] or name == CALL:
            continue
        while made[stack[-1]].end <= start and len(stack) > 1:
            stack.pop()
        parent = made[stack[-1]]
        end = min(end, parent.end)
        if name == parent.name and parent.leaf:
            continue
        parent.covered += end - start
        parent.leaf = False
        made.append(_Open(name, start, end, stack[-1]))
        stack.append(len(made) - 1)
    return [
        Span(
            one.name,
            (one.start - call[1]) * _NANO,
            (one.end - one.start) * _NANO,
            (one.end - one.start - one.covered) * _NANO,
            one.parent,
            one.leaf,
        )
        for one in made
    ]
