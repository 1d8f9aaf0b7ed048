"""Streams at the same time: steps per second and latency against the number of workers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from rnnbench.numbers import format_rate
from rnnbench.report.plots.canvas import LINE, drawn, log_ticks, need, panels, size_axis, time_axis
from rnnbench.report.plots.marks import Series, key, key_lines, line_with_band
from rnnbench.report.plots.style import DASHED, GRID, MUTED, clean, look_of

__all__ = ["concurrent_streams"]

_COLUMNS = ("implementation", "workers", "steps_per_second", "p50", "p99")


@drawn
def concurrent_streams(frame: pd.DataFrame, *, title: str = "", note: str = "") -> Figure:
    """Steps per second of all workers, and latency, against how many step at the same time.

    ``frame`` has a row for each implementation and number of workers: ``implementation``,
    ``workers``, and ``steps_per_second``, ``p50`` and ``p99`` in seconds, each with ``_low`` and
    ``_high``. Dashed is a lone worker's rate times the workers, where it is there; of latencies the
    filled marks are medians and the hollow ones 99 % quantiles.

    Raises:
        UserError: a column is missing, or there is no row.
    """
    need(frame, _COLUMNS, "concurrent_streams")
    frame = frame.sort_values("workers")
    names = list(dict.fromkeys(frame["implementation"].tolist()))
    looks = {clean(name): look_of(name) for name in names}
    figure, (rates, latencies) = panels(
        2,
        columns=2,
        height=2.6,
        title=title,
        note=note,
        left=0.8,
        right=0.2,
        above=0.3 + key_lines(list(looks)) * LINE,
    )
    key(figure, looks, top=0.1 + 0.2 * min(3, -(-len(title) // 86)))
    workers = [int(count) for count in frame["workers"]]
    for axes, heading, label in (
        (rates, "all workers together", "steps per second"),
        (latencies, "a step: median, and 99 % quantile (hollow)", "time"),
    ):
        axes.set_title(heading)
        axes.set_ylabel(label)
        size_axis(axes, "workers", workers)
        axes.set_xlabel("workers at the same time")
    for name in names:
        mine = frame[frame["implementation"] == name]
        line_with_band(rates, _series(mine, name, "steps_per_second"))
        _ideal(rates, mine)
        for column, hollow in (("p50", False), ("p99", True)):
            line_with_band(latencies, _series(mine, name, column, hollow=hollow))
    _rate_axis(rates)
    bounds = [frame[f"{name}_{end}"] for name in ("p50", "p99") for end in ("low", "high")]
    shown = pd.concat([frame["p50"], frame["p99"], *bounds]).dropna()
    time_axis(latencies, "y", [float(time) for time in shown])
    return figure


def _series(frame: pd.DataFrame, name: str, column: str, *, hollow: bool = False) -> Series:
    def numbers(suffix: str = "") -> Sequence[float]:
        return [float(x) for x in frame[f"{column}{suffix}"].astype("float64")]

    workers = [float(count) for count in frame["workers"]]
    return Series(
        name, look_of(name), workers, numbers(), numbers("_low"), numbers("_high"), hollow
    )


def _ideal(axes: Axes, frame: pd.DataFrame) -> None:
    """As many times the rate of one worker."""
    alone = frame[frame["workers"] == 1]
    if len(alone):
        counts = [int(count) for count in frame["workers"]]
        rate = float(alone["steps_per_second"].iloc[0])
        axes.plot(counts, [rate * n for n in counts], color=MUTED, linestyle=DASHED, linewidth=1.1)


def _rate_axis(axes: Axes) -> None:
    """Logarithmic, as the workers are: so many times a rate is a straight line."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    ticks = log_ticks(low, high)
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FixedFormatter([format_rate(tick) for tick in ticks]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(visible=True, color=GRID)
    axes.yaxis.get_ticklabels()  # made now, under these settings, and not when somebody draws
