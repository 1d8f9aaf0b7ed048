"""The recurrent layer inside of a form: its data, names and formula, and how a model calls it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.implementations import Implementation
from rnnbench.worker.arithmetic import Arithmetic, Results, expected_of_formula
from rnnbench.worker.data import make_data
from rnnbench.worker.expected import Expected

__all__ = [
    "Draw",
    "Recurrent",
    "by_step",
    "called",
    "double",
    "expected_of_loss",
    "last_state",
    "layer_names",
    "one_step_case",
    "refuse_bad",
    "state_names",
    "time_dim",
    "why_not_decided",
    "why_not_formed",
    "why_not_stepped",
]

_FORMULA_SEED = 1_000_003
"""Added to a case's seed for what a form draws beside the layer's own data."""


@dataclasses.dataclass(frozen=True)
class Recurrent:
    """Weights, input and initial states of the layer, as `rnnbench.implementations` has them."""

    weights: tuple[Tensor, ...]
    x: Tensor
    states: tuple[Tensor, ...]

    @classmethod
    def of(cls, case: Case) -> Recurrent:
        """The data that the bare layer gets for the case."""
        data = make_data(case)
        return cls(data.weights, data.x, data.states)


class Draw:
    """Draws what a form has beside the layer: on the CPU, in float64, then rounded and placed."""

    def __init__(self, case: Case, like: Tensor) -> None:
        self._generator = torch.Generator().manual_seed(case.seed + _FORMULA_SEED)
        self._device, self._dtype = like.device, like.dtype

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return self.place(torch.randn(*shape, generator=self._generator, dtype=torch.float64))

    def whole(self, low: int, high: int, *shape: int) -> Tensor:
        """Whole numbers from ``low`` up to below ``high``."""
        drawn = torch.randint(low, high, shape, generator=self._generator)
        return drawn.to(self._device)

    def uniform(self, bound: float, *shape: int) -> Tensor:
        """A weight that is uniform within ± ``bound``."""
        drawn = torch.rand(*shape, generator=self._generator, dtype=torch.float64)
        return self.place((drawn * 2 - 1) * bound).requires_grad_()

    def linear(self, outputs: int, inputs: int) -> tuple[Tensor, Tensor]:
        """Weight and bias as ``torch.nn.Linear`` initialises them."""
        bound = inputs**-0.5
        return self.uniform(bound, outputs, inputs), self.uniform(bound, outputs)

    def place(self, tensor: Tensor) -> Tensor:
        """A float tensor in the case's dtype and on its device."""
        return tensor.to(device=self._device, dtype=self._dtype)


def refuse_bad(
    what: str, *, inputs: Iterable[Tensor] = (), labels: Tensor | None = None, classes: int = 0
) -> None:
    """Refuse data that no number could be made of, before anything is built or timed.

    Raises:
        UserError: an input is empty or holds what is no number, or a label is no class.
    """
    for tensor in inputs:
        if tensor.numel() == 0:
            raise UserError(
                f"{what}: the input is empty, of shape {tuple(tensor.shape)}; give at least one "
                "sequence of one step"
            )
        wrong = int((~torch.isfinite(tensor)).sum())
        if wrong:
            raise UserError(
                f"{what}: {wrong} of {tensor.numel()} numbers of the input are not finite; remove "
                "or replace NaN and infinity"
            )
    if labels is None:
        return
    if labels.numel() == 0:
        raise UserError(f"{what}: there are no labels; give one for each sequence or step")
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.numel():
        raise UserError(
            f"{what}: label {int(outside[0])} is out of range; with {classes} classes labels are 0 "
            f"to {classes - 1}"
        )


def why_not_formed(case: Case, *, one_direction: bool = False) -> str | None:
    """Why no form is written for a case, or None; with ``one_direction`` because of its steps."""
    if case.autocast:
        return f"{case.workload} has no formula under autocast; give a dtype of its own"
    if case.dropout:
        return f"{case.workload} has no dropout: what it drops is in no formula"
    if case.lengths != "full":
        return f"{case.workload} has lengths of its own; leave the axis lengths at full"
    if one_direction and case.bidirectional:
        return f"{case.workload} makes its steps one after the other, so in one direction only"
    if one_direction and case.initial_state != "given":
        return f"{case.workload} hands states on, so that its layer is always given one"
    return None


def why_not_stepped(implementation: Implementation) -> str | None:
    """Why an implementation cannot be called for one step after the other; None where it can."""
    if implementation.compiler == "cuda_graph":
        return "the results of a captured graph lie where its next step overwrites them"
    return None


def why_not_decided(case: Case) -> str | None:
    """Why what a case decides cannot be verified; None where it can."""
    if case.dtype not in ("float32", "float64"):
        return f"rounding in {case.dtype} decides between outputs, so that none can be verified"
    return None


def one_step_case(case: Case) -> Case:
    """The case of a layer that is called for one step at a time."""
    return dataclasses.replace(case, seq_len=1)


def time_dim(case: Case) -> int:
    """The dimension of a sequence that is its time."""
    return 1 if case.batch_first else 0


def by_step(case: Case, tensor: Tensor) -> Tensor:
    """A sequence (B, T, …) as (T, B, …) where the case's layout is the first, and back."""
    return tensor.transpose(0, 1) if case.batch_first else tensor


def called(
    layer: Callable[..., Sequence[Tensor]], x: Tensor, states: Sequence[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Output and final states of an implementation's layer."""
    output, *final = layer(x, *states)
    return output, tuple(final)


def last_state(case: Case, final: Sequence[Tensor]) -> Tensor:
    """The last hidden state of the topmost layer, both directions side by side: (B, D H)."""
    h_n = final[0]
    return h_n[-1] if case.directions == 1 else torch.cat((h_n[-2], h_n[-1]), -1)


def layer_names(case: Case, prefix: str = "") -> tuple[str, ...]:
    """Names of the layer's weights, those of ``nn.RNN``, in the order of the contract."""
    parts = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if case.bias else ()))
    return tuple(
        f"{prefix}{part}_l{layer}{suffix}"
        for layer in range(case.num_layers)
        for suffix in ("", "_reverse")[: case.directions]
        for part in parts
    )


def state_names(states: Sequence[Tensor]) -> tuple[str, ...]:
    """Names of the initial states."""
    return ("h0", "c0")[: len(states)]


def double(tensor: Tensor) -> Tensor:
    """A tensor's value in float64 on the CPU, where whole numbers stay whole."""
    value = tensor.detach().cpu()
    return value.to(torch.float64) if value.is_floating_point() else value


Compute = Callable[[Arithmetic, Mapping[str, Tensor]], dict[str, Tensor]]
"""Outputs by name, ``loss`` among them, of leaves by name."""


def expected_of_loss(
    case: Case, inputs: Mapping[str, Tensor], weights: Mapping[str, Tensor], compute: Compute
) -> Expected:
    """What a formula with a loss must give: its outputs, and the gradients of the loss.

    The gradients are in the order of ``inputs``, then ``weights``.
    """
    given = {name: double(tensor) for name, tensor in {**inputs, **weights}.items()}

    def formula(how: Arithmetic) -> Results:
        leaves = {name: value.clone().requires_grad_() for name, value in given.items()}
        with torch.enable_grad():
            # Once for all of its uses: the gradient of a weight is one long sum over them.
            used = {
                name: how.shared(leaf) if name in weights else leaf for name, leaf in leaves.items()
            }
            outputs = compute(how, used)
            gradients = torch.autograd.grad(outputs["loss"], list(leaves.values()))
        return (
            {name: value.detach() for name, value in outputs.items()},
            dict(zip(leaves, gradients, strict=True)),
        )

    return expected_of_formula(case, formula)
