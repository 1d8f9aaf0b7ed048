"""Curves of what is beyond one call: when a compilation has paid, and what the machine could do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from rnnbench.numbers import format_rate
from rnnbench.report.plots.canvas import (
    LINE,
    drawn,
    log_ticks,
    need,
    panels,
    points_wide,
    time_axis,
)
from rnnbench.report.plots.marks import Series, end_labels, key, key_lines
from rnnbench.report.plots.style import (
    BAND,
    GRID,
    INK,
    MUTED,
    Look,
    clean,
    look_of,
)

__all__ = ["break_even", "count_text", "limits_of", "roofline"]

_LABEL = 22


@drawn
def break_even(frame: pd.DataFrame, *, title: str = "", note: str = "") -> Figure:
    """Seconds spent in all against the number of calls, compiled and not, a panel a row.

    ``frame`` has a row for each compiled implementation: ``implementation``, ``time`` (of a call,
    seconds), ``compile_cold`` (seconds before the first), ``base_implementation`` and
    ``base_time`` (what it is compared with, not compiled), ``calls``, ``calls_low``,
    ``calls_high`` (calls after which compiling has paid, and their interval; missing where there
    is none) and ``state``: ``pays``, ``never`` or ``cannot tell``. ``rnnbench.report.economics``
    has these, those of its comparisons with a prefix. Both axes are logarithmic; the break-even
    point is marked with its interval.

    Raises:
        UserError: a column is missing, or no row has its times.
    """
    columns = ("implementation", "time", "compile_cold", "base_implementation", "base_time")
    calls = ("calls", "calls_low", "calls_high", "state")
    need(frame, (*columns, *calls), "break_even")
    known = frame[frame[["time", "compile_cold", "base_time"]].notna().all(axis=1)]
    need(known, (), "break_even")
    records = known[[*columns, *calls]].astype(object).to_dict("records")
    widest = max(
        points_wide(clean(r[name], _LABEL))
        for r in records
        for name in ("implementation", "base_implementation")
    )
    figure, made = panels(
        len(records),
        columns=2,
        height=1.9,
        title=title,
        note=note,
        left=0.85,
        right=widest / 72 + 0.2,
        above=0.32,
    )
    for axes, record in zip(made, records, strict=True):
        _break_even(axes, record)
    return figure


def _break_even(axes: Axes, record: Mapping[Any, Any]) -> None:
    cold, time, base = (float(record[name]) for name in ("compile_cold", "time", "base_time"))
    marked = [float(record[n]) for n in ("calls", "calls_low", "calls_high") if _real(record[n])]
    # Far enough to see the lines meet, or run beside each other where they never do.
    last = max(100.0, 30 * max([*marked, cold / min(time, base)]))
    last = min(last, 1e15)
    calls = np.logspace(0, math.log10(last), 60)
    series = [
        _total(record["base_implementation"], calls, base * calls),
        _total(record["implementation"], calls, cold + time * calls),
    ]
    axes.set_xscale("log")
    axes.set_xlim(1, last)
    ticks = [t for t in log_ticks(1, last, 5) if t <= last]
    axes.set_xticks(ticks, [count_text(t) for t in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(visible=True, axis="x", color=GRID)
    axes.set_xlabel("calls")
    time_axis(axes, "y", [v for one in series for v in (one.y[0], one.y[-1])])
    axes.set_ylabel("seconds in all")
    head, words = clean(record["implementation"], _LABEL), _state_text(record)
    axes.set_title(f"{head}: {words}")
    low, high = record["calls_low"], record["calls_high"]
    if record["state"] == "pays" and _real(record["calls"]):
        if _real(low):
            end = float(high) if _real(high) else last
            axes.axvspan(float(low), end, color=BAND, alpha=0.25, linewidth=0)
        axes.axvline(float(record["calls"]), color=MUTED, linewidth=1.2)
    for one in series:
        axes.plot(one.x, one.y, color=one.look.colour, linestyle=one.look.dashes)
    end_labels(axes, series)


def _total(name: Any, calls: Any, seconds: Any) -> Series:
    return Series(clean(name, _LABEL), look_of(str(name)), calls.tolist(), seconds.tolist(), (), ())


def _state_text(record: Mapping[Any, Any]) -> str:
    low, high = record["calls_low"], record["calls_high"]
    if record["state"] == "never":
        return "never"
    if record["state"] == "pays" and _real(record["calls"]):
        text = f"{count_text(record['calls'])} calls"
        if _real(low) and _real(high):
            text += f" [{count_text(low)}, {count_text(high)}]"
        return text
    if _real(low):
        return f"not below {count_text(low)} calls"
    return "cannot tell"


def count_text(count: float) -> str:
    """A number of calls: 120, 8.1 k, 3 M; three digits at most."""
    return format_rate(float(f"{float(count):.3g}")) if count < 1e15 else f"{float(count):.0e}"


@drawn
def roofline(
    frame: pd.DataFrame,
    limits: Mapping[str, float] | None = None,
    *,
    title: str = "",
    note: str = "",
) -> Figure:
    """Achieved rate against arithmetic intensity, below the machine's limits where they are known.

    ``frame`` has columns as `rnnbench.load`: ``implementation``, ``flops`` (operations of a call),
    ``bytes`` (that must move at least) and ``flops_per_second``; with ``flops_share`` and
    ``bytes_share`` the limits are taken from them. ``limits`` gives them instead:
    ``flops_per_second`` and ``bytes_per_second``. A limit that is not known is not drawn, and the
    figure says that it was not measured. Rows should be of one device, data type and threads.

    Raises:
        UserError: a column is missing, or no row has a rate.
    """
    need(frame, ("implementation", "flops", "bytes", "flops_per_second"), "roofline")
    wanted = frame[["flops", "bytes", "flops_per_second"]].notna().all(axis=1)
    known = frame[wanted & (frame["bytes"] > 0) & (frame["flops"] > 0)]
    need(known, (), "roofline")
    limits = limits_of(known) if limits is None else limits
    peak, stream = limits.get("flops_per_second"), limits.get("bytes_per_second")
    points: dict[str, tuple[list[float], list[float]]] = {}
    for name, flops, size, rate in zip(
        *(known[c].tolist() for c in ("implementation", "flops", "bytes", "flops_per_second")),
        strict=True,
    ):
        xs, ys = points.setdefault(str(name), ([], []))
        xs.append(flops / size)
        ys.append(float(rate))
    looks = {clean(name, _LABEL): look_of(name) for name in points}
    figure, (axes,) = panels(
        1,
        columns=1,
        height=3.4,
        title=title,
        note=note,
        left=1.15,
        right=1.2,
        above=0.2 + key_lines(list(looks)) * LINE,
    )
    key(figure, looks, top=0.1 + 0.2 * min(3, -(-len(title) // 86)))
    every_x = [x for xs, _ in points.values() for x in xs]
    every_y = [y for _, ys in points.values() for y in ys]
    left, right = min(every_x) / 1.6, max(every_x) * 1.6
    roofs = [min(peak or math.inf, (stream or math.inf) * x) for x in (left, right)]
    top = max([*every_y, *(roof for roof in roofs if math.isfinite(roof))]) * 1.6
    bottom = min([*every_y, *roofs]) / 1.6
    _rates(axes, (left, right), (bottom, top))
    for name, (xs, ys) in points.items():
        look = look_of(name)
        axes.plot(xs, ys, linestyle="none", marker=look.marker, color=look.colour, alpha=0.85)
    _roof(axes, (left, right), peak, stream)
    return figure


def limits_of(frame: pd.DataFrame) -> dict[str, float]:
    """The machine's limits in 1/s and B/s, from the shares of them that rows reached."""
    found = {}
    for name, share, work in (
        ("flops_per_second", "flops_share", "flops"),
        ("bytes_per_second", "bytes_share", "bytes"),
    ):
        if share not in frame or not {"flops", "flops_per_second"} <= set(frame):
            continue
        rows = frame[frame[share].notna() & (frame[share] > 0) & frame["flops_per_second"].notna()]
        if len(rows):
            row = rows.iloc[0]
            calls = float(row["flops_per_second"]) / float(row["flops"])
            found[name] = calls * float(row[work]) / float(row[share])
    return found


def _rates(axes: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*x)
    axes.set_ylim(*y)
    across, up = log_ticks(*x), log_ticks(*y)
    axes.set_xticks(across, [f"{tick:.4g}" for tick in across])
    axes.set_yticks(up, [f"{format_rate(tick * (1 + 1e-9))}FLOP/s" for tick in up])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(visible=True, color=GRID)
    axes.set_xlabel("operations for each byte that must move (FLOP/B)")
    axes.set_ylabel("achieved rate")


def _roof(axes: Axes, x: tuple[float, float], peak: float | None, stream: float | None) -> None:
    """The limits with their names, and what was not measured."""
    if peak is not None:
        start = x[0] if stream is None else min(max(x[0], peak / stream), x[1])
        axes.plot([start, x[1]], [peak, peak], color=INK, linewidth=1.2)
        named = Series("FLOP/s limit", Look(INK, "", (0, ())), (x[1],), (peak,), (), ())
        end_labels(axes, [named])
    if stream is not None:
        end = x[1] if peak is None else min(x[1], peak / stream)
        if end > x[0]:
            axes.plot([x[0], end], [stream * x[0], stream * end], color=INK, linewidth=1.2)
            axes.annotate(
                "bytes/s limit",
                (x[0], stream * x[0]),
                # Below: above it, the other limit may begin at once.
                xytext=(8, -3),
                textcoords="offset points",
                va="top",
            )
    missing = [n for n, v in (("FLOP/s", peak), ("bytes/s", stream)) if v is None]
    if missing:
        axes.text(
            0.01,
            0.99,
            f"limit of {' and '.join(missing)} not measured",
            transform=axes.transAxes,
            va="top",
            color=MUTED,
        )


def _real(value: Any) -> bool:
    return not pd.isna(value) and math.isfinite(value)
