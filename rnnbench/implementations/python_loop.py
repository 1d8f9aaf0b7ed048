"""``python_loop``: a loop over steps in Python, both projections inside the loop."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import Layer, implementation
from rnnbench.implementations._layers import one_step, stacked, step_by_step

__all__ = ["build"]


@implementation("python_loop", "loop over steps in Python")
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    return stacked(case, weights, step_by_step(one_step(case)))
