"""``training``: a step of training as it is done, on sequence labelling as in `many_to_many`.

Plain, a step is forward, backward through all T steps and plain SGD. The variants change one thing:

- ``clip_adam``: gradients are clipped to a norm over all weights, and Adam takes the step.
- ``tbptt``: truncated back-propagation through time. The sequence is cut into
  `rnnbench.forms.segments_of` segments; each goes forward and backward before the next begins, with
  the state carried over and detached, so that no gradient goes back into an earlier segment and
  only one segment's graph is held. The gradients are summed and one step of SGD follows the last
  segment, so that only the truncation differs from the plain step.
- ``checkpointed``: gradient checkpointing over time. Of each segment only the state at its
  beginning is kept, and backward computes the segment again: the same gradients, for less memory
  and another forward.

The recurrent layer of the last two is built for the length of a segment.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

from rnnbench.cases import Case
from rnnbench.forms import segments_of
from rnnbench.implementations import Implementation, Layer
from rnnbench.implementations._formulas import layer_formula
from rnnbench.worker.arithmetic import Arithmetic
from rnnbench.worker.blocks import Timed
from rnnbench.worker.expected import Expected
from rnnbench.workloads import Model, Outputs
from rnnbench.workloads._forms import ones_like_loss, own_weights
from rnnbench.workloads._heads import (
    HEAD,
    Classifier,
    Labelled,
    cross_entropy_formula,
    loss_of,
)
from rnnbench.workloads._optimizers import CLIPPED_ADAM
from rnnbench.workloads._passes import TrainingStep, make_timed
from rnnbench.workloads._recurrent import (
    by_step,
    called,
    double,
    expected_of_loss,
    layer_names,
    state_names,
    time_dim,
    why_not_formed,
)

__all__ = ["VARIANTS", "WORKLOAD", "Segmented"]


class _Training(Classifier):
    """The plain step."""

    passes: tuple[str, ...] = ("forward_backward", "training_step")

    def __init__(self) -> None:
        super().__init__(
            lambda case, output, final: output, lambda case, output: output, every_step=True
        )


class _ClipAdam(_Training):
    passes = ("training_step",)

    def unsupported(self, case: Case, implementation: Implementation) -> str | None:
        if case.dtype == "float16":
            return "Adam divides by squares of gradients, which in float16 are 0"
        return super().unsupported(case, implementation)

    def model(self, case: Case, implementation: Implementation, data: Labelled) -> Model:
        return dataclasses.replace(super().model(case, implementation, data), rule=CLIPPED_ADAM)


@dataclass(frozen=True, eq=False)
class Segmented(Model):
    """A model whose sequence is cut; ``segments()`` yields loss and logits of each in turn.

    The losses add up to the mean over all steps.
    """

    segments: Callable[[], Iterator[tuple[Tensor, Tensor]]] = lambda: iter(())


def _segmented(
    case: Case,
    implementation: Implementation,
    data: Labelled,
    run: Callable[[Layer, Tensor, tuple[Tensor, ...]], tuple[Tensor, tuple[Tensor, ...]]],
) -> Segmented:
    """A model that calls the layer by ``run(layer, x, states)`` for each segment."""
    count, dim = segments_of(case), time_dim(case)
    steps = case.seq_len // count
    given, head = data.weights[:-2], data.weights[-2:]
    layer = implementation.build(dataclasses.replace(case, seq_len=steps), given)

    def segments() -> Iterator[tuple[Tensor, Tensor]]:
        states = data.states
        cut = zip(
            torch.split(data.x, steps, dim), torch.split(data.labels, steps, dim), strict=True
        )
        for x, labels in cut:
            output, states = run(layer, x, states)
            logits = linear(output, *head)
            yield loss_of(logits, labels) / count, logits

    def forward() -> Outputs:
        losses, logits = zip(*segments(), strict=True)
        return torch.stack(losses).sum(), torch.cat(logits, dim)

    def infer() -> Outputs:
        return (torch.cat([logits for _, logits in segments()], dim),)

    return Segmented(
        forward=forward,
        names=("loss", "logits"),
        infer=infer,
        inferred=("logits",),
        inputs=(data.x, *data.states),
        parameters=(*own_weights(layer, given), *head),
        cotangents=ones_like_loss(data.x),
        segments=segments,
    )


class _InSegments(_Training):
    def unsupported(self, case: Case, implementation: Implementation) -> str | None:
        if segments_of(case) == 1:
            return f"T={case.seq_len} cannot be cut into two, three or four equal segments"
        if implementation.compiler == "cuda_graph":
            return "the results of a captured graph lie where its next segment overwrites them"
        return why_not_formed(case, one_direction=True)


class _Truncated(_InSegments):
    passes = ("training_step",)

    def model(self, case: Case, implementation: Implementation, data: Labelled) -> Segmented:
        return _segmented(case, implementation, data, carried)

    def timed(self, case: Case, model: Model) -> Timed:
        if case.pass_ == "training_step" and isinstance(model, Segmented):
            return TruncatedStep(model)
        return make_timed(case, model)

    def expected(self, case: Case, data: Labelled) -> Expected:
        names = state_names(data.states)
        count = segments_of(case)
        labels = double(by_step(case, data.labels))

        def compute(how: Arithmetic, leaf: Mapping[str, Tensor]) -> dict[str, Tensor]:
            weights = [leaf[name] for name in layer_names(case)]
            states = tuple(leaf[name] for name in names)
            outputs = []
            for x in by_step(case, leaf["x"]).chunk(count):
                output, states = layer_formula(how, case, x, states, weights)
                states = tuple(state.detach() for state in states)
                outputs.append(output)
            logits = how.linear(torch.cat(outputs), *(leaf[name] for name in HEAD))
            loss = cross_entropy_formula(how, logits, labels)
            return {"loss": loss, "logits": by_step(case, logits)}

        return expected_of_loss(
            case,
            dict(zip(("x", *names), (data.x, *data.states), strict=True)),
            dict(zip((*layer_names(case), *HEAD), data.weights, strict=True)),
            compute,
        )


class TruncatedStep(TrainingStep):
    """A training step that goes backward through each segment before the next begins."""

    model: Segmented

    def accumulate(self) -> None:
        for loss, logits in self.model.segments():
            del logits
            torch.autograd.backward(loss)
            del loss


def carried(
    layer: Layer, x: Tensor, states: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A segment whose state is carried on, and detached."""
    output, states = called(layer, x, states)
    return output, tuple(state.detach() for state in states)


class _Checkpointed(_InSegments):
    def unsupported(self, case: Case, implementation: Implementation) -> str | None:
        if implementation.compiler == "torchscript":
            return (
                "TorchScript specialises itself from call to call, so that what is computed again "
                "keeps other tensors than what was checkpointed"
            )
        return super().unsupported(case, implementation)

    def model(self, case: Case, implementation: Implementation, data: Labelled) -> Segmented:
        return _segmented(case, implementation, data, recomputed)


def recomputed(
    layer: Layer, x: Tensor, states: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A segment of which only what goes in is kept, where there is a backward to keep it for."""
    if not torch.is_grad_enabled():
        return called(layer, x, states)
    found: tuple[Tensor, tuple[Tensor, ...]] = checkpoint(
        called, layer, x, states, use_reentrant=False, preserve_rng_state=False
    )
    return found


WORKLOAD = _Training()
VARIANTS = {"clip_adam": _ClipAdam(), "tbptt": _Truncated(), "checkpointed": _Checkpointed()}
