"""Operators and kernels of one call by name, time and count, and what shares of it they are."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from rnnbench.cases import Case
from rnnbench.forms import steps_of
from rnnbench.profiling.kinds import OVERHEAD, PARTS, kernel_part, part_of
from rnnbench.profiling.spans import Incomplete, Recording, Span, record
from rnnbench.worker.blocks import Timed
from rnnbench.worker.clocks import Clock

__all__ = ["middle_recording", "operators_of", "seconds_of_calls"]

_OPERATORS = ("aten::", "mkl::", "mkldnn::")


def middle_recording(case: Case, timed: Timed, clock: Clock, calls: int) -> Recording:
    """Profile some calls and keep the one whose time is in the middle.

    Raises:
        Incomplete: events were dropped, so that calls that are alike have different counts.
    """
    recordings = [record(timed, clock, case.device) for _ in range(calls)]
    counts = {_count(recording.spans) for recording in recordings}
    if len(counts) > 1:
        raise Incomplete(
            f"the profiler saw between {min(counts)} and {max(counts)} operators in calls that are "
            "alike, so it drops events; profile a shorter sequence"
        )
    recordings.sort(key=lambda recording: recording.seconds)
    return recordings[(len(recordings) - 1) // 2]


def _count(spans: Iterable[Span]) -> int:
    return sum(span.name.startswith(_OPERATORS) for span in spans)


def seconds_of_calls(timed: Timed, clock: Clock, calls: int) -> list[float]:
    """Seconds of calls that nobody profiles, the first left out: what profiling is compared with.

    They are no measurement: one process, and no turns.
    """
    seconds = []
    with timed.context():
        for _ in range(calls + 1):
            prepared = timed.prepare()
            wall, _, result = clock.time(partial(timed.run, prepared))
            seconds.append(wall)
            del result, prepared
    return seconds[1:]


def operators_of(case: Case, recording: Recording, plain: Sequence[float]) -> dict[str, Any]:
    """The profile of one call, as a result holds it.

    ``seconds`` are those of the profiled call, by a clock and not by the profiler, and ``plain``
    the middle of calls without a profiler. ``parts`` are seconds of the call by what was done, and
    add up to it. ``operators`` have for each name its part, how often it was called in the call and
    in a step, its seconds with what it calls, and its own. ``unknown`` are operators that belong to
    no part by their names; they are counted as overhead. ``launches`` are kernels of a device, on a
    CPU the operators that call no other. ``idle`` is the time of the call in which a device had no
    kernel, and None on a CPU.
    """
    steps = steps_of(case)
    on_device = case.device != "cpu"
    launches = (
        sum(not kernel.name.startswith(("Memcpy", "Memset")) for kernel in recording.kernels)
        if on_device
        else sum(span.leaf and span.name.startswith("aten::") for span in recording.spans)
    )
    return {
        "seconds": recording.seconds,
        "plain": statistics.median(plain),
        "steps": steps,
        "parts": _parts(recording.spans),
        "unknown": sorted({s.name for s in recording.spans if part_of(s.name) is None}),
        "between": recording.spans[0].own,
        "operators": _by_name(recording.spans[1:], steps),
        "kernels": _by_name(recording.kernels, steps, device=True),
        "launches": launches,
        "launches_per_step": launches / steps,
        "idle": _idle(recording) if on_device else None,
    }


def _parts(spans: Iterable[Span]) -> dict[str, float]:
    parts = dict.fromkeys(PARTS, 0.0)
    for span in spans:
        parts[part_of(span.name) or OVERHEAD] += span.own
    return parts


def _by_name(spans: Iterable[Span], steps: int, *, device: bool = False) -> list[dict[str, Any]]:
    """Names in order of their own seconds."""
    found: dict[str, list[Span]] = {}
    for span in spans:
        found.setdefault(span.name, []).append(span)
    rows = [
        {
            "name": name,
            "part": kernel_part(name) if device else part_of(name) or OVERHEAD,
            "calls": len(mine),
            "calls_per_step": len(mine) / steps,
            "seconds": sum(span.seconds for span in mine),
            "own": sum(span.own for span in mine),
        }
        for name, mine in found.items()
    ]
    return sorted(rows, key=lambda row: (-row["own"], row["name"]))


def _idle(recording: Recording) -> float:
    """Seconds of a call in which a device had nothing to do, kernels at one time counted once."""
    busy = end = 0.0
    for kernel in sorted(recording.kernels, key=lambda kernel: kernel.start):
        start = max(kernel.start, end)
        stop = min(kernel.start + kernel.seconds, recording.seconds)
        if stop > start:
            busy += stop - start
            end = stop
    return recording.seconds - busy
