"""``torchscript_loop``: the whole layer scripted: loop, layers and directions.

Scripted anew for each case, because TorchScript's executor specialises itself on the first shapes
that it sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import Layer, implementation
from rnnbench.implementations._layers import (
    by_mode,
    one_step,
    scripted,
    step_by_step,
    why_not_scripted,
)

__all__ = ["build"]


@implementation(
    "torchscript_loop",
    "whole layer in TorchScript",
    compiler="torchscript",
    unsupported=why_not_scripted,
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    given = list(weights)

    def make(x: Tensor, h0: Tensor) -> Layer:
        script = scripted(_layer(case))
        return lambda x, h0: script(x, h0, given, case.directions, case.batch_first)

    return by_mode(make)


def _layer(case: Case) -> Callable[..., tuple[Tensor, Tensor]]:
    run = step_by_step(one_step(case))

    # `stacked` in the words that TorchScript knows: it has neither closures over numbers nor *args.
    def layer(
        x: Tensor, h0: Tensor, weights: list[Tensor], directions: int, batch_first: bool
    ) -> tuple[Tensor, Tensor]:
        inputs = x.transpose(0, 1) if batch_first else x
        num_layers = len(weights) // (4 * directions)
        final: list[Tensor] = []
        for index in range(num_layers):
            dim = 1 if batch_first and index == num_layers - 1 else 0
            outputs: list[Tensor] = []
            for direction in range(directions):
                k = index * directions + direction
                steps = run(
                    inputs.flip([0]) if direction == 1 else inputs,
                    h0[k],
                    weights[4 * k],
                    weights[4 * k + 1],
                    weights[4 * k + 2],
                    weights[4 * k + 3],
                )
                final.append(steps[-1])
                outputs.append(torch.stack(steps[::-1] if direction == 1 else steps, dim))
            inputs = outputs[0] if directions == 1 else torch.cat(outputs, -1)
        return inputs, torch.stack(final)

    return layer
