"""The command line: parse, call, print; what a command needs is imported when it runs."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from rnnbench import __version__
from rnnbench.errors import UserError
from rnnbench.grids import AXES, DEFAULT_GRID, grid_names, load_grid, parse_axis
from rnnbench.report import commands, recommend_command

if TYPE_CHECKING:
    from rnnbench.cases import Case

__all__ = ["app", "main"]

_BAD_INPUT = 2
_PREFIX = "--"

# Without rich: its import alone takes longer than all that a help text needs.
app = typer.Typer(
    help="Benchmarks of recurrent layers in PyTorch; `pytest suites` runs them.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
)

_Command = TypeVar("_Command", bound=Callable[..., None])


def _axis_options(command: _Command) -> _Command:
    """Give a command that takes ``**axes`` an option for each axis, from the table of axes."""
    options = [
        inspect.Parameter(
            # Not the bare name: ``pass`` is none that Python allows.
            f"axis_{axis.name}",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(
                    _PREFIX + axis.option,
                    help=axis.help,
                    metavar="VALUE,…",
                    show_default=False,
                ),
            ],
        )
        for axis in AXES.values()
    ]
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    complete = signature.replace(parameters=[*own, *options])
    command.__signature__ = complete  # type: ignore[attr-defined]
    command.__annotations__ = {name: p.annotation for name, p in complete.parameters.items()}
    return command


def _overrides(axes: Mapping[str, str | None]) -> dict[str, tuple[Any, ...]]:
    given = {name.removeprefix("axis_"): text for name, text in axes.items() if text is not None}
    return {name: parse_axis(name, text, prefix=_PREFIX) for name, text in given.items()}


@app.command("list")
@_axis_options
def list_cases(
    *,
    grid: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The grid; `rnnbench grids` lists them.")
    ] = DEFAULT_GRID,
    plugin: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE.py", help="A file with implementations of yours; repeatable."),
    ] = None,
    python: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="An environment; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    **axes: str | None,
) -> None:
    """Show cases, and why some cannot run here."""
    from rnnbench.cores import usable_cores
    from rnnbench.measuring import capabilities
    from rnnbench.measuring.options import parse_environments
    from rnnbench.measuring.planning import plan_cases

    plugins = tuple(plugin or ())
    environments = parse_environments(python or (), "--python")
    _, cases, _ = plan_cases(
        load_grid(grid),
        _overrides(axes),
        plugins=plugins,
        environments=environments,
        cores=len(usable_cores()),
        prefix=_PREFIX,
    )
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what the user gave wrong ends it with one line and status 2."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="rnnbench")
    except UserError as error:
        typer.echo(f"rnnbench: {' '.join(str(error).splitlines())}", err=True)
        raise SystemExit(_BAD_INPUT) from None
