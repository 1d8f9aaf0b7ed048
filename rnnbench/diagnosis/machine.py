"""Limits of a machine, measured in several processes that take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from itertools import cycle
from typing import Any

from rnnbench.bounds import products_of
from rnnbench.cases import Case
from rnnbench.diagnosis.profiler import Profiler
from rnnbench.limits import CALLS, Ceiling, Launches, Least, Limits, Product, facts_of, has_limit

__all__ = ["PROCESSES", "measure", "shapes_of"]

PROCESSES = 4
"""Fresh processes that are visited in turn; each of them has its own luck with memory."""

_VISIT = 0.005
"""Seconds for each thing that is measured in a visit: short, since many moments are more likely to
have a quiet one among them than a few that are longer."""

_LAUNCHES = 0.5
_LEAST_NET = 0.25
"""The least share of a time that is left when another is taken off: below, it is mostly that."""


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
    dtype: str, threads: int, shapes: Sequence[Product], processes: Sequence[Sequence[Any]]
) -> Ceiling:
    """What all visits of all processes found, each process by its best."""
    # Where a type is slow, a visit may have left out the largest square that another one has.
    bests = [reduce(_better, visits) for visits in processes]

    def least(of: Callable[[Any], float]) -> Least:
        return Least.of_processes(map(of, bests))

    products = {
        product: Least.of_processes(best["products"][place] for best in bests)
        for place, product in enumerate(shapes)
    }
    for squares in zip(*(best["squares"] for best in bests), strict=False):
        rows = squares[0]["rows"]
        products[Product(rows, rows, rows)] = Least.of_processes(s["seconds"] for s in squares)
    moves = {
        sizes[0]["bytes"]: Least.of_processes(
            _moving(size["seconds"], best["nothing"])
            for size, best in zip(sizes, bests, strict=True)
        )
        for sizes in zip(*(best["moves"] for best in bests), strict=True)
    }
    calls = {
        "python": least(lambda best: float(best["calls"]["python"])),
        "cpp": least(lambda best: _call_of_a_list(best["calls"])),
        "product": least(lambda best: float(best["calls"]["product"])),
    }
    return Ceiling("cpu", dtype, threads, products, moves, {name: calls[name] for name in CALLS})


def _better(one: Any, other: Any) -> Any:
    """The least of two answers, wherever numbers stand in both."""
    if isinstance(one, dict):
        return {key: _better(one[key], other[key]) for key in one}
    if isinstance(one, list):
        return [_better(*both) for both in zip(one, other, strict=False)]
    return min(one, other)


def _moving(seconds: Sequence[float], nothing: Sequence[float]) -> float:
    """The best of all ways to move so much, less what the call costs that moves nothing."""
    pairs = zip(seconds, nothing, strict=True)
    return min(max(time - call, _LEAST_NET * time) for time, call in pairs)


def _call_of_a_list(calls: Mapping[str, float]) -> float:
    """One call of those that a longer list has more."""
    more = calls["longer_list"] - calls["list"]
    return max(more, _LEAST_NET * calls["list"]) / calls["entries"]


def _launches(answers: Sequence[Mapping[str, Any]]) -> Launches:
    device = answers[0]["device"]
    reasons = [answer["reason"] for answer in answers if "reason" in answer]
    if reasons:
        return Launches(device, reason=reasons[0])
    times = {
        name: Least.of_processes(answer[name] for answer in answers) for name in Launches.NAMES
    }
    return Launches(device, times)
