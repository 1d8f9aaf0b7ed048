"""Profiles: what was found about each case, or why there is nothing, as a result holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnbench.cases import Case
from rnnbench.diagnosis.growth import Growth
from rnnbench.diagnosis.profiler import Profiler
from rnnbench.measuring.instructions import Counter
from rnnbench.measuring.workers import CaseProblem, WorkerLost
from rnnbench.report.fits import relative_line
from rnnbench.work import work_of

__all__ = [
    "Effort",
    "Profile",
    "StepCost",
    "count_case",
    "fitted",
    "lengths_for",
    "profile_case",
]

_TURN_SECONDS = 0.05


@dataclass(frozen=True)
class Effort:
    """How much is asked about each case.

    ``calls`` are profiled, of which the middle one is shown; ``turns`` of each length are timed for
    the cost of a step, none with 0.
    """

    calls: int = 5
    turns: int = 5
    spans: bool = False
    gradients: bool = True


@dataclass(frozen=True)
class StepCost:
    """Seconds of a call as ``fixed`` + ``per_step`` · T, the middle over turns, and their extremes.

    From one process alone, so they are no measurement of what another process would take.
    """

    lengths: tuple[int, ...]
    fixed: float
    fixed_range: tuple[float, float]
    per_step: float
    per_step_range: tuple[float, float]
    deviation: float

    def columns(self) -> dict[str, Any]:
        """As a result holds it."""
        return {
            "lengths": list(self.lengths),
            "fixed": self.fixed,
            "fixed_range": list(self.fixed_range),
            "per_step": self.per_step,
            "per_step_range": list(self.per_step_range),
            "deviation": self.deviation,
        }


@dataclass
class Profile:
    """What became of a case: ``status`` is ``profiled``, or one of the schema's with a reason.

    Parts that could not be told by themselves have their reasons in ``missing``.
    """

    case: Case
    status: str = "profiled"
    reason: str = ""
    backend: str = ""
    operators: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    steps: StepCost | None = None
    gradients: Sequence[Mapping[str, Any]] = ()
    instructions: dict[str, Any] = field(default_factory=dict)
    compiled: dict[str, Any] = field(default_factory=dict)
    growth: Growth | None = None
    missing: dict[str, str] = field(default_factory=dict)
    spans: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def covered(self) -> float:
        """The parts' sum as a share of the profiled call."""
        return float(sum(self.operators["parts"].values()) / self.operators["seconds"])

    @property
    def slowdown(self) -> float:
        """How many times as long the call took because it was profiled."""
        return float(self.operators["seconds"] / self.operators["plain"])

    def columns(self) -> dict[str, Any]:
        """As a result holds it; marked, so that no reader takes its seconds for a time."""
        return {
            "case": self.case.columns(),
            "profiled": True,
            "backend": self.backend,
            "work": work_of(self.case),
            "operators": self.operators,
            "memory": self.memory or None,
            "step_cost": None if self.steps is None else self.steps.columns(),
            "gradient_flow": [dict(one) for one in self.gradients],
            "instructions": self.instructions or None,
            "compiled": self.compiled or None,
            "compile_growth": None if self.growth is None else self.growth.columns(),
            "missing": self.missing,
        }


def lengths_for(seq_len: int) -> tuple[int, ...]:
    """Lengths from which the cost of a step is told: the case's own, and two shorter ones.

    Where it has no two shorter ones that differ enough, longer ones take their place.
    """
    if seq_len >= 8:
        return seq_len // 4, seq_len // 2, seq_len
    return seq_len, 2 * seq_len, 4 * seq_len


def fitted(lengths: Sequence[int], turns: Sequence[Sequence[float]]) -> StepCost:
    """The line of each turn by least squares of relative errors, and the middle over turns."""
    sizes = np.array(lengths, dtype=np.float64)
    times = np.array(turns, dtype=np.float64)
    lines = relative_line(sizes, times)
    predicted = lines[:, :1] + lines[:, 1:] * sizes
    fixed, per_step = (float(value) for value in np.median(lines, axis=0))
    low, high = lines.min(axis=0), lines.max(axis=0)
    return StepCost(
        tuple(lengths),
        fixed,
        (float(low[0]), float(high[0])),
        per_step,
        (float(low[1]), float(high[1])),
        float(np.abs(np.median(times / predicted, axis=0) - 1).max()),
    )


def profile_case(profiler: Profiler, case: Case, effort: Effort) -> Profile:
    """Profile a case; what goes wrong is the case's.

    Raises:
        WorkerLost: its process is gone; the profile has been noted in the error's ``reason``.
    """
    found = Profile(case)
    try:
        reason = profiler.unsupported(case)
        if reason is not None:
            raise CaseProblem("unsupported", reason)
        prepared = profiler.prepare(case)
        found.compiled = prepared.get("compiled", {})
        found.backend = profiler.ran(case)["backend"]
        answer = profiler.operators(case, calls=effort.calls, spans=effort.spans)
    except WorkerLost:
        raise
    except CaseProblem as problem:
        found.status, found.reason = problem.status, problem.reason
        return found
    found.spans = {key: answer.pop(key, ()) for key in ("spans", "kernel_spans")}
    found.operators = answer

    def memory() -> None:
        found.memory = profiler.memory(case)

    def steps() -> None:
        lengths = lengths_for(case.seq_len)
        turns = profiler.lengths(case, lengths, turns=effort.turns, seconds=_TURN_SECONDS)
        found.steps = fitted(lengths, turns)

    def gradients() -> None:
        found.gradients = profiler.gradients(case)

    _try(found, "memory", memory)
    if effort.turns:
        _try(found, "step_cost", steps)
    if effort.gradients:
        _try(found, "gradient_flow", gradients)
    return found


def count_case(counter: Counter, profile: Profile) -> None:
    """Add the instructions of a call to a profile, or why there are none.

    Raises:
        WorkerLost: its process is gone.
    """

    def instructions() -> None:
        profile.instructions = counter.counted(profile.case)

    _try(profile, "instructions", instructions)


def _try(found: Profile, part: str, ask: Callable[[], None]) -> None:
    """Ask for a part; where it cannot be told the rest goes on without it."""
    try:
        ask()
    except WorkerLost:
        raise
    except CaseProblem as problem:
        found.missing[part] = problem.reason
