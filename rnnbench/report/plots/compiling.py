"""Compilation against a size: seconds of cold compilations, and the power law through them."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from rnnbench.report.plots.canvas import (
    LINE,
    drawn,
    need,
    panels,
    points_wide,
    size_axis,
    time_axis,
)
from rnnbench.report.plots.marks import Series, end_labels
from rnnbench.report.plots.style import clean, look_of

__all__ = ["compile_growth"]

_COLUMNS = ("implementation", "label", "seq_len", "seconds", "factor", "exponent")
_LABEL = 36  # letters of a name beside a line, its exponent among them


@drawn
def compile_growth(frame: pd.DataFrame, *, title: str = "", note: str = "") -> Figure:
    """Seconds of a compilation against sequence length, both logarithmic, a line for each case.

    ``frame`` has a row for each case and length: ``implementation``, ``label``, what the line is
    called, ``seq_len`` and ``seconds``, and the power law ``factor`` · T^``exponent`` of the case.
    Marks are what was compiled, the line is the power law, whose exponent stands at its end.

    Raises:
        UserError: a column is missing, or there is no row.
    """
    need(frame, _COLUMNS, "compile_growth")
    frame = frame.sort_values("seq_len", kind="stable")
    groups = [mine for _, mine in frame.groupby("label", sort=False)]
    lines = [_line(mine) for mine in groups]
    figure, (axes,) = panels(
        1,
        columns=1,
        height=max(2.8, (len(lines) + 1) * LINE),
        title=title,
        note=note,
        left=0.8,
        right=max(points_wide(line.label) for line in lines) / 72 + 0.25,
    )
    size_axis(axes, "seq_len", [int(size) for size in frame["seq_len"]])
    time_axis(axes, "y", [*frame["seconds"], *(value for line in lines for value in line.y)])
    axes.set_ylabel("cold compilation")
    for mine, line in zip(groups, lines, strict=True):
        axes.plot(line.x, line.y, color=line.look.colour, linestyle=line.look.dashes)
        axes.plot(
            mine["seq_len"].tolist(),
            mine["seconds"].tolist(),
            color=line.look.colour,
            linestyle="none",
            marker=line.look.marker,
        )
    end_labels(axes, lines)
    return figure


def _line(mine: pd.DataFrame) -> Series:
    first = mine.iloc[0]
    factor, exponent = float(first["factor"]), float(first["exponent"])
    lengths = [float(size) for size in mine["seq_len"]]
    power = f": T^{exponent:.2f}"
    return Series(
        label=clean(first["label"], _LABEL - len(power)) + power,
        look=look_of(str(first["implementation"])),
        x=lengths,
        y=[factor * size**exponent for size in lengths],
        low=(),
        high=(),
    )
