"""The command `noise`: how often this machine calls nothing a change, and a change nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnbench.command_options import NoLock
from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rnnbench.regressions.noise import NoiseStudy

__all__ = ["register"]

_IMPLEMENTATIONS = "nn_rnn,python_loop,hoisted_loop,torchscript_cell,torchscript_loop"
_FILE = "noise.json"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(noise)


def noise(
    *,
    grid: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The grid; `rnnbench grids` lists them.")
    ] = "quick",
    implementation: Annotated[
        str, typer.Option(metavar="VALUE,…", help="Which implementations of it.")
    ] = _IMPLEMENTATIONS,
    threads: Annotated[str, typer.Option(metavar="VALUE,…", help="CPU threads.")] = "1",
    replicates: Annotated[
        int, typer.Option(metavar="N", help="Fresh processes for each side and session.")
    ] = 8,
    seconds: Annotated[
        float,
        typer.Option(
            metavar="S", help="Seconds of rounds for each case and side, over all sessions."
        ),
    ] = 4.0,
    sessions: Annotated[
        int,
        typer.Option(
            metavar="K",
            help="Measure K times in a row, each in fresh processes, and judge them together: for "
            "more processes than memory holds at once.",
        ),
    ] = 1,
    planted: Annotated[
        str, typer.Option(metavar="SHARE,…", help="Slowdowns to plant, or `none`.")
    ] = "2%,5%,10%",
    margin: Annotated[
        str, typer.Option(metavar="SHARE", help="As `rnnbench compare` has it.")
    ] = "2%",
    cores: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Cores to measure on, such as 2,3; all.", show_default=False
        ),
    ] = None,
    no_lock: NoLock = False,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder for the result of the run.")
    ] = Path("rnnbench-noise"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that ended before its time.")
    ] = False,
    result: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="Judge this run's result instead of measuring again."
        ),
    ] = None,
    store: Annotated[
        bool,
        typer.Option(help="Keep the outcome as this machine's noise, which `compare` then knows."),
    ] = True,
) -> None:
    """Measure the same code against itself, and slowed down, and count wrong and missed verdicts.

    Each case runs in pairs of fresh processes that take turns: twice as it is, and once with each
    planted slowdown. What is printed is what `rnnbench compare` would have said.
    """
    from rnnbench.regressions.compare_command import parse_share
    from rnnbench.regressions.noise import study
    from rnnbench.results import read

    shares = _shares(planted)
    share = parse_share(margin, "--margin")
    if sessions < 1:
        raise UserError(f"--sessions is {sessions}; give 1 or more")
    if result is None:
        if replicates < 2:
            raise UserError(
                f"--replicates is {replicates}: a single process a side says nothing of how "
                "processes differ; give 2 or more"
            )
        result = _measure(
            [
                f"--rnn-grid={grid}",
                f"--rnn-implementation={implementation}",
                f"--rnn-threads={threads}",
                f"--rnn-replicates={replicates}",
                f"--rnn-seconds={seconds / sessions}",
                *([] if cores is None else [f"--rnn-cores={cores}"]),
                *(["--rnn-no-lock"] if no_lock else []),
            ],
            shares,
            output,
            sessions=sessions,
            resume=resume,
        )
    found = study(read([str(result)]), shares, margin=share)
    _print(found)
    if store:
        _store(found)


def _shares(text: str) -> list[float]:
    from rnnbench.regressions.compare_command import parse_share

    if text.strip() == "none":
        return []
    return sorted({parse_share(part, "--planted") for part in text.split(",")})


def _measure(
    arguments: list[str], shares: list[float], output: Path, *, sessions: int, resume: bool
) -> Path:
    from rnnbench.regressions.joining import join_results
    from rnnbench.regressions.noise import AGAIN, SAME, name_of_planted
    from rnnbench.regressions.processes import Interrupted
    from rnnbench.regressions.stages import arguments_of_order
    from rnnbench.regressions.versions import measure, refuse_earlier
    from rnnbench.report.outputs import check_output_folder, write_document

    check_output_folder(str(output))
    if not resume:
        refuse_earlier(output, _FILE, "session-1.json")
    output.mkdir(parents=True, exist_ok=True)
    names = [SAME, AGAIN, *map(name_of_planted, shares)]
    arguments = [
        *arguments,
        "--benchmark-columns=median",
        # No early stop: what is asked is what the whole effort finds.
        "--rnn-precision=0.0001",
        *(f"--rnn-python={name}={sys.executable}" for name in names),
        *(f"--rnn-planted={n}={share}" for n, share in zip(names[2:], shares, strict=True)),
    ]
    numbers = range(1, sessions + 1)
    one = sessions == 1
    files = [output / (_FILE if one else f"session-{number}.json") for number in numbers]
    try:
        for number, file in zip(numbers, files, strict=True):
            if resume and _has_lost_its_journal(file):
                continue
            if not one:
                typer.echo(f"Session {number} of {sessions}")
            measure(file, [*arguments, *arguments_of_order(number)], resume=resume)
    except Interrupted as interrupted:
        raise typer.Exit(interrupted.status) from None
    if not one:
        write_document(output / _FILE, join_results(files))
    return output / _FILE


def _has_lost_its_journal(file: Path) -> bool:
    """Whether a result is there and nothing to go on from: to go on would be to measure anew."""
    return file.exists() and not file.with_name(f"{file.name}.journal").exists()


def _print(found: NoiseStudy) -> None:
    from rnnbench.regressions.noise_output import sentences, to_table
    from rnnbench.report.commands import Format, print_sentences, rendered

    print_sentences(sentences(found))
    typer.echo(rendered(to_table(found), Format.TERMINAL))


def _store(found: NoiseStudy) -> None:
    from rnnbench.regressions.machine_noise import MachineNoise, load_noise, save_noise
    from rnnbench.regressions.machines import machine_key

    session = found.session()
    if session.process_deviation == 0:
        typer.echo(
            "Not kept as this machine's noise: with one process a side in each session, the run "
            "does not say how processes differ."
        )
        return
    machine = machine_key(found.unchanged.sides.base.described)
    known = load_noise(machine) or MachineNoise(machine)
    if any(entry.measured_at == session.measured_at for entry in known.sessions):
        typer.echo("This run was already part of the machine's noise.")
        return
    known = known.with_session(session)
    save_noise(known)
    count = len(known.sessions)
    typer.echo(
        f"Kept as session {count} of this machine's noise, which `rnnbench compare` states from "
        "now on"
        + ("." if count > 1 else "; a second one on another day lets it judge separate runs.")
    )
