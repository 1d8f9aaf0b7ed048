"""Gradient flow: how large gradients are, step by step away from the loss."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from rnnbench.report.plots.canvas import LINE, drawn, log_ticks, need, panels
from rnnbench.report.plots.marks import key, key_lines
from rnnbench.report.plots.style import GRID, LOOKS, Look, clean

__all__ = ["gradient_flow"]

_MOST_MARKERS = 12


@drawn
def gradient_flow(frame: pd.DataFrame, *, title: str = "", note: str = "") -> Figure:
    """Norms of ∂loss/∂state_t against t, a line for each of ``series``, the vertical axis in logs.

    ``frame`` has a row for each norm: ``series``, what the line is called, ``t`` and ``norm``.
    Norms of 0 have no place on the axis and are left out; the line then ends where they begin.

    Raises:
        UserError: a column is missing, or there is no row.
    """
    need(frame, ("series", "t", "norm"), "gradient_flow")
    names = list(dict.fromkeys(frame["series"].tolist()))
    looks: dict[str, Look] = {
        clean(name): list(LOOKS.values())[at % len(LOOKS)] for at, name in enumerate(names)
    }
    above = 0.3 + key_lines(list(looks)) * LINE
    figure, (axes,) = panels(
        1, columns=1, height=3.2, title=title, note=note, left=0.8, right=0.2, above=above
    )
    key(figure, looks, top=0.1 + 0.2 * min(3, -(-len(title) // 86)))
    positive = frame[frame["norm"] > 0]
    for name, look in zip(names, looks.values(), strict=True):
        mine = positive[positive["series"] == name]
        axes.plot(
            mine["t"].tolist(),
            mine["norm"].tolist(),
            color=look.colour,
            marker=look.marker,
            linestyle=look.dashes,
            markevery=max(1, math.ceil(len(mine) / _MOST_MARKERS)),
        )
    axes.set_yscale("log")
    if not positive.empty:
        low, high = float(positive["norm"].min()), float(positive["norm"].max())
        low, high = low / 1.5, high * 1.5
        ticks = log_ticks(low, high)
        axes.set_ylim(low, high)
        axes.set_yticks(ticks, [f"{tick:.3g}" for tick in ticks])
        axes.set_yticks([], minor=True)
    axes.grid(visible=True, color=GRID)
    axes.set_xlabel("time step t (the loss is at the last)")
    axes.set_ylabel("norm of ∂loss/∂state at t")
    return figure
