"""What tests of the page share: the Chromium that they run in, and reports to make pages of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from rnnbench.numbers import format_seconds
from rnnbench.report.content import Cell, Picture, Report, Section, Table, TableColumn
from rnnbench.report.page import CASES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rnnbench.results import Results

_NAMES = ("chromium", "chromium-browser", "google-chrome")

HOSTILE = (
    "<script>window.hit = 1; alert(1)</script>",
    '"><img src=x onerror="window.hit = 2">',
    "</script><script>window.hit = 3</script>",
    "<!-- <script>",
    "'-alert(4)-'",
    "{{7*7}} {% raw %} ${7*7}",
    "javascript:alert(5)",
    "\u202eelbisrever\u2066",
    "\u2028\u2029 \x00 \x1b[31m",
    "&lt;b&gt; &amp;",
    "=HYPERLINK(1)",
    "x" * 10_000,
)
"""Strings that each mean something else to some reader of HTML, JSON, Jinja, shells or sheets."""

SHOWN_COLUMNS = ("implementation", "pass", "seq_len", "batch", "layout", "time", "compile_cold")


def find_chromium() -> str | None:
    """Path of a Chromium: what ``RNNBENCH_CHROMIUM`` names, or else the system's own."""
    named = os.environ.get("RNNBENCH_CHROMIUM")
    if named:
        return named if Path(named).is_file() else None
    return next(filter(None, map(shutil.which, _NAMES)), None)


def cases_table(results: Results) -> Table:
    """All cases of some results, in some of their columns."""
    columns = [results.frame[name].tolist() for name in SHOWN_COLUMNS]
    return Table(
        name=CASES,
        title="All cases",
        description="Each case of each file.",
        columns=[
            TableColumn(
                name,
                "right" if name in ("seq_len", "batch", "time", "compile_cold") else "left",
                choices=name not in ("time", "compile_cold"),
            )
            for name in SHOWN_COLUMNS
        ],
        rows=[
            [_cell(name, value) for name, value in zip(SHOWN_COLUMNS, row, strict=True)]
            for row in zip(*columns, strict=True)
        ],
        data=results.frame,
    )


def _cell(name: str, value: Any) -> Cell:
    if name not in ("time", "compile_cold"):
        return Cell(str(value), value)
    if pd.isna(value):
        return Cell("not measured")
    return Cell(format_seconds(value), value, best=value < 1e-4)


def text_table(name: str, rows: Sequence[Sequence[str]], title: str = "Texts") -> Table:
    """A table of bare texts, whose columns can all be filtered."""
    return Table(
        name=name,
        title=title,
        description=title,
        columns=[TableColumn(title, choices=True) for _ in rows[0]],
        rows=[[Cell(text) for text in row] for row in rows],
        data=pd.DataFrame(rows, dtype=object),
    )


def report_of(results: Results, *, figure: Figure | None = None, title: str = "Report") -> Report:
    """A report with a verdict, the cases, a picture where there is a figure, and limits."""
    picture = Picture(
        name="times",
        title="Times",
        caption="Medians of three processes.",
        alternative="Time rises with the length.",
        figure=figure,  # type: ignore[arg-type]
        data=results.frame[["implementation", "seq_len", "time"]],
    )
    return Report(
        title=title,
        verdict=["nn_rnn is fastest in 3 of 5 settings.", "No GPU was measured."],
        sections=[
            Section("fastest", "What is fastest", pictures=[picture] if figure else []),
            Section("all", "Every case", ["Measured or not."], [cases_table(results)]),
            Section("limits", "What the numbers do not say", ["How fast a model trains."]),
        ],
    )


def hostile_report(results: Results, texts: Sequence[str] = HOSTILE) -> Report:
    """A report that has a hostile string wherever a string from a file could come to stand."""
    joined = " ".join(text[:200] for text in texts)
    return Report(
        title=joined,
        verdict=list(texts),
        sections=[
            Section(
                "texts",
                joined,
                list(texts),
                [
                    text_table("texts", [[text, text[::-1]] for text in texts], joined),
                    cases_table(results),
                ],
                [
                    Picture(
                        "plot",
                        joined,
                        joined,
                        joined,
                        None,  # type: ignore[arg-type]
                        pd.DataFrame({joined: texts}, dtype=object),
                    )
                ],
            )
        ],
    )


def stand_in_svg(_: object) -> str:
    """An element such as `svg_text` makes, without matplotlib."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="597pt" height="200pt" '
        'viewBox="0 0 597 200"><rect width="50" height="30" style="fill: var(--plot-ink)"/></svg>'
    )
