"""Timelines for people: sentences and tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from rnnbench.numbers import column_unit, format_ratio
from rnnbench.regressions.changes import FEWEST_RUNS, Kind
from rnnbench.regressions.history import History, Machine, Point, Timeline
from rnnbench.regressions.history_document import change_record, changes_of, point_records
from rnnbench.report._words import counted, joined, name
from rnnbench.report.content import Cell, Table
from rnnbench.report.escaping import escape_markdown
from rnnbench.report.groups import CASE_NAMES
from rnnbench.report.render import to_markdown
from rnnbench.report.tables._columns import (
    Column,
    Values,
    assemble,
    constant_setting,
    setting_columns,
    time_cell,
    varying_settings,
)

__all__ = [
    "changes_table",
    "place_of",
    "sentences",
    "timelines_table",
    "to_text_markdown",
]

_OWN_CASE = [column for column in CASE_NAMES if column != "environment"]
_WORDS: dict[Kind, str] = {
    "step": "a step",
    "drift": "a drift",
    "spike": "spikes alone",
    "steady": "steady",
    "too_few": "too few runs",
}
_LISTED = 5  # skipped files that sentences name


def sentences(history: History) -> list[str]:
    """What was read, what was found, how far it can be trusted, and what was left out."""
    return [*_read(history), *_found(history), *_left_out(history)]


def _read(history: History) -> Iterator[str]:
    order = "the versions of PyTorch" if history.by == "version" else "when they were measured"
    for machine in history.machines:
        cases = sum(timeline.machine == machine for timeline in history.timelines)
        yield (
            f"{name(machine.description, 120)}: {counted(history.runs(machine), 'run')}, "
            f"{counted(cases, 'case')}, in the order of {order}."
        )
    if len(history.machines) > 1:
        yield "Each machine has timelines of its own; nothing is compared between machines."


def _found(history: History) -> Iterator[str]:
    counts = Counter(timeline.shape.kind for timeline in history.timelines)
    judged = sum(counts.values()) - counts["too_few"]
    if counts["too_few"]:
        yield (
            f"{counted(counts['too_few'], 'case')} {'has' if counts['too_few'] == 1 else 'have'} "
            f"too few runs for change points, which need {FEWEST_RUNS}: the longest has "
            f"{max(len(t.points) for t in history.timelines if t.shape.kind == 'too_few')}. Two "
            "runs, or two versions, are compared by `rnnbench compare`."
        )
    if not judged:
        return
    kinds: tuple[Kind, ...] = ("step", "drift", "spike", "steady")
    said = joined([f"{_WORDS[kind]} in {counts[kind]:,}" for kind in kinds])
    yield f"Of {counted(judged, 'case')} with enough runs: {said}."
    yield (
        "A step lasts three runs or more; one or two runs that are off and come back are a spike, "
        "a slow slope is a drift. Of the cases that are said to change (by a step or a drift) at "
        "most 5 % are expected not to; p is the chance that runs which differ by nothing but noise "
        "show as much. Changes within ± 2 % are left out."
    )


def _left_out(history: History) -> Iterator[str]:
    gaps = sum(len(timeline.gaps) for timeline in history.timelines)
    if gaps:
        of = sum(bool(timeline.gaps) for timeline in history.timelines)
        yield f"{counted(gaps, 'time')} of {counted(of, 'case')} could not be measured: no point."
    if history.skipped:
        shown = [
            f"{name(skipped.path)}: {name(skipped.reason, 160)}"
            for skipped in history.skipped[:_LISTED]
        ]
        more = len(history.skipped) - _LISTED
        rest = f"; and {more:,} more" if more > 0 else ""
        files = {skipped.path for skipped in history.skipped}
        partly = any(
            point.file in files for one in history.timelines for point in (*one.points, *one.gaps)
        )
        how = "left out, whole or in part" if partly else "left out"
        yield f"{counted(len(files), 'file')} {how}: {'; '.join(shown)}{rest}."


def place_of(history: History, point: Point) -> str:
    """What tells a point from its neighbours: its version, or its day and version."""
    if history.by == "version":
        return point.torch
    return f"{point.measured_at:%Y-%m-%d}"


def _between(history: History, timeline: Timeline, before: int, after: int) -> tuple[str, str]:
    """Two points in words; what is the same of both is said of neither."""
    points = timeline.points[before], timeline.points[after]
    places = [place_of(history, point) for point in points]
    if history.by == "time":
        if places[0] == places[1]:
            places = [f"{point.measured_at:%Y-%m-%d %H:%M}" for point in points]
        if points[0].torch != points[1].torch:
            places = [
                f"{place}, {point.torch}" for place, point in zip(places, points, strict=True)
            ]
    first, last = (
        f"{name(place)} ({name(point.file)})" for place, point in zip(places, points, strict=True)
    )
    return first, last


def changes_table(history: History) -> Table | None:
    """A row for each step and drift, largest first; None where there is none.

    ``data`` has the columns of the case, then ``machine``, ``kind``, ``ratio`` (after over before)
    with the ends of its 95 % interval, ``p``, and of the last run before and the first after it
    ``file``, ``environment``, ``torch`` and ``measured_at``, each with ``_before`` or ``_after``.
    """
    found: list[tuple[Timeline, dict[str, Any]]] = [
        (timeline, change) for timeline in history.timelines for change in changes_of(timeline)
    ]
    if not found:
        return None
    found.sort(key=lambda entry: -abs(math.log(entry[1]["ratio"])))
    values = _values([timeline for timeline, _ in found])
    rows = list(range(len(found)))
    ends = [_between(history, one, change["before"], change["after"]) for one, change in found]
    columns = [
        *_identity(history, values, [timeline for timeline, _ in found], rows),
        Column("kind", [Cell(change["kind"]) for _, change in found], choices=True),
        Column("after / before", [_ratio_cell(change) for _, change in found], "right"),
        Column("sureness", [Cell(_p_text(change["p"]), change["p"]) for _, change in found]),
        Column("from", [Cell(first) for first, _ in ends]),
        Column("to", [Cell(last) for _, last in ends]),
    ]
    described = [
        constant_setting(values, rows),
        "After / before: above 1 it became slower; in brackets a 95 % interval, which takes the "
        "place for known. From and to: the last run before it and the first after it; of a drift, "
        "the runs at its ends.",
    ]
    data = pd.DataFrame([change_record(timeline, change) for timeline, change in found])
    return assemble("changes", "Where times changed", described, columns, data)


def timelines_table(history: History) -> Table:
    """A row for each case of each machine: what it does, its runs, first and latest time.

    ``data`` has a row for each point: the columns of the case, ``machine``, ``kind``, ``file``,
    ``environment``, ``torch``, ``measured_at``, ``status`` and ``time`` with its interval in
    seconds.
    """
    timelines = history.timelines
    values = _values(timelines)
    rows = list(range(len(timelines)))
    ends = [(one.points[0], one.points[-1]) if one.points else None for one in timelines]
    scale, unit = column_unit(p.time for pair in ends if pair for p in pair if p.time)
    columns = [
        *_identity(history, values, timelines, rows),
        Column("it is", [Cell(_WORDS[one.shape.kind]) for one in timelines], choices=True),
        Column("runs", [_count_cell(len(one.points)) for one in timelines], "right"),
        *(
            Column(
                f"{word}, {unit}",
                [
                    Cell("never measured")
                    if pair is None
                    else time_cell(pair[at].time, pair[at].low, pair[at].high, scale)
                    for pair in ends
                ],
                "right",
            )
            for at, word in enumerate(("first", "latest"))
        ),
        Column("spikes", [_spikes_cell(history, one) for one in timelines]),
    ]
    if any(one.gaps for one in timelines):
        columns.append(Column("not measured", [_gaps_cell(one) for one in timelines]))
    return assemble(
        "timelines",
        "All cases over " + ("versions" if history.by == "version" else "time"),
        [constant_setting(values, rows)] if rows else [],
        columns,
        pd.DataFrame(point_records(history)),
    )


def to_text_markdown(history: History) -> str:
    """Sentences and the table of changes, to paste into a comment."""
    parts = ["### History", ""]
    parts += [f"- {escape_markdown(sentence, None)}" for sentence in sentences(history)]
    table = changes_table(history)
    if table is not None:
        parts += ["", to_markdown(table)]
    return "\n".join(parts).rstrip("\n") + "\n"


def _values(timelines: Sequence[Timeline]) -> Values:
    return {column: [one.case[column] for one in timelines] for column in _OWN_CASE}


def _identity(
    history: History, values: Values, timelines: Sequence[Timeline], rows: Sequence[int]
) -> list[Column]:
    """The columns that say which case of which machine a row is."""
    columns = [
        Column("implementation", [Cell(one) for one in values["implementation"]], choices=True)
    ]
    if len(history.machines) > 1:
        named = _machine_names(history.machines)
        cells = [Cell(named[timeline.machine]) for timeline in timelines]
        columns.insert(0, Column("machine", cells, choices=True))
    return [*columns, *setting_columns(values, rows, varying_settings(values, rows))]


def _machine_names(machines: Sequence[Machine]) -> dict[Machine, str]:
    read = Counter(machine.description for machine in machines)
    return {
        machine: name(machine.description, 80)
        + (f" ({machine.key})" if read[machine.description] > 1 else "")
        for machine in machines
    }


def _count_cell(count: int) -> Cell:
    return Cell(str(count), float(count))


def _ratio_cell(change: dict[str, Any]) -> Cell:
    text, interval = format_ratio(change["ratio"], change["low"], change["high"])
    return Cell(f"{text} {interval}", change["ratio"])


def _p_text(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _spikes_cell(history: History, timeline: Timeline) -> Cell:
    shown = []
    for spike in timeline.shape.spikes[:3]:
        place = place_of(history, timeline.points[spike.first])
        text = f"× {spike.ratio:.2f} at {name(place, 24)}"
        shown.append(text + (", not over yet" if spike.open and spike.first else ""))
    more = len(timeline.shape.spikes) - len(shown)
    return Cell("; ".join(shown) + (f"; {more} more" if more else ""))


def _gaps_cell(timeline: Timeline) -> Cell:
    counts = Counter(point.status.replace("_", " ") for point in timeline.gaps)
    return Cell(", ".join(f"{count} × {name(status)}" for status, count in counts.items()))
