"""``compiled_cell``: torch.compile of the cell, called from a loop in Python.

Layers after the first have another input width, so they get a graph of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import OPTIONS, Layer, implementation
from rnnbench.implementations._cells import one_step, step_by_step
from rnnbench.implementations._layers import compiled, stacked, why_not_compiled
from rnnbench.schema import CELLS

__all__ = ["build"]


@implementation(
    "compiled_cell",
    "torch.compile of the cell, loop in Python",
    cells=CELLS,
    options=OPTIONS,
    compiler="inductor",
    unsupported=why_not_compiled,
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    return stacked(case, weights, step_by_step(compiled(one_step(case)), len(case.states)))
