"""The command `machine`: what this machine can do at best, and how near results come to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnbench.axis_options import axis_options
from rnnbench.choosing import chosen_cases
from rnnbench.command_options import NoLock, TableFormat, check_timeout
from rnnbench.errors import UserError
from rnnbench.report.commands import Format, print_sentences, rendered
from rnnbench.session import Alone, bar

if TYPE_CHECKING:
    from rnnbench.cases import Case
    from rnnbench.diagnosis.machine import Limits

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("machine")(machine)


@axis_options
def machine(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE…]", help="Result files of this machine, to hold against it."),
    ] = None,
    *,
    grid: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The grid whose shapes are measured.")
    ] = "standard",
    limits: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Read limits instead of measuring them.", show_default=False
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write the limits there; without it they are kept for this machine.",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="S", help="Give up what does not answer for so long.")
    ] = 300.0,
    format: TableFormat = Format.TERMINAL,  # noqa: A002
    no_lock: NoLock = False,
    **axes: str | None,
) -> None:
    """Measure what this machine can do at best, and how near results come to it.

    Matrix products by shape, bytes by amount, and the cost of an operator's call, for each data
    type and number of threads of a grid. With result files, the share of its limit that each
    case reached.
    """
    from rnnbench.diagnosis.machine import (
        defects,
        limits_table,
        read_limits,
        shares_of,
        shares_table,
    )
    from rnnbench.report.outputs import check_output_file

    check_timeout(timeout)
    if output is not None:
        check_output_file(output, files or ())
    if limits is None:
        _, cases, _ = chosen_cases(grid, axes)
        found = _measured(cases, timeout, no_lock=no_lock)
        _keep(found, output)
    else:
        found = read_limits(Path(limits))
    typer.echo(rendered(limits_table(found), format))
    if files:
        from rnnbench.results import read

        shares = shares_of(read(files), found)
        if not shares:
            raise UserError(
                f"{', '.join(files)}: no case has limits here; measure them with the grid and axes "
                "of the results"
            )
        typer.echo(rendered(shares_table(shares), format))
        print_sentences(defects(shares))


def _measured(cases: list[Case], timeout: float, *, no_lock: bool) -> Limits:
    import sys

    from rnnbench.cases import DEFAULT_ENVIRONMENT
    from rnnbench.diagnosis.machine import measure, shapes_of
    from rnnbench.diagnosis.profiler import Profiler
    from rnnbench.measuring.workers import CaseProblem

    shapes = shapes_of(cases)
    if not shapes:
        raise UserError("no case of the grid has limits: they are of layers on a CPU")
    with Alone("rnnbench machine", no_lock=no_lock) as alone:
        print_sentences(alone.notes)
        try:
            with (
                bar(len(shapes), "settings") as show,
                Profiler(
                    DEFAULT_ENVIRONMENT, sys.executable, alone.folder, plugins=(), timeout=timeout
                ) as profiler,
            ):
                return measure(profiler, shapes, show)
        except CaseProblem as problem:
            raise UserError(
                f"limits cannot be measured, {problem.status}: {problem.reason}"
            ) from None


def _keep(found: Limits, output: str | None) -> None:
    from rnnbench.diagnosis.machine import kept_limits
    from rnnbench.report.outputs import write_file

    path = Path(output) if output is not None else kept_limits(found.key)
    if output is None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{path.parent}: cannot be made: {error.strerror or error}; give --output FILE"
            ) from None
    write_file(path, found.document())
    typer.echo(f"The limits are {path}\n")
