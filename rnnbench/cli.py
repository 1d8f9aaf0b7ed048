"""The command line: parse, call, print; what a command needs is imported when it runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from rnnbench import __version__
from rnnbench.asking import check_asked
from rnnbench.axis_options import axis_options
from rnnbench.choosing import chosen_cases
from rnnbench.command_options import Environments, GridName, Plugins
from rnnbench.diagnosis import command as profile_command
from rnnbench.diagnosis import machine_command
from rnnbench.errors import UserError
from rnnbench.fleet import fleet_command, merge_command
from rnnbench.grids import DEFAULT_GRID, grid_names, load_grid
from rnnbench.lesson import command as classifier_command
from rnnbench.regressions import (
    bisect_command,
    compare_command,
    history_command,
    noise_command,
    versions_command,
)
from rnnbench.report import commands, recommend_command
from rnnbench.serving import command as streaming_command

if TYPE_CHECKING:
    from rnnbench.cases import Case
    from rnnbench.report.content import Section
    from rnnbench.results import Results

__all__ = ["app", "main"]

_BAD_INPUT = 2

# Without rich: its import alone takes longer than all that a help text needs.
app = typer.Typer(
    help="Benchmarks of recurrent layers in PyTorch; `pytest suites` runs them.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
)


@app.command("list")
@axis_options
def list_cases(
    *,
    grid: GridName = DEFAULT_GRID,
    plugin: Plugins = None,
    python: Environments = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    **axes: str | None,
) -> None:
    """Show cases, and why some cannot run here."""
    from rnnbench.measuring import capabilities

    plugins = tuple(plugin or ())
    _, cases, environments = chosen_cases(grid, axes, plugins, python or ())
    reasons = capabilities.unsupported(cases, plugins=plugins, environments=environments)
    lines = _as_json(cases, reasons) if as_json else _as_text(cases, reasons)
    typer.echo("\n".join(lines))


def _as_json(cases: Sequence[Case], reasons: Sequence[str | None]) -> Iterator[str]:
    objects = [
        json.dumps({"id": case.id, "case": case.columns(), "unsupported": reason})
        for case, reason in zip(cases, reasons, strict=True)
    ]
    yield "["
    yield ",\n".join(objects)
    yield "]"


def _as_text(cases: Sequence[Case], reasons: Sequence[str | None]) -> Iterator[str]:
    pairs = zip(cases, reasons, strict=True)
    for _, group in groupby(pairs, key=lambda pair: pair[0].setting):
        for case, reason in group:
            yield case.id if reason is None else f"{case.id}  cannot run here: {reason}"
        yield ""
    refused = Counter(reason for reason in reasons if reason is not None)
    cannot = refused.total()
    yield f"{_count(len(cases), 'case')}: {len(cases) - cannot:,} can run here, {cannot:,} cannot"
    for reason, count in refused.most_common():
        yield f"{count:7,}  {reason}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


@app.command()
def grids() -> None:
    """List the grids and their numbers of cases."""
    loaded = [load_grid(name) for name in grid_names()]
    width = max(len(grid.name) for grid in loaded)
    for grid in loaded:
        cases = _count(len(grid.cases()), "case")
        typer.echo(f"{grid.name:{width}}  {cases:>11}  {grid.description}")


@app.command()
def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Result files.")],
) -> None:
    """Check result files against the schema.

    The exit status is 2 if one of them is not valid.
    """
    from rnnbench.validation import examine

    examinations = [(file, examine(file)) for file in files]
    for file, found in examinations:
        for problem in found.problems:
            typer.echo(problem)
        if not found.problems:
            benchmarks = _count(found.benchmarks, "benchmark")
            typer.echo(f"{file}: valid, {benchmarks}, {found.not_measured:,} not measured")
    if any(found.problems for _, found in examinations):
        raise typer.Exit(_BAD_INPUT)


commands.register(app)
recommend_command.register(app)
versions_command.register(app)
compare_command.register(app)
bisect_command.register(app)
noise_command.register(app)
history_command.register(app)
fleet_command.register(app)
merge_command.register(app)
classifier_command.register(app)
profile_command.register(app)
machine_command.register(app)
streaming_command.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rnnbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def _report_sections(results: Results) -> Sequence[Section]:
    """What `rnnbench report` shows beside its own sections, from rooms that build on its."""
    from rnnbench.regressions import comparison_section, instruction_section

    compared = comparison_section.report_sections(results)
    counted = instruction_section.report_sections(results)
    return (*compared, *counted, *history_command.report_sections(results))


class _Rooms:
    """What commands get, as `context.obj`, from rooms that their own may not import."""

    sections = staticmethod(_report_sections)
    check = staticmethod(check_asked)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what the user gave wrong ends it with one line and status 2."""
    try:
        app(
            args=None if arguments is None else list(arguments),
            prog_name="rnnbench",
            obj=_Rooms(),
        )
    except UserError as error:
        typer.echo(f"rnnbench: {' '.join(str(error).splitlines())}", err=True)
        raise SystemExit(_BAD_INPUT) from None
