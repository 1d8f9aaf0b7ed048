"""``compiled_cell``: torch.compile of the cell, called from a loop in Python.

Layers after the first have another input width, so they get a graph of their own.
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
    "compiled_cell",
    "torch.compile of the cell, loop in Python",
    compiler="inductor",
    unsupported=why_not_compiled,
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    return stacked(case, weights, step_by_step(compiled(one_step(case))))
