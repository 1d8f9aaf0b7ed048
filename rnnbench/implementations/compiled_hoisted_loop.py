"""``compiled_hoisted_loop``: torch.compile of the whole layer, input projections first."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import OPTIONS, Layer, implementation
from rnnbench.implementations._cells import hoisted
from rnnbench.implementations._layers import compiled, stacked, why_not_compiled_whole
from rnnbench.schema import CELLS

__all__ = ["build"]


@implementation(
    "compiled_hoisted_loop",
    "torch.compile of the loop, input projections first",
    cells=CELLS,
    options=OPTIONS,
    compiler="inductor",
    unsupported=why_not_compiled_whole,
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    return compiled(stacked(case, weights, hoisted(case)))
