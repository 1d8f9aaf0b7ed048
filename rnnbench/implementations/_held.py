"""Loops that hold a state from where its sequence has ended: padded with masking by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from rnnbench.cases import Case
from rnnbench.forms import valid_lengths
from rnnbench.implementations._cells import Step, hoisted_step, one_step

if TYPE_CHECKING:  # the contract's module hands helpers on to plug-ins
    from rnnbench.implementations import Layer

__all__ = ["held_hoisted_loop", "held_loop"]

_Projection = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]


def held_loop(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer of a masked case as a loop over steps, both projections inside the loop."""
    return _held(case, weights, one_step(case), lambda x, w_ih, b_ih, b_hh: x)


def held_hoisted_loop(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The same with the input projection of all steps first."""

    def project(x: Tensor, w_ih: Tensor, b_ih: Tensor | None, b_hh: Tensor | None) -> Tensor:
        both = b_ih if case.cell == "gru" or b_ih is None or b_hh is None else b_ih + b_hh
        return linear(x, w_ih, both)

    return _held(case, weights, hoisted_step(case), project)


def _held(case: Case, weights: Sequence[Tensor], step: Step, project: _Projection) -> Layer:
    lengths = torch.tensor(valid_lengths(case), device=case.device)
    parts = 4 if case.bias else 2
    no_bias = [] if case.bias else [None, None]

    def one(
        x: Tensor, valid: Tensor, state: Sequence[Tensor], *parameters: Any
    ) -> tuple[list[Tensor], list[Tensor]]:
        w_ih, _, b_ih, b_hh = parameters
        held, outputs = list(state), []
        steps = zip(project(x, w_ih, b_ih, b_hh).unbind(0), valid.unbind(0), strict=True)
        for x_t, runs in steps:
            found = step(x_t, *held, *parameters)
            new = [found] if isinstance(found, Tensor) else found
            held = [torch.where(runs, n, h) for n, h in zip(new, held, strict=True)]
            outputs.append(held[0])
        return outputs, held

    def layer(x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        steps = torch.arange(case.seq_len, device=lengths.device)
        valid = (steps.unsqueeze(1) < lengths).unsqueeze(-1)
        zeros = [] if state else [x.new_zeros(case.batch, case.hidden_size)] * len(case.states)
        inputs, final = x, []
        for index in range(case.num_layers):
            outputs = []
            for direction in range(case.directions):
                k = index * case.directions + direction
                # The padding comes first in reverse, where the initial state is held.
                ran, last = one(
                    inputs.flip(0) if direction else inputs,
                    valid.flip(0) if direction else valid,
                    zeros or [part[k] for part in state],
                    *weights[parts * k : parts * (k + 1)],
                    *no_bias,
                )
                final.append(last)
                outputs.append(torch.stack(ran[::-1] if direction else ran))
            inputs = outputs[0] if case.directions == 1 else torch.cat(outputs, -1)
        states = (torch.stack(part) for part in zip(*final, strict=True))
        return inputs.masked_fill(~valid, 0), *states

    return layer
