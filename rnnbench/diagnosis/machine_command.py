"""The command `machine`: what this machine can do at best, and how near results come to it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnbench.axis_options import axis_options
from rnnbench.choosing import chosen_cases
from rnnbench.command_options import NoLock, OtherPython, TableFormat, check_timeout
from rnnbench.errors import UserError
from rnnbench.grids import DEFAULT_GRID
from rnnbench.report.commands import Format, print_sentences, rendered
from rnnbench.session import Session, bar

if TYPE_CHECKING:
    from rnnbench.cases import Case
    from rnnbench.limits import Limits

__all__ = ["register"]

_GRIDS = (DEFAULT_GRID, "standard")


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
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help=f"The grid whose shapes are measured, {' and '.join(_GRIDS)} unless it is given.",
            show_default=False,
        ),
    ] = None,
    python: OtherPython = None,
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
            help="Write the limits there; without it they are kept for this machine and PyTorch, "
            "and `pytest suites` writes them into its results.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            metavar="S",
            help="Take so long; each thing is measured once in each process all the same.",
        ),
    ] = 105.0,
    timeout: Annotated[
        float, typer.Option(metavar="S", help="Give up what does not answer for so long.")
    ] = 300.0,
    format: TableFormat = Format.TERMINAL,  # noqa: A002
    no_lock: NoLock = False,
    **axes: str | None,
) -> None:
    """Measure what this machine can do at best, and how near results come to it.

    Matrix products by shape, bytes by amount, and the cost of an operator's call, for each data
    type and number of threads of a grid; the launch of a kernel and a synchronisation, where there
    is a device. With result files, the share of its limit that each case reached.
    """
    from rnnbench.diagnosis.machine_tables import launches_table, limits_table
    from rnnbench.limits import read_limits
    from rnnbench.report.outputs import check_output_file

    check_timeout(timeout)
    if not seconds >= 0:
        raise UserError(f"--seconds is {seconds:g}; give 0 or more")
    if output is not None:
        check_output_file(output, files or ())
    if limits is None:
        grids = _GRIDS if grid is None else (grid,)
        cases = [case for name in grids for case in chosen_cases(name, axes)[1]]
        found = _measured(cases, python, seconds, timeout, no_lock=no_lock)
        _keep(found, output)
    else:
        found = read_limits(Path(limits))
    for table in (limits_table(found), launches_table(found)):
        typer.echo(rendered(table, format))
    if files:
        _print_shares(files, found, format)


def _measured(
    cases: list[Case], python: str | None, seconds: float, timeout: float, *, no_lock: bool
) -> Limits:
    import time

    from rnnbench.cases import DEFAULT_ENVIRONMENT
    from rnnbench.diagnosis.machine import PROCESSES, measure, shapes_of
    from rnnbench.diagnosis.profiler import Profiler
    from rnnbench.measuring.workers import CaseProblem

    shapes = shapes_of(cases)
    if not shapes:
        raise UserError("no case of the grid has limits: they are of layers on a CPU")
    end = time.monotonic() + seconds
    with Session("rnnbench machine", python, no_lock=no_lock) as session, ExitStack() as started:
        print_sentences(session.notes)
        try:
            profilers = [
                started.enter_context(
                    Profiler(
                        DEFAULT_ENVIRONMENT,
                        session.python,
                        session.folder,
                        plugins=(),
                        timeout=timeout,
                    )
                )
                for _ in range(PROCESSES)
            ]
            left = max(0.0, end - time.monotonic())
            with bar(max(1, round(left)), "seconds") as show:
                return measure(profilers, shapes, show, seconds=left)
        except CaseProblem as problem:
            raise UserError(
                f"limits cannot be measured, {problem.status}: {problem.reason}"
            ) from None


def _print_shares(files: list[str], found: Limits, format: Format) -> None:  # noqa: A002
    from rnnbench.report import tables
    from rnnbench.results import read

    shares = tables.limits(read(files, limits=found))
    if shares is None:
        raise UserError(
            f"{', '.join(files)}: no case has limits here; measure them with the grid and axes of "
            "the results"
        )
    typer.echo(rendered(shares, format))


def _keep(found: Limits, output: str | None) -> None:
    from rnnbench.limits import kept_limits
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
