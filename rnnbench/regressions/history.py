"""Many results of a machine as timelines: a case over time or versions, and where it changed.

Machines are never mixed: what a processor does says nothing about another. Measurements that a
file repeats from another are used once, from the file that holds the most of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, TypeAlias

from packaging.version import InvalidVersion, Version

from rnnbench.errors import UserError
from rnnbench.regressions.changes import Shape, shapes_of
from rnnbench.regressions.history_sources import no_points, runs_in, time_of
from rnnbench.regressions.machines import machine_key
from rnnbench.report.groups import CASE_NAMES, setting_text
from rnnbench.results import MEASURED, Results

__all__ = ["By", "History", "Machine", "Point", "Skipped", "Timeline", "history_of"]

By: TypeAlias = Literal["time", "version"]

_OWN_CASE = tuple(name for name in CASE_NAMES if name != "environment")


@dataclass(frozen=True)
class Skipped:
    """A file that is in no timeline, or only in part, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Machine:
    """A machine by what its speed depends on; ``key`` tells those apart that read alike."""

    key: str
    description: str


@dataclass(frozen=True)
class Point:
    """A case in one environment of one run: its time in seconds, or why it has none."""

    file: str
    environment: str
    torch: str
    measured_at: datetime
    row: int
    time: float | None
    low: float | None
    high: float | None
    status: str
    run: str

    @property
    def measured(self) -> bool:
        """Whether it has a time."""
        return self.time is not None


@dataclass(frozen=True)
class Timeline:
    """A case on one machine: all points in order, and the shape of those that have a time.

    Indices in ``shape`` count ``points``; ``gaps`` are runs that have no time for the case.
    """

    machine: Machine
    case: Mapping[str, Any]
    points: tuple[Point, ...]
    gaps: tuple[Point, ...]
    shape: Shape

    @cached_property
    def name(self) -> str:
        """The case in words."""
        return setting_text(self.case, _OWN_CASE)


@dataclass(frozen=True)
class History:
    """All timelines, in the order in which their cases were met; ``results`` holds no rounds."""

    by: By
    timelines: tuple[Timeline, ...]
    skipped: tuple[Skipped, ...]
    results: Results

    @property
    def machines(self) -> list[Machine]:
        """Each machine once."""
        return list(dict.fromkeys(timeline.machine for timeline in self.timelines))

    def runs(self, machine: Machine) -> int:
        """How many runs of a machine there are."""
        of = [timeline for timeline in self.timelines if timeline.machine == machine]
        return len({point.run for one in of for point in (*one.points, *one.gaps)})

    @property
    def longest(self) -> int:
        """Points of the longest timeline."""
        return max((len(timeline.points) for timeline in self.timelines), default=0)


def history_of(results: Results, *, by: By | None = None, case: str | None = None) -> History:
    """Make timelines of results that were read.

    Raises:
        UserError: no case has ``case`` in it.
    """
    skipped: list[Skipped] = []
    times: dict[str, datetime] = {}
    aside: dict[str, Set[str]] = {}
    for label, run in results.runs.items():
        time = time_of(run.measured_at)
        if time is None:
            skipped.append(Skipped(label, "does not say when it was measured"))
            continue
        times[label] = time
        aside[label], why = no_points(run)
        if why:
            skipped.append(Skipped(label, why))
    points = list(_points(results, times, aside))
    if by is None:
        counts = [len(results.runs[label].environments) - len(aside[label]) for label in times]
        by = "version" if max(counts, default=0) > 1 else "time"
    if len(times) > 1:
        points, repeated = _once(
            points, {label: runs_in(results.runs[label], time) for label, time in times.items()}
        )
        skipped += repeated
    if case is not None:
        points = _only(points, case)
    grouped: dict[tuple[Machine, tuple[Any, ...]], list[Point]] = {}
    for machine, key, point in points:
        grouped.setdefault((machine, key), []).append(point)
    ordered = [sorted(members, key=_order(by)) for members in grouped.values()]
    shapes = _shapes([machine for machine, _ in grouped], ordered)
    timelines = [
        Timeline(
            machine,
            dict(zip(_OWN_CASE, key, strict=True)),
            tuple(point for point in members if point.measured),
            tuple(point for point in members if not point.measured),
            shape,
        )
        for (machine, key), members, shape in zip(grouped, ordered, shapes, strict=True)
    ]
    return History(by, tuple(timelines), tuple(skipped), results)


_Found: TypeAlias = tuple[Machine, tuple[Any, ...], Point]


def _points(
    results: Results, times: Mapping[str, datetime], aside: Mapping[str, Set[str]]
) -> Iterator[_Found]:
    """All points of runs that have a time, but those of environments that are put aside."""
    machines: dict[tuple[str, str], Machine] = {}
    frame = results.frame
    columns = ["run", *CASE_NAMES, "torch", "time", "time_low", "time_high", "status"]
    values = {name: frame[name].astype(object).where(frame[name].notna(), None) for name in columns}
    for row, record in enumerate(zip(*(values[name].tolist() for name in columns), strict=True)):
        of = dict(zip(columns, record, strict=True))
        when = times.get(of["run"])
        if when is None or of["environment"] in aside[of["run"]]:
            continue
        place = of["run"], of["environment"]
        if place not in machines:
            machines[place] = _machine(results.runs[place[0]].environments[place[1]])
        measured = of["status"] == MEASURED
        point = Point(
            file=of["run"],
            environment=of["environment"],
            torch=of["torch"] or "unknown",
            measured_at=when,
            row=row,
            time=of["time"] if measured else None,
            low=of["time_low"],
            high=of["time_high"],
            status=of["status"],
            run=results.runs[place[0]].run_id or when.isoformat(),
        )
        yield machines[place], tuple(of[name] for name in _OWN_CASE), point


def _machine(environment: Mapping[str, Any]) -> Machine:
    cpu = environment.get("cpu")
    cpu = cpu if isinstance(cpu, Mapping) else {}
    described = f"{cpu.get('model') or 'unknown processor'}, {cpu.get('count') or '?'} processors"
    devices = environment.get("devices")
    for kind in devices.values() if isinstance(devices, Mapping) else ():
        listed = kind.get("devices") if isinstance(kind, Mapping) else None
        named = [
            device if isinstance(device, str) else str(device.get("name"))
            for device in (listed if isinstance(listed, list) else [])
            if isinstance(device, str | Mapping)
        ]
        counted = Counter(named)
        described += "".join(
            f", {f'{count} × ' if count > 1 else ''}{name}" for name, count in counted.items()
        )
    return Machine(machine_key(environment), described)


def _once(
    points: Sequence[_Found], runs: Mapping[str, Set[str]]
) -> tuple[list[_Found], list[Skipped]]:
    """Each measurement once, with ``runs`` that each file holds.

    The file that holds the most runs keeps its points, then the one that holds the most times.
    """
    of: dict[str, list[int]] = {file: [] for file in runs}
    for at, (_, _, point) in enumerate(points):
        of[point.file].append(at)
    times = {file: sum(points[at][2].measured for at in places) for file, places in of.items()}
    kept: dict[str, dict[tuple[Any, ...], list[Point]]] = {}
    left: set[int] = set()
    skipped: list[Skipped] = []
    for file in sorted(of, key=lambda file: (-len(runs[file]), -times[file])):
        related = [other for other in kept if runs[file] & runs[other]]
        counts: Counter[str] = Counter()
        own = kept.setdefault(file, {})
        for at in of[file]:
            machine, key, point = points[at]
            place = (machine, key, point.torch)
            holder = next(
                (
                    other
                    for other in related
                    for held in kept[other].get(place, ())
                    if _repeats(point, runs[file], held, runs[other])
                ),
                None,
            )
            if holder is None:
                own.setdefault(place, []).append(point)
            else:
                left.add(at)
                counts[holder] += 1
        skipped += [
            Skipped(file, f"{count:,} of its cases are the same measurements as in {other}")
            for other, count in counts.items()
        ]
    return [entry for at, entry in enumerate(points) if at not in left], skipped


def _repeats(point: Point, runs: Set[str], held: Point, holding: Set[str]) -> bool:
    """Whether a point's measurement is in another one of the same case on the same machine.

    ``runs`` and ``holding`` are those of their files. A file that was joined from others holds all
    that they measured; in one that was merged, environments may have got a number.
    """
    if point.environment != held.environment and not (
        runs != holding and re.fullmatch(rf"{re.escape(point.environment)}-\d+", held.environment)
    ):
        return False
    if runs <= holding and len(holding) > 1:
        return True
    if point.time != held.time:
        return False
    return runs == holding or (point.time is not None and bool(runs & holding))


def _only(points: Sequence[_Found], text: str) -> list[_Found]:
    wanted = text.casefold()
    words = {
        key: setting_text(dict(zip(_OWN_CASE, key, strict=True)), _OWN_CASE)
        for key in dict.fromkeys(key for _, key, _ in points)
    }
    kept = [entry for entry in points if wanted in words[entry[1]].casefold()]
    if not kept:
        example = next(iter(words.values()), "none")
        raise UserError(
            f"--case {text!r}: none of the {len(words):,} cases has it in its words, which are "
            f"such as {example!r}"
        )
    return kept


def _order(by: By) -> Any:
    def key(point: Point) -> Any:
        version = _version(point.torch)
        place = (version is not None, version or Version("0"), point.torch)
        if by == "version":
            return (*place, point.measured_at, point.file, point.environment)
        return (point.measured_at, *place, point.file, point.environment)

    return key


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _shapes(machines: Sequence[Machine], ordered: Sequence[Sequence[Point]]) -> list[Shape]:
    """The shapes of all timelines; those of one machine are a family."""
    shapes: dict[int, Shape] = {}
    for machine in dict.fromkeys(machines):
        members = [at for at, other in enumerate(machines) if other == machine]
        series = [[p.time for p in ordered[at] if p.time is not None] for at in members]
        shapes.update(zip(members, shapes_of(series), strict=True))
    return [shapes[at] for at in range(len(machines))]
