"""Marks that several plots share: a line with its band, labels at line ends, a key of markers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnbench.report.plots.canvas import LINE, points_wide, spread
from rnnbench.report.plots.style import INK, PAPER, WIDTH, Look

__all__ = ["Series", "end_labels", "key", "key_lines", "line_with_band"]


@dataclass(frozen=True)
class Series:
    """A line: places, values and their intervals; NaN in ``low`` and ``high`` where none is."""

    label: str
    look: Look
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    hollow: bool = False


def line_with_band(axes: Axes, series: Series) -> None:
    """Draw the line with markers, and its interval as a band, or as a whisker at a lone point."""
    low, high = np.array(series.low, float), np.array(series.high, float)
    known = np.isfinite(low) & np.isfinite(high)
    colour = series.look.colour
    if known.sum() > 1:
        axes.fill_between(
            series.x, low, high, where=known.tolist(), color=colour, alpha=0.25, linewidth=0
        )
    elif known.any():
        at = int(np.argmax(known))
        axes.vlines(series.x[at], low[at], high[at], color=colour, linewidth=2.5, alpha=0.5)
    axes.plot(
        series.x,
        series.y,
        color=colour,
        linestyle=series.look.dashes,
        marker=series.look.marker,
        markerfacecolor=PAPER if series.hollow else colour,
        markeredgecolor=colour,
        markeredgewidth=1.2 if series.hollow else 0.0,
    )


def end_labels(axes: Axes, series: Sequence[Series]) -> None:
    """Write each line's label beside its end, pushed apart where they would overlap.

    Limits and scales must be set before.
    """
    figure = axes.figure
    inches = axes.get_position().height * float(figure.get_figheight())  # type: ignore[union-attr]
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()

    def share(value: float, start: float, end: float) -> float:
        return math.log(value / start) / math.log(end / start)

    ends = [share(one.y[-1], low, high) for one in series]
    gap = LINE / inches
    places = spread(ends, gap, gap / 2, 1 - gap / 2)
    width = axes.get_position().width * WIDTH
    start, text = 1 + 0.1 / width, 1 + 0.16 / width
    leaders = []
    for one, end, place in zip(series, ends, places, strict=True):
        leaders.append([(share(one.x[-1], left, right), end), (start, place)])
        axes.text(text, place, one.label, transform=axes.transAxes, va="center", color=INK)
    axes.add_collection(
        LineCollection(
            leaders,
            colors=[one.look.colour for one in series],
            linewidths=0.9,
            transform=axes.transAxes,
            clip_on=False,
        ),
        autolim=False,
    )


def key_lines(names: Sequence[str]) -> int:
    """Lines that a key of these names takes across the figure."""
    return len(_rows(names))


def key(figure: Figure, looks: Mapping[str, Look], *, top: float) -> None:
    """Write markers with their names in rows across the figure, ``top`` inches from its top."""
    height = float(figure.get_figheight())
    for index, row in enumerate(_rows(list(looks))):
        y = 1 - (top + LINE * index + LINE / 2) / height
        x = 0.12
        for name in row:
            look = looks[name]
            wide = 0.1
            figure.add_artist(
                Line2D(
                    [(x + wide / 2) / WIDTH],
                    [y],
                    color=look.colour,
                    linestyle="none",
                    marker=look.marker,
                    transform=figure.transFigure,
                )
            )
            figure.text((x + wide + 0.08) / WIDTH, y, name, va="center")
            x += wide + points_wide(name) / 72 + 0.25


def _rows(names: Sequence[str]) -> list[list[str]]:
    rows: list[list[str]] = [[]]
    used = 0.12
    for name in names:
        wide = 0.35 + points_wide(name) / 72 + 0.2
        if rows[-1] and used + wide > WIDTH - 0.1:
            rows.append([])
            used = 0.12
        rows[-1].append(name)
        used += wide
    return rows
