"""Time against a size: implementations beside each other, and devices beside each other."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnbench.errors import UserError
from rnnbench.report.plots.canvas import (
    LINE,
    drawn,
    need,
    panels,
    points_wide,
    size_axis,
    time_axis,
)
from rnnbench.report.plots.marks import Series, end_labels, line_with_band
from rnnbench.report.plots.style import BAND, DASHED, Look, clean, look_of
from rnnbench.schema import PASSES

__all__ = ["device_comparison", "time_against"]

_SIZES = ("seq_len", "batch", "hidden_size", "input_size", "num_layers", "threads")
_LABEL = 21  # letters of a name beside a line


@drawn
def time_against(frame: pd.DataFrame, axis: str, *, title: str = "", note: str = "") -> Figure:
    """Time of a call against a size, both logarithmic, a panel for each pass.

    ``frame`` has columns as `rnnbench.load`: ``implementation``, ``pass``, the size named by
    ``axis`` (``seq_len``, ``batch``, ``hidden_size``, …), ``time``, ``time_low`` and ``time_high``
    in seconds, and optionally ``label``, which names the lines where an implementation has several.
    All other columns of the case should be the same; where a line has several rows of one size,
    the first is drawn. Bands are the intervals. Names stand at the ends of the lines.

    Raises:
        UserError: a column is missing, ``axis`` is no size, or no row has a time.
    """
    if axis not in _SIZES:
        raise UserError(f"time_against: axis {axis!r} is no size; use one of {', '.join(_SIZES)}")
    records = _records(frame, ("implementation", "pass", axis), "time_against")
    passes = [name for name in PASSES if any(r["pass"] == name for r in records)]
    by_pass = [_series([r for r in records if r["pass"] == name], axis) for name in passes]
    most = max(len(series) for series in by_pass)
    widest = max(points_wide(one.label) for series in by_pass for one in series) / 72
    columns = 2 if len(passes) > 1 else 1
    figure, made = panels(
        len(passes),
        columns=columns,
        height=max(2.1, (most + 1) * LINE),
        title=title,
        note=note,
        left=0.8,
        right=widest + 0.2,
    )
    sizes = [int(r[axis]) for r in records]
    for axes, name, series in zip(made, passes, by_pass, strict=True):
        axes.set_title(name)
        size_axis(axes, axis, sizes)
        _draw(axes, series)
        if axes.get_position().x0 > 0.4:
            axes.set_ylabel("")
    return figure


@drawn
def device_comparison(
    frame: pd.DataFrame,
    axis: str,
    crossovers: pd.DataFrame | None = None,
    *,
    title: str = "",
    note: str = "",
) -> Figure:
    """Time on several devices against a size, a panel for each implementation.

    ``frame`` has columns as `rnnbench.load`: ``implementation``, ``device``, the size named by
    ``axis``, ``time`` … ``time_high``, and, where known, ``device_time``: the device's own time,
    drawn dashed; the distance between the two is what launching takes. All other columns of the
    case should be the same. The first device is drawn hollow, the others filled.

    ``crossovers``, where given, has ``implementation``, ``size``, ``size_low``, ``size_high``: the
    size from which on another device is faster, marked with its interval. Rows without a ``size``
    are left out.

    Raises:
        UserError: a column is missing, ``axis`` is no size, or no row has a time.
    """
    if axis not in _SIZES:
        raise UserError(
            f"device_comparison: axis {axis!r} is no size; use one of {', '.join(_SIZES)}"
        )
    records = _records(frame, ("implementation", "device", axis), "device_comparison")
    names = list(dict.fromkeys(r["implementation"] for r in records))
    devices = list(dict.fromkeys(clean(r["device"], 12) for r in records))
    crossed = _crossings(crossovers)
    figure, made = panels(
        len(names),
        columns=2,
        height=2.0,
        title=title,
        note=note,
        right=max(points_wide(device) for device in devices) / 72 + 0.2,
    )
    sizes = [int(r[axis]) for r in records]
    for axes, name in zip(made, names, strict=True):
        mine = [r for r in records if r["implementation"] == name]
        axes.set_title(clean(name, _LABEL))
        size_axis(axes, axis, sizes)
        if name in crossed:
            _mark(axes, *crossed[name])
            axes.set_title(f"{clean(name, _LABEL)}: {_crossing_text(*crossed[name])}")
        own = [r for r in mine if _real(r.get("device_time"))]
        _draw(axes, _by_device(mine, axis, devices), [r["device_time"] for r in own])
        for device in devices:
            line = sorted((r[axis], r["device_time"]) for r in own if r["device"] == device)
            if line:
                axes.plot(
                    [point[0] for point in line],
                    [point[1] for point in line],
                    color=look_of(name).colour,
                    linestyle=DASHED,
                    linewidth=1.1,
                )
    return figure


def _records(frame: pd.DataFrame, columns: Sequence[str], plot: str) -> list[dict[Any, Any]]:
    """Rows with a time, as dictionaries."""
    need(frame, (*columns, "time", "time_low", "time_high"), plot)
    timed = frame[frame["time"].notna()]
    need(timed, (), plot)
    kept = [name for name in (*columns, "label", "device_time") if name in timed]
    kept += ["time", "time_low", "time_high"]
    return list(timed[kept].astype(object).to_dict("records"))


def _series(records: Sequence[dict[Any, Any]], axis: str) -> list[Series]:
    lines: dict[tuple[Hashable, ...], dict[int, dict[Any, Any]]] = {}
    for record in records:
        key = (record["implementation"], record.get("label", record["implementation"]))
        lines.setdefault(key, {}).setdefault(int(record[axis]), record)
    met: dict[Hashable, int] = {}
    series = []
    for (name, label), points in lines.items():
        again = met.setdefault(name, -1) + 1
        met[name] = again
        series.append(
            _line(clean(label, _LABEL), look_of(str(name)), points, hollow=again % 2 == 1)
        )
    return series


def _by_device(
    records: Sequence[dict[Any, Any]], axis: str, devices: Sequence[str]
) -> list[Series]:
    lines: dict[str, dict[int, dict[Any, Any]]] = {}
    for record in records:
        of_device = lines.setdefault(clean(record["device"], 12), {})
        of_device.setdefault(int(record[axis]), record)
    look = look_of(str(records[0]["implementation"]))
    solid = Look(look.colour, look.marker, (0, ()))
    return [
        _line(device, solid, lines[device], hollow=device == devices[0])
        for device in devices
        if device in lines
    ]


def _line(label: str, look: Look, points: dict[int, dict[Any, Any]], *, hollow: bool) -> Series:
    ordered = [points[size] for size in sorted(points)]
    return Series(
        label=label,
        look=look,
        x=sorted(points),
        y=[float(r["time"]) for r in ordered],
        low=[_or_nan(r["time_low"]) for r in ordered],
        high=[_or_nan(r["time_high"]) for r in ordered],
        hollow=hollow,
    )


def _draw(axes: Axes, series: Sequence[Series], more: Sequence[float] = ()) -> None:
    values = [v for one in series for part in (one.y, one.low, one.high) for v in part]
    time_axis(axes, "y", [v for v in (*values, *more) if v == v])
    axes.set_ylabel("time of a call")
    for one in series:
        line_with_band(axes, one)
    end_labels(axes, series)


def _crossings(crossovers: pd.DataFrame | None) -> dict[str, tuple[float, float, float]]:
    if crossovers is None or crossovers.empty:
        return {}
    need(crossovers, ("implementation", "size", "size_low", "size_high"), "device_comparison")
    kept = crossovers[["implementation", "size", "size_low", "size_high"]].astype(object)
    return {
        str(name): (float(size), _or_nan(low), _or_nan(high))
        for name, size, low, high in kept.itertuples(index=False)
        if _real(size)
    }


def _mark(axes: Axes, size: float, low: float, high: float) -> None:
    """A crossover: a line with its interval; an end that is not known is the end of the panel."""
    left, right = axes.get_xlim()
    if not (math.isnan(low) and math.isnan(high)):
        start = left if math.isnan(low) else low
        axes.axvspan(start, right if math.isnan(high) else high, color=BAND, alpha=0.2, linewidth=0)
    axes.axvline(size, color=BAND, linewidth=1.2)


def _crossing_text(size: float, low: float, high: float) -> str:
    ends = ["open" if math.isnan(end) else f"{end:.3g}" for end in (low, high)]
    return f"crosses at {size:.3g} [{ends[0]}, {ends[1]}]"


def _real(value: Any) -> bool:
    return not pd.isna(value) and math.isfinite(value)


def _or_nan(value: Any) -> float:
    return float(value) if _real(value) else float(np.nan)
