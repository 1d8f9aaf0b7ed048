"""Maps over two axes: the ratio to a baseline, and the fastest implementation."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rnnbench.numbers import format_seconds
from rnnbench.report.plots.canvas import AXIS_LABELS, drawn, need, panels, points_wide
from rnnbench.report.plots.style import FONT, INK, MUTED, PAPER, WIDTH, clean, diverging, look_of
from rnnbench.schema import PASSES

__all__ = ["APART", "speedup_heatmap", "winner_map"]

APART = "≈ 1"
"""Stands below a ratio whose interval holds 1."""

_LABEL = 22
_BESIDE = 0.3  # inches between panels
_NOT_MEASURED = "not\nmeasured"

_At: TypeAlias = tuple[int, int]  # column and row of a cell
_Drawing: TypeAlias = tuple[str, str, str]  # its face, the ink on it, and its words


@drawn
def speedup_heatmap(
    frame: pd.DataFrame,
    x: str = "batch",
    y: str = "seq_len",
    *,
    title: str = "",
    note: str = "",
) -> Figure:
    """Time over the baseline's, over two columns of the case, a panel for each implementation.

    ``frame`` has ``implementation``, the columns ``x`` and ``y``, and ``ratio``, ``low``, ``high``:
    time over the baseline's time, and its interval, missing where there is none. Below 1 is faster
    and blue, above 1 slower and orange; the colours are logarithmic around 1. A number whose
    interval holds 1 has `APART` below it, one without an interval a question mark.

    Raises:
        UserError: a column is missing, or no row has a ratio.
    """
    need(frame, ("implementation", x, y, "ratio", "low", "high"), "speedup_heatmap")
    known = frame[frame["ratio"].notna()]
    need(known, (), "speedup_heatmap")
    columns, rows = _sides(known, x, y)
    cells: dict[str, dict[_At, tuple[float, Any, Any]]] = {}
    kept = known[["implementation", x, y, "ratio", "low", "high"]].astype(object)
    for name, at_x, at_y, ratio, low, high in kept.itertuples(index=False):
        at = columns.index(at_x), rows.index(at_y)
        cells.setdefault(name, {}).setdefault(at, (float(ratio), low, high))
    largest = max(
        math.log(1.1), *(abs(math.log(c[0])) for of in cells.values() for c in of.values())
    )
    drawings = {
        name: {
            at: (*diverging(math.log(value[0]), largest), _ratio_text(*value))
            for at, value in of.items()
        }
        for name, of in cells.items()
    }
    return _maps(drawings, columns, rows, x, y, left=0.45, height=0.42, title=title, note=note)


@drawn
def winner_map(
    frame: pd.DataFrame,
    x: str = "batch",
    y: str = "seq_len",
    *,
    title: str = "",
    note: str = "",
) -> Figure:
    """The fastest implementation over two columns of the case, a panel for each pass.

    ``frame`` has columns as `rnnbench.load`: ``implementation``, ``pass``, the columns ``x`` and
    ``y``, ``time``, ``time_low``, ``time_high`` in seconds; and optionally ``best``: whether a row
    is the fastest of its cell or cannot be told from it, and ``first``: whether it is the one to
    name first. Without them the first is that of the least time, and an interval that overlaps
    with its interval ties. A cell has the colour of its fastest, its name and its time, and says
    who ties with it; where all do, it says so and is grey.

    Raises:
        UserError: a column is missing, or no row has a time.
    """
    need(frame, ("implementation", "pass", x, y, "time", "time_low", "time_high"), "winner_map")
    known = frame[frame["time"].notna()]
    need(known, (), "winner_map")
    columns, rows = _sides(known, x, y)
    one = "pass" in (x, y)
    passes = [""] if one else _values(known["pass"].tolist(), "pass")
    cells: dict[tuple[Hashable, ...], list[dict[Any, Any]]] = {}
    for record in known.astype(object).to_dict("records"):
        place = ("" if one else record["pass"], record[x], record[y])
        cells.setdefault(place, []).append(record)
    drawings: dict[Hashable, dict[_At, _Drawing]] = {}
    for (of, at_x, at_y), members in cells.items():
        at = columns.index(at_x), rows.index(at_y)
        drawings.setdefault(of, {})[at] = _winner_cell(members)
    said = [text for of in drawings.values() for _, _, text in of.values()]
    widest = max(points_wide(line) for text in said for line in text.split("\n")) / 72
    return _maps(
        {name: drawings[name] for name in passes},
        columns,
        rows,
        x,
        y,
        left=0.5,
        height=0.62,
        cell=widest + 0.1,
        above=0.12 if one else 0.3,
        title=title,
        note=note,
    )


def _maps(
    drawings: Mapping[Any, Mapping[_At, _Drawing]],
    columns: Sequence[Any],
    rows: Sequence[Any],
    x: str,
    y: str,
    *,
    left: float,
    height: float,
    title: str,
    note: str,
    cell: float = 0.66,
    above: float = 0.3,
) -> Figure:
    """A panel for each drawing, headed by its name; ``height`` and ``cell`` are a cell's inches."""
    left += max(points_wide(clean(value, 18)) for value in rows) / 72
    figure, made = panels(
        len(drawings),
        columns=_across(columns, left, cell),
        height=height * len(rows),
        above=above,
        title=title,
        note=note,
        left=left,
        inner=_BESIDE - 0.15,
    )
    firsts = _first_of_rows(made)
    for axes, (name, cells) in zip(made, drawings.items(), strict=True):
        axes.set_title(clean(name, _LABEL))
        _grid(axes, columns, rows, x, y if axes in firsts else "", cells)
    return figure


def _first(members: Sequence[Mapping[Any, Any]]) -> Mapping[Any, Any]:
    named = [r for r in members if "first" in r and not pd.isna(r["first"]) and r["first"]]
    return named[0] if named else min(members, key=lambda record: float(record["time"]))


def _tied(
    members: Sequence[Mapping[Any, Any]], first: Mapping[Any, Any]
) -> list[Mapping[Any, Any]]:
    """Those that cannot be told from the first."""
    others = [record for record in members if record is not first]
    if "best" in first:
        return [r for r in others if not pd.isna(r["best"]) and bool(r["best"])]
    high = first["time_high"]
    return [r for r in others if pd.isna(high) or pd.isna(r["time_low"]) or r["time_low"] <= high]


def _winner_cell(members: Sequence[Mapping[Any, Any]]) -> _Drawing:
    first = _first(members)
    tied = _tied(members, first)
    time = format_seconds(
        float(first["time"]), *(_known(first[end]) for end in ("time_low", "time_high"))
    )
    name = clean(first["implementation"], _LABEL)
    if len(members) == 1:
        return MUTED + "26", INK, f"only {name}\n{time}"
    if len(members) > 2 and len(tied) == len(members) - 1:
        return MUTED + "26", INK, f"all {len(members)} tie\n{time}"
    colour = look_of(str(first["implementation"])).colour
    if not tied:
        return colour + "59", INK, f"{name}\n{time}"
    other = (
        clean(tied[0]["implementation"], _LABEL - 2) if len(tied) == 1 else f"{len(tied)} others"
    )
    return colour + "1f", INK, f"{name}\n{time}\n≈ {other}"


def _known(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _ratio_text(ratio: float, low: Any, high: Any) -> str:
    text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.3g}"
    if pd.isna(low) or pd.isna(high):
        return f"{text} ?"
    return f"{text}\n{APART}" if low <= 1 <= high else text


def _sides(frame: pd.DataFrame, x: str, y: str) -> tuple[list[Any], list[Any]]:
    """Values of both axes: the first pass is on top, the least size at the foot."""
    columns, rows = _values(frame[x].tolist(), x), _values(frame[y].tolist(), y)
    return columns, rows[::-1] if y == "pass" else rows


def _values(found: Sequence[Any], column: str) -> list[Any]:
    """Values of an axis: passes in the order of the schema, sizes in theirs."""
    if column == "pass":
        return [name for name in PASSES if name in found]
    return sorted(set(found))


def _across(labels: Sequence[Any], left: float, cell: float) -> int:
    """Panels that stand beside each other, with cells wide enough for their text."""
    cell = max(cell, *(points_wide(clean(label, 18)) / 72 + 0.1 for label in labels))
    wide = max(cell * len(labels), points_wide("x" * _LABEL) / 72) + _BESIDE
    return max(1, min(4, int((WIDTH - left) / wide)))


def _grid(
    axes: Axes,
    columns: Sequence[Any],
    rows: Sequence[Any],
    x: str,
    y: str,
    cells: Mapping[_At, _Drawing],
) -> None:
    """Cells with their text: face, ink and words by column and row; the least row is lowest."""
    for at_column in range(len(columns)):
        for at_row in range(len(rows)):
            face, ink, words = cells.get((at_column, at_row), ("none", MUTED, _NOT_MEASURED))
            axes.add_patch(
                Rectangle(
                    (at_column - 0.5, at_row - 0.5),
                    1,
                    1,
                    facecolor=face if face == "none" else to_rgba(face),
                    edgecolor=PAPER,
                    linewidth=2,
                )
            )
            axes.text(
                at_column,
                at_row,
                words,
                ha="center",
                va="center",
                color=ink,
                size=FONT,
                linespacing=1.2,
            )
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(-0.5, len(rows) - 0.5)
    axes.set_xticks(np.arange(len(columns)), [clean(value, 18) for value in columns])
    axes.set_yticks(np.arange(len(rows)), [clean(value, 18) if y else "" for value in rows])
    axes.tick_params(length=0)
    axes.set_xlabel(AXIS_LABELS.get(x, clean(x)))
    axes.set_ylabel(AXIS_LABELS.get(y, clean(y)).split(" (")[0] if len(rows) > 2 else _letter(y))
    for spine in axes.spines.values():
        spine.set_visible(False)


def _letter(column: str) -> str:
    """The last word of an axis: its letter, which fits beside a row or two."""
    return AXIS_LABELS.get(column, clean(column)).split(" (")[0].rpartition(" ")[2]


def _first_of_rows(made: Sequence[Axes]) -> list[Axes]:
    left = min(axes.get_position().x0 for axes in made)
    return [axes for axes in made if axes.get_position().x0 <= left]
