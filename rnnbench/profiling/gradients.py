"""Gradient flow through time: how large ∂loss/∂h_t is, t steps from the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import one_step
from rnnbench.worker.data import make_data

__all__ = ["decay_per_step", "gradient_flow", "norms_through_time"]

_FEWEST = 3
"""Norms that a line is fitted to, at the least."""


def norms_through_time(
    step: Callable[..., Any],
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor | None],
    cotangents: Sequence[Tensor],
) -> list[list[float]]:
    """For each state of a cell the norms of ∂loss/∂state_t, t from 0 to T.

    The loss is a function of the last states alone, ``cotangents`` its gradients there, so each
    norm is what has come through T - t steps. x is (T, B, features); ``step`` as in
    `rnnbench.implementations`.
    """
    with torch.enable_grad():
        current = [part.detach().requires_grad_() for part in state]
        through = [list(current)]
        for x_t in x.unbind(0):
            found = step(x_t, *current, *weights)
            current = [found] if isinstance(found, Tensor) else list(found)
            through.append(current)
        wanted = [part for states in through for part in states]
        gradients = torch.autograd.grad(current, wanted, cotangents, allow_unused=True)
    norms = [0.0 if g is None else float(torch.linalg.vector_norm(g)) for g in gradients]
    return [norms[part :: len(state)] for part in range(len(state))]


def decay_per_step(norms: Sequence[float]) -> float | None:
    """The factor by which a norm changes with each step further from the loss; below 1 it vanishes.

    Fitted to the logarithms of those norms that lie in the far half, where what the loss begins
    with has died away. None where gradients do not get there at all or too few can be fitted.
    """
    far = norms[: max(_FEWEST, (len(norms) + 1) // 2)]
    if len(far) < _FEWEST or any(not 0 < norm < math.inf for norm in far):
        return None
    logs = [math.log(norm) for norm in far]
    middle = (len(far) - 1) / 2
    mean = sum(logs) / len(logs)
    spread = sum((t - middle) ** 2 for t in range(len(far)))
    slope = sum((t - middle) * (log - mean) for t, log in enumerate(logs)) / spread
    return math.exp(-slope)


def gradient_flow(case: Case) -> list[dict[str, Any]]:
    """For each layer and state of a case its norms by t and their decay per step.

    Computed by the cell's formula, step by step and in float64, so that what vanishes is seen and
    not rounded away: the flow belongs to the cell and its weights, not to who computes it. Each
    layer is looked at by itself, with the loss at its own last state; the inputs of the first are
    the case's, those of the others the outputs of the layer before.
    """
    data = make_data(case)
    step = one_step(case)
    parts = 4 if case.bias else 2
    no_bias: list[Tensor | None] = [] if case.bias else [None, None]
    inputs = data.x.detach().double()
    inputs = inputs.transpose(0, 1) if case.batch_first else inputs
    shape = (case.batch, case.hidden_size)
    found = []
    for layer in range(case.num_layers):
        outputs = []
        for direction in range(case.directions):
            k = layer * case.directions + direction
            state = [part[k].detach().double() for part in data.states]
            state = state or [inputs.new_zeros(shape) for _ in case.states]
            cotangents = [part[k].double() for part in data.grad_states]
            weights = [w.detach().double() for w in data.weights[parts * k : parts * (k + 1)]]
            run = inputs.flip(0) if direction else inputs
            norms = norms_through_time(step, run, state, [*weights, *no_bias], cotangents)
            found += [
                {
                    "layer": layer,
                    "direction": direction,
                    "state": name,
                    # JSON has no infinity; what overflows has no norm.
                    "norms": [value if math.isfinite(value) else None for value in values],
                    "decay": decay_per_step(values),
                }
                for name, values in zip(case.states, norms, strict=True)
            ]
            ran = _outputs(step, run, state, [*weights, *no_bias])
            outputs.append(ran.flip(0) if direction else ran)
        inputs = torch.cat(outputs, -1)
    return found


def _outputs(
    step: Callable[..., Any], x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor | None]
) -> Tensor:
    outputs = []
    current = list(state)
    with torch.no_grad():
        for x_t in x.unbind(0):
            found = step(x_t, *current, *weights)
            current = [found] if isinstance(found, Tensor) else list(found)
            outputs.append(current[0])
    return torch.stack(outputs)
