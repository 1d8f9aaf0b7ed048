"""How a training step moves weights: the optimizer that is timed, and the formula of its step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ADAM", "CLIPPED_ADAM", "SGD", "Moved", "Rule", "optimizer_for"]

_MOST_NORM = 0.01
"""Norm that gradients are clipped to. Gradients of a mean loss at the weights' initial values have
norms of about 0.1 to 1, so that the step which is verified does clip."""

_EPSILON = 1e-8  # what torch.optim.Adam has unless it is told otherwise
_NORM_EPSILON = 1e-6  # as clip_grad_norm_ has it
_ROUNDINGS = 4  # of a change: of both moments, of the root and of the quotient


@dataclass(frozen=True)
class Moved:
    """What a step makes of one weight: its gradient as the optimizer gets it, and the change.

    Float64, each with the standard deviation of its rounding errors.
    """

    gradient: Tensor
    gradient_deviation: Tensor
    change: Tensor
    change_deviation: Tensor


@dataclass(frozen=True)
class Rule:
    """An optimizer as it is timed, and by hand.

    ``make(weights, rate)`` builds it; ``moved(gradients, deviations, rate, certainty, unit)``
    is its first step from the formula, where ``certainty`` is what deviations are multiplied by to
    be tolerances and ``unit`` the unit roundoff of the dtype; ``most_norm``: what the norm of all
    gradients is clipped to, if it is.
    """

    make: Callable[[Sequence[Tensor], float], torch.optim.Optimizer]
    moved: Callable[[Sequence[Tensor], Sequence[Tensor], float, float, float], list[Moved]]
    most_norm: float | None = None


def optimizer_for(weights: Sequence[Tensor], learning_rate: float) -> torch.optim.Optimizer:
    """SGD, fused where this version and device can: the layer should dominate the step."""
    return _fused(torch.optim.SGD, weights, learning_rate)


def _adam(weights: Sequence[Tensor], learning_rate: float) -> torch.optim.Optimizer:
    return _fused(torch.optim.Adam, weights, learning_rate)


def _plain_adam(weights: Sequence[Tensor], learning_rate: float) -> torch.optim.Optimizer:
    """Adam as a course writes it: whatever PyTorch takes where nothing is said."""
    return torch.optim.Adam(list(weights), lr=learning_rate)


def _fused(
    kind: Callable[..., torch.optim.Optimizer], weights: Sequence[Tensor], learning_rate: float
) -> torch.optim.Optimizer:
    weights = list(weights)
    # In 16 bits on a CPU the fused SGD of PyTorch 2.13 leaves most entries where they are.
    moves = all(w.dtype.itemsize > 2 or w.device.type != "cpu" for w in weights)
    try:
        if moves:
            return kind(weights, lr=learning_rate, fused=True)
    except (TypeError, RuntimeError):
        # TypeError: versions before 2.4 have no fused SGD; RuntimeError: not on this device.
        pass
    return kind(weights, lr=learning_rate, foreach=True)


def _moved_by_sgd(
    gradients: Sequence[Tensor],
    deviations: Sequence[Tensor],
    rate: float,
    certainty: float,
    unit: float,
) -> list[Moved]:
    return [
        Moved(gradient, deviation, -rate * gradient, rate * deviation)
        for gradient, deviation in zip(gradients, deviations, strict=True)
    ]


def _moved_by_clipped_adam(
    gradients: Sequence[Tensor],
    deviations: Sequence[Tensor],
    rate: float,
    certainty: float,
    unit: float,
) -> list[Moved]:
    """Clip, g' = g min(1, c / (|g| + ε)) over all weights together, then take Adam's first step."""
    norm = float(torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt())
    error = float(torch.stack([d.square().sum() for d in deviations]).sum().sqrt())
    scale = min(1.0, _MOST_NORM / (norm + _NORM_EPSILON))
    relative = error / norm if norm else 0.0

    clipped, doubts = [], []
    for gradient, deviation in zip(gradients, deviations, strict=True):
        clipped.append(scale * gradient)
        doubts.append(scale * (deviation + (relative + _ROUNDINGS * unit) * gradient.abs()))
    return _moved_by_adam(clipped, doubts, rate, certainty, unit)


def _moved_by_adam(
    gradients: Sequence[Tensor],
    deviations: Sequence[Tensor],
    rate: float,
    certainty: float,
    unit: float,
) -> list[Moved]:
    """Adam's first step, with m = (1-β₁) g and v = (1-β₂) g² corrected for their start at 0.

    The change is -rate g / (|g| + ε): it grows with g everywhere, so that what an error of g makes
    of it is seen at the two ends of the largest error that g may have, a rounding of its largest
    entry included (`rnnbench.worker.verification`). Near g = 0 the sign alone decides.
    """

    def change(gradient: Tensor) -> Tensor:
        return -rate * gradient / (gradient.abs() + _EPSILON)

    found = []
    for gradient, doubt in zip(gradients, deviations, strict=True):
        exact = change(gradient)
        reach = certainty * doubt + unit * gradient.abs().max()
        off = torch.maximum(
            (change(gradient - reach) - exact).abs(), (change(gradient + reach) - exact).abs()
        )
        found.append(Moved(gradient, doubt, exact, off / certainty + _ROUNDINGS * unit * rate))
    return found


SGD = Rule(optimizer_for, _moved_by_sgd)
ADAM = Rule(_plain_adam, _moved_by_adam)
CLIPPED_ADAM = Rule(_adam, _moved_by_clipped_adam, _MOST_NORM)
