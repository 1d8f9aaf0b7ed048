"""The command `streaming`: how many steps a second many small streams get, and how late each is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rnnbench.command_options import (
    JsonFile,
    NoLock,
    OtherPython,
    TableFormat,
    Timeout,
    check_timeout,
)
from rnnbench.errors import UserError
from rnnbench.report.commands import Format, print_sentences, rendered
from rnnbench.session import Session, bar, json_file, picture_file, write_json, write_picture

if TYPE_CHECKING:
    from rnnbench.serving.crew import Crew
    from rnnbench.serving.measure import Outcome
    from rnnbench.serving.plan import Plan

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(streaming)


def streaming(
    *,
    cell: Annotated[
        str, typer.Option(metavar="NAME", help="rnn_tanh, rnn_relu, lstm or gru.")
    ] = "rnn_tanh",
    input_size: Annotated[int, typer.Option(metavar="N", help="Features of an input.")] = 64,
    hidden_size: Annotated[
        int, typer.Option(metavar="N", help="Features of the hidden state.")
    ] = 128,
    layers: Annotated[int, typer.Option(metavar="N", help="Layers of a stream.")] = 1,
    batch: Annotated[int, typer.Option(metavar="N", help="Sequences of a step.")] = 1,
    dtype: Annotated[str, typer.Option(metavar="NAME", help="Data type.")] = "float32",
    implementation: Annotated[
        str, typer.Option(metavar="NAME[,…]", help="What computes the layer; several take turns.")
    ] = "nn_rnn",
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N[,…]",
            help="Processes that step at the same time; 1, 2, 4, … and one for each core.",
            show_default=False,
        ),
    ] = None,
    cores: Annotated[
        str | None,
        typer.Option(
            metavar="N[,…]", help="Cores that they are pinned to; all.", show_default=False
        ),
    ] = None,
    oversubscribe: Annotated[
        bool, typer.Option("--oversubscribe", help="Allow more workers than cores.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="Length of a window in which all of them step.")
    ] = 1.0,
    replicates: Annotated[
        int, typer.Option(metavar="N", help="Times that all processes are started afresh.")
    ] = 5,
    turns: Annotated[
        int, typer.Option(metavar="N", help="Windows of each number of workers in a replicate.")
    ] = 2,
    seed: Annotated[int, typer.Option(metavar="N", help="Of weights, inputs and order.")] = 0,
    python: OtherPython = None,
    timeout: Timeout = 300.0,
    json_: JsonFile = None,
    plot: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.png|svg", help="Write throughput and latency there.", show_default=False
        ),
    ] = None,
    format: TableFormat = Format.TERMINAL,  # noqa: A002
    no_lock: NoLock = False,
) -> None:
    """Step many small streams at once, each pinned to a core, as a service does.

    Steps per second against the number of workers, what is left of a lone worker's rate, and
    percentiles of single steps under that load. Every stream is verified before it is timed; the
    numbers of workers take turns in random order, in fresh processes for each replicate.
    """
    from rnnbench.serving.plan import Plan, default_workers, parse_numbers

    check_timeout(timeout)
    given = {} if cores is None else {"cores": parse_numbers(cores, "--cores", "0,1")}
    case = _stream(cell, input_size, hidden_size, layers, batch, dtype, seed)
    names = tuple(dict.fromkeys(name.strip() for name in implementation.split(",")))
    usual = default_workers(len(given["cores"]) if given else _usable())
    plan = Plan(
        case,
        names,
        usual if workers is None else parse_numbers(workers, "--workers", "1,2,4"),
        oversubscribe=oversubscribe,
        seconds=seconds,
        replicates=replicates,
        turns=turns,
        seed=seed,
        **given,
    )
    picture, file = picture_file(plot), json_file(json_)
    with _Streams(python, timeout, no_lock=no_lock) as session:
        outcomes = _measure(session, plan, file)
        _refuse_nothing(outcomes)
        _print(session, plan, outcomes, format)
        if picture is not None:
            _draw(picture, plan, outcomes)


class _Streams(Session):
    """The session, with how long an answer may take."""

    def __init__(self, python: str | None, timeout: float, *, no_lock: bool) -> None:
        super().__init__("rnnbench streaming", python, no_lock=no_lock)
        self._timeout = timeout

    def start(self, plan: Plan, number: int) -> Crew:
        """The processes of a replicate; those of one run share what they compile."""
        from rnnbench.serving.crew import Crew

        crew = Crew(plan, self.python, self.folder, timeout=self._timeout, replicate=number)
        self.environment = crew.environment
        return crew


_STEPS = 32
"""Steps of the sequence over which a stream is verified, and which it is given over and over."""


def _stream(
    cell: str, input_size: int, hidden_size: int, layers: int, batch: int, dtype: str, seed: int
) -> Any:
    from rnnbench.cases import Case
    from rnnbench.schema import CELLS, DTYPES

    for option, value in (
        ("--input-size", input_size),
        ("--hidden-size", hidden_size),
        ("--layers", layers),
        ("--batch", batch),
    ):
        if value < 1:
            raise UserError(f"{option} is {value}; give 1 or more")
    if seed < 0:
        raise UserError(f"--seed is {seed}; give 0 or more")
    for option, name, known in (("--cell", cell, CELLS), ("--dtype", dtype, DTYPES)):
        if name not in known:
            raise UserError(f"{option} is {name!r}; give one of {', '.join(known)}")
    return Case(
        cell=cell,
        workload="streaming",
        dtype=dtype,
        num_layers=layers,
        hidden_size=hidden_size,
        input_size=input_size,
        batch=batch,
        seq_len=_STEPS,
        seed=seed,
        pass_="inference",
    )


def _usable() -> int:
    from rnnbench.cores import usable_cores

    return len(usable_cores())


def _measure(session: _Streams, plan: Plan, file: Path | None) -> list[Outcome]:
    """Measure all; after each replicate the file has what there is so far."""
    from rnnbench.serving.measure import measure

    def keep(outcomes: list[Outcome]) -> None:
        write_json(file, _document(session, plan, outcomes, complete=False))

    with bar(plan.replicates, "replicates") as show:
        outcomes = measure(plan, lambda number: session.start(plan, number), show, keep)
    write_json(file, _document(session, plan, outcomes, complete=True))
    return outcomes


def _refuse_nothing(outcomes: Sequence[Outcome]) -> None:
    if not any(outcome.measured for outcome in outcomes):
        first = outcomes[0]
        raise UserError(
            f"{first.crowd.implementation} cannot be stepped here, {first.status}: {first.reason}"
        )


def _document(
    session: _Streams, plan: Plan, outcomes: Sequence[Outcome], *, complete: bool
) -> dict[str, Any]:
    """All numbers; times in seconds.

    ``plan`` is what was asked for, ``complete`` whether all of it was done. Each of ``crowds`` has
    implementation, workers, status and reason, its verification, ``steps_per_second``,
    ``efficiency`` (over as many lone workers) and ``p50``, ``p95``, ``p99``: each a value with low
    and high, over replicates, or null; and ``turns``: each a window with its replicate, its number
    in the replicate's order, its seconds, and for each of its ``workers`` core, steps, percentiles
    and the longest step.
    """
    from rnnbench.serving.tables import alone_of

    return {
        **session.header(),
        "complete": complete,
        "plan": plan.columns(),
        "crowds": [outcome.columns(alone_of(outcome, outcomes)) for outcome in outcomes],
    }


def _print(
    session: _Streams,
    plan: Plan,
    outcomes: Sequence[Outcome],
    format: Format,  # noqa: A002
) -> None:
    from rnnbench.serving import tables

    print_sentences([tables.about(plan, session.environment), *session.notes])
    typer.echo(rendered(tables.crowds_table(plan, outcomes), format))
    print_sentences(tables.remarks(plan, outcomes))


def _draw(file: Path, plan: Plan, outcomes: Sequence[Outcome]) -> None:
    from rnnbench.report import plots
    from rnnbench.serving import tables

    c = plan.case
    data = tables.crowds_table(plan, outcomes).data
    figure = plots.concurrent_streams(
        data[data["status"] == "measured"],
        title=f"Streams at the same time: {c.cell}, B={c.batch} I={c.input_size} "
        f"H={c.hidden_size} L={c.num_layers}, {c.dtype}",
        note=f"Processes of one thread, pinned to {len(plan.cores)} cores. Dashed: as many times a "
        "lone worker's rate. Bands are intervals of 95 % over replicates.",
    )
    write_picture(file, figure)
