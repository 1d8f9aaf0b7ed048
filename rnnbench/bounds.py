"""The least time that a case could take on a machine whose limits are known; standard library only.

After the roofline model (Williams, Waterman and Patterson 2009, "Roofline: an insightful visual
performance model for multicore architectures", Communications of the ACM 52(4)): the time of the
arithmetic and the time of what must move are each a bound, and the larger one counts. A recurrent
layer has a third, because its steps wait for each other (a critical path, as in Brent 1974, "The
parallel evaluation of general arithmetic expressions", Journal of the ACM 21(2)).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.cases import Case
from rnnbench.work import work_of

__all__ = ["Bound", "Product", "bound_of", "products_of"]


@dataclass(frozen=True, order=True)
class Product:
    """A matrix product of (m, k) and (k, n)."""

    m: int
    k: int
    n: int

    @property
    def flops(self) -> int:
        """A multiplication and an addition count as two."""
        return 2 * self.m * self.k * self.n


@dataclass(frozen=True)
class Bound:
    """Seconds that no implementation can go below, by what bounds it; ``interval`` is the bound's.

    ``by`` is ``products``, ``bytes`` or ``steps``, whichever takes longest.
    """

    products: float
    bytes: float
    steps: float
    interval: tuple[float, float]

    @property
    def seconds(self) -> float:
        """The largest of the three."""
        return max(self.products, self.bytes, self.steps)

    @property
    def by(self) -> str:
        """What bounds the case."""
        return max(("products", "bytes", "steps"), key=lambda name: float(getattr(self, name)))


def products_of(case: Case) -> Counter[Product] | None:
    """The matrix products of a call, as few and as large as the formula allows, and how often.

    For each layer and direction, with G gates: W_ih of all steps in one product, (T·B, I)·(I, G·H),
    and W_hh step by step, (B, H)·(H, G·H), in all but the first step where the initial state is
    zero. Backward: what comes to the states step by step, (B, G·H)·(G·H, H); what comes to the
    inputs, (T·B, G·H)·(G·H, I); and both weights' gradients over all steps at once,
    (G·H, T·B)·(T·B, H) and (G·H, T·B)·(T·B, I).

    None for workloads other than the layer, whose products are not written down here.
    """
    if case.workload != "layer":
        return None
    t, b, h, rows = case.seq_len, case.batch, case.hidden_size, case.gates * case.hidden_size
    waits = t if case.initial_state == "given" else t - 1
    found: Counter[Product] = Counter()
    features = case.input_size
    for _ in range(case.num_layers):
        if case.pass_ != "backward":
            found[Product(t * b, features, rows)] += case.directions
            found[Product(b, h, rows)] += case.directions * waits
        if case.pass_ not in ("inference", "forward"):
            found[Product(b, rows, h)] += case.directions * waits
            found[Product(rows, t * b, h)] += case.directions
            found[Product(t * b, rows, features)] += case.directions
            found[Product(rows, t * b, features)] += case.directions
        features = case.directions * h
    return +found


def bound_of(case: Case, limits: Mapping[str, Any]) -> Bound | None:
    """The bound of a case by what was measured of a machine; None where something is missing.

    ``limits`` is an entry of what `rnnbench machine` keeps, for the case's device, dtype and
    threads:

    - products: the sum over all products of the time measured for that very shape, or of its
      operations at the best rate of any shape where the shape was not measured;
    - bytes: what must move (`rnnbench.work.work_of`) at the rate measured for the largest amount
      that is no larger: what is called again and again lies in a cache;
    - steps: T times the cost of one operator call, the cheaper of those from Python and from C++.
    """
    products = products_of(case)
    if products is None or case.autocast:
        return None
    times = {
        Product(*entry["shape"]): (entry["seconds"], entry["low"], entry["high"])
        for entry in limits["products"]
    }
    best = limits["flops_per_second"]
    sums = [0.0, 0.0, 0.0]
    for product, count in products.items():
        ideal = product.flops / best
        for index, seconds in enumerate(times.get(product, (ideal, ideal, ideal))):
            sums[index] += count * max(seconds, ideal)
    moved = work_of(case)["bytes"] / _rate(limits["bandwidth"], work_of(case)["bytes"])
    step = min(limits["call_from_python"], limits["call_from_cpp"])
    steps = case.seq_len * step
    rest = max(moved, steps)
    return Bound(sums[0], moved, steps, (max(sums[1], rest), max(sums[2], rest)))


def _rate(bandwidth: Sequence[Mapping[str, float]], size: int) -> float:
    """The best rate of what is no larger, or of the least that was measured."""
    entries = sorted(bandwidth, key=lambda entry: entry["bytes"])
    fitting = [entry for entry in entries if entry["bytes"] <= size] or entries[:1]
    return max(entry["bytes_per_second"] for entry in fitting[-1:])
