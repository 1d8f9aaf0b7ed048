"""Limits of a machine, measured in several processes that take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from itertools import cycle
from operator import getitem
from typing import Any

from rnnbench.bounds import products_of
from rnnbench.cases import Case
from rnnbench.diagnosis.profiler import Profiler
from rnnbench.limits import CALLS, Ceiling, Launches, Least, Limits, Product, facts_of, has_limit

__all__ = ["PROCESSES", "measure", "shapes_of"]

PROCESSES = 4
"""Fresh processes that are visited in turn; each of them has its own luck with memory."""

_VISIT = 0.02
"""Seconds for each thing that is measured in a visit."""

_LAUNCHES = 0.5

Shapes = Mapping[tuple[str, int], Sequence[Product]]
"""Shapes by dtype and threads."""


def shapes_of(cases: Iterable[Case]) -> dict[tuple[str, int], list[Product]]:
    """Shapes of the products of those cases that have a limit, by dtype and threads."""
    found: dict[tuple[str, int], set[Product]] = {}
    for case in cases:
        products = products_of(case) if has_limit(case) else None
        if products is not None:
            found.setdefault((case.dtype, case.threads), set()).update(products)
    return {key: sorted(shapes) for key, shapes in sorted(found.items())}


def measure(
    profilers: Sequence[Profiler],
    shapes: Shapes,
    show: Callable[[float, str], None],
    *,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Limits:
    """Measure this machine, each dtype and number of threads with the shapes that it needs.

    All processes are visited in turn, and again until ``seconds`` are over, each at least once. So
    what is measured is spread over all that time, and what slows the machine down for seconds does
    not decide.
    """
    start = clock()
    visits: dict[tuple[str, int], list[list[dict[str, Any]]]] = {
        setting: [[] for _ in profilers] for setting in shapes
    }
    turns = [(place, *setting) for place in range(len(profilers)) for setting in shapes]
    for number, (place, dtype, threads) in enumerate(cycle(turns)):
        elapsed = clock() - start
        if number >= len(turns) and elapsed >= seconds:
            break
        show(min(seconds, elapsed), f"{dtype}, {threads} thread{'' if threads == 1 else 's'}")
        wanted = [(p.m, p.k, p.n) for p in shapes[dtype, threads]]
        found = profilers[place].limits(wanted, dtype, threads, seconds=_VISIT)
        visits[dtype, threads][place].append(found)
    asked = [profiler.launches(seconds=_LAUNCHES / len(profilers)) for profiler in profilers]
    return Limits(
        facts_of(profilers[0].environment),
        tuple(
            _ceiling(dtype, threads, shapes[dtype, threads], processes)
            for (dtype, threads), processes in visits.items()
        ),
        tuple(_launches([answers[place] for answers in asked]) for place in range(len(asked[0]))),
        datetime.now(UTC).isoformat(timespec="seconds"),
        round(clock() - start, 1),
        len(profilers),
    )


def _ceiling(
    dtype: str,
    threads: int,
    shapes: Sequence[Product],
    processes: Sequence[Sequence[Any]],
) -> Ceiling:
    """What all visits of all processes found, each process by its best."""

    def least(*path: str | int) -> Least:
        """The least of what stands there in the answers."""
        return Least.of_processes(
            min(reduce(getitem, path, visit) for visit in visits) for visits in processes
        )

    first = processes[0][0]
    products = {product: least("products", place) for place, product in enumerate(shapes)}
    # Where a type is slow, a visit may have left out the largest and another one may have not.
    count = min(len(visit["squares"]) for visits in processes for visit in visits)
    for place, square in enumerate(first["squares"][:count]):
        rows = square["rows"]
        products[Product(rows, rows, rows)] = least("squares", place, "seconds")
    moves = {
        move["bytes"]: least("moves", place, "seconds") for place, move in enumerate(first["moves"])
    }
    calls = {name: least("calls", name) for name in CALLS}
    return Ceiling("cpu", dtype, threads, products, moves, calls)


def _launches(answers: Sequence[Mapping[str, Any]]) -> Launches:
    device = answers[0]["device"]
    reasons = [answer["reason"] for answer in answers if "reason" in answer]
    if reasons:
        return Launches(device, reason=reasons[0])
    times = {
        name: Least.of_processes(answer[name] for answer in answers) for name in Launches.NAMES
    }
    return Launches(device, times)
