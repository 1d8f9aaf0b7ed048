"""The five passes over any workload's model, each split into what is prepared and what is timed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.worker.autocast import under_autocast
from rnnbench.worker.blocks import Timed
from rnnbench.workloads import Model, Outputs
from rnnbench.workloads._optimizers import optimizer_for

__all__ = ["TIMED_LEARNING_RATE", "TrainingStep", "make_timed", "optimizer_for"]

TIMED_LEARNING_RATE = 1e-10
"""Small enough that a million timed steps move no weight by 1 % of the largest: what is computed
must not drift while it is measured. The cost of a step does not depend on it."""


class _Pass:
    """What all passes share: the model, and the leaves that get gradients."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.forward = model.forward
        self.leaves = [*model.inputs, *model.parameters]

    def context(self) -> AbstractContextManager[Any]:
        return torch.enable_grad()

    def prepare(self) -> Any:
        return None

    def backward(self, outputs: Outputs) -> Sequence[Tensor]:
        """∂loss/∂leaves. ``grad`` returns them: nothing is added to a ``.grad``."""
        cotangents = self.model.cotangents
        return torch.autograd.grad(outputs[: len(cotangents)], self.leaves, cotangents)


class Inference(_Pass):
    """The forward pass in inference mode: autograd records nothing."""

    def context(self) -> AbstractContextManager[Any]:
        return torch.inference_mode()

    def run(self, prepared: None) -> Outputs:
        return self.model.infer()


class Forward(_Pass):
    """The forward pass that records a graph; the graph is freed after the clock has stopped."""

    def run(self, prepared: None) -> Outputs:
        return self.forward()


class Backward(_Pass):
    """The backward pass alone, each call on a fresh graph that was built outside."""

    def prepare(self) -> Outputs:
        return self.forward()

    def run(self, prepared: Outputs) -> Sequence[Tensor]:
        return self.backward(prepared)


class ForwardBackward(_Pass):
    """Both passes in one call, the graph built and used up in it."""

    def run(self, prepared: None) -> Sequence[Tensor]:
        return self.backward(self.forward())


class TrainingStep(_Pass):
    """Gradients dropped, forward, backward into ``.grad``, clipped if they are, and one step."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.optimizer = model.rule.make(model.parameters, TIMED_LEARNING_RATE)

    def run(self, prepared: None) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        # The optimizer owns the weights only; the inputs must not gather gradients over the rounds.
        for leaf in self.model.inputs:
            leaf.grad = None
        self.accumulate()
        if self.model.rule.most_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters, self.model.rule.most_norm)
        self.optimizer.step()

    def accumulate(self) -> None:
        """Forward and backward: adds the gradients of the loss to ``.grad``."""
        cotangents = self.model.cotangents
        torch.autograd.backward(self.forward()[: len(cotangents)], cotangents)


_PASSES: dict[str, Callable[[Model], Timed]] = {
    "inference": Inference,
    "forward": Forward,
    "backward": Backward,
    "forward_backward": ForwardBackward,
    "training_step": TrainingStep,
}


def make_timed(case: Case, model: Model) -> Timed:
    """The pass of a case, ready to be verified, profiled and timed.

    The forward, and inference, of an autocast case run under torch.autocast; the backward does not.
    """
    if case.autocast:
        model = dataclasses.replace(
            model,
            forward=under_autocast(case, model.forward),
            infer=under_autocast(case, model.infer),
        )
    return _PASSES[case.pass_](model)
