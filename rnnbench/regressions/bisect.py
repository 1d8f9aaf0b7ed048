"""Finds the released versions between which a case changed, each step measured in one run."""

from __future__ import annotations

import dataclasses
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
from rnnbench.regressions.kept_state import check_ended, check_same, read_state
from rnnbench.regressions.search import Answer, Found, search, shares_of_looks
from rnnbench.regressions.sides import sides_of
from rnnbench.regressions.versions import environment_arguments, measure
from rnnbench.report.escaping import clean
from rnnbench.report.outputs import write_document
from rnnbench.results import read
from rnnbench.statistics import Verdict

__all__ = ["Bisection", "Effort", "bisect", "check_folder"]

_T = TypeVar("_T")

_MOST_DOUBLINGS = 2
"""A step that tells nothing is measured again with twice the processes, and once more."""

_STATE = "bisection.json"
_NO_LOCK = f"{OPTION_PREFIX}no-lock"


@dataclass(frozen=True)
class Effort:
    """How a step is measured: seconds of rounds for the case, over all of its processes.

    ``rate`` is the probability that any decision on the way is wrong, at most. ``arguments`` are
    further ones of `pytest suites`; ``planted`` slowdowns by version, for tests. With ``resume``,
    steps that the folder holds already are not measured again.

    Raises:
        UserError: one of the numbers makes no sense.
    """

    replicates: int = 8
    seconds: float = 4.0
    margin: float = 0.02
    rate: float = 0.05
    arguments: Sequence[str] = ()
    planted: Mapping[str, float] = field(default_factory=dict)
    resume: bool = False

    def __post_init__(self) -> None:
        if self.replicates < 1:
            raise UserError(f"--replicates is {self.replicates}; give 1 or more")
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise UserError(f"--seconds is {self.seconds:g}; give seconds above 0")
        for name in ("margin", "rate"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(
                    f"--{name} is {getattr(self, name):g}; give a share above 0 and below 1, such "
                    "as 0.02"
                )


@dataclass(frozen=True)
class Bisection:
    """What was found of a case: its change from end to end, and where it lies.

    ``found`` is None where the ends are not told apart.
    """

    case: Case
    ends: Compared
    found: Found | None


@dataclass(frozen=True)
class _State:
    """What a folder says of the bisection in it: the steps that have ended, and what was asked."""

    finished: int
    asked: dict[str, list[str]]


def check_folder(case: Case, chain: Sequence[str], folder: Path, effort: Effort) -> None:
    """Refuse a folder with steps that are not to be resumed, or that are of another bisection.

    Raises:
        UserError: it holds such steps, or one that had ended is missing.
    """
    _finished(folder, _asked(case, chain, effort), resume=effort.resume)


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
    when it is needed.

    All decisions together are wrong with a probability of ``effort.rate`` at most, whatever the
    answers are. `shares_of_looks` gives each look its share of it before the first one, and the
    shares add up to no more than the whole. A look shares its own out evenly over the measurements
    that it may take. What a measurement decides on a version in between rests on two intervals,
    before it and after it; each of them misleads on one of its sides alone, with half of the
    measurement's share.

    Raises:
        UserError: an end cannot run the case, a run does not come to its end, or the folder is
            refused, as `check_folder` does.
    """
    steps = _Steps(case, chain, make, folder, effort)
    rates = (effort.rate * share / (1 + _MOST_DOUBLINGS) for share in shares_of_looks(len(chain)))
    first, last = chain[0], chain[-1]

    rate_of_ends = next(rates)

    def ends(replicates: int) -> Compared:
        say(f"{first} against {last}, {replicates} processes each")
        return steps.compared([first, last], replicates, rate_of_ends)[0]

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
        rate = next(rates)

        def once(replicates: int) -> tuple[Answer, str, bool]:
            say(f"{version} against both ends, {replicates} processes each")
            before, after = steps.compared([first, version, last], replicates, rate)
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
    """Runs of a case in several versions, numbered as they come; the folder knows what has ended.

    What was asked is written when the first environments are there: a name of a version that does
    not exist leaves nothing behind.
    """

    def __init__(
        self,
        case: Case,
        chain: Sequence[str],
        make: Callable[[str], Environment],
        folder: Path,
        effort: Effort,
    ) -> None:
        self._case = case
        self._make = make
        self._folder = folder
        self._effort = effort
        self._asked = _asked(case, chain, effort)
        self._finished = _finished(folder, self._asked, resume=effort.resume)
        self._number = 0

    def compared(self, versions: Sequence[str], replicates: int, rate: float) -> list[Compared]:
        """Each version against the one before it, measured in one run."""
        self._number += 1
        effort = self._effort
        environments = [self._make(version) for version in versions]
        result = _step_file(self._folder, self._number)
        if self._number > self._finished:
            self._write_state()
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
            self._finished = self._number
            self._write_state()
        results = read([str(result)])
        names = [entry.name for entry in environments]
        found: list[Compared] = []
        for base, new in pairwise(names):
            sides = sides_of(results, base, new)
            found += compare(sides, margin=effort.margin, rate=rate).cases
        return found

    def _write_state(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        state = _State(self._finished, self._asked)
        write_document(self._folder / _STATE, dataclasses.asdict(state))


def _asked(case: Case, chain: Sequence[str], effort: Effort) -> dict[str, list[str]]:
    """What must not change before the last step, by option; of a grid it is the case alone."""
    return {
        "CASE": _axes_of(case),
        "the environments": list(chain),
        "--replicates": [str(effort.replicates)],
        "--seconds": [str(effort.seconds)],
        "--margin": [str(effort.margin)],
        "--rate": [str(effort.rate)],
        "further arguments": [text for text in effort.arguments if text != _NO_LOCK],
        "planted slowdowns": [f"{name}={share}" for name, share in sorted(effort.planted.items())],
    }


def _finished(folder: Path, asked: dict[str, list[str]], *, resume: bool) -> int:
    """How many steps of this bisection the folder holds; all others are refused."""
    state = _read_state(folder)
    steps = any(folder.glob("step-*.json*"))
    if not steps and (state is None or not state.finished):
        return 0
    if not resume:
        raise UserError(
            f"{folder}: holds the steps of an earlier bisection; give another --output, or "
            "--resume to complete that one"
        )
    if state is None:
        raise UserError(
            f"--resume: {folder} holds steps, but not what was asked of them; give another "
            "--output to start anew"
        )
    check_same(state.asked, asked, f"the bisection in {folder}")
    for number in range(1, state.finished + 1):
        check_ended(_step_file(folder, number), "step")
    return state.finished


def _read_state(folder: Path) -> _State | None:
    found = read_state(folder / _STATE, {"finished": int, "asked": dict}, "a bisection")
    return None if found is None else _State(**found)


def _step_file(folder: Path, number: int) -> Path:
    return folder / f"step-{number}.json"


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
