"""A figure with panels at stated places, and axes whose ticks are times and sizes in words."""

from __future__ import annotations

import functools
import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from rnnbench.errors import UserError
from rnnbench.numbers import time_unit
from rnnbench.report.outputs import undisturbed
from rnnbench.report.plots.style import FONT, GRID, MUTED, RC, WIDTH

__all__ = [
    "AXIS_LABELS",
    "LINE",
    "drawn",
    "log_ticks",
    "need",
    "panels",
    "points_wide",
    "ratio_axis",
    "size_axis",
    "spread",
    "time_axis",
    "time_text",
]

LINE = 0.165
"""Inches from one line of text to the next."""

AXIS_LABELS = {
    "seq_len": "sequence length T (steps)",
    "batch": "batch size B (sequences)",
    "hidden_size": "hidden size H (features)",
    "input_size": "input size I (features)",
    "num_layers": "layers L",
    "threads": "threads",
    "pass": "pass",
    "layout": "layout",
    "dtype": "data type",
    "device": "device",
    "cell": "cell",
    "bidirectional": "bidirectional",
    "bias": "biases",
    "dropout": "dropout between layers (share)",
    "initial_state": "initial state",
}
"""What an axis says for a column of a case, with its unit."""

# Widths of DejaVu Sans in ems; what is not among them is taken for as wide as its widest letters.
_EM = {
    **dict.fromkeys("ijl.,:;|!' ", 0.32),
    **dict.fromkeys("frt()[]-", 0.41),
    **dict.fromkeys("abcdeghknopqsuvxyzIJ_?", 0.62),
    **dict.fromkeys("0123456789ABCDEFGHKLNPRSTUVXYZ", 0.70),
    **dict.fromkeys("=+<>≈w", 0.84),
}
_WIDE = 1.0

_P = ParamSpec("_P")


def drawn(plot: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Draw under rnnbench's settings, whatever the program's own are, and to the end."""

    @functools.wraps(plot)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with undisturbed(), matplotlib.rc_context(RC):
            return plot(*args, **kwargs)

    return wrapped


def need(frame: pd.DataFrame, columns: Iterable[str], plot: str) -> None:
    """Refuse a frame that lacks columns or has no row.

    Raises:
        UserError: names the plot and what it misses.
    """
    missing = [column for column in columns if column not in frame]
    if missing:
        raise UserError(f"{plot}: the frame has no column {missing[0]!r}; see the plot's docstring")
    if frame.empty:
        raise UserError(f"{plot}: the frame has no rows to draw; choose measured rows")


def points_wide(text: str) -> float:
    """About how many points a text of size `FONT` is wide, rather more than less."""
    return 1.03 * FONT * sum(_EM.get(letter, _WIDE) for letter in text)


def panels(
    count: int,
    *,
    columns: int,
    height: float,
    title: str = "",
    note: str = "",
    left: float = 0.75,
    right: float = 0.15,
    inner: float | None = None,
    above: float = 0.3,
    below: float = 0.5,
) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels, all lengths in inches.

    Each panel has ``left`` and ``right`` around it for labels, ``above`` for its heading and
    ``below`` for its axis; with ``inner`` those that are not the first of their row have that on
    their left instead, where they share its axis. The title stands at the top, the note below.
    """
    columns = min(columns, count)
    titles = textwrap.wrap(title, 86, break_on_hyphens=False)[:3]
    notes = textwrap.wrap(note, 116, break_on_hyphens=False)[:6]
    top = 0.08 + len(titles) * 0.2
    row = above + height + below
    whole = top + math.ceil(count / columns) * row + len(notes) * LINE + 0.1
    figure = Figure(figsize=(WIDTH, whole), facecolor="#ffffff")
    inner = left if inner is None else inner
    width = max(0.5, (WIDTH - left - inner * (columns - 1)) / columns - right)
    made = []
    for index in range(count):
        at_row, at_column = divmod(index, columns)
        x = left + at_column * (width + right + inner)
        y = whole - top - at_row * row - above - height
        made.append(figure.add_axes((x / WIDTH, y / whole, width / WIDTH, height / whole)))
    for index, text in enumerate(titles):
        y = 1 - (0.08 + 0.2 * index) / whole
        figure.text(0.1 / WIDTH, y, text, va="top", size=FONT + 1.5, weight="bold")
    for index, text in enumerate(notes):
        y = (0.08 + LINE * (len(notes) - 1 - index)) / whole
        figure.text(0.1 / WIDTH, y, text, va="bottom", color=MUTED)
    return figure, made


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places at least ``gap`` apart, in the same order, as near to the wanted ones as can be.

    They stay within ``low`` and ``high`` if there is room; otherwise they are evenly packed from
    ``low`` on, beyond ``high``. Least squares, by pooling neighbours that collide.
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    pools: list[tuple[float, int]] = []  # mean of what is left without the gaps, and how many
    for rank, index in enumerate(order):
        mean, size = wanted[index] - rank * gap, 1
        while pools and pools[-1][0] > mean:
            before, more = pools.pop()
            mean, size = (before * more + mean * size) / (more + size), more + size
        pools.append((mean, size))
    flat = [mean for mean, size in pools for _ in range(size)]
    ceiling = max(low, high - gap * (len(wanted) - 1))
    places = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        places[index] = min(max(flat[rank], low), ceiling) + rank * gap
    return places


def time_text(seconds: float) -> str:
    """A tick's time: ``200 µs``; whole numbers where they are."""
    # A power of ten may come out of a logarithm a hair below itself.
    scale, unit = time_unit(seconds * (1 + 1e-9))
    return f"{seconds / scale:.4g} {unit}"


def log_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers between two positive ones, at least two of them wherever there is room."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for mantissas in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)):
        found = [
            mantissa * 10.0**power
            for power in range(first, last + 1)
            for mantissa in mantissas
            if low <= mantissa * 10.0**power <= high
        ]
        if len(found) >= 3:
            return found[:: math.ceil(len(found) / most)]
    ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks if low <= tick <= high and tick > 0]


def time_axis(axes: Axes, which: str, values: Iterable[float], *, log: bool = True) -> None:
    """Set the scale, the limits and the ticks of an axis of times in seconds."""
    known = [value for value in values if value > 0 and math.isfinite(value)]
    low, high = min(known), max(known)
    if log:
        room = max(0.06 * math.log(high / low), 0.02)
        low, high = low * math.exp(-room), high * math.exp(room)
        ticks = log_ticks(low, high)
    else:
        low, high = 0.0, high * 1.02
        inches = axes.get_position().width * WIDTH
        most = max(2, int(inches / 0.72)) if which == "x" else 5
        found = MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(low, high)
        ticks = [float(tick) for tick in found if tick <= high]
    words = [time_text(tick) if tick else "0" for tick in ticks]
    _fix(axes, which, "log" if log else "linear", (low, high), ticks, words)


def size_axis(axes: Axes, column: str, sizes: Sequence[int]) -> None:
    """Set a logarithmic horizontal axis with ticks at the sizes that were measured."""
    sizes = sorted(set(sizes))
    room = math.log(sizes[-1] / sizes[0]) * 0.05 or 0.3
    low, high = sizes[0] * math.exp(-room), sizes[-1] * math.exp(room)
    inches = axes.get_position().width * WIDTH
    shown: list[int] = []
    for size in sizes:
        text = points_wide(str(size)) / 72 + 0.08
        apart = math.log(size / shown[-1]) / math.log(high / low) * inches if shown else text
        if apart >= text:
            shown.append(size)
    _fix(axes, "x", "log", (low, high), [float(s) for s in shown], [str(s) for s in shown])
    axes.set_xlabel(AXIS_LABELS.get(column, column))


def ratio_axis(axes: Axes, values: Iterable[float], label: str) -> None:
    """Set a logarithmic horizontal axis of ratios, 1 within it."""
    known = [value for value in values if value > 0 and math.isfinite(value)]
    low, high = min([*known, 0.97]), max([*known, 1.03])
    room = max(0.04 * math.log(high / low), 0.005)
    low, high = low * math.exp(-room), high * math.exp(room)
    finest = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
    finer = [tick for tick in finest if low <= tick <= high]
    ticks = log_ticks(low, high) if high / low > 6 or len(finer) < 4 else finer
    if not any(math.isclose(tick, 1) for tick in ticks):
        ticks = sorted([*ticks, 1.0])
    _fix(axes, "x", "log", (low, high), ticks, [f"{tick:.4g}" for tick in ticks])
    axes.set_xlabel(label)


def _fix(
    axes: Axes,
    which: str,
    scale: str,
    limits: tuple[float, float],
    ticks: Sequence[float],
    words: Sequence[str],
) -> None:
    axis: Any = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)(scale)
    (axes.set_xlim if which == "x" else axes.set_ylim)(*limits)
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(FixedFormatter(list(words)))
    axis.set_minor_locator(NullLocator())
    axes.grid(visible=True, axis="x" if which == "x" else "y", color=GRID)
    axis.get_ticklabels()  # made now, under these settings, and not when somebody draws
