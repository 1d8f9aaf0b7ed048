"""``compiled_nn_rnn``: torch.compile of torch.nn.RNN, LSTM or GRU.

Versions break the graph at the RNN call and run it eagerly, which is a finding, not a mistake. It
is the plain module, as a user has it, so all cases share the code object of its forward and with it
the limit of recompilations; the worker resets the compiler whenever the setting changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import OPTIONS, Layer, implementation
from rnnbench.implementations._layers import nn_layer, why_no_module, why_not_compiled_whole
from rnnbench.schema import CELLS

__all__ = ["build"]


@implementation(
    "compiled_nn_rnn",
    "torch.compile of torch.nn.RNN, LSTM or GRU",
    cells=CELLS,
    options=OPTIONS,
    compiler="inductor",
    unsupported=lambda case: why_not_compiled_whole(case) or why_no_module(case),
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    return nn_layer(case, weights, lambda module: torch.compile(module, dynamic=False))
