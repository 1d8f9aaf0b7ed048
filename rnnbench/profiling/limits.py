"""What this machine can do at best: products by shape, bytes by amount, and calls of operators."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

__all__ = ["measure_limits"]

_BLOCK = 0.004
"""Seconds of a block of calls: long enough for any clock, short enough to find quiet moments."""

_SMALLEST, _LARGEST = 1 << 15, 1 << 27
"""Bytes of what is copied: from what fits into the first cache to what fits into none."""

_CALLS = 1000
_SQUARE = 1024
"""Rows of a square product that is large enough for the best rate."""


class _Spread:
    """Seconds of a call: what was reached at best, and between which values it lies.

    Of blocks of calls the quickest says what is possible, since all that disturbs makes a block
    longer. How far the best quarter of them goes is the uncertainty of that.
    """

    def __init__(self, blocks: Sequence[float]) -> None:
        ordered = sorted(blocks)
        self.best = ordered[0]
        self.high = ordered[len(ordered) // 4]


def _timed(call: Callable[[], Any], seconds: float) -> _Spread:
    """Blocks of calls until the time is over, at least five, each as seconds of one call."""
    call()
    start = time.perf_counter()
    call()
    calls = max(1, round(_BLOCK / max(time.perf_counter() - start, 1e-7)))
    end = time.perf_counter() + seconds
    blocks: list[float] = []
    while len(blocks) < 5 or (time.perf_counter() < end and len(blocks) < 100):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        blocks.append((time.perf_counter() - start) / calls)
    return _Spread(blocks)


def measure_limits(
    shapes: Sequence[Sequence[int]], dtype: str, threads: int, *, seconds: float
) -> dict[str, Any]:
    """Measure a CPU's limits for a dtype and a number of threads, as `rnnbench.bounds` reads them.

    ``products``: for each shape (m, k, n) seconds of the product, less what the call of an operator
    costs, and never quicker than the best rate of all; ``bandwidth``: bytes read and written a
    second, by amount; ``call_from_python`` and ``call_from_cpp``: seconds of an operator's call
    that computes next to nothing. ``seconds`` is the time for each of them.
    """
    torch.set_num_threads(threads)
    kind = getattr(torch, dtype)
    with torch.inference_mode():
        python = _call_from_python(kind, seconds)
        cpp = _call_from_cpp(kind, seconds)
        empty = _product((1, 1, 1), kind, seconds).best
        measured = [(list(shape), _product(shape, kind, seconds)) for shape in shapes]
        square = _product((_SQUARE,) * 3, kind, max(seconds, 0.5))
        rates = [_flops(shape) / spread.best for shape, spread in measured]
        best = max([2 * _SQUARE**3 / square.best, *rates])
        bandwidth = [_copied(size, kind, seconds) for size in _sizes()]
    products = []
    for shape, spread in measured:
        ideal = _flops(shape) / best
        products.append(
            {
                "shape": shape,
                "seconds": max(spread.best - empty, ideal),
                "low": max(spread.best - empty - (spread.high - spread.best), ideal),
                "high": max(spread.high, ideal),
            }
        )
    return {
        "device": "cpu",
        "dtype": dtype,
        "threads": threads,
        "flops_per_second": best,
        "bytes_per_second": bandwidth[-1]["bytes_per_second"],
        "products": products,
        "bandwidth": bandwidth,
        "call_from_python": python,
        "call_from_cpp": cpp,
    }


def _flops(shape: Sequence[int]) -> int:
    m, k, n = shape
    return 2 * m * k * n


def _product(shape: Sequence[int], dtype: torch.dtype, seconds: float) -> _Spread:
    m, k, n = shape
    a, b = torch.rand(m, k).to(dtype), torch.rand(k, n).to(dtype)
    # As `linear` has it: the weight lies as (n, k) and is used transposed.
    transposed = b.t().contiguous().t()
    out = torch.empty(m, n, dtype=dtype)
    found = [_timed(partial(torch.mm, a, w, out=out), seconds / 2) for w in (b, transposed)]
    return min(found, key=lambda spread: spread.best)


def _sizes() -> list[int]:
    sizes = [_SMALLEST]
    while sizes[-1] < _LARGEST:
        sizes.append(sizes[-1] * 4)
    return sizes


def _copied(size: int, dtype: torch.dtype, seconds: float) -> dict[str, float]:
    """Copying half of the bytes reads them and writes as many."""
    numbers = max(1, size // 2 // torch.empty(0, dtype=dtype).element_size())
    source, target = torch.ones(numbers, dtype=dtype), torch.empty(numbers, dtype=dtype)
    moved = 2 * source.nbytes
    best = _timed(lambda: target.copy_(source), seconds).best
    return {"bytes": moved, "bytes_per_second": moved / best}


def _call_from_python(dtype: torch.dtype, seconds: float) -> float:
    one, out = torch.ones(1, dtype=dtype), torch.empty(1, dtype=dtype)
    return _timed(lambda: torch.add(one, one, out=out), seconds).best


def _call_from_cpp(dtype: torch.dtype, seconds: float) -> float:
    """On a CPU an operator of lists calls the operator of tensors for each, from C++."""
    many = [torch.ones(1, dtype=dtype) for _ in range(_CALLS)]
    return _timed(lambda: torch._foreach_neg_(many), seconds).best / _CALLS
