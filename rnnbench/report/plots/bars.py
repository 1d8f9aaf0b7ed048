"""Implementations side by side at given settings: ratios with intervals, forward and backward."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from rnnbench.report.plots.canvas import (
    LINE,
    drawn,
    need,
    panels,
    points_wide,
    ratio_axis,
    time_axis,
    time_text,
)
from rnnbench.report.plots.marks import key, key_lines
from rnnbench.report.plots.style import BAND, GRID, INK, MUTED, PAPER, clean, look_of

__all__ = ["pass_split", "ratio_forest"]

_LABEL = 26


@drawn
def ratio_forest(
    frame: pd.DataFrame,
    *,
    baseline: str = "",
    margin: float = 0.02,
    title: str = "",
    note: str = "",
) -> Figure:
    """Ratios to the baseline with their intervals, a row for each setting.

    ``frame`` has ``setting`` (words), ``implementation``, ``ratio``, ``low`` and ``high``, the ends
    missing where there is no interval; optionally ``label``, which names competitors apart from
    their implementation. Settings and competitors keep the frame's order. The line at 1 is the
    baseline, the grey band around it ``margin`` to either side. The axis is logarithmic.

    Raises:
        UserError: a column is missing, or no row has a ratio.
    """
    need(frame, ("setting", "implementation", "ratio", "low", "high"), "ratio_forest")
    known = frame[frame["ratio"].notna()]
    need(known, (), "ratio_forest")
    label = "label" if "label" in known else "implementation"
    kept = known[["setting", "implementation", label, "ratio", "low", "high"]].astype(object)
    kept.columns = pd.Index(["setting", "implementation", "label", "ratio", "low", "high"])
    records: list[dict[Any, Any]] = kept.to_dict("records")
    settings = list(dict.fromkeys(record["setting"] for record in records))
    labels = list(dict.fromkeys(record["label"] for record in records))
    looks = {
        clean(r["label"], _LABEL): look_of(str(r["implementation"])) for r in reversed(records)
    }
    looks = {clean(name, _LABEL): looks[clean(name, _LABEL)] for name in labels}
    step = 1 / (len(labels) + 1)
    lines = key_lines(list(looks))
    words = [clean(setting, 44) for setting in settings]
    figure, (axes,) = panels(
        1,
        columns=1,
        height=len(settings) * max(0.26, 0.06 * (len(labels) + 1)),
        title=title,
        note=note,
        left=max(points_wide(word) for word in words) / 72 + 0.2,
        right=0.25,
        above=0.15 + lines * LINE,
    )
    key(figure, looks, top=0.1 + 0.2 * min(3, -(-len(title) // 86)))
    numbers = [v for r in records for v in (r["ratio"], r["low"], r["high"]) if not pd.isna(v)]
    base = clean(baseline, _LABEL) or "the baseline"
    ratio_axis(axes, [float(v) for v in numbers], f"time / time of {base} (smaller is faster)")
    axes.axvspan(1 - margin, 1 + margin, color=BAND, alpha=0.22, linewidth=0)
    axes.axvline(1, color=MUTED, linewidth=1)
    places = {
        (s, c): at + step * (index + 1)
        for at, s in enumerate(settings)
        for index, c in enumerate(labels)
    }
    _whiskers(axes, records, places)
    axes.set_ylim(len(settings), 0)
    axes.set_yticks([at + 0.5 for at in range(len(settings))], words)
    axes.tick_params(axis="y", length=0)
    axes.hlines(
        list(range(1, len(settings))),
        0,
        1,
        transform=axes.get_yaxis_transform(),
        color=GRID,
        linewidth=0.8,
    )
    axes.spines["left"].set_visible(False)
    return figure


def _whiskers(
    axes: Axes,
    records: list[dict[Any, Any]],
    places: dict[tuple[Hashable, Hashable], float],
) -> None:
    """One collection of whiskers, and one line of markers for each implementation."""
    spans, colours = [], []
    by_name: dict[str, tuple[list[float], list[float]]] = {}
    for record in records:
        y = places[record["setting"], record["label"]]
        name = str(record["implementation"])
        if not (pd.isna(record["low"]) or pd.isna(record["high"])):
            spans.append([(float(record["low"]), y), (float(record["high"]), y)])
            colours.append(look_of(name).colour)
        xs, ys = by_name.setdefault(name, ([], []))
        xs.append(float(record["ratio"]))
        ys.append(y)
    axes.add_collection(LineCollection(spans, colors=colours, linewidths=1.6), autolim=False)
    for name, (xs, ys) in by_name.items():
        look = look_of(name)
        axes.plot(xs, ys, color=look.colour, linestyle="none", marker=look.marker, markersize=4.5)


@drawn
def pass_split(frame: pd.DataFrame, *, title: str = "", note: str = "") -> Figure:
    """Forward and backward of each implementation as one bar, a panel for each setting.

    ``frame`` has columns as `rnnbench.load`: ``implementation``, ``pass``, ``time``, ``time_low``,
    ``time_high`` in seconds; and optionally ``setting``, words that head the panels. Rows of the
    passes ``forward`` (full colour) and ``backward`` (light) make the bars, shortest first, with
    their sum as a number; the diamond is ``forward_backward``, measured by itself, with its
    interval. An implementation that has only one of the two bars is left out.

    Raises:
        UserError: a column is missing, or no implementation has both passes.
    """
    need(frame, ("implementation", "pass", "time", "time_low", "time_high"), "pass_split")
    timed = frame[frame["time"].notna()]
    found: dict[str, dict[str, dict[str, dict[Any, Any]]]] = {}
    for record in timed.astype(object).to_dict("records"):
        setting = str(record.get("setting", ""))
        by_pass = found.setdefault(setting, {}).setdefault(str(record["implementation"]), {})
        by_pass.setdefault(str(record["pass"]), record)
    whole = {
        setting: {n: p for n, p in names.items() if "forward" in p and "backward" in p}
        for setting, names in found.items()
    }
    whole = {setting: names for setting, names in whole.items() if names}
    need(timed if whole else timed.head(0), (), "pass_split")
    widest = max(points_wide(clean(n, _LABEL)) for names in whole.values() for n in names) / 72
    most = max(len(names) for names in whole.values())
    figure, made = panels(
        len(whole),
        columns=2 if len(whole) > 1 else 1,
        height=most * 0.26,
        title=title,
        note=note,
        left=widest + 0.1,
        right=1.0,
    )
    for axes, (setting, names) in zip(made, whole.items(), strict=True):
        axes.set_title(clean(setting, 44), x=0)
        _split_bars(axes, names, most)
    return figure


def _split_bars(axes: Axes, names: dict[str, dict[str, dict[Any, Any]]], most: int) -> None:
    def parts(name: str) -> tuple[float, float]:
        return float(names[name]["forward"]["time"]), float(names[name]["backward"]["time"])

    order = sorted(names, key=lambda name: sum(parts(name)))
    colours = [look_of(name).colour for name in order]
    forward = [parts(name)[0] for name in order]
    backward = [parts(name)[1] for name in order]
    places = list(range(len(order)))
    axes.barh(places, forward, height=0.62, color=colours, linewidth=0)
    axes.barh(places, backward, height=0.62, left=forward, linewidth=0, color=colours, alpha=0.45)
    joint = [
        (at, names[name]["forward_backward"])
        for at, name in enumerate(order)
        if "forward_backward" in names[name]
    ]
    spans = [
        [(float(r["time_low"]), at), (float(r["time_high"]), at)]
        for at, r in joint
        if not (pd.isna(r["time_low"]) or pd.isna(r["time_high"]))
    ]
    axes.add_collection(LineCollection(spans, colors=INK, linewidths=1.2), autolim=False)
    axes.plot(
        [float(r["time"]) for _, r in joint],
        [at for at, _ in joint],
        linestyle="none",
        marker="d",
        color=PAPER,
        markeredgecolor=INK,
        markeredgewidth=1.0,
        markersize=5.5,
    )
    ends = [float(r["time"]) for _, r in joint]
    ends += [float(r["time_high"]) for _, r in joint if not pd.isna(r["time_high"])]
    sums = [sum(parts(name)) for name in order]
    time_axis(axes, "x", [*sums, *ends], log=False)
    for at in range(len(order)):
        mine = [v for place, r in joint if place == at for v in (r["time"], r["time_high"])]
        end = max([sums[at], *(float(v) for v in mine if not pd.isna(v))])
        axes.annotate(
            f"Σ {time_text(float(f'{sums[at]:.3g}'))}",
            (end, at),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            annotation_clip=False,
        )
    axes.set_yticks(places, [clean(name, _LABEL) for name in order])
    axes.set_ylim(most - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("time of forward + backward")
