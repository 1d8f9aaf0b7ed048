"""A linear head and a cross-entropy on the recurrent layer: what several forms share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from rnnbench.cases import Case
from rnnbench.forms import CLASSES
from rnnbench.implementations import Implementation
from rnnbench.implementations._formulas import layer_formula
from rnnbench.worker.arithmetic import Arithmetic
from rnnbench.worker.expected import Expected
from rnnbench.workloads import Model
from rnnbench.workloads._forms import Form, own_weights, with_loss
from rnnbench.workloads._recurrent import (
    Draw,
    Recurrent,
    by_step,
    called,
    double,
    expected_of_loss,
    layer_names,
    refuse_bad,
    state_names,
    why_not_formed,
)

__all__ = [
    "HEAD",
    "Classifier",
    "Labelled",
    "cross_entropy_formula",
    "labelled",
    "loss_of",
]

HEAD = ("head.weight", "head.bias")
"""Names of the head's weights, in their order."""


@dataclass(frozen=True)
class Labelled:
    """The layer's data with a class for each sequence or step; the head's weights are the last."""

    weights: tuple[Tensor, ...]
    x: Tensor
    states: tuple[Tensor, ...]
    labels: Tensor


def labelled(case: Case, *, every_step: bool, one_label: bool = False) -> Labelled:
    """Draw a head, and a label (B) for each sequence or one for each step, (T, B) or (B, T).

    With ``one_label`` all steps of a sequence have its own.
    """
    data = Recurrent.of(case)
    draw = Draw(case, data.x)
    head = draw.linear(CLASSES, case.directions * case.hidden_size)
    steps, batch = case.seq_len, case.batch
    if not every_step:
        labels = draw.whole(0, CLASSES, batch)
    elif one_label:
        labels = draw.whole(0, CLASSES, batch).expand(steps, batch)
    else:
        labels = draw.whole(0, CLASSES, steps, batch)
    if every_step:
        labels = by_step(case, labels).contiguous()
    refuse_bad(case.workload, inputs=(data.x, *data.states), labels=labels, classes=CLASSES)
    return Labelled((*data.weights, *head), data.x, data.states, labels)


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy over all labels, which have the leading dimensions of the logits."""
    return cross_entropy(logits.flatten(0, -2), labels.flatten())


def cross_entropy_formula(
    how: Arithmetic, logits: Tensor, labels: Tensor, valid: Tensor | None = None
) -> Tensor:
    """The mean over the valid labels of -log softmax(logits)[label]."""
    # In steps, because the gradient is a difference: digits are lost here as they are there.
    below = how.rounded(logits - logits.detach().amax(-1, keepdim=True))
    total = how.rounded(how.apply(torch.exp, below).sum(-1, keepdim=True))
    chosen = how.add(below, -how.apply(torch.log, total))
    chosen = chosen.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return -how.mean(chosen if valid is None else chosen[valid])


class Classifier(Form):
    """A form that labels sequences or steps by a head on the layer's output.

    ``take`` picks what the head is applied to from the output and the final states, in a model;
    ``take_formula`` does so in the oracle, where the output is always (T, B, D H).
    """

    def __init__(
        self,
        take: Callable[[Case, Tensor, tuple[Tensor, ...]], Tensor],
        take_formula: Callable[[Case, Tensor], Tensor],
        *,
        every_step: bool,
        one_label: bool = False,
    ) -> None:
        self._take = take
        self._take_formula = take_formula
        self._every_step = every_step
        self._one_label = one_label

    def unsupported(self, case: Case, implementation: Implementation) -> str | None:
        return why_not_formed(case)

    def data(self, case: Case) -> Labelled:
        return labelled(case, every_step=self._every_step, one_label=self._one_label)

    def expected(self, case: Case, data: Labelled) -> Expected:
        names = state_names(data.states)
        labels = double(data.labels)

        def compute(how: Arithmetic, leaf: Mapping[str, Tensor]) -> dict[str, Tensor]:
            output, _ = layer_formula(
                how,
                case,
                by_step(case, leaf["x"]),
                [leaf[name] for name in names],
                [leaf[name] for name in layer_names(case)],
            )
            logits = how.linear(self._take_formula(case, output), *(leaf[name] for name in HEAD))
            if self._every_step:
                logits = by_step(case, logits)
            return {"loss": cross_entropy_formula(how, logits, labels), "logits": logits}

        return expected_of_loss(
            case,
            dict(zip(("x", *names), (data.x, *data.states), strict=True)),
            dict(zip((*layer_names(case), *HEAD), data.weights, strict=True)),
            compute,
        )

    def model(self, case: Case, implementation: Implementation, data: Labelled) -> Model:
        given, head = data.weights[:-2], data.weights[-2:]
        layer = implementation.build(case, given)

        def logits() -> Tensor:
            output, final = called(layer, data.x, data.states)
            return linear(self._take(case, output, final), *head)

        return with_loss(
            logits,
            lambda found: loss_of(found, data.labels),
            "logits",
            (data.x, *data.states),
            (*own_weights(layer, given), *head),
        )
