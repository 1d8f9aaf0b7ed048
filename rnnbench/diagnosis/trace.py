"""A profile's spans as a trace that Perfetto and Chromium open: JSON of the trace-event format.

The format: "Trace Event Format", Google, https://ui.perfetto.dev opens it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rnnbench.diagnosis.profiles import Profile

__all__ = ["trace_bytes"]

_MICRO = 1e6
_HOST, _DEVICE = 1, 2


def trace_bytes(profiles: Sequence[Profile]) -> bytes:
    """All profiles that have spans, a process of the trace for each case."""
    events = [
        event
        for number, profile in enumerate(profiles, start=1)
        if profile.spans
        for event in _events(number, profile)
    ]
    document = {"traceEvents": events, "displayTimeUnit": "ns", "otherData": {"profiled": "true"}}
    return json.dumps(document, allow_nan=False).encode()


def _events(number: int, profile: Profile) -> Iterator[dict[str, Any]]:
    yield _named(number, 0, "process_name", profile.case.id)
    yield _named(number, _HOST, "thread_name", "host")
    yield from (_complete(number, _HOST, span) for span in profile.spans["spans"])
    if profile.spans["kernel_spans"]:
        yield _named(number, _DEVICE, "thread_name", profile.case.device)
        yield from (_complete(number, _DEVICE, span) for span in profile.spans["kernel_spans"])


def _named(process: int, thread: int, what: str, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": process, "tid": thread, "name": what, "args": {"name": name}}


def _complete(process: int, thread: int, span: Any) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": process,
        "tid": thread,
        "name": span["name"],
        "cat": span["name"].partition("::")[0],
        "ts": span["start"] * _MICRO,
        "dur": span["seconds"] * _MICRO,
    }
