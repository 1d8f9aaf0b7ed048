"""Tables as Markdown, CSV, HTML and for terminals; whatever a string holds, it stays a text.

Every string of a result file is hostile: names, reasons and descriptions of machines may hold
markup, formulas, control characters or ten thousand letters. Each renderer makes its own harmless.
"""

from __future__ import annotations

import csv
import io
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup, escape

from rnnbench.report.content import Cell, Table, TableColumn
from rnnbench.report.escaping import LONGEST, clean, clean_csv, escape_markdown

if TYPE_CHECKING:
    from rich.table import Table as RichTable

__all__ = [
    "BEST_NOTE",
    "LONGEST",
    "clean",
    "clean_csv",
    "escape_markdown",
    "to_csv",
    "to_html",
    "to_markdown",
    "to_rich",
    "to_text",
]

_LONGEST_DESCRIPTION = 4000

BEST_NOTE = "best, or not told apart from it by its interval"

_NARROWEST = 12  # columns of a terminal below which no text column is wrapped


def to_markdown(table: Table) -> str:
    """The table with its title and description, to paste into a GitHub comment; best in bold."""
    lines = [f"### {escape_markdown(table.title)}", ""]
    if table.description:
        lines += [escape_markdown(_described(table), _LONGEST_DESCRIPTION), ""]
    lines.append(_markdown_row([escape_markdown(column.heading) for column in table.columns]))
    lines.append(
        _markdown_row(["---:" if column.align == "right" else "---" for column in table.columns])
    )
    for row in table.rows:
        cells = [(escape_markdown(cell.text), cell.best) for cell in row]
        lines.append(_markdown_row([f"**{text}**" if b and text else text for text, b in cells]))
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _described(table: Table, mark: str = "Bold") -> str:
    if not any(cell.best for row in table.rows for cell in row):
        return table.description
    return f"{table.description} {mark}: {BEST_NOTE}.".lstrip()


def to_csv(table: Table) -> str:
    """The numbers behind the table at full precision, with a header; missing values are empty.

    A text that a spreadsheet could take for a formula gets an apostrophe in front, as does one that
    begins with an apostrophe, so that dropping one gives the text back. Texts are not cut, but
    their line breaks and control characters are made visible as in every table.
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    frame = table.data
    writer.writerow([clean_csv(str(name)) for name in frame.columns])
    columns = [_csv_values(frame[name]) for name in frame.columns]
    writer.writerows(zip(*columns, strict=True))
    return lines.getvalue()


def _csv_values(column: pd.Series[Any]) -> list[str]:
    missing = column.isna().tolist()
    return [
        "" if gone else clean_csv(value) if isinstance(value, str) else str(value)
        for value, gone in zip(column.tolist(), missing, strict=True)
    ]


def to_html(table: Table) -> Markup:
    """A static table that stands anywhere: a caption, headings with their scope, texts escaped.

    Numbers have the class ``right``; every cell has what it sorts by in ``data-sort``, where that
    differs from its text. The best are strong, and say so to those who hear the page.
    """
    parts = [
        Markup('<table class="rnnbench" id="table-{}"><caption>{}').format(
            table.name, clean(table.title)
        )
    ]
    if table.description:
        parts.append(
            Markup(" <small>{}</small>").format(clean(_described(table), _LONGEST_DESCRIPTION))
        )
    parts.append(Markup("</caption><thead><tr>"))
    parts += [
        Markup('<th scope="col"{}>{}</th>').format(_css(column), clean(column.heading))
        for column in table.columns
    ]
    parts.append(Markup("</tr></thead><tbody>"))
    classes = [_css(column) for column in table.columns]
    for row in table.rows:
        cells = "".join(
            _html_cell(cell, css, first=not index)
            for index, (cell, css) in enumerate(zip(row, classes, strict=True))
        )
        parts.append(Markup(f"<tr>{cells}</tr>"))
    parts.append(Markup("</tbody></table>\n"))
    return Markup("\n").join(parts)


def _css(column: TableColumn) -> Markup:
    return Markup(' class="right"') if column.align == "right" else Markup("")


def _html_cell(cell: Cell, css: Markup, *, first: bool) -> str:
    text = str(escape(clean(cell.text)))
    if cell.best:
        text = f'<strong>{text}</strong><span class="visually-hidden"> (best)</span>'
    sort = ""
    if cell.sort is not None and cell.sort != cell.text:
        key = clean(cell.sort) if isinstance(cell.sort, str) else repr(float(cell.sort))
        sort = f' data-sort="{escape(key)}"'
    if first:
        return f'<th scope="row"{css}{sort}>{text}</th>'
    return f"<td{css}{sort}>{text}</td>"


def to_rich(table: Table) -> RichTable:
    """The table for a terminal with colours; what repeats from row to row is said once.

    On a terminal that is narrower than the table, `to_text` is easier to read.
    """
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(
        title=Text(clean(table.title), style="bold"),
        caption=Text(_described_with_stars(table)),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for column in table.columns:
        right = column.align == "right"
        drawn.add_column(
            Text(clean(column.heading)),
            justify="right" if right else "left",
            no_wrap=right,
            overflow="fold",
        )
    texts = [[("* " if c.best else "") + clean(c.text) for c in row] for row in table.rows]
    shown = _without_repetitions(texts, _leading(table))
    for cells, row in zip(shown, table.rows, strict=True):
        drawn.add_row(
            *(
                Text(text, style="bold green" if cell.best else "")
                for text, cell in zip(cells, row, strict=True)
            )
        )
    return drawn


def to_text(table: Table, width: int = 100) -> str:
    """The table in plain characters for any terminal, at most ``width`` columns wide if it can be.

    Where it is too wide, texts are wrapped and what rows are about moves to lines between them.
    Where that does not help, each row becomes a block of lines, one for each column.
    """
    lines = [clean(table.title), *_wrapped(_described_with_stars(table), width)]
    headings = [clean(column.heading) for column in table.columns]
    rows = [[("* " if c.best else "") + clean(c.text) for c in row] for row in table.rows]
    for apart in range(_leading(table) + 1):
        widths = _widths(
            [headings[apart:], *(row[apart:] for row in rows)], table.columns[apart:], width
        )
        if widths is None:
            continue
        columns = table.columns[apart:]
        above: list[str] | None = None
        for shown, row in zip(_without_repetitions(rows, _leading(table)), rows, strict=True):
            if above is None or row[:apart] != above:
                pairs = zip(headings[:apart], row[:apart], strict=True)
                about = ", ".join(f"{heading} {text}" for heading, text in pairs)
                lines += ["", about] if apart else []
                if above is None:
                    lines += _text_row(headings[apart:], widths, columns)
            above = row[:apart]
            lines += _text_row(shown[apart:], widths, columns)
        return "\n".join(lines) + "\n"
    return "\n".join([*lines, *_blocks_of_lines(table, headings, width)]) + "\n"


def _widths(
    texts: Sequence[Sequence[str]], columns: Sequence[TableColumn], width: int
) -> list[int] | None:
    """How wide each column becomes; None where ``width`` is not enough for all."""
    widths = [max(map(_columns_of, column)) for column in zip(*texts, strict=True)]
    words = [max(map(_longest_word, column)) for column in zip(*texts, strict=True)]
    least = [
        # Numbers are never wrapped, their headings are; texts where they have a space.
        max([_longest_word(texts[0][i]), *(_columns_of(row[i]) for row in texts[1:])])
        if column.align == "right"
        else min(widths[i], max(words[i], _NARROWEST))
        for i, column in enumerate(columns)
    ]
    room = width - 2 * (len(widths) - 1)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        # The widest of those that can give way does so.
        widest = max(
            (i for i in range(len(widths)) if widths[i] > least[i]), key=widths.__getitem__
        )
        widths[widest] -= 1
    return widths


def _longest_word(text: str) -> int:
    return max(map(_columns_of, text.split()), default=0)


def _described_with_stars(table: Table) -> str:
    return clean(_described(table, "*"), _LONGEST_DESCRIPTION)


def _leading(table: Table) -> int:
    """How many columns at the left say what rows are about: those with ``choices``."""
    found = 0
    while found < len(table.columns) - 1 and table.columns[found].choices:
        found += 1
    return found


def _without_repetitions(rows: Sequence[list[str]], leading: int) -> Iterator[list[str]]:
    """The rows, without what their leading columns repeat from the row above."""
    above: list[str] = []
    for cells in rows:
        same = 0
        while above and same < leading and cells[same] == above[same]:
            same += 1
        yield [""] * same + cells[same:]
        above = cells


def _text_row(
    cells: Sequence[str], widths: Sequence[int], columns: Sequence[TableColumn]
) -> Iterator[str]:
    parts = [_wrapped(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)]
    for line in range(max(map(len, parts))):
        padded = []
        for part, width, column in zip(parts, widths, columns, strict=True):
            text = part[line] if line < len(part) else ""
            space = " " * max(0, width - _columns_of(text))
            padded.append(space + text if column.align == "right" else text + space)
        yield ("  ".join(padded)).rstrip()


def _blocks_of_lines(table: Table, headings: Sequence[str], width: int) -> Iterator[str]:
    for row in table.rows:
        yield ""
        for heading, cell in zip(headings, row, strict=True):
            star = " *" if cell.best else ""
            label = f"{heading}: " if heading else "  "
            yield from _wrapped(f"{label}{clean(cell.text)}{star}", width)


def _wrapped(text: str, width: int) -> list[str]:
    if _columns_of(text) <= width:
        return [text] if text else []
    return textwrap.wrap(clean(text, None), max(width, 1), break_long_words=True)


def _columns_of(text: str) -> int:
    """How many columns of a terminal a text takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )
