"""The command `history`: many results of a machine, and where its cases changed."""

from __future__ import annotations

import textwrap
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnbench.regressions.history import History
    from rnnbench.report.content import Section
    from rnnbench.results import Results

__all__ = ["register", "report_sections"]


class Format(StrEnum):
    """How `history` prints."""

    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"
    CSV = "csv"


class Order(StrEnum):
    """What the points of a timeline are ordered by."""

    TIME = "time"
    VERSION = "version"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(history)


def history(
    folder: Annotated[
        str,
        typer.Argument(metavar="DIR", help="A folder with result files, packed with gzip or not."),
    ],
    by: Annotated[
        Order | None,
        typer.Option(
            help="The order of the runs; by PyTorch's version where a file has several, else by "
            "time.",
            show_default=False,
        ),
    ] = None,
    case: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Only cases with this text in their words.", show_default=False
        ),
    ] = None,
    format: Annotated[  # noqa: A002
        Format,
        typer.Option(
            help="Markdown pastes into a comment; JSON has everything, CSV a row for each time."
        ),
    ] = Format.TABLE,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Write a page with a plot of each case that changed, and the tables, there.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Find where cases became slower or faster over many runs.

    Steps, spikes and drifts are told apart; each step has its size, its sureness, and the runs or
    versions between which it lies. It needs ten runs of one machine; of fewer it says so. The
    exit status is 0, or 2 for bad input.
    """
    from rnnbench.regressions.history_folder import read_folder
    from rnnbench.report.outputs import check_output_folder

    if output is not None:
        check_output_folder(output)
    found = read_folder(folder, by=by.value if by else None, case=case)
    typer.echo(_rendered(found, format), nl=False)
    if output is not None:
        from rnnbench.regressions.history_section import report_of
        from rnnbench.report.writer import write_report

        title = f"Recurrent layers over time: {Path(folder).resolve().name}"
        page = write_report(report_of(found, title), found.results, output)
        shown = str(page).encode("utf-8", "replace").decode("utf-8")
        typer.echo(f"The page is {shown}", err=format is not Format.TABLE)


def report_sections(results: Results) -> Sequence[Section]:
    """What `rnnbench report` of several runs shows beside its own sections."""
    from rnnbench.regressions import history_section

    return history_section.report_sections(results)


def _rendered(found: History, format: Format) -> str:  # noqa: A002
    from rnnbench.regressions import history_output as outputs
    from rnnbench.regressions.history_document import to_json
    from rnnbench.report.commands import Format as TableFormat
    from rnnbench.report.commands import rendered, terminal_width

    match format:
        case Format.MARKDOWN:
            return outputs.to_text_markdown(found)
        case Format.JSON:
            return to_json(found)
        case Format.CSV:
            return rendered(outputs.timelines_table(found), TableFormat.CSV)
    width = terminal_width()
    parts = [textwrap.fill(sentence, width) + "\n" for sentence in outputs.sentences(found)]
    table = outputs.changes_table(found)
    if table is not None:
        parts.append(rendered(table, TableFormat.TERMINAL))
    return "\n".join(parts)
