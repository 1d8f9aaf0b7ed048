"""The same code against itself, and against itself slowed down: false alarms, and what is found."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rnnbench.cases import DEFAULT_ENVIRONMENT, Case
from rnnbench.regressions.compare import Compared, Comparison, compare
from rnnbench.regressions.family import Finding, level_of_one_more
from rnnbench.regressions.machine_noise import NoiseSession, Share
from rnnbench.regressions.sides import sides_of
from rnnbench.report.ratios import ratio_of
from rnnbench.results import Results
from rnnbench.schema import CASE_COLUMNS
from rnnbench.statistics import Verdict, process_figure, verdict_of

__all__ = ["AGAIN", "SAME", "NoiseStudy", "SizeClass", "name_of_planted", "size_classes", "study"]

SAME, AGAIN = "same", "again"
"""The environments in which nothing differs."""

_PLANTED = "slower"
_SIZES = (
    ("below 100 µs", 1e-4),
    ("100 µs to 1 ms", 1e-3),
    ("1 ms to 10 ms", 1e-2),
    ("10 ms and more", math.inf),
)


@dataclass(frozen=True)
class NoiseStudy:
    """Comparisons of one run: unchanged, and by the share that was planted.

    In those, all cases are slower at once, which is easier to find than one alone: ``alone`` says
    how many would have been found if each were the only slower one among the unchanged.
    """

    unchanged: Comparison
    planted: Mapping[float, Comparison]
    alone: Mapping[float, Share]

    def session(self) -> NoiseSession:
        """What is kept of it."""
        run = self.unchanged.sides.base.run
        rows = {case.row: case for case in self.unchanged.cases}
        frame = self.unchanged.sides.results.frame
        return NoiseSession(
            measured_at=run.measured_at,
            torch=self.unchanged.sides.base.torch,
            threads=tuple(sorted({int(frame.at[row, "threads"]) for row in rows})),
            replicates=max((case.processes for case in self.unchanged.cases), default=0),
            # Sessions have the same options, and each its own time.
            seconds=max(1, len(run.sessions)) * _seconds(run.options.get("seconds")),
            margin=self.unchanged.margin,
            times={
                _name(frame, case.row): case.base_time[0]
                for case in self.unchanged.cases
                if case.base_time is not None
            },
            false_alarms=share_of(self.unchanged.cases, "slower", "faster"),
            same=share_of(self.unchanged.cases, "same"),
            covered=covered(found_in(self.unchanged.cases)),
            power={
                f"{size:g}": share_of(comparison.cases, "slower")
                for size, comparison in sorted(self.planted.items())
            },
            process_deviation=_process_deviation(self.unchanged),
        )


@dataclass(frozen=True)
class SizeClass:
    """Cases of about one size: how many verdicts of which kind, unchanged and by planted share."""

    name: str
    cases: int
    false_alarms: Share
    same: Share
    covered: Share
    power: Mapping[float, Share]
    widest: float
    """Half width of the interval that is in the middle, as a share."""


def name_of_planted(share: float) -> str:
    """The name of the environment in which that share is planted."""
    return f"{_PLANTED}-{100 * share:g}-percent"


def study(
    results: Results, planted: Sequence[float], *, margin: float = 0.02, rate: float = 0.05
) -> NoiseStudy:
    """Compare the environments of a run of `rnnbench noise`.

    Each comparison is a family of its own, as it is for whoever compares two versions.

    Raises:
        UserError: the results lack one of the environments.
    """

    def against(environment: str) -> Comparison:
        return compare(sides_of(results, SAME, environment), margin=margin, rate=rate)

    unchanged = against(AGAIN)
    slowed = {share: against(name_of_planted(share)) for share in planted}
    return NoiseStudy(
        unchanged=unchanged,
        planted=slowed,
        alone={share: _found_alone(unchanged, found) for share, found in slowed.items()},
    )


def _found_alone(unchanged: Comparison, slowed: Comparison) -> Share:
    """How many of the slowed cases are called slower, each in the place of its unchanged one."""
    alarms = share_of(unchanged.cases, "slower", "faster").found
    judged = {case.row for case in slowed.cases if case.finding is not None}
    level = level_of_one_more(alarms, len(judged), slowed.rate)
    base, new = slowed.sides.base.rows, slowed.sides.new.rows
    verdicts = []
    for key in base.keys() & new.keys():
        if new[key] in judged:
            ratio = ratio_of(
                slowed.sides.results, base[key], new[key], level=level, pairing="took turns"
            )
            verdicts.append(verdict_of(ratio.low, ratio.high, slowed.margin))
    return Share(verdicts.count("slower"), len(verdicts))


def size_classes(found: NoiseStudy) -> list[SizeClass]:
    """The study by the typical time of a call, and all sizes together at the end."""
    classes = []
    low = 0.0
    for name, high in _SIZES:
        classes.append(_class(found, name, low, high))
        low = high
    return [*(c for c in classes if c.cases), _class(found, "all", 0.0, math.inf)]


def _class(found: NoiseStudy, name: str, low: float, high: float) -> SizeClass:
    unchanged = _within(found.unchanged.cases, low, high)
    return SizeClass(
        name=name,
        cases=len(unchanged),
        false_alarms=share_of(unchanged, "slower", "faster"),
        same=share_of(unchanged, "same"),
        covered=covered(found_in(unchanged)),
        power={
            share: share_of(_within(comparison.cases, low, high), "slower")
            for share, comparison in found.planted.items()
        },
        widest=_middle_half_width(unchanged),
    )


def _within(cases: Sequence[Compared], low: float, high: float) -> list[Compared]:
    return [case for case in cases if case.base_time and low <= case.base_time[0] < high]


def share_of(cases: Sequence[Compared] | Sequence[Finding], *verdicts: Verdict) -> Share:
    """How many of the compared cases have one of these verdicts."""
    judged = [case.verdict for case in cases if case.verdict is not None]
    return Share(sum(verdict in verdicts for verdict in judged), len(judged))


def covered(findings: Iterable[Finding]) -> Share:
    """How many intervals hold 1, each taken by itself; those without an interval are not counted.

    By itself: once they were widened for the family, those that found no change hold 1 by
    construction, and counting them would be no check.
    """
    ends = [finding.alone[1:] for finding in findings]
    known = [(low, high) for low, high in ends if low is not None and high is not None]
    return Share(sum(low <= 1 <= high for low, high in known), len(known))


def found_in(cases: Sequence[Compared]) -> list[Finding]:
    """What was found of the cases that could be compared."""
    return [case.finding for case in cases if case.finding is not None]


def _middle_half_width(cases: Sequence[Compared]) -> float:
    ends = [finding.alone[1:] for finding in found_in(cases)]
    widths = [
        math.sqrt(high / low) - 1 for low, high in ends if low is not None and high is not None
    ]
    return float(np.median(widths)) if widths else math.nan


def _process_deviation(comparison: Comparison) -> float:
    """The standard deviation of log-times between processes: root of the mean variance of a case.

    Of several sessions each counts by itself: between them the machine may have changed.

    A mean and no median: the few cases with processes that are slow for life must count.
    """
    results = comparison.sides.results
    found = []
    for case in comparison.cases:
        samples = results.samples[case.row]
        if samples is None:
            continue
        by_replicate = samples.by_replicate()
        sessions = comparison.sides.base.run.sessions_of(by_replicate) or [0] * len(by_replicate)
        logs: dict[int, list[float]] = {}
        for session, blocks in zip(sessions, by_replicate.values(), strict=True):
            lows = np.log([np.quantile(rounds, 0.1) for rounds in blocks])
            logs.setdefault(session, []).append(process_figure(lows))
        found += [float(np.var(few, ddof=1)) for few in logs.values() if len(few) > 1]
    return math.sqrt(float(np.mean(found))) if found else 0.0


def _name(frame: pd.DataFrame, row: int) -> str:
    """A case's name without its environment, by which sessions find it again."""
    columns = {column.name: column.type(frame.at[row, column.name]) for column in CASE_COLUMNS}
    return Case.from_columns({**columns, "environment": DEFAULT_ENVIRONMENT}).id


def _seconds(value: object) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known else math.nan  # type: ignore[arg-type]
