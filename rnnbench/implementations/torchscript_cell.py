"""``torchscript_cell``: a scripted cell, called from a loop in Python.

Scripted anew for each case, because TorchScript's executor specialises itself on the first shapes
that it sees.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import OPTIONS, Layer, implementation
from rnnbench.implementations._cells import one_step, step_by_step
from rnnbench.implementations._layers import by_mode, scripted, stacked, why_not_scripted
from rnnbench.schema import CELLS

__all__ = ["build"]


@implementation(
    "torchscript_cell",
    "TorchScript cell, loop in Python",
    cells=CELLS,
    options=OPTIONS,
    compiler="torchscript",
    unsupported=why_not_scripted,
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""

    def make(x: Tensor, *state: Tensor) -> Layer:
        return stacked(case, weights, step_by_step(scripted(one_step(case)), len(case.states)))

    return by_mode(make)
