"""The command `fleet`: one grid over many machines, on Slurm or here one shard after the other."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnbench.axis_options import axis_options, axis_overrides
from rnnbench.errors import UserError
from rnnbench.grids import DEFAULT_GRID, OPTION_PREFIX, load_grid

if TYPE_CHECKING:
    from rnnbench.fleet.collecting import Collected
    from rnnbench.fleet.folder import Folder
    from rnnbench.fleet.planning import Request

__all__ = ["register"]

_LOST = 1
"""The status where a shard was given up: all others are in the result."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(axis_options(fleet))


def fleet(
    grid: Annotated[
        str, typer.Argument(metavar="[GRID]", help="The grid; `rnnbench grids` lists them.")
    ] = DEFAULT_GRID,
    *,
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder of the fleet, which every node must see."),
    ] = None,
    shards: Annotated[
        int, typer.Option(metavar="N", help="How many jobs, on each kind of node.")
    ] = 4,
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="What sbatch is asked for, such as partition=gpu; repeatable.",
            show_default=False,
        ),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:KEY=VALUE,…",
            help="A kind of node and what sbatch is asked for to get one; with device=cuda it "
            "measures the cases of that device alone; repeatable.",
            show_default=False,
        ),
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Run the shards here, also where there is a Slurm.")
    ] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Seconds of rounds for each case; the grid's, else 1.",
            show_default=False,
        ),
    ] = None,
    replicates: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Fresh processes in each shard; the grid's, else 3.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="A group stops early when all of its intervals are within ± this share; 0.02.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        str, typer.Option(metavar="NAME", help="The implementation that ratios are to.")
    ] = "nn_rnn",
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE.py",
            help="A file with implementations of yours, which every node must see; repeatable.",
            show_default=False,
        ),
    ] = None,
    cores: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Cores to measure on, such as 2,3; all.", show_default=False
        ),
    ] = None,
    case_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Give a case up that does not answer for so long; 300.",
            show_default=False,
        ),
    ] = None,
    costs: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="An earlier result: what its cases cost is not guessed; repeatable.",
            show_default=False,
        ),
    ] = None,
    no_lock: Annotated[
        bool, typer.Option("--no-lock", help="Measure also while another run does.")
    ] = False,
    submit_only: Annotated[
        bool, typer.Option("--leave", help="Submit to Slurm, and do not wait for the end.")
    ] = False,
    status: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Show how a fleet gets on, and end.", show_default=False),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Look after a fleet again: what died, was given up or cancelled goes on.",
            show_default=False,
        ),
    ] = None,
    cancel: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="End all jobs; what was measured stays.", show_default=False
        ),
    ] = None,
    **axes: str | None,
) -> None:
    """Measure one grid on many machines: its shards are jobs of Slurm, or run here in turn.

    Cases that are compared with each other stay in one shard. A shard that dies goes on from its
    journal; after three attempts without a further case it is given up, and the others finish. All
    that is known is in the folder, so the command can end and --resume looks after it again.
    """
    from rnnbench.fleet.folder import Folder

    chosen = [path for path in (status, resume, cancel) if path is not None]
    if len(chosen) + (output is not None) != 1:
        raise UserError("give one of --output, --status, --resume and --cancel, each with a folder")
    if status is not None:
        _print_status(Folder(status))
        return
    if cancel is not None:
        _cancel(Folder(cancel))
        return
    if resume is not None:
        folder = Folder(resume)
        _resume(folder)
    else:
        from rnnbench.fleet.planning import begin_fleet

        assert output is not None
        overrides = axis_overrides(axes)
        folder = begin_fleet(
            output,
            _request(
                grid,
                overrides,
                shards=shards,
                slurm=slurm or [],
                on=on or [],
                local=local,
                seconds=seconds,
                replicates=replicates,
                plugins=plugin or [],
                costs=costs or [],
                given={
                    "precision": precision,
                    "baseline": baseline,
                    "cores": cores,
                    "case-timeout": case_timeout,
                },
                no_lock=no_lock,
            ),
        )
        _print_plan(folder)
    try:
        if resume is None and folder.plan.executor == "slurm":
            from rnnbench.fleet.submitting import require_answer

            require_answer()
        _look_after(folder, leave=submit_only)
    except UserError:
        if resume is None:
            folder.forget()
        raise


def _request(
    name: str,
    overrides: Mapping[str, tuple[object, ...]],
    *,
    shards: int,
    slurm: list[str],
    on: list[str],
    local: bool,
    seconds: float | None,
    replicates: int | None,
    plugins: list[str],
    costs: list[Path],
    given: Mapping[str, object],
    no_lock: bool,
) -> Request:
    from rnnbench.cores import usable_cores
    from rnnbench.fleet.costs import Budget, measured_costs
    from rnnbench.fleet.planning import Request, choose_executor, kinds_of
    from rnnbench.measuring.options import parse_environments
    from rnnbench.measuring.planning import plan_cases

    kinds = kinds_of(slurm, on)
    executor = choose_executor(slurm_asked=bool(slurm or on), local=local)
    if shards < 1:
        raise UserError(f"--shards is {shards}; give 1 or more")
    loaded, cases, _ = plan_cases(
        load_grid(name),
        overrides,  # type: ignore[arg-type]
        plugins=tuple(plugins),
        environments=parse_environments(()),
        cores=len(usable_cores()),
        prefix="--",
    )
    options = loaded.options
    budget = Budget(
        seconds if seconds is not None else float(options.get("seconds", 1.0)),
        replicates if replicates is not None else int(options.get("replicates", 3)),
    )
    arguments = [f"{OPTION_PREFIX}{key}={value}" for key, value in given.items() if value]
    arguments += [f"{OPTION_PREFIX}seconds={budget.seconds}"]
    arguments += [f"{OPTION_PREFIX}replicates={budget.replicates}"]
    arguments += [f"{OPTION_PREFIX}plugin={Path(file).absolute()}" for file in plugins]
    arguments += [f"{OPTION_PREFIX}no-lock"] if no_lock else []
    return Request(
        grid=loaded,
        cases=cases,
        shards=shards,
        budget=budget,
        kinds=kinds,
        executor=executor,
        arguments=arguments,
        plugins=plugins,
        measured=measured_costs(costs, budget) if costs else None,
    )


def _print_plan(folder: Folder) -> None:
    from rnnbench.fleet.status import plan_sentences

    for sentence in plan_sentences(folder):
        typer.echo(sentence)


def _print_status(folder: Folder) -> None:
    from rnnbench.fleet.status import status_lines
    from rnnbench.fleet.submitting import make_submitter
    from rnnbench.fleet.tending import is_looked_after

    histories = [folder.history(shard.number) for shard in folder.plan.shards]
    jobs = [history.job for history in histories if history.job and not history.settled]
    states: Mapping[str, str] | None
    if folder.plan.executor == "slurm":
        states = make_submitter(folder).states(jobs) if jobs else {}
    else:
        # Shards of this machine end with their coordinator, who alone knows its jobs.
        states = None if is_looked_after(folder) else {}
    for line in status_lines(folder, states):
        typer.echo(line)


def _cancel(folder: Folder) -> None:
    from rnnbench.fleet.submitting import make_submitter
    from rnnbench.fleet.tending import cancel

    count = cancel(folder, make_submitter(folder))
    typer.echo(
        f"{count} shards were ended before their time; what they had measured is in their "
        f"journals, and `rnnbench fleet --resume {folder.path}` goes on from it"
    )


def _resume(folder: Folder) -> None:
    if not all(folder.grid_of(shard.number).exists() for shard in folder.plan.shards):
        raise UserError(
            f"--resume {folder.path}: the fleet was never begun as a whole, its shards lack their "
            "grids; begin it again in another folder"
        )
    for shard in folder.plan.shards:
        history = folder.history(shard.number)
        # One that only waited here for its turn has not failed when the coordinator ended.
        waited = folder.plan.executor == "local" and history.last == "submitted"
        if history.outcome in ("given up", "cancelled") or waited:
            folder.note(shard.number, "resumed")


def _look_after(folder: Folder, *, leave: bool) -> None:
    from rnnbench.fleet.status import Progress
    from rnnbench.fleet.submitting import make_submitter
    from rnnbench.fleet.tending import submit_all, tend

    submitter = make_submitter(folder)
    if leave:
        if folder.plan.executor != "slurm":
            raise UserError("--leave needs Slurm: the shards of this machine end with the command")
        submit_all(folder, submitter)
        typer.echo(f"Submitted; `rnnbench fleet --resume {folder.path}` looks after them.")
        return
    progress = Progress(folder, typer.echo)
    # Ended by a signal it must end its shard too, as on Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        tend(folder, submitter, progress)
    except KeyboardInterrupt:
        submitter.close()
        typer.echo(
            f"rnnbench: left; `rnnbench fleet --resume {folder.path}` looks after the fleet again, "
            f"--cancel ends its jobs",
            err=True,
        )
        raise typer.Exit(130) from None
    except BaseException:
        submitter.close()
        raise
    _conclude(folder)


def _conclude(folder: Folder) -> None:
    from rnnbench.fleet.collecting import collect
    from rnnbench.fleet.status import collected_sentences

    found: Collected = collect(folder)
    for sentence in collected_sentences(folder, found):
        typer.echo(sentence)
    sys.stdout.flush()
    if found.lost:
        raise typer.Exit(_LOST)
