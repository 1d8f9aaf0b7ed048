"""``nn_rnn``: torch.nn.RNN, as most people run it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import Layer, implementation
from rnnbench.implementations._layers import nn_layer

__all__ = ["build"]


@implementation("nn_rnn", "torch.nn.RNN")
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    return nn_layer(case, weights)
