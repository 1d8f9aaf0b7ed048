"""``compiled_hoisted_loop``: torch.compile of the whole layer, input projections first."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import Layer, implementation
from rnnbench.implementations._layers import compiled, hoisted, stacked, why_not_compiled

__all__ = ["build"]


@implementation(
    "compiled_hoisted_loop",
    "torch.compile of the loop, input projections first",
    compiler="inductor",
    unsupported=why_not_compiled,
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    return compiled(stacked(case, weights, hoisted(case)))
