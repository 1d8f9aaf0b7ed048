"""Learning curves: a training, epoch by epoch, with what was reached and when."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rnnbench.classifier.settings import PARTS, Settings
from rnnbench.lesson.trainer import Trainer

__all__ = ["TARGET", "Curve", "EpochRecord", "Reached", "train"]

TARGET = 0.99
"""The accuracy whose epoch and seconds are told."""

_NAME = "only"


@dataclass(frozen=True)
class EpochRecord:
    """One epoch. ``loss`` and ``accuracy`` are those of its steps, each before its own update.

    The other accuracies are of the weights at its end: on the trained sequences, on fresh ones, and
    on those of the fresh ones that were never trained on (None where there are none). ``seconds``
    belong to the epoch as it is; ``split_seconds`` to the same epoch with its ``parts`` timed.
    Looking at accuracies after the epoch is part of neither.
    """

    epoch: int
    loss: float
    accuracy: float
    seconds: float
    training_accuracy: float
    held_out_accuracy: float
    unseen_accuracy: float | None
    split_seconds: float | None = None
    parts: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Reached:
    """The first epoch with an accuracy, and the seconds of all epochs up to its end."""

    epoch: int
    seconds: float


@dataclass(frozen=True)
class Curve:
    """A whole training; ``prepared`` is what was verified and compiled before its first epoch."""

    settings: Settings
    prepared: Mapping[str, Any]
    epochs: tuple[EpochRecord, ...]
    unseen_sequences: int

    def reached(self, column: str = "accuracy") -> Reached | None:
        """When a column of the epochs first came to the target; None where it never did."""
        seconds = 0.0
        for record in self.epochs:
            seconds += record.seconds
            if getattr(record, column) >= TARGET:
                return Reached(record.epoch, seconds)
        return None

    @property
    def parts(self) -> dict[str, float]:
        """Seconds of each part of an epoch: the median over epochs; empty without split epochs."""
        split = [record.parts for record in self.epochs if record.parts is not None]
        return {part: statistics.median(each[part] for each in split) for part in PARTS if split}

    @property
    def covered(self) -> tuple[float, ...]:
        """For each split epoch the sum of its parts over its own seconds."""
        return tuple(
            sum(record.parts.values()) / record.split_seconds
            for record in self.epochs
            if record.parts is not None and record.split_seconds is not None
        )

    @property
    def cost_of_splitting(self) -> float | None:
        """Seconds of a split epoch over those of the same epoch as it is: the median."""
        ratios = [
            record.split_seconds / record.seconds
            for record in self.epochs
            if record.split_seconds is not None
        ]
        return statistics.median(ratios) if ratios else None

    def columns(self) -> dict[str, Any]:
        """As a result holds it."""
        reached = self.reached()
        return {
            "settings": self.settings.columns(),
            "prepared": dict(self.prepared),
            "epochs": [dataclasses.asdict(record) for record in self.epochs],
            "unseen_sequences": self.unseen_sequences,
            "target": TARGET,
            "reached": None if reached is None else dataclasses.asdict(reached),
        }


def train(
    trainer: Trainer,
    settings: Settings,
    epochs: int,
    each: Callable[[EpochRecord], None],
    *,
    split: bool = True,
) -> Curve:
    """Train from the beginning; ``each`` hears of every epoch when it is over.

    With ``split`` every epoch runs twice from the same state, once as it is and once split into
    its parts; which of the two comes first alternates.
    """
    prepared = trainer.prepare(_NAME, settings)
    records = []
    unseen = 0
    for number in range(1, epochs + 1):
        record, unseen = _epoch(trainer, number, split=split)
        records.append(record)
        each(record)
    return Curve(settings, prepared, tuple(records), unseen)


def _epoch(trainer: Trainer, number: int, *, split: bool) -> tuple[EpochRecord, int]:
    if split:
        both = trainer.epoch_both_ways(_NAME, split_first=number % 2 == 0)
        whole = both["whole"]
        more = dict(_of_split(both["split"]))
    else:
        whole, more = trainer.epoch(_NAME), {}
    found = trainer.evaluate(_NAME)
    record = EpochRecord(
        epoch=number,
        loss=whole["loss"],
        accuracy=whole["accuracy"],
        seconds=whole["seconds"],
        training_accuracy=found["training"],
        held_out_accuracy=found["held_out"],
        unseen_accuracy=found["unseen"],
        **more,
    )
    return record, found["unseen_sequences"]


def _of_split(epoch: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "split_seconds", epoch["seconds"]
    yield "parts", epoch["parts"]
