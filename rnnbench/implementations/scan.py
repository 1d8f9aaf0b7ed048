"""``scan``: torch.compile of the higher-order scan, in which a loop stays a loop.

A prototype in ``torch._higher_order_ops``, first in PyTorch 2.6. Its graph holds one step, so the
time to compile need not grow with T.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import OPTIONS, Layer, implementation
from rnnbench.implementations._cells import OneDirection, one_step
from rnnbench.implementations._layers import compiled, stacked, why_not_compiled_whole
from rnnbench.schema import CELLS

__all__ = ["build"]


def _unsupported(case: Case) -> str | None:
    if find_spec("torch._higher_order_ops.scan") is None:
        return f"torch {torch.__version__} has no scan; it came with 2.6"
    # By its path, because the package has a function of the same name.
    module = importlib.import_module("torch._higher_order_ops.scan")
    if case.pass_ != "inference" and not hasattr(module, "ScanAutogradOp"):
        return f"the scan of torch {torch.__version__} computes no gradients"
    if case.autocast:
        return "scan wants a state of the same dtype from step to step, and autocast changes it"
    return why_not_compiled_whole(case)


@implementation(
    "scan",
    "torch.compile of the higher-order scan",
    cells=CELLS,
    options=OPTIONS,
    compiler="inductor",
    unsupported=_unsupported,
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    return compiled(stacked(case, weights, _scanned(case)))


def _scanned(case: Case) -> OneDirection:
    from torch._higher_order_ops.scan import scan

    step = one_step(case)

    def run(
        x: Tensor,
        state: list[Tensor],
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None,
        b_hh: Tensor | None,
    ) -> tuple[Tensor, list[Tensor]]:
        def combine(carry: list[Tensor], x_t: Tensor) -> tuple[list[Tensor], Tensor]:
            found: Any = step(x_t, *carry, w_ih, w_hh, b_ih, b_hh)
            new = [found] if isinstance(found, Tensor) else list(found)
            return new, new[0].clone()  # scan forbids that its two results share memory

        final, outputs = scan(combine, state, x)
        return outputs, final

    return run
