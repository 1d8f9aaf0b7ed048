"""Weights, inputs and output gradients of a case: the same numbers for every competitor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.cases import Case

__all__ = ["Data", "make_data"]


@dataclass(frozen=True)
class Data:
    """What a layer gets; shapes as in ``rnnbench.implementations``.

    ``states`` holds the initial states in the order of ``case.states``, and nothing where they are
    zero. ``grad_output`` and ``grad_states`` are the gradients of a loss with respect to the
    outputs, ∂loss/∂output and ∂loss/∂(each final state), which the backward pass starts from.
    """

    weights: tuple[Tensor, ...]
    x: Tensor
    states: tuple[Tensor, ...]
    grad_output: Tensor
    grad_states: tuple[Tensor, ...]

    @property
    def h0(self) -> Tensor:
        """The initial hidden state of a case that is given one."""
        return self.states[0]

    @property
    def grad_h_n(self) -> Tensor:
        """∂loss/∂h_n."""
        return self.grad_states[0]


def make_data(case: Case) -> Data:
    """Draw the data of a case from its seed.

    Drawn in float64 on the CPU and then rounded to the case's dtype, so that every implementation,
    device, environment and replicate gets the same numbers. Weights are uniform within
    ±1/sqrt(H), which is how ``torch.nn.RNN`` initialises them; input and initial states are
    standard normal. The gradients are standard normal over T * B, as a loss that is a mean over
    sequences and steps would give.
    """
    generator = torch.Generator().manual_seed(case.seed)
    dtype = getattr(torch, case.stored_dtype)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    bound = 1 / math.sqrt(case.hidden_size)

    def uniform(*shape: int) -> Tensor:
        return (torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1) * bound

    def place(tensor: Tensor) -> Tensor:
        return tensor.to(device=case.device, dtype=dtype)

    weights = []
    features = case.input_size
    for _ in range(case.num_layers):
        for _ in range(case.directions):
            h, rows = case.hidden_size, case.gates * case.hidden_size
            weights += [uniform(rows, features), uniform(rows, h)]
            weights += [uniform(rows), uniform(rows)] if case.bias else []
        features = case.directions * case.hidden_size
    steps, batch = case.seq_len, case.batch
    x = place(normal(steps, batch, case.input_size))
    grad_output = place(normal(steps, batch, features) / (steps * batch))
    shape = (case.num_layers * case.directions, batch, case.hidden_size)
    states, grad_states = [], []
    for _ in case.states:
        states.append(place(normal(*shape)).requires_grad_())
        grad_states.append(place(normal(*shape) / batch))
    if case.batch_first:
        x, grad_output = x.transpose(0, 1), grad_output.transpose(0, 1).contiguous()
        if case.layout == "batch_first":
            x = x.contiguous()
    return Data(
        weights=tuple(place(w).requires_grad_() for w in weights),
        x=x.requires_grad_() if x.is_leaf else x.detach().requires_grad_(),
        states=tuple(states) if case.initial_state == "given" else (),
        grad_output=grad_output,
        grad_states=tuple(grad_states),
    )
