"""A case run after run: its times with their intervals, and where it changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnbench.errors import UserError
from rnnbench.report.plots.canvas import drawn, need, panels, points_wide, time_axis
from rnnbench.report.plots.style import FONT, INK, MUTED, SLOW, WIDTH, clean, look_of

__all__ = ["timeline"]

_COLUMNS = ("implementation", "place", "time", "time_low", "time_high")
_LEFT, _RIGHT = 0.75, 0.2
_LONGEST_PLACE = 24
_LONGEST_ORDER = 120
_LONGEST_TITLE = 200


@drawn
def timeline(frame: pd.DataFrame, *, title: str = "", note: str = "", order: str = "run") -> Figure:
    """Time of one case in runs that follow each other, one row each, evenly apart.

    ``frame`` has ``implementation``; ``place``, what the axis says of a run, such as its day or
    version; ``time``, ``time_low`` and ``time_high`` in seconds, the ends missing where there is no
    interval. It may have ``level``, the time that the run would have without noise, drawn as a
    line; ``step``, the ratio at the first run after a step, missing elsewhere; and ``spike``,
    whether the run is off from those around it, drawn as a ring. ``order`` names the axis.

    Raises:
        UserError: a column is missing, no row is there, or a row has no time.
    """
    need(frame, _COLUMNS, "timeline")
    if frame["time"].isna().any():
        raise UserError("timeline: a row has no time; leave out runs that were not measured")
    records: list[dict[Any, Any]] = (
        frame.astype(object).where(frame.notna(), None).to_dict("records")
    )
    title, note = clean(title, _LONGEST_TITLE), clean(note, _LONGEST_TITLE)
    figure, (axes,) = panels(1, columns=1, height=2.3, title=title, note=note, above=0.32)
    look = look_of(str(records[0]["implementation"]))
    low = [r["time"] if r["time_low"] is None else r["time_low"] for r in records]
    high = [r["time"] if r["time_high"] is None else r["time_high"] for r in records]
    time_axis(axes, "y", [*low, *high])
    axes.set_ylabel("time of a call")
    axes.set_xlim(-0.6, len(records) - 0.4)
    places = range(len(records))
    axes.vlines(places, low, high, color=look.colour, linewidth=1.2, alpha=0.55)
    times = [r["time"] for r in records]
    axes.plot(places, times, look.marker, color=look.colour, markersize=4.0)
    off = [at for at in places if records[at].get("spike")]
    if off:
        axes.plot(
            off, [times[at] for at in off], "o", markersize=9.5, markerfacecolor="none",
            markeredgecolor=SLOW, markeredgewidth=1.2,
        )  # fmt: skip
    _levels(axes, [r.get("level") for r in records], [r.get("step") for r in records])
    _ticks(axes, [clean(r["place"], _LONGEST_PLACE) for r in records])
    axes.set_xlabel(clean(order, _LONGEST_ORDER))
    return figure


def _levels(axes: Axes, levels: Sequence[float | None], steps: Sequence[float | None]) -> None:
    """The levels as a line that breaks at the steps, and each step's ratio above its place."""
    starts = [0, *(at for at, ratio in enumerate(steps) if ratio is not None and at), len(steps)]
    for first, end in pairwise(starts):
        known = [(at, level) for at in range(first, end) if (level := levels[at]) is not None]
        if known:
            # From half a run before to half a run after: a segment ends where the next begins.
            x = [known[0][0] - 0.5, *(at for at, _ in known), known[-1][0] + 0.5]
            y = [known[0][1], *(level for _, level in known), known[-1][1]]
            axes.plot(x, y, color=INK, linewidth=1.1)
    for at, ratio in enumerate(steps):
        if ratio is not None:
            axes.axvline(at - 0.5, color=MUTED, linewidth=0.9, linestyle=(0, (1.2, 1.4)))
            axes.annotate(
                f"× {ratio:.{2 if abs(math.log(ratio)) >= 0.02 else 3}f}",
                (at - 0.5, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                size=FONT,
            )


def _ticks(axes: Axes, places: Sequence[str]) -> None:
    """Say of each run what there is room for; one that reads as the one before says nothing."""
    inches = (WIDTH - _LEFT - _RIGHT) / max(len(places), 1)
    shown: list[int] = []
    right = -math.inf
    for at, text in enumerate(places):
        if at and text == places[at - 1]:
            continue
        half = points_wide(text) / 72 / 2 + 0.06
        if at * inches - half >= right:
            shown.append(at)
            right = at * inches + half
    axes.set_xticks(shown, [places[at] for at in shown])
