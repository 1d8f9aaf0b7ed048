"""The command `compare`: two results, or two environments of one, with verdicts."""

from __future__ import annotations

import math
import textwrap
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rnnbench.regressions.compare import Comparison

__all__ = ["FailOn", "parse_share", "register", "says_no"]

_FOUND = 1
_LEAST_SHARE = 1e-6


class Format(StrEnum):
    """How `compare` prints."""

    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"
    CSV = "csv"


class FailOn(StrEnum):
    """What ends `compare` with status 1."""

    SLOWER = "slower"
    FAILING = "failing"
    PATH = "path"
    MISSING = "missing"
    INCONCLUSIVE = "inconclusive"
    INSTRUCTIONS = "instructions"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(compare)


def compare(
    base: Annotated[
        str,
        typer.Argument(
            metavar="BASE", help="A result file, or FILE@ENVIRONMENT where it holds several."
        ),
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same, or another file.")],
    margin: Annotated[
        str,
        typer.Option(
            metavar="SHARE", help="Changes up to it do not matter: `same` lies within it."
        ),
    ] = "2%",
    rate: Annotated[
        str,
        typer.Option(metavar="SHARE", help="Of the changes found, this share may be none."),
    ] = "5%",
    instructions_margin: Annotated[
        str,
        typer.Option(
            metavar="SHARE", help="Changes of instructions up to it do not matter, where counted."
        ),
    ] = "0.5%",
    fail_on: Annotated[
        list[FailOn] | None,
        typer.Option(help="End with status 1 where a case is so; repeatable.", show_default=False),
    ] = None,
    format: Annotated[  # noqa: A002
        Format, typer.Option(help="Markdown is made for a pull request, JSON for programs.")
    ] = Format.TABLE,
    across_machines: Annotated[
        bool,
        typer.Option("--across-machines", help="Show ratios of different machines, labelled."),
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write there, and only the headline here.", show_default=False
        ),
    ] = None,
) -> None:
    """Say what became slower or faster between two results, case by case.

    The surest way is one run in which both took turns (`rnnbench versions`, or `pytest suites
    --rnn-python`): `rnnbench compare versions.json@torch-2.8.0 versions.json@torch-2.13.0`. The
    exit status is 0; with --fail-on it is 1 where such a case was found; bad input is 2.
    """
    from rnnbench.regressions.compare import compare as compare_sides
    from rnnbench.regressions.comparison_output import headline
    from rnnbench.regressions.machine_noise import known_noise
    from rnnbench.regressions.sides import read_sides
    from rnnbench.report.outputs import check_output_file, write_file

    shares = parse_share(margin, "--margin"), parse_share(rate, "--rate")
    counted = parse_share(instructions_margin, "--instructions-margin")
    sides = read_sides(base, new)
    if output is not None:
        check_output_file(output, [sides.base.run.path, sides.new.run.path])
    found = compare_sides(
        sides,
        margin=shares[0],
        rate=shares[1],
        across_machines=across_machines,
        noise=known_noise(sides.new.described),
    )
    text = _rendered(found, format, counted)
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_file(Path(output), text.encode("utf-8"))
        typer.echo(f"{headline(found)}; the comparison is {output}")
    if any(says_no(found, what, counted) for what in fail_on or ()):
        raise typer.Exit(_FOUND)


def parse_share(text: str, option: str) -> float:
    """Read ``2%`` or ``0.02`` as a share below 1, and not below a millionth.

    Less than that is no share that anything here could tell from none, or hold a probability to.

    Raises:
        UserError: it is something else.
    """
    stripped = text.strip()
    try:
        value = float(stripped.removesuffix("%")) / (100 if stripped.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise UserError(f"{option} {text!r} is no share; give one above 0 and below 1, such as 2%")
    if value < _LEAST_SHARE:
        raise UserError(f"{option} {text!r} is too small; give 0.0001% or more, such as 2%")
    return value


def says_no(comparison: Comparison, what: FailOn, instructions_margin: float) -> bool:
    """Whether a case is so that the user wants the command to fail."""
    match what:
        case FailOn.INSTRUCTIONS:
            from rnnbench.regressions.instructions import instruction_changes

            counted = instruction_changes(comparison, instructions_margin)
            return any(one.change == "more" for one in counted)
        case FailOn.SLOWER | FailOn.INCONCLUSIVE:
            return bool(comparison.verdicts["slower" if what is FailOn.SLOWER else "inconclusive"])
        case FailOn.PATH:
            return any(case.path for case in comparison.cases)
    return bool(comparison.states["failing" if what is FailOn.FAILING else "missing"])


def _rendered(comparison: Comparison, format: Format, margin: float) -> str:  # noqa: A002
    from rnnbench.regressions import comparison_output as outputs
    from rnnbench.regressions import instructions
    from rnnbench.report.commands import Format as TableFormat
    from rnnbench.report.commands import rendered, terminal_width

    counted = instructions.instruction_changes(comparison, margin)
    beside = list(instructions.said_of_instructions(counted, margin))
    match format:
        case Format.MARKDOWN:
            text = outputs.to_pull_request(comparison)
            return text + instructions.instructions_comment(comparison, counted, margin)
        case Format.JSON:
            records = instructions.instruction_records(comparison, counted)
            return outputs.to_json(comparison, records)
        case Format.CSV:
            return rendered(outputs.to_table(comparison), TableFormat.CSV)
    width = terminal_width()
    said = [textwrap.fill(text, width) for text in [*outputs.sentences(comparison), *beside]]
    tables = [outputs.to_table(comparison), *instructions.instruction_tables(comparison, counted)]
    return "\n\n".join([*said, *(rendered(table, TableFormat.TERMINAL) for table in tables)])
