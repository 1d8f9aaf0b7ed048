"""``torchscript_loop``: the whole layer scripted: loop, layers and directions.

Scripted anew for each case, because TorchScript's executor specialises itself on the first shapes
that it sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import dropout as drop

from rnnbench.cases import Case
from rnnbench.implementations import OPTIONS, Layer, implementation
from rnnbench.implementations._cells import one_step, step_by_step
from rnnbench.implementations._layers import by_mode, scripted, why_not_scripted
from rnnbench.schema import CELLS

__all__ = ["build"]


@implementation(
    "torchscript_loop",
    "whole layer in TorchScript",
    cells=CELLS,
    options=OPTIONS,
    compiler="torchscript",
    unsupported=why_not_scripted,
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    given = list(weights)
    sizes = case.hidden_size, len(case.states), case.directions

    def make(x: Tensor, *state: Tensor) -> Layer:
        script = scripted(_layer(case))
        dropout = case.dropout if torch.is_grad_enabled() else 0.0

        def layer(x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
            output, final = script(
                x, list(state), given, *sizes, case.bias, case.batch_first, dropout
            )
            return output, *final

        return layer

    return by_mode(make)


def _bias(weights: list[Tensor], index: int, has: bool) -> Tensor | None:
    if has:
        return weights[index]
    return None


def _layer(case: Case) -> Callable[..., tuple[Tensor, list[Tensor]]]:
    run: Any = step_by_step(one_step(case), len(case.states))

    # `stacked` in the words that TorchScript knows: it has neither closures over numbers nor *args.
    def layer(
        x: Tensor,
        state: list[Tensor],
        weights: list[Tensor],
        hidden_size: int,
        states: int,
        directions: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
    ) -> tuple[Tensor, list[Tensor]]:
        inputs = x.transpose(0, 1) if batch_first else x
        parts = 4 if bias else 2
        num_layers = len(weights) // (parts * directions)
        zeros: list[Tensor] = []
        if len(state) == 0:
            zeros = [inputs.new_zeros([inputs.size(1), hidden_size])] * states
        final: list[list[Tensor]] = []
        for index in range(num_layers):
            dim = 1 if batch_first and index == num_layers - 1 else 0
            outputs: list[Tensor] = []
            for direction in range(directions):
                k = index * directions + direction
                steps, last = run(
                    inputs.flip([0]) if direction == 1 else inputs,
                    zeros if len(state) == 0 else [part[k] for part in state],
                    weights[parts * k],
                    weights[parts * k + 1],
                    _bias(weights, parts * k + 2, bias),
                    _bias(weights, parts * k + 3, bias),
                )
                final.append(last)
                outputs.append(torch.stack(steps[::-1] if direction == 1 else steps, dim))
            inputs = outputs[0] if directions == 1 else torch.cat(outputs, -1)
            if dropout > 0.0 and index < num_layers - 1:
                inputs = drop(inputs, dropout)
        return inputs, [torch.stack([last[part] for last in final]) for part in range(states)]

    return layer
