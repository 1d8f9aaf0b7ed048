"""``torchscript_cell``: a scripted cell, called from a loop in Python.

Scripted anew for each case, because TorchScript's executor specialises itself on the first shapes
that it sees.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import Layer, implementation
from rnnbench.implementations._layers import (
    by_mode,
    one_step,
    scripted,
    stacked,
    step_by_step,
    why_not_scripted,
)

__all__ = ["build"]


@implementation(
    "torchscript_cell",
    "TorchScript cell, loop in Python",
    compiler="torchscript",
    unsupported=why_not_scripted,
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    return by_mode(lambda x, h0: stacked(case, weights, step_by_step(scripted(one_step(case)))))
