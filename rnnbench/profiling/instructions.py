"""Instructions of a call, counted by Callgrind: what no neighbour and no clock rate changes."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.implementations import registered
from rnnbench.profiling.callgrind import Callgrind, read_counts
from rnnbench.worker.blocks import Timed
from rnnbench.worker.server import Server

__all__ = ["CountServer", "count", "searches_for_room", "why_not_counted"]

_SETTLING_CALLS = 1
"""Calls that are watched and not counted: what is done once is done in it."""

_LEAST_SHARE = 0.001
"""Of a call's instructions, what a function must have to be named: some hundred functions do, and
one that is missing on one side of a comparison is known to have had less."""


_SEARCHES = re.compile(
    r"(_int_(malloc|free|memalign|realloc)|unlink_chunk|malloc_consolidate|sysmalloc|systrim)"
    r"\b.* \[libc\b"
)
"""What glibc's allocator does behind malloc and free where no list has a piece at hand: it goes
through pieces, splits and joins them (malloc/malloc.c)."""


def searches_for_room(function: str) -> bool:
    """Whether a function is part of the allocator's search for room.

    How long that is depends on what lay in memory before: it alone made equal calls differ by 0.5 %
    from one process to another, and without it they differ by hundredths of a per cent.
    """
    return _SEARCHES.match(function) is not None


def why_not_counted(case: Case, compiler: str) -> str | None:
    """Why the instructions of a case cannot be counted, or None."""
    if case.device != "cpu":
        return f"instructions are counted on a CPU, and the case runs on {case.device}"
    if case.threads != 1:
        return f"instructions are counted with one thread, and the case has {case.threads}"
    if compiler == "inductor":
        return (
            "what torch.compile makes is made for this processor, and may hold instructions that "
            "Valgrind's does not have"
        )
    return None


class CountServer(Server):
    """A worker's server that counts instructions of prepared cases."""

    def __init__(self) -> None:
        super().__init__()
        self._callgrind: Callgrind | None = None
        self._operations.update(count=self._count)

    def _hello(self, request: dict[str, Any]) -> dict[str, Any]:
        self._callgrind = Callgrind(Path(request["out"]))
        if not self._callgrind.running:
            raise UserError("the process that counts instructions does not run under Valgrind")
        torch.set_num_threads(1)
        return super()._hello(request)

    def _prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        # Where a layer's memory lies is drawn by chance, and with it how the ends of its tensors
        # are gone through. Equal runs must take equal steps, whatever was counted before.
        random.seed(0)
        return super()._prepare(request)

    def _check(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = super()._check(request)
        for index, columns in enumerate(request["cases"]):
            case = Case.from_columns(columns)
            found = registered().get(case.implementation)
            reason = None if found is None else why_not_counted(case, found.compiler)
            answer["unsupported"][index] = answer["unsupported"][index] or reason
        return answer

    def _count(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._callgrind is not None, "the first request is hello"
        timed, _, _ = self.bench.ready(Case.from_columns(request["case"]))
        return count(self._callgrind, timed, request["repeats"])


def count(callgrind: Callgrind, timed: Timed, repeats: int) -> dict[str, Any]:
    """Count some calls by themselves; as a result holds it.

    ``counts``: instructions of each call without the allocator's search for room
    (`searches_for_room`), which ``allocator`` has of the call in the middle; ``functions``: of that
    call those with 0.1 % of them and more, the most first, without what they call. What it takes to
    begin and to end counting is counted once with nothing in between, and taken off.
    """
    with timed.context():
        callgrind.start()
        try:
            for _ in range(_SETTLING_CALLS):
                timed.run(timed.prepare())
            _once(callgrind, _nothing, None)
            nothing = _once(callgrind, _nothing, None)
            found = []
            for _ in range(repeats):
                found.append(_once(callgrind, timed.run, timed.prepare()))
        finally:
            callgrind.stop()
    searches = []
    for counts in found:
        counts.subtract(nothing)
        searches.append(sum(counts.pop(name) for name in filter(searches_for_room, list(counts))))
    totals = [counts.total() for counts in found]
    at = sorted(range(repeats), key=totals.__getitem__)[repeats // 2]
    middle = found[at]
    least = _LEAST_SHARE * middle.total()
    return {
        "counts": totals,
        "allocator": searches[at],
        "functions": [
            {"name": name, "instructions": number}
            for name, number in middle.most_common()
            if number >= least
        ],
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _nothing(prepared: None) -> None:
    return None


def _once(callgrind: Callgrind, run: Callable[[Any], Any], prepared: Any) -> Counter[str]:
    call = partial(run, prepared)
    callgrind.zero()
    callgrind.toggle()
    result = call()
    callgrind.toggle()
    del result, prepared, call
    file = callgrind.dump()
    with file.open(encoding="utf-8", errors="replace") as lines:
        counts = read_counts(lines)
    file.unlink()
    return counts
