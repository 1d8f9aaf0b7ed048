"""The page: a whole report as one HTML file that asks nothing of any network.

Its tables run on a script of this project (``templates/page.js``) and not on a library that comes
with a package, such as itables, whose 2.9.1 would put 700 KB of jQuery and DataTables into each
page. The own one has a fiftieth of that; it only ever sets text, runs under a policy of hashes,
keeps 50 rows of 10,000 in the document, prints all that are filtered, and is tested with axe-core.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from rnnbench.report.content import Cell, Picture, Report, Table, TableColumn
from rnnbench.report.render import BEST_NOTE, clean
from rnnbench.report.reproduce import command_for, command_pieces
from rnnbench.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CASES", "page"]

CASES = "cases"
"""The table of all cases: each of its rows gets the command that measures the case again."""

_TEMPLATES = Path(__file__).parent / "templates"
_STATIC_ROWS = 200
_BEHIND_ROWS = 2_000
_LONGEST_TEXT = 4_000
_LONG_TEXT = 160
_FOLDED_TEXT = 120

_SIZE = re.compile(r'\s(?:width|height)="[^"]*"')


def page(report: Report, results: Results, *, svg: Callable[[Figure], str]) -> str:
    """The report as one HTML document, to be written as UTF-8.

    ``svg`` turns the figure of a picture into an SVG element without a style element, as
    `rnnbench.report.plots.export.svg_text` does; it may use the custom properties ``--plot-ink``,
    ``--plot-muted``, ``--plot-grid`` and ``--plot-paper``, whose colours follow the theme. The rows
    of the table `CASES` are rows of ``results.frame``: those that the column ``row`` of its data
    names, or else its data's index.

    Raises:
        ValueError: two sections, tables or pictures have the same name, so that links would
            mislead, or the data of `CASES` does not fit its rows.
    """
    for parts in (report.sections, report.tables, report.pictures):
        _refuse_twins([part.name for part in parts])
    style = (_TEMPLATES / "page.css").read_text(encoding="utf-8")
    script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")
    drawn = {picture.name: _inline(svg(picture.figure), picture) for picture in report.pictures}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printed,
    )
    environment.filters["prose"] = _prose
    return environment.get_template("page.html").render(
        report=report,
        runs=results.runs.values(),
        policy=Markup(_policy(style, script)),
        best_note=BEST_NOTE,
        style=Markup(style),
        script=Markup(script),
        drawn=drawn,
        titled=_titled(report, drawn),
        shown={table.name: _shown(table, results) for table in report.tables},
        behind={picture.name: _shown(_behind(picture), results) for picture in report.pictures},
        example=command_for(results, results.frame.index[0]) if len(results.frame) else "",
    )


def _refuse_twins(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two parts of the report are called {name!r}; give each its own name")


def _printed(value: Any) -> Any:
    """What a template prints: text without what would harm even when it is escaped."""
    return _clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _clean(text: str) -> str:
    return clean(text, _LONGEST_TEXT)


def _prose(text: str) -> Markup:
    """A sentence for the page; what stands between two backticks is code."""
    parts = _clean(text).split("`")
    if len(parts) % 2 == 0:  # one that is left over is no more than a sign
        parts[-2:] = ["`".join(parts[-2:])]
    wrapped = (Markup("<code>{}</code>" if at % 2 else "{}") for at in range(len(parts)))
    return Markup("").join(wrap.format(part) for wrap, part in zip(wrapped, parts, strict=True))


def _policy(style: str, script: str) -> str:
    """A content security policy under which nothing runs but this page's own style and script."""
    parts = (
        "default-src 'none'",
        f"script-src {_hash(script)}",
        f"style-src {_hash(style)}",
        f"style-src-elem {_hash(style)}",
        # Matplotlib gives each of its paths a style; without these no plot has a colour.
        "style-src-attr 'unsafe-inline'",
        # Pictures inside the plots, and the empty icon that keeps browsers from asking for one.
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(parts)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


# --- Tables


def _shown(table: Table, results: Results) -> dict[str, Any]:
    """What the template needs of a table: its first rows as cells, all of them as data."""
    right = [column.align == "right" for column in table.columns]
    rows = [list(map(_as_cell, row, right)) for row in table.rows[:_STATIC_ROWS]]
    return {
        "table": table,
        "rows": rows,
        "marked": any(cell.best for row in table.rows for cell in row),
        "json": Markup(_json(_data(table, results))),
    }


def _as_cell(cell: Cell, right: bool) -> dict[str, Any]:
    text = _clean(cell.text)
    css = " ".join(["right"] * right + ["best"] * cell.best)
    return {
        # Already escaped: of what a template prints, cells are the most by far.
        "text": escape(text),
        "start": escape(text[:_FOLDED_TEXT]),
        "css": Markup(css),
        "best": cell.best,
        "long": len(text) > _LONG_TEXT,
    }


def _data(table: Table, results: Results) -> dict[str, Any]:
    columns = list(zip(*table.rows, strict=True)) or [() for _ in table.columns]
    found = {
        "name": table.name,
        "title": _clean(table.title),
        "rows": len(table.rows),
        "columns": [
            _column(column, cells) for column, cells in zip(table.columns, columns, strict=True)
        ],
    }
    if table.name == CASES and table.rows:
        found["commands"] = _commands(table, results)
    return found


def _column(column: TableColumn, cells: Sequence[Cell]) -> dict[str, Any]:
    """A column for the script: each different text once, with its place in the sorted order.

    The order is decided here, so that the script only ever compares whole numbers.
    """
    ranks = _ranks(cells)
    places: dict[tuple[str, int], int] = {}
    of = [
        places.setdefault((cell.text, rank), len(places))
        for cell, rank in zip(cells, ranks, strict=True)
    ]
    return {
        "heading": _clean(column.heading),
        "right": column.align == "right",
        "choices": column.choices,
        "texts": [_clean(text) for text, _ in places],
        "ranks": [rank for _, rank in places],
        "of": None if len(places) == len(cells) else of,
        "best": [row for row, cell in enumerate(cells) if cell.best],
    }


def _ranks(cells: Sequence[Cell]) -> list[int]:
    """Each cell's place in ascending order, equal ones alike; -1 for those that miss a value.

    Cells sort by what they say they sort by. A column in which none says anything sorts by text.
    """
    by_text = all(_is_missing(cell.sort) for cell in cells)
    keys = [_key(cell.text if by_text else cell.sort) for cell in cells]
    order = {key: rank for rank, key in enumerate(sorted({key for key in keys if key is not None}))}
    return [-1 if key is None else order[key] for key in keys]


def _is_missing(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or value is pd.NA or value is pd.NaT


def _key(value: Any) -> tuple[int, Any, str, str] | None:
    if _is_missing(value):
        return None
    if isinstance(value, str):
        return (1, 0, value.casefold(), value)
    return (0, value, "", "")


def _commands(table: Table, results: Results) -> list[dict[str, Any]]:
    rows = table.data.get("row", table.data.index)
    wanted = [int(row) for row in rows.tolist()]
    if len(wanted) != len(table.rows):
        raise ValueError(
            f"table {table.name!r} has {len(table.rows)} rows, but data for {len(wanted)}; give "
            "one row of data for each, in the same order"
        )
    found = []
    for piece in command_pieces(results, wanted):
        places: dict[str, int] = {}
        of = [places.setdefault(text, len(places)) for text in piece]
        found.append({"texts": list(places), "of": None if len(places) == 1 else of})
    return found


def _behind(picture: Picture) -> Table:
    """The numbers of a picture as a table, without the columns that say nothing."""
    data = picture.data.head(_BEHIND_ROWS)
    columns = [(str(name), data[name].tolist()) for name in data]
    kept = {
        name: [_plain_cell(value) for value in values]
        for name, values in columns
        if len(values) < 2 or not _all_alike(values)
    }
    sentences = ["Times in seconds, sizes in bytes."]
    if len(kept) < len(columns):
        sentences.append("Columns in which all rows are alike are left out.")
    if len(picture.data) > len(data):
        sentences.append(f"The first {len(data):,} of {len(picture.data):,} rows.")
    numeric = {str(name) for name in data if pd.api.types.is_numeric_dtype(data[name])}
    return Table(
        name=f"behind-{picture.name}",
        title=f"Numbers behind: {picture.title}",
        description=" ".join(sentences),
        columns=[TableColumn(name, "right" if name in numeric else "left") for name in kept],
        rows=[list(row) for row in zip(*kept.values(), strict=True)],
        data=data,
    )


def _all_alike(values: Sequence[Any]) -> bool:
    if _is_missing(values[0]):
        return all(map(_is_missing, values))
    return all(not _is_missing(value) and bool(value == values[0]) for value in values)


def _plain_cell(value: Any) -> Cell:
    if _is_missing(value):
        return Cell("missing")
    if isinstance(value, bool | np.bool_):
        return Cell("yes" if value else "no", float(value))
    if isinstance(value, int | np.integer):
        return Cell(str(value), float(value))
    if isinstance(value, float | np.floating):
        return Cell(f"{value:.6g}", float(value))
    return Cell(str(value), str(value))


def _json(value: Any) -> str:
    """JSON that may stand in a script element: nothing in it can end that or begin another."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


# --- Plots


def _titled(report: Report, drawn: Mapping[str, str]) -> frozenset[str]:
    """Names of the pictures whose plot shows their title itself: it need not stand twice."""
    return frozenset(
        picture.name
        for picture in report.pictures
        if f">{escape(_clean(picture.title))}</text>" in drawn[picture.name]
    )


def _inline(document: str, picture: Picture) -> Markup:
    """An SVG document as an element of the page, which has a name and says what it shows."""
    start = document.index("<svg")
    end = document.index(">", start)
    # Without a size of its own it is as wide as the page lets it be; its viewBox keeps its shape.
    root = _SIZE.sub("", document[start:end])
    prefix = f"plot-{picture.name}"
    text = Markup(
        ' role="img" aria-labelledby="{0}-title" aria-describedby="{0}-desc">'
        '<title id="{0}-title">{1}</title><desc id="{0}-desc">{2}</desc>'
    ).format(prefix, _clean(picture.title), _clean(picture.alternative))
    return Markup(root) + text + Markup(document[end + 1 :])
