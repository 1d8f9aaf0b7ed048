"""Learning curves: loss and accuracy against epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rnnbench.report.plots.canvas import LINE, drawn, need, panels
from rnnbench.report.plots.marks import key, key_lines
from rnnbench.report.plots.style import DASHED, GRID, LOOKS, MUTED, Look

__all__ = ["learning_curves"]

_LOOKS: Mapping[str, tuple[str, Look]] = {
    "loss": ("loss", LOOKS["nn_rnn"]),
    "accuracy": ("accuracy during the epoch", LOOKS["nn_rnn"]),
    "training_accuracy": ("after it, same sequences", LOOKS["hoisted_loop"]),
    "held_out_accuracy": ("after it, fresh sequences", LOOKS["python_loop"]),
}
_MOST_EPOCHS = 12
_FEW = 3
"""Seeds up to which every line has its markers."""


@drawn
def learning_curves(
    frame: pd.DataFrame, *, target: float | None = None, title: str = "", note: str = ""
) -> Figure:
    """Loss and accuracies against epochs, a line for each seed.

    ``frame`` has a row for each epoch: ``seed``, ``epoch``, ``loss``, ``accuracy``,
    ``training_accuracy`` and ``held_out_accuracy``. An accuracy ``target`` is drawn dashed.

    Raises:
        UserError: a column is missing, or there is no row.
    """
    need(frame, ("seed", "epoch", *_LOOKS), "learning_curves")
    named = {words: look for name, (words, look) in _LOOKS.items() if name != "loss"}
    above = 0.3 + key_lines(list(named)) * LINE
    figure, (loss, accuracy) = panels(
        2, columns=2, height=2.6, title=title, note=note, left=0.7, right=0.2, above=above
    )
    key(figure, named, top=0.1 + 0.2 * min(3, -(-len(title) // 86)))
    _draw(loss, frame, ["loss"])
    loss.set_title("loss")
    loss.set_ylabel("cross-entropy")
    _ticks(loss, 0)
    _draw(accuracy, frame, [name for name in _LOOKS if name != "loss"])
    accuracy.set_title("accuracy")
    accuracy.set_ylabel("share of right answers")
    _ticks(accuracy, accuracy.get_ylim()[0])
    if target is not None:
        accuracy.axhline(target, color=MUTED, linestyle=DASHED, linewidth=1.1)
        accuracy.annotate(
            f"{target:g}",
            (1, target),
            xycoords=("axes fraction", "data"),
            xytext=(-2, -3),
            textcoords="offset points",
            ha="right",
            va="top",
            color=MUTED,
        )
    return figure


def _ticks(axes: Axes, low: float) -> None:
    """Fix the vertical axis from ``low`` on, with ticks that lie within it alone."""
    high = axes.get_ylim()[1]
    found = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    ticks = [float(tick) for tick in found if low <= tick <= high]
    axes.set_ylim(low, high)
    axes.set_yticks(ticks, [f"{tick:.4g}" for tick in ticks])


def _draw(axes: Axes, frame: pd.DataFrame, columns: list[str]) -> None:
    seeds = frame["seed"].nunique()
    for name in columns:
        look = _LOOKS[name][1]
        for _, mine in frame.groupby("seed", sort=False):
            axes.plot(
                mine["epoch"].tolist(),
                mine[name].tolist(),
                color=look.colour,
                marker=look.marker if seeds <= _FEW else "",
                alpha=1.0 if seeds <= _FEW else 0.45,
                linewidth=1.6 if seeds <= _FEW else 0.9,
            )
    epochs = sorted(set(frame["epoch"].tolist()))
    axes.set_xticks(epochs[:: math.ceil(len(epochs) / _MOST_EPOCHS)])
    axes.grid(visible=True, color=GRID)
    axes.set_xlabel("epoch")
