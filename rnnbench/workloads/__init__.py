"""What is done with a recurrent layer: one file each, one contract (worker side).

The contract. A workload is a module of this package with an object ``WORKLOAD`` that fills
`Workload`, and where it has variants (`rnnbench.schema.VARIANTS`) a dictionary ``VARIANTS`` of
them. It draws its data from the case, knows from the formula what must come out, builds a model
around the layer of an implementation, and splits each pass into what is prepared and what is timed.
Nothing else in the worker knows what a workload computes.

``data`` is a frozen dataclass whose fields are tensors or tuples of tensors. One of them is
``weights``: leaf tensors that require gradients, those of the recurrent layer first, in the order
of `rnnbench.implementations`. The worker gives every model copies of its own.

Names of outputs and of gradients are part of a result: they stand in its ``verification``.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import Implementation
from rnnbench.worker.blocks import Timed
from rnnbench.worker.expected import Expected
from rnnbench.workloads._optimizers import SGD, Rule

__all__ = ["Data", "Model", "Outputs", "Workload", "tensors_of", "with_own_weights", "workload"]

Outputs = tuple[Tensor, ...]

Data = Any
"""What a workload draws for a case; see the module."""


@dataclass(frozen=True, eq=False)
class Model:
    """A workload's computation with one implementation's layer in it, on its data.

    ``forward()`` computes the outputs ``names`` with autograd; those of them that a loss is taken
    of come first, and ``cotangents`` are the gradients of the loss with respect to these.
    ``infer()`` computes the outputs ``inferred`` without autograd. ``inputs`` are the leaves that
    get gradients and belong to no optimizer, ``parameters`` those that an optimizer moves: together
    they are, in this order, what the oracle has gradients of. ``rule`` says how a step moves them.
    """

    forward: Callable[[], Outputs]
    names: tuple[str, ...]
    infer: Callable[[], Outputs]
    inferred: tuple[str, ...]
    inputs: Sequence[Tensor]
    parameters: Sequence[Tensor]
    cotangents: Sequence[Tensor]
    rule: Rule = SGD


class Workload(Protocol):
    """What the worker asks of a workload."""

    passes: tuple[str, ...]
    """Those that it has, of `rnnbench.schema.PASSES`."""

    compiler: str
    """What it compiles around the layer, as `Implementation.compiler` says it; empty: nothing."""

    resolutions: int
    """A round lasts at least so many steps of the clock. With fewer of them than usual, rounds of
    one call each are had also of short calls, for those whose spread over calls counts."""

    def unsupported(self, case: Case, implementation: Implementation) -> str | None:
        """Why an implementation that can do the layer cannot do this with it, or None."""

    def data(self, case: Case) -> Data:
        """Draw what a case works on from its seed: the same for every competitor."""

    def expected(self, case: Case, data: Data) -> Expected:
        """What must come out, in float64, from the formula."""

    def model(self, case: Case, implementation: Implementation, data: Data) -> Model:
        """Build the computation; one model serves all passes of a setting."""

    def timed(self, case: Case, model: Model) -> Timed:
        """The pass of a case, ready to be timed."""

    def verified(self, case: Case, timed: Timed) -> Timed:
        """A pass whose one call gives what the oracle says, made of the very calls of ``timed``.

        That is ``timed`` itself wherever each of its calls stands for itself.
        """

    def profiled(self, case: Case, timed: Timed) -> Timed:
        """What is profiled in place of ``timed``: itself, or one of many equal parts of a call."""


def workload(name: str) -> Workload:
    """The workload of that name, which is among `rnnbench.cases.builtin_workloads`."""
    family, _, variant = name.partition(".")
    module = importlib.import_module(f"{__name__}.{family}")
    found: Workload = module.VARIANTS[variant] if variant else module.WORKLOAD
    return found


def tensors_of(data: Data) -> Iterator[Tensor]:
    """Every tensor of a workload's data, in the order of its fields."""
    for field in dataclasses.fields(data):
        value = getattr(data, field.name)
        for entry in value if isinstance(value, tuple) else (value,):
            if isinstance(entry, torch.Tensor):
                yield entry


def with_own_weights(data: Data) -> Data:
    """The data with copies of its weights: a training step of one model must move no other's."""
    weights = tuple(weight.detach().clone().requires_grad_() for weight in data.weights)
    return dataclasses.replace(data, weights=weights)
