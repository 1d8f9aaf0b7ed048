"""Two environments, case by case: ratio, interval, verdict, and what else has changed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pandas as pd

from rnnbench.errors import UserError
from rnnbench.numbers import format_share
from rnnbench.regressions.family import Bounds, Finding, Interval, judge
from rnnbench.regressions.machine_noise import MachineNoise, between_sessions
from rnnbench.regressions.machines import Difference, differences
from rnnbench.regressions.sides import Side, Sides
from rnnbench.report._words import share_of
from rnnbench.report.escaping import clean
from rnnbench.report.groups import CASE_NAMES
from rnnbench.report.ratios import Pairing, ratio_of
from rnnbench.results import MEASURED, Results
from rnnbench.statistics import Verdict, student_t_quantile

__all__ = ["STATES", "Compared", "Comparison", "State", "compare"]

State: TypeAlias = Literal["compared", "failing", "mended", "not measured", "missing", "added"]

STATES: Mapping[State, str] = {
    "compared": "measured on both sides",
    "failing": "was measured, and now is not",
    "mended": "could not be measured, and now is",
    "not measured": "on neither side",
    "missing": "only the base has the case",
    "added": "only the new side has the case",
}

_PATH = ("backend", "breaks", "graphs")
_MANY = 30
"""Degrees of freedom of the stored deviation between processes, which comes from many cases."""
_WIDEST = math.log(1e6)
"""An interval that reaches further than by this factor is none: it says nothing of a case."""
_LISTED = 5  # values of a column that a sentence names


@dataclass(frozen=True)
class Compared:
    """One case on both sides; times are seconds of a call with the ends of their intervals.

    ``row`` is a row of the results that tells the case, the new side's where it has one.
    ``path`` says what else ran than before, empty where the same did. ``processes`` are those of
    the side that has fewer.
    """

    row: int
    state: State
    finding: Finding | None
    base_time: Bounds | None
    new_time: Bounds | None
    path: str
    reason: str
    processes: int

    @property
    def verdict(self) -> Verdict | None:
        """The verdict, None where there is nothing to compare."""
        return None if self.finding is None else self.finding.verdict


@dataclass(frozen=True)
class Comparison:
    """All cases of two sides, judged as one family.

    ``footing`` is on what the ratios stand, as `rnnbench.report.ratios.PAIRINGS` explains;
    ``differences`` are those of two machines that were compared nevertheless. ``notes`` are
    sentences that belong beside every number.
    """

    sides: Sides
    cases: Sequence[Compared]
    margin: float
    rate: float
    footing: Pairing
    differences: Sequence[Difference]
    notes: Sequence[str]
    noise: MachineNoise | None

    @property
    def verdicts(self) -> Counter[Verdict]:
        """How many cases have which verdict."""
        return Counter(case.verdict for case in self.cases if case.verdict is not None)

    @property
    def states(self) -> Counter[State]:
        """How many cases are in which state."""
        return Counter(case.state for case in self.cases)


def compare(
    sides: Sides,
    *,
    margin: float = 0.02,
    rate: float = 0.05,
    across_machines: bool = False,
    noise: MachineNoise | None = None,
) -> Comparison:
    """Compare all cases of two sides.

    Sides of one run took turns: their ratios have intervals from pairs of processes. Sides of
    separate runs have intervals from their processes, widened by what is known of the machine's
    noise between sessions; where that is not known, every verdict is ``inconclusive``. A single
    process on a side has no interval but that which the machine's known noise gives it. One that
    would be wider than a factor of a million to either side is none. Of a run in stages each look
    has its share of the rate, whichever were taken.

    Raises:
        UserError: the sides have no case in common, or are from different machines or settings and
            ``across_machines`` did not ask for that.
    """
    base, new = sides.base, sides.new
    if not base.rows.keys() & new.rows.keys():
        raise UserError(_nothing_in_common(sides))
    found: list[Difference] = []
    if not sides.one_run:
        found = differences((base.run, base.described), (new.run, new.described))
        if found and not across_machines:
            raise UserError(
                f"{base.run.path} and {new.run.path} are of different machines or settings "
                f"({_listed(found)}); give --across-machines to compare them nevertheless"
            )
    footing: Pairing = "took turns" if sides.one_run else "separate runs"
    both = [
        key for key in base.rows if key in new.rows and _measured(sides.results, base, new, key)
    ]
    session = None if sides.one_run else between_sessions(noise)
    deviation = noise.latest.process_deviation if noise and noise.latest else None
    intervals = [
        _interval(sides, base.rows[key], new.rows[key], footing, session, bool(found), deviation)
        for key in both
    ]
    looks = _looks(sides)
    judged = judge(intervals, margin=margin, rate=rate, looks=looks)
    findings = dict(zip(both, judged, strict=True))
    keys = [*base.rows, *(key for key in new.rows if key not in base.rows)]
    return Comparison(
        sides=sides,
        cases=[_compared(sides, key, findings.get(key)) for key in keys],
        margin=margin,
        rate=rate,
        footing=footing,
        differences=found,
        notes=[*_staged(looks, rate), *_notes(sides, found, session, noise, judged)],
        noise=noise,
    )


def _nothing_in_common(sides: Sides) -> str:
    """Why no case is on both sides: what differs in the machines, then in the cases themselves.

    Of the cases those columns are told in which no value is on both sides, such as other threads.
    """
    base, new = sides.base, sides.new
    found = differences((base.run, base.described), (new.run, new.described))
    told = [_listed(found)] if found else []
    for at, name in enumerate(name for name in CASE_NAMES if name != "environment"):
        left, right = (list(dict.fromkeys(key[at] for key in side.rows)) for side in (base, new))
        if not set(left) & set(right):
            told.append(f"{name}: {_values(left)} in base, {_values(right)} in new")
    differ = f"; they differ in {'; '.join(told)}" if told else ""
    return (
        f"{base.run.path} and {new.run.path}: no case is in both {clean(base.environment)} and "
        f"{clean(new.environment)}, so there is nothing to compare{differ}. Measure the same grid "
        "on the same machine"
    )


def _listed(found: Sequence[Difference]) -> str:
    return "; ".join(f"{d.name}: {clean(d.base, 80)} and {clean(d.new, 80)}" for d in found)


def _values(values: Sequence[Hashable]) -> str:
    shown = ", ".join(clean(str(value), 40) for value in values[:_LISTED])
    more = len(values) - _LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def _looks(sides: Sides) -> int:
    """How often a case could have been looked at: of two runs, each time with any of the other."""
    if sides.one_run:
        return max(sides.base.run.stages, sides.new.run.stages)
    return sides.base.run.stages * sides.new.run.stages


def _staged(looks: int, rate: float) -> list[str]:
    if looks == 1:
        return []
    return [
        f"Measured in stages: a case could be looked at {looks} times, so each verdict is held to "
        f"{format_share(rate)} / {looks} = {format_share(rate / looks)}, which keeps all looks "
        f"together at {format_share(rate)}."
    ]


def _measured(results: Results, base: Side, new: Side, key: tuple[Hashable, ...]) -> bool:
    return all(results.samples[side.rows[key]] is not None for side in (base, new))


def _interval(
    sides: Sides,
    base: int,
    new: int,
    footing: Pairing,
    session: tuple[float, int] | None,
    different: bool,
    deviation: float | None,
) -> Interval:
    def paired(level: float) -> Bounds:
        ratio = ratio_of(sides.results, base, new, level=level, pairing=footing)
        if ratio.low is None and deviation:  # 0 is known of nothing: no two processes took turns
            half = _half(level, deviation, _MANY)
            return _around(ratio.value, half, half)
        return _within_reason(ratio.value, ratio.low, ratio.high)

    if footing != "separate runs":
        return paired
    if session is None or different:
        # Nothing says how far two sessions, or two machines, are apart: no interval is honest.
        return lambda level: (paired(level)[0], None, None)
    return lambda level: _widened(paired(level), level, *session)


def _half(level: float, deviation: float, freedom: int) -> float:
    """Half the interval of the logarithm of a ratio.

    Of two figures of which each has that standard deviation of its logarithm.
    """
    return student_t_quantile((1 + level) / 2, freedom) * deviation * math.sqrt(2)


def _around(ratio: float, below: float, above: float) -> Bounds:
    """The ratio and its ends, so far away in logarithms; none where they are beyond all reason.

    Of two sessions hardly anything is known at a high level: ``exp`` could not even hold the ends.
    """
    if max(below, above) > _WIDEST:
        return ratio, None, None
    return ratio, ratio * math.exp(-below), ratio * math.exp(above)


def _within_reason(ratio: float, low: float | None, high: float | None) -> Bounds:
    """The same, without ends where they are as far away as `_around` has none."""
    if low is None or high is None:
        return ratio, None, None
    far = math.exp(_WIDEST)
    return (ratio, low, high) if ratio <= low * far and high <= ratio * far else (ratio, None, None)


def _widened(bounds: Bounds, level: float, deviation: float, freedom: int) -> Bounds:
    """Add the noise between two sessions: independent of that of processes, so in squares."""
    ratio, low, high = bounds
    if low is None or high is None:
        return bounds
    between = _half(level, deviation, freedom)
    below, above = (math.hypot(math.log(end / ratio), between) for end in (low, high))
    return _around(ratio, below, above)


def _compared(sides: Sides, key: tuple[Hashable, ...], finding: Finding | None) -> Compared:
    frame = sides.results.frame
    base, new = sides.base.rows.get(key), sides.new.rows.get(key)
    rows = [row for row in (new, base) if row is not None]
    statuses = [None if row is None else str(frame.at[row, "status"]) for row in (base, new)]
    processes = [frame.at[row, "processes"] for row in rows]
    known = [int(count) for count in processes if not pd.isna(count)]
    return Compared(
        row=rows[0],
        state=_state(*statuses),
        finding=finding,
        base_time=_time(frame, base),
        new_time=_time(frame, new),
        path=_path(frame, base, new) if finding is not None else "",
        reason=_reason(frame, base, new),
        processes=min(known, default=0),
    )


def _state(base: str | None, new: str | None) -> State:
    if base is None:
        return "added"
    if new is None:
        return "missing"
    if base == MEASURED:
        return "compared" if new == MEASURED else "failing"
    return "mended" if new == MEASURED else "not measured"


def _time(frame: pd.DataFrame, row: int | None) -> Bounds | None:
    if row is None or pd.isna(frame.at[row, "time"]):
        return None
    ends = [frame.at[row, name] for name in ("time_low", "time_high")]
    low, high = (None if pd.isna(end) else float(end) for end in ends)
    return float(frame.at[row, "time"]), low, high


def _path(frame: pd.DataFrame, base: int | None, new: int | None) -> str:
    """What of the path that a case takes has changed, in words; empty where nothing has."""
    changed = []
    for name in _PATH:
        then, now = (None if row is None else frame.at[row, name] for row in (base, new))
        if pd.isna(then) and pd.isna(now):
            continue
        if pd.isna(then) or pd.isna(now) or then != now:
            words = ["none" if pd.isna(value) else str(value) for value in (then, now)]
            changed.append(f"{name} {words[0]} → {words[1]}")
    return ", ".join(changed)


def _reason(frame: pd.DataFrame, base: int | None, new: int | None) -> str:
    """Why a side has no time: the new one's reason, else the base's."""
    for row in (new, base):
        if row is not None and str(frame.at[row, "status"]) != MEASURED:
            reason: Any = frame.at[row, "reason"]
            return f"{frame.at[row, 'status']}: {'' if pd.isna(reason) else reason}".rstrip(": ")
    return ""


def _notes(
    sides: Sides,
    found: Sequence[Difference],
    session: tuple[float, int] | None,
    noise: MachineNoise | None,
    judged: Sequence[Finding],
) -> list[str]:
    notes = []
    if found:
        listed = "; ".join(f"{d.name} {clean(d.base, 80)} and {clean(d.new, 80)}" for d in found)
        notes.append(
            f"Different machines or settings ({listed}): a ratio says nothing of PyTorch alone, so "
            "no verdict is given."
        )
    elif not sides.one_run and session is None:
        notes.append(
            "These are separate runs, and how much this machine changes between runs is not "
            "known, so no verdict is given. Measure both in one run (`rnnbench versions`), which "
            "is far more sensitive, or run `rnnbench noise` on two occasions."
        )
    elif session is not None:
        deviation, freedom = session
        half = _half(0.95, deviation, freedom)
        least = (
            f"only changes of about {100 * math.expm1(half):.0f} % and more can be found"
            if half <= _WIDEST
            else "no change can be found"
        )
        notes.append(
            "These are separate runs: every interval is widened by the noise between "
            f"{freedom + 1} or more sessions of this machine (standard deviation "
            f"{100 * deviation:.1f} %), so that {least}. "
            "One run in which both take turns is far more sensitive."
        )
        beyond = sum(_half(each.level, deviation, freedom) > _WIDEST for each in judged)
        if beyond:
            notes.append(
                f"No interval for {share_of(beyond, len(judged), 'case')}: of so few sessions it "
                "would reach further than by a factor of a million. `rnnbench noise` on further "
                "occasions narrows it."
            )
    if sides.one_run and sides.base.described.get("planted") != sides.new.described.get("planted"):
        notes.append("A slowdown was planted in one of the sides, to see whether it is found.")
    if noise is not None and noise.latest is not None:
        latest = noise.latest
        alarms = latest.false_alarms
        powers = ", ".join(
            f"{float(size):.0%} slower in {share.found} of {share.of}"
            for size, share in latest.power.items()
        )
        found_were = f"; found, all of them slowed at once, were {powers}" if powers else ""
        notes.append(
            f"Noise of this machine, measured {latest.measured_at[:10]} with {latest.replicates} "
            f"processes and {latest.seconds:g} s a case: {alarms.found} of {alarms.of} unchanged "
            f"cases were called slower or faster{found_were}."
        )
    return notes
