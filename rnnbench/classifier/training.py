"""One training: epochs that are timed as they are, or split into their parts, and verified before.

The parts are timed one after the other without a gap: each ends where the next begins, with the
device idle, so that together they are the epoch. On a device that computes asynchronously this
waiting costs time of its own; an epoch that is not split waits for nothing but its metrics.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from rnnbench.classifier import data
from rnnbench.classifier.expected import expected_step
from rnnbench.classifier.model import Classifier, scores
from rnnbench.classifier.settings import PARTS, Settings
from rnnbench.worker.clocks import clock_for
from rnnbench.worker.verification import verify_tensors

__all__ = ["Epoch", "Marks", "Split", "Steps", "Training", "no_marks"]


@dataclass(frozen=True)
class Epoch:
    """Loss and accuracy as they were during the epoch, its seconds, and its parts where split."""

    loss: float
    accuracy: float
    seconds: float
    parts: dict[str, float] | None


@dataclass(frozen=True, eq=False)
class _State:
    """All that an epoch changes."""

    weights: list[Tensor]
    optimizer: dict[str, Any]
    order: Tensor


class Marks(Protocol):
    """Hears of the parts of an epoch while it runs."""

    def __call__(self, part: str) -> None:
        """A part has ended."""


def no_marks(part: str) -> None:
    """An epoch that is not split."""


class Split:
    """Seconds of each part, from mark to mark."""

    def __init__(self, settle: Callable[[], None]) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._settle = settle
        self._last = time.perf_counter()

    def __call__(self, part: str) -> None:
        self._settle()
        now = time.perf_counter()
        self.seconds[part] += now - self._last
        self._last = now


class _OncePerEpoch:
    """Loss and correct answers, added up on the device and read at the end of an epoch."""

    def __init__(self, device: str) -> None:
        self._loss = torch.zeros((), device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)
        self._seen = 0

    def add(self, loss: Tensor, found: Tensor, labels: Tensor) -> None:
        self._loss += loss.detach() * len(labels)
        self._correct += (found.detach().argmax(1) == labels).sum()
        self._seen += len(labels)

    def result(self) -> tuple[float, float]:
        return self._loss.item() / self._seen, self._correct.item() / self._seen


class _EveryStep:
    """The same, read by ``.item()`` in every step, for which the device must have ended it."""

    def __init__(self, device: str) -> None:
        self._loss = 0.0
        self._correct = 0.0
        self._seen = 0

    def add(self, loss: Tensor, found: Tensor, labels: Tensor) -> None:
        self._loss += loss.item() * len(labels)
        self._correct += (found.argmax(1) == labels).sum().item()
        self._seen += len(labels)

    def result(self) -> tuple[float, float]:
        return self._loss / self._seen, self._correct / self._seen


class Steps:
    """The training steps of an epoch: what is done with each batch, and when metrics are read."""

    def __init__(
        self,
        call: Callable[[Tensor], Tensor],
        optimizer: torch.optim.Optimizer,
        *,
        device: str,
        metrics: str,
    ) -> None:
        self.call = call
        self.optimizer = optimizer
        self._device = device
        self._metrics = _OncePerEpoch if metrics == "epoch" else _EveryStep

    def epoch(self, batches: Iterable[data.Batch], mark: Marks = no_marks) -> tuple[float, float]:
        """Train on all batches; their loss and accuracy, each before its own update."""
        metrics = self._metrics(self._device)
        waiting = iter(batches)
        while True:
            batch = next(waiting, None)
            mark("data")
            if batch is None:
                break
            x, labels = batch[0].to(self._device), batch[1].to(self._device)
            mark("copy")
            loss, found = self.learn(x, labels, mark)
            self.update()
            mark("optimizer")
            metrics.add(loss, found, labels)
            mark("metrics")
        result = metrics.result()
        mark("metrics")
        return result

    def learn(self, x: Tensor, labels: Tensor, mark: Marks = no_marks) -> tuple[Tensor, Tensor]:
        """Forward, and backward into ``.grad``; the loss and the scores."""
        found = self.call(x)
        mark("forward")
        loss = cross_entropy(found, labels)
        mark("loss")
        torch.autograd.backward(loss)
        mark("backward")
        return loss, found

    def update(self) -> None:
        """A step of the optimizer, after which there are no gradients."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


class Training:
    """A classifier with its data and optimizer; epochs change it, `reset` undoes them all."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._sequences = data.training(settings)
        self._fresh = data.held_out(settings)
        self._unseen = data.unseen(self._fresh, self._sequences)
        self._order = data.Order(settings.samples, settings.seed)
        self._batches = data.batches(self._sequences, self._order, settings)
        self._clock = clock_for(settings.device)
        self._model = Classifier(settings)
        self._weights = self._model.weights
        self._optimizer = torch.optim.Adam(self._weights, lr=settings.learning_rate)
        self._steps = Steps(
            torch.compile(self._model) if settings.compile else self._model,
            self._optimizer,
            device=settings.device,
            metrics=settings.metrics,
        )
        self._initial = self._state()

    def verify(self) -> tuple[dict[str, Any], float]:
        """Check loss and gradients of a first step with each size of batch; undoes nothing.

        Returns the errors with their tolerances, and the seconds of the steps' forward and
        backward: what compiles does so here.

        Raises:
            Incorrect: one of them is not what the formula says.
        """
        errors: dict[str, float] = {}
        tolerances: dict[str, float] = {}
        seconds = 0.0
        for size in self.settings.batch_sizes:
            x, labels = data.first(self._sequences, self.settings, size)
            took, _, (loss, _) = self._clock.time(partial(self._steps.learn, x, labels))
            seconds += took
            got = {"loss": loss.detach()}
            case = self.settings.case(size)
            expected = expected_step(case, self._weights, x.cpu(), labels)
            got |= zip(list(expected.values)[1:], [w.grad for w in self._weights], strict=True)
            found = verify_tensors(case, got, expected.values, expected.deviations)
            for name in found.error:
                errors[name] = max(errors.get(name, 0.0), found.error[name])
                tolerances[name] = max(tolerances.get(name, 0.0), found.tolerance[name])
            self._optimizer.zero_grad(set_to_none=True)
        return {"oracle": "float64 formula", "error": errors, "tolerance": tolerances}, seconds

    def epoch(self, *, split: bool = False) -> Epoch:
        """Train for one epoch; the clock starts and stops with the device idle."""
        self._clock.settle()
        start = time.perf_counter()
        marks = Split(self._clock.settle) if split else None
        loss, accuracy = self._steps.epoch(self._batches, no_marks if marks is None else marks)
        self._clock.settle()
        seconds = time.perf_counter() - start
        return Epoch(loss, accuracy, seconds, None if marks is None else marks.seconds)

    def epoch_both_ways(self, *, split_first: bool) -> tuple[Epoch, Epoch]:
        """The same epoch whole and split, from the same state, in the order asked for."""
        before = self._state()
        epochs = {}
        for split in (split_first, not split_first):
            self._restore(before)
            epochs[split] = self.epoch(split=split)
        return epochs[False], epochs[True]

    def evaluate(self) -> dict[str, float | None]:
        """Accuracy with the weights as they are, on what was trained on and on fresh sequences.

        ``unseen``: on those of the fresh sequences that were not trained on, None where all were.
        """
        right = self._right(self._fresh)
        left = right[self._unseen]
        return {
            "training": _share(self._right(self._sequences)),
            "held_out": _share(right),
            "unseen": _share(left) if len(left) else None,
            "unseen_sequences": len(left),
        }

    def reset(self) -> None:
        """As it was before the first epoch."""
        self._restore(self._initial)

    def _right(self, sequences: data.Sequences) -> Tensor:
        x = sequences.values.transpose(0, 1).contiguous().to(self.settings.device)
        found = scores(self.settings, self._weights, x).argmax(1).cpu()
        return found == sequences.labels

    def _state(self) -> _State:
        return _State(
            [weight.detach().clone() for weight in self._weights],
            copy.deepcopy(self._optimizer.state_dict()),
            self._order.generator.get_state(),
        )

    def _restore(self, state: _State) -> None:
        with torch.no_grad():
            for weight, value in zip(self._weights, state.weights, strict=True):
                weight.copy_(value)
        self._optimizer.load_state_dict(copy.deepcopy(state.optimizer))
        self._order.generator.set_state(state.order)


def _share(right: Tensor) -> float:
    return float(right.double().mean())
