"""What workloads share beside their data: their usual answers, and models made of few functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.schema import PASSES
from rnnbench.worker.blocks import RESOLUTIONS_PER_ROUND, Timed
from rnnbench.workloads import Model, Outputs
from rnnbench.workloads._passes import make_timed

__all__ = ["Form", "ones_like_loss", "own_weights", "with_loss", "without_loss"]


class Form:
    """A workload of which each call is all that there is: verified, profiled and timed alike."""

    passes: tuple[str, ...] = PASSES
    compiler: str = ""
    resolutions: int = RESOLUTIONS_PER_ROUND

    def timed(self, case: Case, model: Model) -> Timed:
        return make_timed(case, model)

    def verified(self, case: Case, timed: Timed) -> Timed:
        return timed

    def profiled(self, case: Case, timed: Timed) -> Timed:
        return timed


def with_loss(
    result: Callable[[], Tensor],
    loss: Callable[[Tensor], Tensor],
    name: str,
    inputs: Sequence[Tensor],
    parameters: Sequence[Tensor],
) -> Model:
    """A model of one result, which inference gives alone and training with its loss before it."""

    def forward() -> Outputs:
        found = result()
        return loss(found), found

    return Model(
        forward=forward,
        names=("loss", name),
        infer=lambda: (result(),),
        inferred=(name,),
        inputs=inputs,
        parameters=parameters,
        cotangents=ones_like_loss(parameters[0]),
    )


def without_loss(
    infer: Callable[[], Outputs],
    names: tuple[str, ...],
    inputs: Sequence[Tensor],
    parameters: Sequence[Tensor],
) -> Model:
    """A model that nobody trains: it has inference alone."""
    return Model(
        forward=infer,
        names=names,
        infer=infer,
        inferred=names,
        inputs=inputs,
        parameters=parameters,
        cotangents=(),
    )


def own_weights(layer: object, given: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The weights that a layer computes with: those that it lists, else the given ones."""
    return tuple(getattr(layer, "weights", given))


def ones_like_loss(like: Tensor) -> tuple[Tensor]:
    """The gradient of a loss with respect to itself."""
    return (torch.ones((), dtype=like.dtype, device=like.device),)
