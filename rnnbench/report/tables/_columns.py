"""Columns and cells of which tables are made; what is the same in all rows is said once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd

from rnnbench.numbers import format_in_unit, format_ratio, format_share
from rnnbench.report.content import Align, Cell, Table, TableColumn
from rnnbench.report.groups import CASE_NAMES, COMPETITOR, setting_text
from rnnbench.report.ratios import PAIRINGS, Ratio
from rnnbench.report.render import clean
from rnnbench.schema import CASE_COLUMNS, LAYOUTS, PASSES

__all__ = [
    "HEADINGS",
    "LIMITS",
    "Column",
    "Values",
    "assemble",
    "competitors",
    "constant_setting",
    "footing_columns",
    "joined_axes",
    "limit_columns",
    "pairings_of",
    "ratio_cell",
    "ratio_data",
    "setting_columns",
    "share_cell",
    "sort_key",
    "text_cell",
    "time_cell",
    "times_of",
    "values_of",
    "varying_settings",
    "with_axis_named",
]

Values: TypeAlias = Mapping[str, Sequence[Any]]
"""Columns of a frame as lists, a missing value as None: reading a frame cell by cell is slow."""

HEADINGS = {
    "seq_len": "T",
    "batch": "B",
    "input_size": "I",
    "hidden_size": "H",
    "num_layers": "L",
    "bidirectional": "directions",
    "bias": "biases",
    "initial_state": "initial state",
}
LIMITS = (
    "limit",
    "limit_low",
    "limit_high",
    "limit_by",
    "limit_share",
    "limit_share_low",
    "limit_share_high",
    "limit_defect",
)
"""Columns of a result that say how near it comes to the machine's limit."""

_SIZES = {column.name for column in CASE_COLUMNS if column.type is int}
_SETTING = tuple(name for name in CASE_NAMES if name not in COMPETITOR)


@dataclass(frozen=True)
class Column:
    """A heading and its cells; with ``once``, it moves to the description where all are alike."""

    heading: str
    cells: Sequence[Cell]
    align: Align = "left"
    choices: bool = False
    once: bool = False


def assemble(
    name: str,
    title: str,
    sentences: Iterable[str],
    columns: Iterable[Column],
    data: pd.DataFrame,
) -> Table:
    """A table of these columns, its description made of the sentences and of what is alike."""
    said = [sentence for sentence in sentences if sentence]
    kept = []
    for column in columns:
        texts = {cell.text for cell in column.cells}
        if column.once and len(texts) == 1 and len(column.cells) > 1:
            said.append(f"In all rows, {column.heading}: {clean(texts.pop())}.")
        else:
            kept.append(column)
    return Table(
        name=name,
        title=title,
        description=" ".join(said),
        columns=[TableColumn(c.heading, c.align, c.choices) for c in kept],
        rows=list(zip(*(column.cells for column in kept), strict=True)),
        data=data,
    )


def values_of(frame: pd.DataFrame, names: Iterable[str] | None = None) -> Values:
    """Columns as lists by name, missing values as None."""
    return {
        name: [
            None if value is pd.NA or value != value else value  # NaN
            for value in frame[name].tolist()
        ]
        for name in (list(frame) if names is None else names)
    }


def varying_settings(values: Values, rows: Sequence[int]) -> list[str]:
    """Columns of the setting, the run first, in which these rows differ."""
    known = [name for name in ("run", *_SETTING) if name in values]
    return [name for name in known if len({values[name][row] for row in rows}) > 1]


def constant_setting(values: Values, rows: Sequence[int], without: Iterable[str] = ()) -> str:
    """A sentence on what all rows share."""
    aside = {*varying_settings(values, rows), *without}
    known = [name for name in _SETTING if name in values and name not in aside]
    shared = {name: values[name][rows[0]] for name in known}
    if shared.get("seed") == 0:
        del shared["seed"]
    shared = {name: value for name, value in shared.items() if value is not None}
    return f"All rows: {setting_text(shared)}." if shared else ""


def setting_columns(values: Values, rows: Sequence[int], names: Sequence[str]) -> list[Column]:
    """A column for each of these columns of the setting."""
    return [_setting_column(name, [values[name][row] for row in rows]) for name in names]


def _setting_column(name: str, values: Sequence[Any]) -> Column:
    heading = HEADINGS.get(name, name)
    if name == "bidirectional":
        return Column(heading, [Cell("two" if v else "one") for v in values], choices=True)
    if name == "bias":
        return Column(heading, [Cell("yes" if v else "no") for v in values], choices=True)
    if name == "dropout":
        cells = [Cell(f"{v:g}" if v else "none", v) for v in values]
        return Column(heading, cells, "right", choices=True)
    if name in _SIZES:
        cells = [_size_cell(value) for value in values]
        return Column(heading, cells, "right", choices=True)
    return Column(heading, [text_cell(value) for value in values], choices=True)


def _size_cell(value: int | str | None) -> Cell:
    if value is None:
        return Cell("any")
    return Cell(value) if isinstance(value, str) else Cell(str(value), float(value))


def joined_axes(parts: Iterable[pd.DataFrame]) -> pd.DataFrame | None:
    """Frames of several axes as one, each without a value in its own axis; None if all are empty.

    A frame of an axis has no column for it.
    """
    kept = [part for part in parts if len(part)]
    if not kept:
        return None
    names = list(dict.fromkeys(name for part in kept for name in part))
    # Columns that one frame lacks are sizes: as floats they would read 32.0.
    whole = [
        part.assign(
            **{
                name: pd.Series(pd.NA, index=part.index, dtype="Int64")
                for name in names
                if name not in part
            }
        )[names]
        for part in kept
    ]
    return pd.concat(whole, ignore_index=True)


def with_axis_named(values: Values) -> Values:
    """The same, with a word in the place of the size that a row's ``axis`` varies."""
    axes = values["axis"]
    return {
        name: [
            "varied" if axis == name else value for axis, value in zip(axes, column, strict=True)
        ]
        if name in axes
        else column
        for name, column in values.items()
    }


def competitors(values: Values, rows: Sequence[int]) -> list[str]:
    """Labels of rows: the implementation, and the environment where there are several."""
    several = len(set(values["environment"])) > 1
    return [
        values["implementation"][row] + (f" @ {values['environment'][row]}" if several else "")
        for row in rows
    ]


def sort_key(values: Values, names: Sequence[str]) -> Callable[[int], tuple[Any, ...]]:
    """A key that orders rows by these columns, passes and layouts by their place in the schema."""
    places: dict[str, Sequence[str]] = {"pass": PASSES, "layout": LAYOUTS}

    def place(name: str, value: Any) -> tuple[bool, Any]:
        if value is None:
            return True, 0
        return False, places[name].index(value) if name in places else value

    return lambda row: tuple(place(name, values[name][row]) for name in names)


def text_cell(value: object, missing: str = "unknown") -> Cell:
    """A text, or a word where there is none."""
    return Cell(missing if value is None else str(value))


def time_cell(
    value: float | None,
    low: float | None,
    high: float | None,
    scale: float,
    *,
    best: bool = False,
    missing: str = "not measured",
) -> Cell:
    """A time with its interval in the unit that the heading names."""
    if value is None or math.isnan(value):
        return Cell(missing)
    text, interval = format_in_unit(value, low, high, scale)
    return Cell(f"{text} {interval}", value, best)


def times_of(
    values: Values, row: int, name: str = "time"
) -> tuple[float | None, float | None, float | None]:
    """A time of a row and the ends of its interval."""
    return values[name][row], values[f"{name}_low"][row], values[f"{name}_high"][row]


def ratio_cell(ratio: Ratio | None, missing: str = "not measured") -> Cell:
    """A ratio with its interval, or words where there is none."""
    if ratio is None:
        return Cell(missing)
    text, interval = format_ratio(ratio.value, ratio.low, ratio.high)
    return Cell(f"{text} {interval}", ratio.value)


def limit_columns(values: Values, rows: Sequence[int | None]) -> list[Column]:
    """The share of the limit of each row, where any limit is known; ``values`` have `LIMITS`."""
    cells = [Cell("no limit") if row is None else share_cell(values, row) for row in rows]
    known = any(row is not None and values["limit_share"][row] is not None for row in rows)
    return [Column("share of limit", cells, "right", once=True)] if known else []


def share_cell(values: Values, row: int) -> Cell:
    """The limit over the time; it says so where that shows that the limit is wrong."""
    share = values["limit_share"][row]
    if share is None:
        return Cell("no limit")
    wrong = ", limit is wrong" if values["limit_defect"][row] else ""
    return Cell(f"{format_share(share)}{wrong}", share)


def ratio_data(name: str, ratios: Sequence[Ratio | None]) -> dict[str, Any]:
    """Columns for `Table.data`: the ratio, the ends of its interval, and ``…_pairing``."""
    return {
        name: pd.Series([ratio and ratio.value for ratio in ratios], dtype="float64"),
        f"{name}_low": pd.Series([ratio and ratio.low for ratio in ratios], dtype="float64"),
        f"{name}_high": pd.Series([ratio and ratio.high for ratio in ratios], dtype="float64"),
        f"{name}_pairing": pd.Series([r and r.pairing for r in ratios], dtype="string"),
    }


def pairings_of(ratios: Sequence[Ratio | None]) -> list[str | None]:
    """The footing of each ratio, None where there is none."""
    return [ratio.pairing if ratio else None for ratio in ratios]


def footing_columns(pairings: Sequence[str | None]) -> tuple[list[Column], list[str]]:
    """On which footing each ratio stands: a column, or only a sentence where all agree."""
    met = [name for name in PAIRINGS if name in pairings]
    meanings = "; ".join(f"{name} ({PAIRINGS[name]})" for name in met)
    if not met:
        return [], []
    if len(met) == 1:
        return [], [f"Footing of the ratios: {meanings}."]
    cells = [Cell(pairing or "none") for pairing in pairings]
    return [Column("footing", cells, choices=True)], [f"Footings: {meanings}."]
