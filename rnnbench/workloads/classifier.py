"""``classifier``: an epoch of the sequence classifier of a first RNN course, trained with Adam.

Binary sequences of T steps, label 1 where more than half are ones; the layer, a linear layer on its
last hidden state to two classes, cross-entropy, Adam with 1e-3 (`rnnbench.classifier`, which
``rnnbench classifier`` trains too). A call, of the pass ``training_step``, is a whole epoch: all
sequences in random order, B at a time (`rnnbench.forms.batches_of` training steps, the last one
with what is left over), and loss and accuracy read at its end. Each call begins anew from the same
weights, optimizer and order, which is prepared outside of what is timed: so each is the same work.

The variants change one thing: those of `rnnbench.classifier.settings.ADVICE`, each a piece of usual
advice or its opposite, and

- ``split``: the same epoch, with each of its parts (`rnnbench.classifier.settings.PARTS`) timed
  from the end of the one before it, the device idle in between, so that the parts add up to it.
  Over the plain epoch the ratio is what looking costs.

What is verified is a training step by the epoch's own calls on a batch of each size that an epoch
has: the scores, the sum of their losses, its gradients, and the first step of Adam. What ran and
the peak of memory are those of one training step: a profile of an epoch would hold a million calls.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from rnnbench.cases import Case
from rnnbench.classifier import data as sequences
from rnnbench.classifier.expected import expected_step
from rnnbench.classifier.model import Scorer
from rnnbench.classifier.settings import ADVICE, CLASSES, LARGEST_SEED, LAYOUTS, Settings
from rnnbench.classifier.training import Split, Steps
from rnnbench.implementations import Implementation
from rnnbench.implementations._layers import why_not_compiled
from rnnbench.worker.blocks import Parts, Timed
from rnnbench.worker.clocks import clock_for
from rnnbench.worker.data import make_data
from rnnbench.worker.expected import Expected
from rnnbench.workloads import Model, Outputs
from rnnbench.workloads._forms import Form, ones_like_loss
from rnnbench.workloads._optimizers import ADAM
from rnnbench.workloads._passes import make_timed
from rnnbench.workloads._recurrent import Draw, why_not_formed

__all__ = ["VARIANTS", "WORKLOAD", "Bits", "Epoch"]

_CELLS = ("rnn_tanh", "rnn_relu")


@dataclass(frozen=True)
class Bits:
    """All sequences (N, T, 1) and their labels (N); the head's weights are the last two."""

    weights: tuple[Tensor, ...]
    x: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class _Trained(Model):
    """A classifier with all that an epoch needs; ``firsts`` is a batch of each of its sizes."""

    steps: Steps | None = None
    batches: Iterable[sequences.Batch] = ()
    order: sequences.Order | None = None
    firsts: tuple[sequences.Batch, ...] = ()


class Epoch:
    """An epoch, or the ``most`` first steps of it, always from the same beginning."""

    def __init__(
        self, model: _Trained, settings: Settings, *, split: bool, most: int | None = None
    ) -> None:
        assert model.steps is not None
        assert model.order is not None
        self.model, self.steps, self.settings = model, model.steps, settings
        self._split, self._most = split, most
        self._settle = clock_for(settings.device).settle
        self._weights = [weight.detach().clone() for weight in model.parameters]
        self._order = model.order
        self._state = model.order.generator.get_state()

    def context(self) -> AbstractContextManager[Any]:
        return torch.enable_grad()

    def prepare(self) -> None:
        """Weights, optimizer and order as they are before the first epoch."""
        with torch.no_grad():
            for weight, value in zip(self.model.parameters, self._weights, strict=True):
                weight.copy_(value)
        self.steps.optimizer = self.model.rule.make(
            self.model.parameters, self.settings.learning_rate
        )
        self._order.generator.set_state(self._state)

    def run(self, prepared: None) -> Any:
        batches = itertools.islice(self.model.batches, self._most)
        if not self._split:
            return self.steps.epoch(batches)
        marks = Split(self._settle)
        self.steps.epoch(batches, marks)
        return Parts(marks.seconds)

    def first(self, steps: int) -> Epoch:
        """Its first steps alone."""
        return Epoch(self.model, self.settings, split=self._split, most=steps)


class _OneStep:
    """A step on a batch of each size together, by the calls that an epoch consists of.

    Their gradients are added up here and not by autograd, because in an epoch none are there yet
    when a batch is learnt. What torch.compile makes of a layer may give two weights one and the
    same tensor, to which autograd would then add the next batch's gradient twice (PyTorch 2.13,
    both biases of `compiled_hoisted_loop`).
    """

    def __init__(self, epoch: Epoch) -> None:
        self._firsts, self._steps = epoch.model.firsts, epoch.steps
        self._weights = epoch.model.parameters

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        return self._steps.optimizer

    @optimizer.setter
    def optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        self._steps.optimizer = optimizer

    def context(self) -> AbstractContextManager[Any]:
        return torch.enable_grad()

    def prepare(self) -> None:
        """There is nothing to prepare."""

    def run(self, prepared: None) -> None:
        totals = [torch.zeros_like(weight) for weight in self._weights]
        for x, labels in self._firsts:
            self._steps.learn(x, labels)
            for weight, total in zip(self._weights, totals, strict=True):
                if weight.grad is not None:  # what is missing is found by where the weight stays
                    total += weight.grad
                weight.grad = None
        for weight, total in zip(self._weights, totals, strict=True):
            weight.grad = total
        self._steps.update()


class _Classifier(Form):
    """The plain epoch, or one with these changes to its settings."""

    passes = ("training_step",)

    def __init__(self, changes: Mapping[str, Any] | None = None, *, split: bool = False) -> None:
        self._changes = dict(changes or {})
        self._split = split
        self.compiler = "inductor" if self._changes.get("compile") else ""

    def unsupported(self, case: Case, implementation: Implementation) -> str | None:
        reason = why_not_formed(case) or _why_not_course(case)
        if reason is not None:
            return reason
        settings = self._settings(case)
        if self._changes.get("layout") == case.layout:
            return f"its batches are {case.layout} already"
        if implementation.compiler == "cuda_graph" and len(settings.batch_sizes) > 1:
            full, rest = settings.batch_sizes
            return (
                f"a CUDA graph is captured for one batch size, and the last batch has {rest} of "
                f"{full} sequences; choose a batch that divides {settings.samples}"
            )
        if not self.compiler:
            return None
        if implementation.compiler:
            return f"{implementation.name} is compiled by itself, and not with what is around it"
        return why_not_compiled(case)

    def data(self, case: Case) -> Bits:
        layer = make_data(case)
        drawn = sequences.training(self._settings(case))
        head = Draw(case, layer.x).linear(CLASSES, case.hidden_size)
        return Bits((*layer.weights, *head), drawn.values, drawn.labels)

    def expected(self, case: Case, data: Bits) -> Expected:
        settings = self._settings(case)
        layer = dataclasses.replace(case, layout=settings.layout)
        found = [
            expected_step(
                dataclasses.replace(layer, batch=len(labels)), data.weights, x.cpu(), labels
            )
            for x, labels in _firsts(data, settings)
        ]
        values = {name: sum(each.values[name] for each in found) for name in found[0].values}
        deviations = {
            name: torch.stack([each.deviations[name] ** 2 for each in found]).sum(0).sqrt()
            for name in values
        }
        loss = {"loss": torch.as_tensor(values.pop("loss"))}
        names = _score_names(len(found))
        scores = {name: each.scores for name, each in zip(names, found, strict=True)}
        deviations |= {name: each.scores_deviation for name, each in zip(names, found, strict=True)}
        gradients = {name: torch.as_tensor(value) for name, value in values.items()}
        return Expected({**loss, **scores}, gradients, deviations)

    def model(self, case: Case, implementation: Implementation, data: Bits) -> Model:
        settings = self._settings(case)
        built = dataclasses.replace(case, layout=settings.layout)
        given, head = data.weights[:-2], data.weights[-2:]
        scorer = Scorer(built, implementation.build(built, given), given, head)
        order = sequences.Order(settings.samples, settings.seed)
        firsts = _firsts(data, settings)
        steps = Steps(
            torch.compile(scorer) if settings.compile else scorer,
            ADAM.make(scorer.weights, settings.learning_rate),
            device=settings.device,
            metrics=settings.metrics,
        )

        def infer() -> Outputs:
            return tuple(steps.call(x) for x, _ in firsts)

        def forward() -> Outputs:
            scores = infer()
            losses = [
                cross_entropy(found, labels)
                for found, (_, labels) in zip(scores, firsts, strict=True)
            ]
            return torch.stack(losses).sum(), *scores

        names = _score_names(len(firsts))
        return _Trained(
            forward=forward,
            names=("loss", *names),
            infer=infer,
            inferred=names,
            inputs=(),
            parameters=tuple(scorer.weights),
            cotangents=ones_like_loss(head[0]),
            rule=ADAM,
            steps=steps,
            batches=sequences.batches(sequences.Sequences(data.x, data.labels), order, settings),
            order=order,
            firsts=firsts,
        )

    def timed(self, case: Case, model: Model) -> Timed:
        if case.pass_ != "training_step":
            return make_timed(case, model)
        assert isinstance(model, _Trained)
        return Epoch(model, self._settings(case), split=self._split)

    def verified(self, case: Case, timed: Timed) -> Timed:
        return _OneStep(timed) if isinstance(timed, Epoch) else timed

    def profiled(self, case: Case, timed: Timed) -> Timed:
        assert isinstance(timed, Epoch)
        return timed.first(1)

    def _settings(self, case: Case) -> Settings:
        return Settings(
            seq_len=case.seq_len,
            batch=case.batch,
            hidden=case.hidden_size,
            seed=case.seed,
            device=case.device,
            threads=case.threads,
            **{"layout": case.layout, **self._changes},
        )


def _why_not_course(case: Case) -> str | None:
    """Why a case is not the classifier of the course, whose layer and data are what they are."""
    if case.cell not in _CELLS:
        return f"the classifier's layer is {' or '.join(_CELLS)}, not {case.cell}"
    if case.num_layers > 1 or case.bidirectional or not case.bias:
        return "the classifier has one layer in one direction, with biases"
    if case.initial_state != "given":
        return "the classifier gives its layer as many zeros as a batch has sequences"
    if case.input_size != 1:
        return f"the classifier reads one bit a step, so its input size is 1, not {case.input_size}"
    if case.dtype != "float32":
        return f"the classifier is trained in float32, not in {case.dtype}"
    if case.layout not in LAYOUTS:
        return f"batches are made as {' or '.join(LAYOUTS)}, not as {case.layout}"
    if case.seed > LARGEST_SEED:
        return f"seeds of the classifier end at {LARGEST_SEED}, and this is {case.seed}"
    return None


def _firsts(data: Bits, settings: Settings) -> tuple[sequences.Batch, ...]:
    """A batch of each size that an epoch has."""
    drawn = sequences.Sequences(data.x, data.labels)
    return tuple(sequences.first(drawn, settings, size) for size in settings.batch_sizes)


def _score_names(sizes: int) -> tuple[str, ...]:
    return ("scores", "scores of the last batch")[:sizes]


WORKLOAD = _Classifier()
VARIANTS = {
    **{each.name: _Classifier(each.changes) for each in ADVICE},
    "split": _Classifier(split=True),
}
