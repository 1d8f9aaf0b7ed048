"""The history as a part of a page: the plots of what changed, then the tables."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from rnnbench.numbers import format_ratio
from rnnbench.regressions.history import History, Timeline, history_of
from rnnbench.regressions.history_output import (
    changes_table,
    place_of,
    sentences,
    timelines_table,
)
from rnnbench.regressions.machines import machine_key
from rnnbench.report._words import counted, joined, name
from rnnbench.report.content import Picture, Report, Section, Table
from rnnbench.report.groups import SHAPE, setting_text
from rnnbench.report.plots import timeline as draw
from rnnbench.results import Results

__all__ = ["FEWEST_TIMES", "report_of", "report_sections", "section_of"]

FEWEST_TIMES = 3
"""Times of measuring, on one machine, from which on a report has the section."""

_MOST_PICTURES = 12


def report_of(history: History, title: str) -> Report:
    """A page of the history alone."""
    return Report(title, sentences(history), [replace(section_of(history), sentences=())])


def section_of(history: History) -> Section:
    """Sentences, the plots of the cases that changed most, and the tables."""
    changes = changes_table(history)
    tables: list[Table] = [timelines_table(history)]
    return Section(
        "history",
        "What changed over " + ("versions" if history.by == "version" else "time"),
        sentences(history),
        [changes, *tables] if changes is not None else tables,
        _pictures(history),
    )


def report_sections(results: Results) -> Sequence[Section]:
    """What a report of several runs has beside its own: the history, if they are one.

    Nothing where no machine was measured at `FEWEST_TIMES` times; a sentence where ruptures is
    missing.
    """
    times: dict[str, set[str]] = {}
    for run in results.runs.values():
        for key in {machine_key(described) for described in run.environments.values()}:
            times.setdefault(key, set()).add(run.measured_at)
    most = max(map(len, times.values()), default=0)
    if most < FEWEST_TIMES:
        return ()
    if importlib.util.find_spec("ruptures") is None:
        missing = "Timelines and change points need ruptures: `pip install 'rnnbench[history]'`."
        return (Section("history", "What changed over time", (missing,)),)
    return (section_of(history_of(results)),)


def _pictures(history: History) -> list[Picture]:
    """The cases that changed most, largest change first."""
    changed = [one for one in history.timelines if one.shape.steps or one.shape.drift]
    changed.sort(key=_size, reverse=True)
    return [
        _picture(history, one, number) for number, one in enumerate(changed[:_MOST_PICTURES], 1)
    ]


def _size(timeline: Timeline) -> float:
    drift = timeline.shape.drift
    ratios = [step.ratio for step in timeline.shape.steps] + ([drift.ratio] if drift else [])
    return max(abs(math.log(ratio)) for ratio in ratios)


def _picture(history: History, timeline: Timeline, number: int) -> Picture:
    shape = timeline.shape
    steps = {step.index: step.ratio for step in shape.steps}
    off = {at for spike in shape.spikes for at in range(spike.first, spike.last + 1)}
    data = pd.DataFrame(
        {
            "implementation": timeline.case["implementation"],
            "place": [place_of(history, point) for point in timeline.points],
            "file": [point.file for point in timeline.points],
            "torch": [point.torch for point in timeline.points],
            "measured_at": [point.measured_at.isoformat() for point in timeline.points],
            "time": [point.time for point in timeline.points],
            "time_low": pd.Series([point.low for point in timeline.points], dtype="float64"),
            "time_high": pd.Series([point.high for point in timeline.points], dtype="float64"),
            "level": [math.exp(level) for level in shape.levels],
            "step": pd.Series(
                [steps.get(at) for at in range(len(timeline.points))], dtype="float64"
            ),
            "spike": [at in off for at in range(len(timeline.points))],
        }
    )
    title = name(setting_text(timeline.case, _said(history)), 160)
    order = "version of PyTorch" if history.by == "version" else "runs by day"
    if len(history.machines) > 1:
        order += f", on {name(timeline.machine.description, 80)}"
    caption = _caption(history, timeline)
    return Picture(
        f"timeline_{number}",
        title,
        f"{caption} Bars are the intervals of the times, the line is what they would be without "
        "noise, rings are runs that are off from those around them.",
        f"{counted(len(timeline.points), 'run')} in order. {caption}",
        draw(data, title=title, order=order),
        data,
    )


def _said(history: History) -> list[str]:
    """Columns that a plot's title says: those that name a case, and those that differ."""
    named = ("implementation", "pass", *SHAPE)
    cases = [timeline.case for timeline in history.timelines]
    return [
        column
        for column in cases[0]
        if (column in named and cases[0][column] is not False)
        or len({case[column] for case in cases}) > 1
    ]


def _caption(history: History, timeline: Timeline) -> str:
    shape = timeline.shape
    said = [
        f"× {' '.join(format_ratio(step.ratio, step.low, step.high))} at "
        f"{name(place_of(history, timeline.points[step.index]))}"
        for step in shape.steps
    ]
    if shape.drift is not None:
        ends = (shape.drift.first, shape.drift.last)
        first, last = (name(place_of(history, timeline.points[at])) for at in ends)
        ratio = " ".join(format_ratio(shape.drift.ratio, shape.drift.low, shape.drift.high))
        said.append(f"a drift by × {ratio} from {first} to {last}")
    kind = "Steps: " if len(shape.steps) > 1 else "Step: " if shape.steps else "Here is "
    return f"{kind}{joined(said)}."
