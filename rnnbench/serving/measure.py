"""Windows of all crowds in a balanced random order, in fresh processes, and what came of them."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from rnnbench.measuring.turns import sweeps
from rnnbench.measuring.workers import CaseProblem, WorkerLost
from rnnbench.serving.crew import Crew, Stepped
from rnnbench.serving.plan import Crowd, Plan
from rnnbench.statistics import (
    Estimate,
    estimate_processes,
    estimate_quantile,
    middle_interval,
)

__all__ = ["QUANTILES", "Efficiency", "Outcome", "Turn", "efficiency", "measure"]

QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
"""Percentiles of single steps, by their names in a result."""


@dataclass(frozen=True, eq=False)
class Turn:
    """A window of one crowd: ``number`` in the replicate's order, and what each worker did."""

    replicate: int
    number: int
    seconds: float
    steps: tuple[Stepped, ...]

    @property
    def steps_per_second(self) -> float:
        """Of all workers together."""
        return sum(len(each.latencies) for each in self.steps) / self.seconds

    def columns(self) -> dict[str, Any]:
        """As a result holds it: latencies by their percentiles alone."""
        return {
            "replicate": self.replicate,
            "turn": self.number,
            "seconds": self.seconds,
            "steps_per_second": self.steps_per_second,
            "workers": [
                {
                    "core": each.core,
                    "steps": len(each.latencies),
                    **{
                        name: float(np.quantile(each.latencies, quantile))
                        for name, quantile in QUANTILES.items()
                    },
                    "longest": float(each.latencies.max()),
                }
                for each in self.steps
            ],
        }


@dataclass(frozen=True)
class Efficiency:
    """Steps per second of a crowd over so many times those of one worker by itself."""

    value: float
    low: float | None
    high: float | None


@dataclass
class Outcome:
    """What became of a crowd; ``status`` is ``measured`` or why there is no number."""

    crowd: Crowd
    status: str = "measured"
    reason: str = ""
    verification: dict[str, Any] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)

    @property
    def measured(self) -> bool:
        """Whether nothing has gone wrong with it so far."""
        return self.status == "measured"

    def rates(self) -> dict[int, float]:
        """Steps per second by replicate, the mean over its turns."""
        found: dict[int, list[float]] = {}
        for turn in self.turns:
            found.setdefault(turn.replicate, []).append(turn.steps_per_second)
        return {replicate: sum(rates) / len(rates) for replicate, rates in found.items()}

    def steps_per_second(self) -> Estimate | None:
        """Of all workers together, with an interval over replicates."""
        rates = self.rates()
        return estimate_processes(list(rates.values())) if rates else None

    def latency(self, quantile: float) -> Estimate | None:
        """A percentile of single steps, of all workers and turns of a replicate together."""
        found: dict[int, list[Any]] = {}
        for turn in self.turns:
            found.setdefault(turn.replicate, []).extend(each.latencies for each in turn.steps)
        return estimate_quantile(list(found.values()), quantile) if found else None

    def columns(self, alone: Outcome | None) -> dict[str, Any]:
        """As a result holds it."""
        rate, share = self.steps_per_second(), efficiency(self, alone)
        return {
            "implementation": self.crowd.implementation,
            "workers": self.crowd.workers,
            "status": self.status,
            "reason": self.reason,
            "verification": self.verification or None,
            "steps_per_second": None if rate is None else dataclasses.asdict(rate),
            "efficiency": None if share is None else dataclasses.asdict(share),
            **{
                name: None if found is None else dataclasses.asdict(found)
                for name, found in ((n, self.latency(q)) for n, q in QUANTILES.items())
            },
            "turns": [turn.columns() for turn in self.turns],
        }


def efficiency(crowd: Outcome, alone: Outcome | None) -> Efficiency | None:
    """What is left of a worker's rate beside the others, compared within each replicate.

    None where one of the two has no number.
    """
    if alone is None:
        return None
    many, one = crowd.rates(), alone.rates()
    shared = sorted(many.keys() & one.keys())
    if not shared:
        return None
    shares = np.array([many[r] / (crowd.crowd.workers * one[r]) for r in shared])
    value, low, high = middle_interval(np.log(shares))
    return Efficiency(
        math.exp(float(value)),
        None if low is None else math.exp(float(low)),
        None if high is None else math.exp(float(high)),
    )


def measure(
    plan: Plan,
    start: Callable[[int], Crew],
    progress: Callable[[float, str], None],
    keep: Callable[[list[Outcome]], None],
) -> list[Outcome]:
    """Measure all crowds of a plan; ``start`` starts the processes of a replicate.

    ``progress`` hears how many replicates are done, a fraction of the current one included, and
    what is being done; ``keep`` is given what there is after each of them. An implementation that
    fails, in whichever worker, has no number; where it takes a worker along, the replicate begins
    anew without it.
    """
    outcomes = [Outcome(crowd) for crowd in plan.crowds()]
    for number in range(plan.replicates):
        while any(outcome.measured for outcome in outcomes):
            try:
                with start(number) as crew:
                    turns = _one_replicate(plan, crew, outcomes, number, progress)
            except WorkerLost:
                continue  # whoever lost it is out
            for crowd, turn in turns:
                outcome = next(each for each in outcomes if each.crowd == crowd)
                if outcome.measured:
                    outcome.turns.append(turn)
            keep(outcomes)
            break
    return outcomes


def _one_replicate(
    plan: Plan,
    crew: Crew,
    outcomes: list[Outcome],
    number: int,
    progress: Callable[[float, str], None],
) -> list[tuple[Crowd, Turn]]:
    """Prepare what is still in, then let the crowds take turns; which cores is left to chance."""
    for name in plan.implementations:
        mine = [each for each in outcomes if each.crowd.implementation == name]
        if not mine[0].measured:
            continue
        progress(number, f"{name}: preparing {plan.most} workers")
        with _blaming(mine):
            found = crew.prepare(plan.case_of(name))
            for outcome in mine:
                outcome.verification = outcome.verification or found["verification"]
    by_crowd = {each.crowd: each for each in outcomes if each.measured}
    chance = random.Random(f"{plan.seed} {number}")
    turns: list[tuple[Crowd, Turn]] = []
    for sweep in islice(sweeps(list(by_crowd), 1, plan.seed + number), plan.turns):
        for crowd, _ in sweep:
            progress(
                number + len(turns) / plan.windows,
                f"{crowd.implementation}, {crowd.workers} at once",
            )
            if not by_crowd[crowd].measured:
                continue
            members, cores = _places(crowd.workers, plan, chance)
            mine = [x for x in outcomes if x.crowd.implementation == crowd.implementation]
            with _blaming(mine):
                stepped = crew.window(plan.case_of(crowd.implementation), members, cores)
                turns.append((crowd, Turn(number, len(turns), plan.seconds, tuple(stepped))))
    return turns


def _places(workers: int, plan: Plan, chance: random.Random) -> tuple[list[int], list[int]]:
    """Which workers step and on which cores, as many on each core as can be alike."""
    members = chance.sample(range(plan.most), workers)
    order = chance.sample(plan.cores, len(plan.cores))
    return members, [order[index % len(order)] for index in range(workers)]


@contextmanager
def _blaming(outcomes: Sequence[Outcome]) -> Iterator[None]:
    """What goes wrong inside is that of these; it goes on only where a process is gone."""
    try:
        yield
    except CaseProblem as problem:
        for outcome in outcomes:
            outcome.status, outcome.reason = problem.status, problem.reason
            outcome.turns.clear()
        if isinstance(problem, WorkerLost):
            raise
