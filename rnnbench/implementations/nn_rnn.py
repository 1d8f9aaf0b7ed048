"""``nn_rnn``: torch.nn.RNN, LSTM or GRU, as most people run it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import OPTIONS, Layer, implementation
from rnnbench.implementations._layers import nn_layer, why_no_masks, why_no_module
from rnnbench.schema import CELLS

__all__ = ["build"]


def _unsupported(case: Case) -> str | None:
    # On a CPU the module draws masks as torch.nn.functional.dropout does, layer after layer.
    if case.device != "cpu" and (reason := why_no_masks(case, f"torch.nn on {case.device}")):
        return reason
    return why_no_module(case)


@implementation(
    "nn_rnn",
    "torch.nn.RNN, LSTM or GRU",
    cells=CELLS,
    options=OPTIONS,
    packed=True,
    masked="outputs",
    unsupported=_unsupported,
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    return nn_layer(case, weights)
