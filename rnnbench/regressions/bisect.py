"""Finds the released versions between which a case changed, each step measured in one run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.grids import AXES, OPTION_PREFIX
from rnnbench.numbers import format_ratio
from rnnbench.regressions.compare import Compared, compare
from rnnbench.regressions.environments import Environment
from rnnbench.regressions.search import Answer, Found, most_steps, search
from rnnbench.regressions.sides import sides_of
from rnnbench.regressions.versions import environment_arguments, measure
from rnnbench.report.escaping import clean
from rnnbench.results import read
from rnnbench.statistics import Verdict

__all__ = ["Bisection", "Effort", "bisect"]

_T = TypeVar("_T")

_MOST_DOUBLINGS = 2
"""A step that tells nothing is measured again with twice the processes, and once more."""


@dataclass(frozen=True)
class Effort:
    """How a step is measured: seconds of rounds for the case, over all of its processes.

    ``rate`` is the probability that any decision on the way is wrong, at most. ``arguments`` are
    further ones of `pytest suites`; ``planted`` slowdowns by version, for tests. With ``resume``,
    steps that the folder holds already are not measured again.
    """

    replicates: int = 8
    seconds: float = 4.0
    margin: float = 0.02
    rate: float = 0.05
    arguments: Sequence[str] = ()
    planted: Mapping[str, float] = field(default_factory=dict)
    resume: bool = False


@dataclass(frozen=True)
class Bisection:
    """What was found of a case: its change from end to end, and where it lies.

    ``found`` is None where the ends are not told apart.
    """

    case: Case
    ends: Compared
    found: Found | None


def bisect(
    case: Case,
    chain: Sequence[str],
    make: Callable[[str], Environment],
    folder: Path,
    effort: Effort,
    say: Callable[[str], None],
) -> Bisection:
    """Bisect one case over a chain of versions, the good end first.

    Each step runs the case in a version between and in both ends, all three in turns; one that
    tells nothing is measured again with more processes. ``make`` gives the environment of a version
    when it is needed. The rate of wrong decisions is shared out over the most looks that there can
    be, so that all of them together keep it (Bonferroni).

    Raises:
        UserError: an end cannot run the case, or a run does not come to its end.
    """
    looks = (1 + most_steps(len(chain))) * (1 + _MOST_DOUBLINGS)
    steps = _Steps(case, make, folder, effort, effort.rate / looks)
    first, last = chain[0], chain[-1]

    def ends(replicates: int) -> Compared:
        say(f"{first} against {last}, {replicates} processes each")
        return steps.compared([first, last], replicates)[0]

    whole = _until(ends, lambda found: found.verdict != "inconclusive", effort.replicates)
    if whole.verdict is None:
        raise UserError(
            f"{clean(case.id)} cannot be measured in both {first} and {last} "
            f"({clean(whole.reason or whole.state)}); choose other ends or another case"
        )
    if whole.verdict not in ("slower", "faster"):
        return Bisection(case, whole, None)
    direction = whole.verdict

    def look(version: str) -> tuple[Answer, str]:
        def once(replicates: int) -> tuple[Answer, str, bool]:
            say(f"{version} against both ends, {replicates} processes each")
            before, after = steps.compared([first, version, last], replicates)
            if before.verdict is None or after.verdict is None:
                return "cannot tell", before.reason or after.reason or "not measured", True
            answer, reason = _answer(before, after, direction, (first, version, last))
            return answer, reason, answer != "cannot tell"

        answer, reason, _ = _until(once, lambda told: told[2], effort.replicates)
        return answer, reason

    return Bisection(case, whole, search(chain, look))


def _until(once: Callable[[int], _T], told: Callable[[_T], bool], replicates: int) -> _T:
    """Measure with ever more processes until it tells something."""
    found = once(replicates)
    for doubling in range(1, _MOST_DOUBLINGS + 1):
        if told(found):
            break
        found = once(replicates << doubling)
    return found


class _Steps:
    """Runs of a case in several versions, numbered as they come."""

    def __init__(
        self,
        case: Case,
        make: Callable[[str], Environment],
        folder: Path,
        effort: Effort,
        rate: float,
    ) -> None:
        self._case = case
        self._make = make
        self._folder = folder
        self._effort = effort
        self._rate = rate
        self._number = 0

    def compared(self, versions: Sequence[str], replicates: int) -> list[Compared]:
        """Each version against the one before it, measured in one run."""
        self._number += 1
        effort = self._effort
        environments = [self._make(version) for version in versions]
        result = self._folder / f"step-{self._number}.json"
        if not (effort.resume and result.exists()):
            planted = [
                f"{OPTION_PREFIX}planted={entry.name}={effort.planted[version]}"
                for version, entry in zip(versions, environments, strict=True)
                if version in effort.planted
            ]
            arguments = [
                *_axes_of(self._case),
                f"{OPTION_PREFIX}replicates={replicates}",
                # The same time for each process, however many there are.
                f"{OPTION_PREFIX}seconds={effort.seconds * replicates / effort.replicates}",
                f"{OPTION_PREFIX}precision=0.0001",
                *effort.arguments,
                *environment_arguments(environments),
                *planted,
            ]
            measure(result, arguments, resume=effort.resume)
        results = read([str(result)])
        names = [entry.name for entry in environments]
        found: list[Compared] = []
        for base, new in pairwise(names):
            sides = sides_of(results, base, new)
            found += compare(sides, margin=effort.margin, rate=self._rate).cases
        return found


def _answer(
    before: Compared, after: Compared, direction: Verdict, versions: Sequence[str]
) -> tuple[Answer, str]:
    """What a version in between is like, from what changed before it and after it."""
    assert before.finding is not None
    assert after.finding is not None
    first, version, last = versions
    reason = f"{version} / {first} {_ratio(before)}, {last} / {version} {_ratio(after)}"
    if before.verdict == direction == after.verdict:
        sizes = [abs(math.log(found.ratio)) for found in (before.finding, after.finding)]
        return ("mostly before" if sizes[0] >= sizes[1] else "mostly after"), reason
    if before.verdict == direction:
        return "as bad", reason
    return ("as good" if after.verdict == direction else "cannot tell"), reason


def _ratio(found: Compared) -> str:
    assert found.finding is not None
    return " ".join(format_ratio(found.finding.ratio, found.finding.low, found.finding.high))


def _axes_of(case: Case) -> list[str]:
    columns = case.columns()
    return [f"{OPTION_PREFIX}{axis.option}={_text(columns[axis.name])}" for axis in AXES.values()]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
