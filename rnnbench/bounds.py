"""The limit of a case: the least time that it could take on a machine whose limits are known.

    limit = max(products, bytes, steps)

- ``products``: the sum over the matrix products of a call (`products_of`) of the least time that
  was measured for that very shape, less the call of the operator; of a shape that was not measured,
  its operations at the best rate of any shape;
- ``bytes``: what must move at the least (`rnnbench.work.work_of`) at the better rate of the amounts
  next to it that were measured: what is called again and again lies in a cache;
- ``steps``: T times the cost of the cheapest call of an operator, from Python or from C++, since a
  step cannot begin before the one before it has ended.

The first two are the roofline model: Williams, S., Waterman, A. and Patterson, D. (2009),
"Roofline: an insightful visual performance model for multicore architectures", Communications of
the ACM 52(4), 65-76, doi:10.1145/1498765.1498785. Bandwidths by amount, in place of one of the
memory, are as in the cache-aware roofline: Ilic, A., Pratas, F. and Sousa, L. (2014), "Cache-aware
roofline model: upgrading the loft", IEEE Computer Architecture Letters 13(1), 21-24,
doi:10.1109/L-CA.2013.6. The third is a critical path: Brent, R. P. (1974), "The parallel evaluation
of general arithmetic expressions", Journal of the ACM 21(2), 201-206, doi:10.1145/321812.321815.

A case that is faster than its limit, by more than the limit's own interval, shows that the limit is
wrong, and is told as a defect of the limit. Standard library only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rnnbench.cases import Case
from rnnbench.forms import valid_lengths
from rnnbench.limits import Ceiling, Least, Product, has_limit
from rnnbench.numbers import format_count
from rnnbench.work import work_of

__all__ = ["Bound", "Product", "bound_of", "defect_sentences", "products_of"]


@dataclass(frozen=True)
class Bound:
    """Seconds that no implementation can go below, by what bounds it."""

    products: Least
    bytes: Least
    steps: Least

    @property
    def least(self) -> Least:
        """The largest of the three, and of the ends of their intervals."""
        three = (self.products, self.bytes, self.steps)
        return Least(
            max(one.seconds for one in three),
            max(one.low for one in three),
            max(one.high for one in three),
        )

    @property
    def by(self) -> str:
        """What bounds the case: ``products``, ``bytes`` or ``steps``."""
        return max(("products", "bytes", "steps"), key=lambda name: _seconds_of(self, name))

    def is_beaten_by(self, seconds: float) -> bool:
        """Whether a time is below it by more than its own interval: then the limit is wrong."""
        return seconds < self.least.low


def _seconds_of(bound: Bound, name: str) -> float:
    least: Least = getattr(bound, name)
    return least.seconds


def products_of(case: Case) -> Counter[Product] | None:
    """The matrix products of a call, as few and as large as the formula allows, and how often.

    For each layer and direction, with G gates: W_ih of all steps in one product, (N, I)·(I, G·H),
    where N is T·B or, of sequences with lengths of their own, the sum of these; and W_hh step by
    step, (B, H)·(H, G·H), in all but the first step where the initial state is zero, with the
    sequences that have not ended. Backward: what comes to the states step by step,
    (B, G·H)·(G·H, H); what comes to the inputs, (N, G·H)·(G·H, I); and both weights' gradients over
    all steps at once, (G·H, N)·(N, I) and, of all steps that have the second
    product, (G·H, N)·(N, H).

    None for workloads other than the layer, whose products are not written down here.
    """
    if case.workload != "layer":
        return None
    lengths = valid_lengths(case)
    n, h, rows = sum(lengths), case.hidden_size, case.gates * case.hidden_size
    first = 0 if case.initial_state == "given" else 1
    batches = Counter(_running(lengths, first))
    waiting = sum(b * steps for b, steps in batches.items())
    found: Counter[Product] = Counter()
    features = case.input_size
    for _ in range(case.num_layers):
        if case.pass_ != "backward":
            found[Product(n, features, rows)] += case.directions
            for b, steps in batches.items():
                found[Product(b, h, rows)] += case.directions * steps
        if case.pass_ not in ("inference", "forward"):
            for b, steps in batches.items():
                found[Product(b, rows, h)] += case.directions * steps
            if waiting:
                found[Product(rows, waiting, h)] += case.directions
            found[Product(n, rows, features)] += case.directions
            found[Product(rows, n, features)] += case.directions
        features = case.directions * h
    return +found


def _running(lengths: Iterable[int], first: int) -> Iterator[int]:
    """For each step from the first how many sequences have not ended before it."""
    ordered = sorted(lengths)
    ended = 0
    for step in range(first, ordered[-1]):
        while ordered[ended] <= step:
            ended += 1
        yield len(ordered) - ended


def bound_of(case: Case, ceiling: Ceiling) -> Bound | None:
    """The limit of a case; None where the ceiling is of another device, dtype or threads.

    None too for what `rnnbench.limits.has_limit` says has none.
    """
    here = (ceiling.device, ceiling.dtype, ceiling.threads)
    if not has_limit(case) or here != (case.device, case.dtype, case.threads):
        return None
    products = products_of(case)
    assert products is not None, "it has a limit"
    times = [(ceiling.product(product), count) for product, count in products.items()]
    return Bound(
        Least(
            sum(count * least.seconds for least, count in times),
            sum(count * least.low for least, count in times),
            sum(count * least.high for least, count in times),
        ),
        ceiling.moving(work_of(case)["bytes"]),
        _times(case.seq_len, ceiling.step),
    )


def _times(count: int, least: Least) -> Least:
    return Least(count * least.seconds, count * least.low, count * least.high)


def defect_sentences(shares: Iterable[tuple[str, float, bool]]) -> Iterator[str]:
    """What is faster than its limit, of cases with their share of it and whether that is a defect.

    A share is the limit over the time, so that 1 is as fast as this machine could be.
    """
    every = list(shares)
    wrong = [(share, name) for name, share, is_defect in every if is_defect]
    if wrong:
        share, name = max(wrong)
        yield (
            f"{format_count(len(wrong))} of {format_count(len(every))} cases are faster than their "
            "limit by more than its interval: a defect of the limit, not a property of these "
            f"cases; most so {name}, whose time is {100 * (1 - 1 / share):.0f} % below it."
        )
