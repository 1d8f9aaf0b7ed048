"""``hoisted_loop``: a loop over steps in Python, the input projection of all steps first."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import OPTIONS, Layer, implementation
from rnnbench.implementations._cells import hoisted
from rnnbench.implementations._held import held_hoisted_loop
from rnnbench.implementations._layers import stacked
from rnnbench.schema import CELLS

__all__ = ["build"]


@implementation(
    "hoisted_loop",
    "loop in Python, input projections first",
    cells=CELLS,
    options=OPTIONS,
    masked="held",
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    if case.layout == "masked":
        return held_hoisted_loop(case, weights)
    return stacked(case, weights, hoisted(case))
