"""``scan``: torch.compile of the higher-order scan, in which a loop stays a loop.

A prototype in ``torch._higher_order_ops``, first in PyTorch 2.6. Its graph holds one step, so the
time to compile need not grow with T.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.util import find_spec

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import Layer, implementation
from rnnbench.implementations._layers import (
    OneDirection,
    compiled,
    one_step,
    stacked,
    why_not_compiled,
)

__all__ = ["build"]


def _unsupported(case: Case) -> str | None:
    if find_spec("torch._higher_order_ops.scan") is None:
        return f"torch {torch.__version__} has no scan; it came with 2.6"
    # By its path, because the package has a function of the same name.
    module = importlib.import_module("torch._higher_order_ops.scan")
    if case.pass_ != "inference" and not hasattr(module, "ScanAutogradOp"):
        return f"the scan of torch {torch.__version__} computes no gradients"
    return why_not_compiled(case)


@implementation(
    "scan", "torch.compile of the higher-order scan", compiler="inductor", unsupported=_unsupported
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    return compiled(stacked(case, weights, _scanned(case)))


def _scanned(case: Case) -> OneDirection:
    from torch._higher_order_ops.scan import scan

    step = one_step(case)

    def run(x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        def combine(carry: Tensor, x_t: Tensor) -> tuple[Tensor, Tensor]:
            state = step(x_t, carry, w_ih, w_hh, b_ih, b_hh)
            return state, state.clone()  # scan forbids that its two results share memory

        states: Tensor = scan(combine, h, x)[1]
        return states

    return run
