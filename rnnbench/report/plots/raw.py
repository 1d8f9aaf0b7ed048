"""The raw rounds of one case: over time, and as a distribution, so that the noise is seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnnbench.errors import UserError
from rnnbench.report.plots.canvas import LINE, drawn, need, panels, time_axis
from rnnbench.report.plots.marks import key
from rnnbench.report.plots.style import GRID, INK, REPLICATES, Look

__all__ = ["DRAWN_MOST", "rounds_distribution", "rounds_over_time"]

DRAWN_MOST = 20_000
"""Rounds that are drawn at most; of more, every second, third, … is left."""

_IMAGE_FROM = 1_500  # dots; more of them are a picture within the SVG, which stays small
_QUANTILES = 200  # points of a line; more rounds than that are drawn as quantiles
_MARKERS = ("o", "s", "^", "D", "v", "P")
_Floats = NDArray[np.float64]


@drawn
def rounds_over_time(frame: pd.DataFrame, *, title: str = "", note: str = "") -> Figure:
    """Every round of one case in the order in which it was timed, coloured by replicate.

    ``frame`` is that of `rnnbench.rounds`, rows of one case: ``row``, ``block``, ``replicate``,
    ``start``, ``round``, ``warmup``, ``seconds``. The horizontal axis is time spent in rounds of
    this case: the turns of its competitors are cut out; thin lines are where a block ends. Warm-up
    rounds are hollow and above the scale where they are far off; the dark bar of a block is its
    median without them. The time of a call is logarithmic.

    Raises:
        UserError: a column is missing, there is no round, or rows are of several cases.
    """
    data = _case(frame, "rounds_over_time")
    at = np.cumsum(data["seconds"])
    at -= data["seconds"] / 2
    shown, words = _thinned(len(at), data["warmup"])
    looks = _looks(data["replicate"])
    figure, (axes,) = panels(
        1,
        columns=1,
        height=2.6,
        title=title,
        note=_sentences(note, words),
        left=0.85,
        above=0.2 + LINE,
    )
    key(figure, {_name(r): look for r, look in looks.items()}, top=_top(title))
    _time_scale(axes, "y", data, 0.999)
    axes.set_ylabel("time of a call")
    bounds = np.flatnonzero(np.diff(data["block"])) + 1
    edges = np.concatenate(([0.0], np.cumsum(data["seconds"])[bounds - 1], [at[-1]]))
    axes.vlines(
        edges[1:-1],
        0,
        1,
        transform=axes.get_xaxis_transform(),
        color=GRID,
        linewidth=0.7,
        zorder=0.5,
    )
    for replicate, look in looks.items():
        mine = (data["replicate"] == replicate) & shown
        _dots(axes, at, data, mine & ~data["warmup"], look, hollow=False)
        _dots(axes, at, data, mine & data["warmup"], look, hollow=True)
    _block_medians(axes, data, bounds, edges)
    time_axis(axes, "x", [float(at[-1])], log=False)
    axes.set_xlabel("time of the calls, one after the other; turns of competitors are cut out")
    return figure


@drawn
def rounds_distribution(frame: pd.DataFrame, *, title: str = "", note: str = "") -> Figure:
    """Share of the rounds of one case that took at most so long, by block and by replicate.

    ``frame`` as in `rounds_over_time`. Thin lines are blocks, thick ones all rounds of a replicate;
    warm-up rounds are left out, as they are from estimates.

    Raises:
        UserError: a column is missing, there is no kept round, or rows are of several cases.
    """
    data = _case(frame, "rounds_distribution")
    kept = ~data["warmup"]
    if not kept.any():
        raise UserError("rounds_distribution: all rounds are warm-up; give a case with kept rounds")
    looks = _looks(data["replicate"])
    kinds = "Thin lines are blocks, thick ones all rounds of a process."
    beyond = int((data["seconds"][kept] > _slowest(data, 0.99)).sum())
    words = f"{kinds} The slowest {beyond} of {kept.sum():,} rounds are beyond the scale."
    words = words if beyond else kinds
    figure, (axes,) = panels(
        1,
        columns=1,
        height=2.4,
        title=title,
        note=_sentences(note, words),
        above=0.2 + LINE,
    )
    key(figure, {_name(r): look for r, look in looks.items()}, top=_top(title))
    seconds = data["seconds"]
    _time_scale(axes, "x", data, 0.99)
    axes.set_xlabel("time of a call")
    for replicate, look in looks.items():
        mine = (data["replicate"] == replicate) & kept
        blocks = [
            _steps(seconds[mine & (data["block"] == block)])
            for block in np.unique(data["block"][mine])
        ]
        axes.add_collection(
            LineCollection(blocks, colors=look.colour, linewidths=0.7, alpha=0.45), autolim=False
        )
        if mine.any():
            axes.plot(*zip(*_steps(seconds[mine]), strict=True), color=look.colour, linewidth=2.2)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.grid(visible=True, axis="y", color=GRID)
    axes.set_ylabel("share of rounds")
    return figure


def _case(frame: pd.DataFrame, plot: str) -> dict[str, NDArray[Any]]:
    columns = ("block", "replicate", "start", "round", "warmup", "seconds")
    need(frame, columns, plot)
    if "row" in frame and frame["row"].nunique() > 1:
        raise UserError(
            f"{plot}: the frame has rounds of {frame['row'].nunique()} cases; give those of one"
        )
    ordered = frame.sort_values(["start", "block", "round"], kind="stable")
    kinds = {"warmup": bool, "seconds": float, "start": float}
    data = {c: ordered[c].to_numpy(dtype=kinds.get(c, int)) for c in columns}
    known = np.isfinite(data["seconds"]) & (data["seconds"] > 0)
    if not known.any():
        raise UserError(f"{plot}: no round has a time above 0; choose a measured case")
    return {column: values[known] for column, values in data.items()}


def _looks(replicates: NDArray[Any]) -> dict[int, Look]:
    return {
        int(r): Look(REPLICATES[i % len(REPLICATES)], _MARKERS[i % len(_MARKERS)], (0, ()))
        for i, r in enumerate(np.unique(replicates))
    }


def _name(replicate: int) -> str:
    return f"process {replicate + 1}"


def _top(title: str) -> float:
    return 0.1 + 0.2 * min(3, -(-len(title) // 86))


def _thinned(count: int, warmup: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], str]:
    """Which rounds are drawn, and the words that say so."""
    keep = math.ceil(count / DRAWN_MOST)
    words = ["Hollow: warm-up rounds, which estimates leave out."] if warmup.any() else []
    if keep > 1:
        words.append(f"One of {keep} of the {count:,} rounds is drawn.")
    return np.arange(count) % keep == 0, " ".join(words)


def _sentences(*texts: str) -> str:
    return " ".join(text if text.endswith(".") else f"{text}." for text in texts if text)


def _slowest(data: dict[str, NDArray[Any]], share: float) -> float:
    """The time that a share of the kept rounds does not exceed; the rest would squeeze them."""
    kept = data["seconds"][~data["warmup"]]
    kept = kept if len(kept) else data["seconds"]
    return float(np.quantile(kept, share) if len(kept) > 200 else kept.max())


def _time_scale(axes: Axes, which: str, data: dict[str, NDArray[Any]], share: float) -> None:
    kept = data["seconds"][~data["warmup"]]
    least = float(kept.min() if len(kept) else data["seconds"].min())
    time_axis(axes, which, [least, _slowest(data, share)])


def _dots(
    axes: Axes,
    at: _Floats,
    data: dict[str, NDArray[Any]],
    which: NDArray[np.bool_],
    look: Look,
    *,
    hollow: bool,
) -> None:
    if not which.any():
        return
    top = axes.get_ylim()[1]
    axes.plot(
        at[which],
        np.minimum(data["seconds"][which], top),  # those above the scale sit on its edge
        linestyle="none",
        marker=look.marker,
        markersize=2.8,
        markerfacecolor="none" if hollow else look.colour,
        markeredgecolor=look.colour,
        markeredgewidth=0.6 if hollow else 0.0,
        alpha=0.9 if hollow else 0.6,
        rasterized=len(at) > _IMAGE_FROM,
        clip_on=False,
    )


def _block_medians(
    axes: Axes, data: dict[str, NDArray[Any]], bounds: NDArray[Any], edges: _Floats
) -> None:
    parts = np.split(np.arange(len(data["seconds"])), bounds)
    bars = []
    for part, left, right in zip(parts, edges[:-1], edges[1:], strict=True):
        kept = data["seconds"][part][~data["warmup"][part]]
        if len(kept):
            middle = float(np.median(kept))
            bars.append([(left, middle), (right, middle)])
    axes.add_collection(LineCollection(bars, colors=INK, linewidths=1.6), autolim=False)


def _steps(seconds: _Floats) -> list[tuple[float, float]]:
    """Corners of the cumulative share, a step a round; quantiles where there are many."""
    if len(seconds) > _QUANTILES:
        shares = np.linspace(0, 1, _QUANTILES)
        return list(zip(np.quantile(seconds, shares).tolist(), shares.tolist(), strict=True))
    ordered = np.repeat(np.sort(seconds), 2)
    shares = np.repeat(np.arange(len(seconds) + 1) / len(seconds), 2)[1:-1]
    return list(zip(ordered.tolist(), shares.tolist(), strict=True))
