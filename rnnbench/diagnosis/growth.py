"""How a compilation grows with the sequence length: cold at each, and a power law through them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from rnnbench.cases import Case
from rnnbench.diagnosis.profiler import Profiler
from rnnbench.measuring.workers import CaseProblem
from rnnbench.numbers import format_seconds
from rnnbench.statistics import student_t_quantile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "FEWEST_LENGTHS",
    "Growth",
    "compile_growth",
    "growth_figure",
    "growth_said",
    "growths_of",
]

FEWEST_LENGTHS = 3
"""Two points lie on every line."""

_LEVEL = 0.95


@dataclass(frozen=True)
class Growth:
    """Seconds of a cold compilation by sequence length, each in a process of its own.

    Through all lengths goes ``factor`` · T^``exponent``. ``last_exponent`` is that between the two
    longest: where a fixed cost rules the short ones, the first is too small.
    """

    lengths: tuple[int, ...]
    seconds: tuple[float, ...]
    phases: tuple[Mapping[str, float] | None, ...]

    @cached_property
    def _line(self) -> tuple[float, float, float]:
        """Slope, intercept and standard error of the slope, in logarithms by least squares."""
        from scipy.stats import linregress

        found = linregress([math.log(n) for n in self.lengths], [math.log(s) for s in self.seconds])
        return float(found.slope), float(found.intercept), float(found.stderr)

    @property
    def exponent(self) -> float:
        """Of seconds ∝ T^exponent."""
        return self._line[0]

    @property
    def factor(self) -> float:
        """Seconds that the power law has for a single step."""
        return math.exp(self._line[1])

    @property
    def interval(self) -> tuple[float, float]:
        """Of the exponent at 95 %, from how far the lengths lie from the line (Student's t).

        A fixed cost bends the line, and that widens it as noise does.
        """
        half = self._line[2] * student_t_quantile((1 + _LEVEL) / 2, len(self.lengths) - 2)
        return self.exponent - half, self.exponent + half

    @property
    def last_exponent(self) -> float:
        """Between the two longest."""
        (a, b), (s, t) = self.lengths[-2:], self.seconds[-2:]
        return math.log(t / s) / math.log(b / a)

    def columns(self) -> dict[str, Any]:
        """As a result holds it."""
        return {
            "lengths": list(self.lengths),
            "seconds": list(self.seconds),
            "phases": list(self.phases),
            "factor": self.factor,
            "exponent": self.exponent,
            "exponent_interval": list(self.interval),
            "last_exponent": self.last_exponent,
        }


def compile_growth(
    start: Callable[[], Profiler], case: Case, lengths: Sequence[int]
) -> tuple[Growth | None, str]:
    """How the compilation of a case grows with T, and what of it is missing; empty if nothing.

    ``start`` starts a process that finds nothing compiled. Lengths go from the shortest on: where
    one cannot be compiled, or not in time, no longer one is tried, and the shorter ones stay.
    Seconds are those until the case's pass could first be used, without the compiler's own start.
    """
    seconds: list[float] = []
    phases: list[Mapping[str, float] | None] = []
    missing = ""
    for length in lengths:
        try:
            with start() as profiler:
                prepared = profiler.prepare(dataclasses.replace(case, seq_len=length))
        except CaseProblem as problem:  # a lost process is no other's: each length has its own
            missing = f"T{length}: {problem.reason}"
            break
        seconds.append(float(prepared["compile"]["seconds"]))
        phases.append(prepared["compiled"]["phases"])
    if len(seconds) < FEWEST_LENGTHS:
        return None, missing
    return Growth(tuple(lengths[: len(seconds)]), tuple(seconds), tuple(phases)), missing


def growths_of(document: Mapping[str, Any]) -> list[tuple[Case, Growth]]:
    """What a valid file of `rnnbench profile` says of compilation and length."""
    return [
        (
            Case.from_columns(profile["case"]),
            Growth(*(tuple(found[name]) for name in ("lengths", "seconds", "phases"))),
        )
        for profile in document["rnnbench"].get("profiles", ())
        if (found := profile.get("compile_growth")) is not None
    ]


def growth_figure(growths: Iterable[tuple[Case, Growth]]) -> Figure:
    """Seconds against length with the power law of each case, for one case or more."""
    from rnnbench.report import plots

    rows = [
        {
            "implementation": case.implementation,
            "label": label,
            "seq_len": length,
            "seconds": seconds,
            "factor": growth.factor,
            "exponent": growth.exponent,
        }
        for case, label, growth in _labelled(list(growths))
        for length, seconds in zip(growth.lengths, growth.seconds, strict=True)
    ]
    return plots.compile_growth(
        pd.DataFrame(rows),
        title="Compile time against sequence length",
        note="Seconds until the pass could first be used, cold: each length in a process and with "
        "a cache of its own, without the compiler's own start. Lines are seconds ∝ T^exponent.",
    )


def growth_said(growths: Iterable[tuple[Case, Growth]]) -> Iterator[str]:
    """Each case's exponent in a sentence."""
    for _, label, growth in _labelled(list(growths)):
        low, high = growth.interval
        yield (
            f"{label}: {format_seconds(growth.seconds[0])} at T{growth.lengths[0]}, "
            f"{format_seconds(growth.seconds[-1])} at T{growth.lengths[-1]}; seconds ∝ "
            f"T^{growth.exponent:.2f} [{low:.2f}, {high:.2f}], between the two longest "
            f"T^{growth.last_exponent:.2f}."
        )


def _labelled(growths: Sequence[tuple[Case, Growth]]) -> Iterator[tuple[Case, str, Growth]]:
    """With what tells the cases apart: the implementation, and the pass where there are several."""
    passes = len({case.pass_ for case, _ in growths}) > 1
    met: dict[str, int] = {}
    for case, growth in growths:
        label = f"{case.implementation}, {case.pass_}" if passes else case.implementation
        met[label] = met.get(label, 0) + 1
        yield case, label if met[label] == 1 else f"{label} ({met[label]})", growth
