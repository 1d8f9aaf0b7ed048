"""``compiled_loop``: torch.compile of the whole layer: loop, layers and directions in one graph.

The loop is unrolled, so the time to compile grows with T.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import OPTIONS, Layer, implementation
from rnnbench.implementations._cells import one_step, step_by_step
from rnnbench.implementations._layers import compiled, stacked, why_not_compiled_whole
from rnnbench.schema import CELLS

__all__ = ["build"]


@implementation(
    "compiled_loop",
    "torch.compile of the loop",
    cells=CELLS,
    options=OPTIONS,
    compiler="inductor",
    unsupported=why_not_compiled_whole,
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    return compiled(stacked(case, weights, step_by_step(one_step(case), len(case.states))))
