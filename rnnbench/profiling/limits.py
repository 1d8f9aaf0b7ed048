"""What this machine can do at best: products by shape, bytes by amount, calls and launches.

Everything is told as the least seconds of a call, of many blocks of calls: all that disturbs makes
a block longer. One visit takes seconds; who asks comes again, later and in other processes
(`rnnbench.diagnosis.machine`), since a neighbour or a low clock rate may last for as long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rnnbench.worker.bench import why_no_device

__all__ = ["devices_to_ask", "launches_of", "measure_launches", "measure_limits"]

_BLOCK = 0.001
"""Seconds of a block of calls: long enough for any clock, short enough to find quiet moments."""

_SMALLEST, _LARGEST, _FACTOR = 1 << 16, 1 << 28, 4
"""Bytes that are moved: from what fits into the first cache to what fits into none."""

_SHARED, _LONGER = 1 << 23, 6
"""Bytes from which on they lie where neighbours' lie too, so that quiet moments are rare; these are
looked at for so many times longer."""

_LIST = 1000
"""Entries of a list of operands; one of twice as many is timed as well."""

_SQUARES = (512, 1024, 1536)
"""Rows of square products that are large enough for the best rate."""

_LONG = 0.3
"""Seconds of a square product from which on no larger one is tried."""

_QUEUED = 100
"""Kernels that are queued before the device is waited for; a device's queue holds some more."""

_DEVICES = ("cuda", "xpu", "mps")


def measure_limits(
    shapes: Sequence[Sequence[int]], dtype: str, threads: int, *, seconds: float
) -> dict[str, Any]:
    """Visit a CPU's limits for a dtype and a number of threads, ``seconds`` for each of them.

    All are the least seconds of a call, nothing taken off: who asks takes the least of many visits
    before one is taken from another. ``products``: of the shapes (m, k, n), in their order.
    ``squares``: with their number of rows. ``moves``: with the bytes that are read and written, for
    each way to do so, and ``nothing``, what these ways take for no bytes. ``calls``: of an operator
    from ``python``; of a ``product`` of (1, 1) and (1, 1); of an operator of a ``list`` with so
    many ``entries``, and of a ``longer_list`` with twice as many.
    """
    torch.set_num_threads(threads)
    kind = getattr(torch, dtype)
    with torch.inference_mode():
        return {
            "calls": {
                "python": _least(torch.ones(1, dtype=kind).neg_, seconds),
                "product": _product((1, 1, 1), kind, seconds),
                **_lists(kind, seconds),
            },
            "products": [_product(shape, kind, seconds) for shape in shapes],
            "squares": list(_squares(kind, seconds)),
            "moves": list(_moves(kind, seconds)),
            "nothing": [_least(copy, seconds) for copy in (_copying(2, kind), _adding(1, kind))],
        }


def _least(call: Callable[[], Any], seconds: float) -> float:
    """The least seconds of a call in a block, of blocks until the time is over."""
    end = time.perf_counter() + seconds
    # Twice, however long it takes: a first call of products with tens of megabytes is up to 12 %
    # slower, although all that it is given was filled before.
    best = min(_once(call), second := _once(call))
    if second > _BLOCK and time.perf_counter() >= end:
        return best
    calls = max(1, round(_BLOCK / max(second, 1e-7)))
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        now = time.perf_counter()
        best = min(best, (now - start) / calls)
        if now >= end:
            return best


def _once(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _product(shape: Sequence[int], dtype: torch.dtype, seconds: float) -> float:
    """The best of all ways that the factors of a layer's products lie in memory.

    As (m, k) and (k, n), or transposed: `linear` has its weight as (n, k), and the gradient of a
    weight is a product with a transposed gradient. A single row may be a vector.
    """
    m, k, n = shape
    # Filled in an instant: a visit that ends sooner is one more that may meet a quiet moment.
    a, b, a_turned, b_turned, out = (
        torch.full(size, 0.5, dtype=dtype) for size in ((m, k), (k, n), (k, m), (n, k), (m, n))
    )
    a_transposed, b_transposed = a_turned.t(), b_turned.t()
    ways = [
        partial(torch.mm, left, right, out=out)
        for left in (a, a_transposed)
        for right in (b, b_transposed)
    ]
    if m == 1:
        ways += [partial(torch.mv, right.t(), a[0], out=out[0]) for right in (b, b_transposed)]
    return min(_least(way, seconds / len(ways)) for way in ways)


def _squares(dtype: torch.dtype, seconds: float) -> Iterator[dict[str, Any]]:
    """Square products, none that would take seconds: some types are slow on a CPU."""
    for rows in _SQUARES:
        best = _product((rows,) * 3, dtype, seconds)
        yield {"rows": rows, "seconds": best}
        if best > _LONG:
            return


def _moves(dtype: torch.dtype, seconds: float) -> Iterator[dict[str, Any]]:
    """Copying half of the bytes, which reads them and writes as many, and adding all of them up."""
    width = torch.empty(0, dtype=dtype).element_size()
    for size in _sizes(_last_cache()):
        ways = (_copying(size // width, dtype), _adding(size // width, dtype))
        each = seconds / 2 if size < _SHARED else seconds * _LONGER
        yield {"bytes": size, "seconds": [_least(way, each) for way in ways]}


def _sizes(cache: int | None) -> list[int]:
    """Amounts, without those that the last cache holds a part of.

    How much of it is free for them is the neighbours' affair, and their rate another one each time.
    """
    sizes = []
    size = _SMALLEST
    while size <= _LARGEST:
        if cache is None or not cache < size < _FACTOR * cache:
            sizes.append(size)
        size *= _FACTOR
    return sizes


def _last_cache() -> int | None:
    """Bytes of the largest cache that the kernel tells of (Linux)."""
    found = []
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = file.read_text().strip()
        if text.endswith("K") and text[:-1].isdigit():
            found.append(int(text[:-1]) * 1024)
    return max(found, default=None)


def _copying(numbers: int, dtype: torch.dtype) -> Callable[[], Any]:
    source = torch.ones(numbers // 2, dtype=dtype)
    return partial(torch.ones_like(source).copy_, source)


def _adding(numbers: int, dtype: torch.dtype) -> Callable[[], Any]:
    return partial(torch.sum, torch.ones(numbers, dtype=dtype))


def _lists(dtype: torch.dtype, seconds: float) -> dict[str, Any]:
    """Changing the sign of one number in place, again and again, called from C++.

    On a CPU an operator of lists calls that of tensors for each entry, through the dispatcher as
    any C++ does. All entries are one tensor, so that each call waits for the one before it: a list
    of many would time their way into the cache. What the longer list takes more is without the one
    call from Python.
    """
    one = torch.ones(1, dtype=dtype)
    lists = ([one] * (_LIST * times) for times in (1, 2))
    short, long = (_least(partial(torch._foreach_neg_, many), seconds) for many in lists)
    return {"entries": _LIST, "list": short, "longer_list": long}


def devices_to_ask() -> list[str]:
    """The kinds of devices that are here; without any, the one that is told of as missing."""
    return [kind for kind in _DEVICES if why_no_device(kind) is None] or [_DEVICES[0]]


def launches_of(device: str, seconds: float) -> dict[str, Any]:
    """`measure_launches` on a device, or the reason why there is none."""
    reason = why_no_device(device)
    if reason is not None:
        return {"device": device, "reason": reason}
    one = torch.ones(1, device=device)
    synchronize: Callable[[], Any] = getattr(torch, device).synchronize
    with torch.inference_mode():
        return {"device": device, **measure_launches(one.neg_, synchronize, seconds)}


def measure_launches(
    launch: Callable[[], Any], synchronize: Callable[[], Any], seconds: float
) -> dict[str, float]:
    """The least seconds of a launch, of a synchronisation, and of a kernel in a queue of them.

    ``launch`` queues a kernel that computes next to nothing and waits for the one before it.
    ``launch``: until it is queued, while the device may be behind. ``synchronisation``: of a device
    that is idle. ``step``: of all that were queued together, from the first launch until the device
    is idle again, for each of them.
    """
    launch()
    synchronize()
    queued: list[float] = []
    waited: list[float] = []
    whole: list[float] = []
    end = time.perf_counter() + seconds
    while not queued or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(_QUEUED):
            launch()
        queued.append((time.perf_counter() - start) / _QUEUED)
        synchronize()
        whole.append((time.perf_counter() - start) / _QUEUED)
        start = time.perf_counter()
        for _ in range(_QUEUED):
            synchronize()
        waited.append((time.perf_counter() - start) / _QUEUED)
    return {"launch": min(queued), "synchronisation": min(waited), "step": min(whole)}
