"""``compiled_loop``: torch.compile of the whole layer: loop, layers and directions in one graph.

The loop is unrolled, so the time to compile grows with T.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import Layer, implementation
from rnnbench.implementations._layers import (
    compiled,
    one_step,
    stacked,
    step_by_step,
    why_not_compiled,
)

__all__ = ["build"]


@implementation(
    "compiled_loop", "torch.compile of the loop", compiler="inductor", unsupported=why_not_compiled
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    return compiled(stacked(case, weights, step_by_step(one_step(case))))
