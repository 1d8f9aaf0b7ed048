"""``python_loop``: a loop over steps in Python, both projections inside the loop."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import OPTIONS, Layer, implementation
from rnnbench.implementations._cells import one_step, step_by_step
from rnnbench.implementations._held import held_loop
from rnnbench.implementations._layers import stacked
from rnnbench.schema import CELLS

__all__ = ["build"]


@implementation(
    "python_loop", "loop over steps in Python", cells=CELLS, options=OPTIONS, masked="held"
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    if case.layout == "masked":
        return held_loop(case, weights)
    return stacked(case, weights, step_by_step(one_step(case), len(case.states)))
