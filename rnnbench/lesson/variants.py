"""What usual advice is worth: variants of the training that take turns in fresh processes.

All variants live in one process and take turns in a balanced random order; a turn is a block of
some epochs from the beginning of the training, of which the first is warm-up. Several fresh
processes, one after the other, say how processes differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from rnnbench.cases import builtin_implementations
from rnnbench.classifier.settings import ADVICE, PLAIN, Settings
from rnnbench.errors import UserError
from rnnbench.lesson.curves import TARGET, Reached
from rnnbench.lesson.trainer import Trainer
from rnnbench.measuring.turns import sweeps
from rnnbench.measuring.workers import CaseProblem, WorkerLost
from rnnbench.statistics import Comparison, Estimate, compare_blocks, estimate_blocks

__all__ = ["BASELINE", "Effort", "Outcome", "Variant", "choose", "measure", "variants"]

BASELINE = "plain"

_WARMUP_EPOCHS = 1


@dataclass(frozen=True)
class Variant:
    """A name, what it stands for, and which settings it changes."""

    name: str
    meaning: str
    changes: Mapping[str, Any]

    def settings(self, base: Settings) -> Settings:
        """The settings of this variant."""
        return dataclasses.replace(base, **self.changes)


def variants() -> tuple[Variant, ...]:
    """All of them: the plain training, pieces of advice and their opposites, implementations."""
    return (
        Variant(BASELINE, "tensors made once, metrics read once an epoch, nn_rnn", PLAIN),
        *(Variant(each.name, each.meaning, {**PLAIN, **each.changes}) for each in ADVICE),
        *(
            Variant(name, "in place of nn_rnn", {**PLAIN, "implementation": name})
            for name in builtin_implementations()
            if name != PLAIN["implementation"]
        ),
    )


def choose(names: str | None) -> tuple[Variant, ...]:
    """The variants of these comma-separated names, the plain one always among them.

    Raises:
        UserError: there is none of such a name.
    """
    every = variants()
    if names is None:
        return every
    wanted = {BASELINE, *(name.strip() for name in names.split(","))}
    unknown = sorted(wanted - {variant.name for variant in every})
    if unknown:
        raise UserError(
            f"--only holds {unknown[0]!r}, which is no variant; known: "
            f"{', '.join(variant.name for variant in every)}"
        )
    return tuple(variant for variant in every if variant.name in wanted)


@dataclass(frozen=True)
class Effort:
    """How long variants are measured; ``epochs`` is the longest training to the target.

    Raises:
        UserError: too few of something; names the option.
    """

    processes: int = 5
    turns: int = 4
    turn_epochs: int = 3
    epochs: int = 10

    def __post_init__(self) -> None:
        least = {"processes": 1, "turns": 1, "turn_epochs": 2, "epochs": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                option = "--" + name.replace("_", "-")
                raise UserError(f"{option} is {getattr(self, name)}; give {low} or more")


@dataclass
class Outcome:
    """What became of a variant; ``processes`` holds for each process its blocks of seconds.

    ``prepared`` and ``reached`` are those of the first process, which finds nothing compiled.
    ``status`` is ``measured`` or why there is no number, with the ``reason``.
    """

    variant: Variant
    settings: Settings
    status: str = "measured"
    reason: str = ""
    prepared: dict[str, Any] = field(default_factory=dict)
    reached: Reached | None = None
    best_accuracy: float = 0.0
    processes: list[list[list[float]]] = field(default_factory=list)

    @property
    def start_seconds(self) -> float | None:
        """Seconds before the first epoch: building, first steps, and the compiler's start."""
        if not self.prepared:
            return None
        start = self.prepared["compiler_start"] or 0.0
        return float(sum(self.prepared["seconds"].values()) + start)

    def estimate(self) -> Estimate | None:
        """Seconds of an epoch."""
        if self.status != "measured":
            return None
        return estimate_blocks(self.processes, warmup_rounds=_WARMUP_EPOCHS)

    def against(self, base: Outcome) -> Comparison | None:
        """Its epochs' time over those of the plain training."""
        if self.status != "measured" or base.status != "measured":
            return None
        return compare_blocks(
            base.processes, self.processes, warmup_rounds=_WARMUP_EPOCHS, same_process=True
        )

    def columns(self, base: Outcome) -> dict[str, Any]:
        """As a result holds it."""
        ratio, estimate = self.against(base), self.estimate()
        return {
            "name": self.variant.name,
            "meaning": self.variant.meaning,
            "settings": self.settings.columns(),
            "status": self.status,
            "reason": self.reason,
            "prepared": self.prepared or None,
            "start_seconds": self.start_seconds,
            "target": TARGET,
            "reached": None if self.reached is None else dataclasses.asdict(self.reached),
            "best_accuracy": self.best_accuracy,
            "blocks": self.processes,
            "seconds": None if estimate is None else dataclasses.asdict(estimate),
            "ratio": None if ratio is None else dataclasses.asdict(ratio),
        }


def measure(
    base: Settings,
    chosen: Sequence[Variant],
    effort: Effort,
    start: Callable[[int], Trainer],
    progress: Callable[[float, str], None],
    keep: Callable[[list[Outcome]], None],
) -> list[Outcome]:
    """Measure variants against each other; ``start`` starts the process of a number.

    ``progress`` hears how many processes are done, a fraction of the current one included, and
    what is being done; ``keep`` is given what there is after each of them. A variant that fails,
    in whichever process, has no number; where it takes its process along, that one begins anew
    without it.
    """
    outcomes = [Outcome(variant, variant.settings(base)) for variant in chosen]
    for number in range(effort.processes):
        while _measured(outcomes):
            try:
                with start(number) as trainer:
                    blocks = _one_process(
                        trainer, _measured(outcomes), effort, number, progress, base.seed
                    )
            except WorkerLost:
                continue  # whoever lost it is out
            for outcome in _measured(outcomes):
                outcome.processes.append(blocks[outcome.variant.name])
            keep(outcomes)
            break
    return outcomes


def _measured(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.status == "measured"]


def _one_process(
    trainer: Trainer,
    field_: Sequence[Outcome],
    effort: Effort,
    number: int,
    progress: Callable[[float, str], None],
    seed: int,
) -> dict[str, list[list[float]]]:
    """Prepare all that are still in, train them once in the first process, then let them turn."""
    steps = len(field_) * (effort.turns + 1)
    done = 0
    for outcome in field_:
        progress(number + done / steps, f"{outcome.variant.name}: preparing")
        _try(outcome, partial(_prepare, trainer, outcome, effort))
        done += 1
    order = sweeps([o.variant.name for o in field_], 1, seed + number)
    by_name = {outcome.variant.name: outcome for outcome in field_}
    blocks: dict[str, list[list[float]]] = {name: [] for name in by_name}
    for sweep in islice(order, effort.turns):
        for name, _ in sweep:
            progress(number + done / steps, name)
            done += 1
            if by_name[name].status == "measured":
                _try(by_name[name], partial(_turn, trainer, name, effort, blocks[name]))
    return blocks


def _try(outcome: Outcome, action: Callable[[], None]) -> None:
    """Do it; what goes wrong is the outcome's, and goes on only where the process is gone."""
    try:
        action()
    except CaseProblem as problem:
        outcome.status, outcome.reason = problem.status, problem.reason
        outcome.processes.clear()
        if isinstance(problem, WorkerLost):
            raise


def _turn(trainer: Trainer, name: str, effort: Effort, blocks: list[list[float]]) -> None:
    blocks.append(trainer.turn(name, effort.turn_epochs))


def _prepare(trainer: Trainer, outcome: Outcome, effort: Effort) -> None:
    name = outcome.variant.name
    prepared = trainer.prepare(name, outcome.settings)
    if outcome.prepared:
        return
    # The first process to come so far: nothing was compiled before.
    seconds = 0.0
    for epoch in range(1, effort.epochs + 1):
        found = trainer.epoch(name)
        seconds += found["seconds"]
        outcome.best_accuracy = max(outcome.best_accuracy, found["accuracy"])
        if found["accuracy"] >= TARGET:
            outcome.reached = Reached(epoch, seconds)
            break
    outcome.prepared = prepared
