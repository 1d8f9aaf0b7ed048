"""The command `classifier`: a first RNN course's sequence classifier, its time and its variants."""

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
from rnnbench.session import (
    Session,
    bar,
    json_file,
    picture_file,
    write_json,
    write_picture,
)

if TYPE_CHECKING:
    from rnnbench.classifier.settings import Settings
    from rnnbench.lesson.curves import Curve
    from rnnbench.lesson.trainer import Trainer
    from rnnbench.lesson.variants import Effort, Outcome, Variant

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(classifier)


def classifier(
    *,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="cpu, cuda, mps or xpu; the best that PyTorch finds.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of weights, data and their order.")] = 0,
    seeds: Annotated[
        int,
        typer.Option(metavar="N", help="Train so many times, from --seed on, and count successes."),
    ] = 1,
    epochs: Annotated[int, typer.Option(metavar="N", help="Epochs of a training.")] = 10,
    samples: Annotated[int, typer.Option(metavar="N", help="Sequences to train on.")] = 2000,
    batch: Annotated[int, typer.Option(metavar="N", help="Sequences of a step.")] = 32,
    seq_len: Annotated[
        str, typer.Option(metavar="N[,…]", help="Length of a sequence; several with --variants.")
    ] = "10",
    hidden: Annotated[int, typer.Option(metavar="N", help="Features of the hidden state.")] = 32,
    learning_rate: Annotated[float, typer.Option(metavar="RATE", help="Of Adam.")] = 1e-3,
    implementation: Annotated[
        str, typer.Option(metavar="NAME", help="What computes the layer.")
    ] = "nn_rnn",
    compile_: Annotated[
        bool, typer.Option("--compile", help="torch.compile of the whole model.")
    ] = False,
    layout: Annotated[
        str, typer.Option(metavar="NAME", help="time_major or batch_first.")
    ] = "time_major",
    data: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="prepared: tensors made once; per_sample: a dataset that makes each anew.",
        ),
    ] = "prepared",
    metrics: Annotated[
        str, typer.Option(metavar="NAME", help="Read once an epoch, or every step: epoch, step.")
    ] = "epoch",
    threads: Annotated[int, typer.Option(metavar="N", help="CPU threads.")] = 1,
    variants: Annotated[
        bool,
        typer.Option(
            "--variants", help="Measure what usual advice is worth, each variant against plain."
        ),
    ] = False,
    only: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="Which variants; all.", show_default=False),
    ] = None,
    processes: Annotated[
        int, typer.Option(metavar="N", help="Fresh processes of all variants.")
    ] = 5,
    turns: Annotated[
        int, typer.Option(metavar="N", help="Turns of each variant in a process.")
    ] = 4,
    turn_epochs: Annotated[
        int, typer.Option(metavar="N", help="Epochs of a turn; the first is warm-up.")
    ] = 3,
    python: OtherPython = None,
    timeout: Timeout = 300.0,
    json_: JsonFile = None,
    plot: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.png|svg", help="Write the learning curve there.", show_default=False
        ),
    ] = None,
    format: TableFormat = Format.TERMINAL,  # noqa: A002
    no_lock: NoLock = False,
) -> None:
    """Train the small sequence classifier of a first RNN course, and say where its time goes.

    Loss and accuracy of every epoch, its time split into its parts, and when 99 % were reached.
    With --seeds how many of several trainings get there; with --variants what usual advice is
    worth: variants take turns in fresh processes, and each has a ratio with an interval.
    """
    from rnnbench.classifier.settings import Settings
    from rnnbench.lesson.variants import Effort, choose

    lengths = _lengths(seq_len, several=variants)
    effort = Effort(processes, turns, turn_epochs, epochs)
    chosen = choose(only)
    if seeds < 1:
        raise UserError(f"--seeds is {seeds}; give 1 or more")
    check_timeout(timeout)
    if variants and (plot is not None or seeds > 1):
        given = "--seeds" if plot is None else "--plot"
        raise UserError(f"{given} belongs to plain trainings; leave it or --variants out")
    if only is not None and not variants:
        raise UserError("--only chooses among variants; give --variants as well")
    base = [
        Settings(
            seq_len=length,
            samples=samples,
            batch=batch,
            hidden=hidden,
            learning_rate=learning_rate,
            seed=seed,
            implementation=implementation,
            compile=compile_,
            layout=layout,
            data=data,
            metrics=metrics,
            device=device or "cpu",
            threads=threads,
        )
        for length in lengths
    ]
    picture, file = picture_file(plot), json_file(json_)
    with _Machine(python, device, timeout, no_lock=no_lock) as machine:
        settings = [machine.settled(one) for one in base]
        if variants:
            groups = _vary(machine, settings, chosen, effort, file)
            _print_variants(machine, groups, format)
        else:
            curves = _train(machine, settings[0], seeds, epochs)
            write_json(file, _trained(machine, curves))
            _print_curves(machine, curves, format)
            if picture is not None:
                _draw(picture, curves)


class _Machine(Session):
    """The session, with the device that trains and how long an answer may take."""

    def __init__(
        self, python: str | None, device: str | None, timeout: float, *, no_lock: bool
    ) -> None:
        super().__init__("rnnbench classifier", python, no_lock=no_lock)
        self._device = device
        self._timeout = timeout

    def start(self, number: int = 0) -> Trainer:
        """A fresh process; those of one run share what they compile."""
        from rnnbench.lesson.trainer import Trainer

        trainer = Trainer(self.python, self.folder, timeout=self._timeout, replicate=number)
        self.environment = trainer.environment
        return trainer

    def settled(self, settings: Settings) -> Settings:
        """The settings with the device that is used where none was asked for."""
        import dataclasses

        if self._device is None:
            with self.start() as trainer:
                self._device = trainer.best_device
        return dataclasses.replace(settings, device=self._device)


def _train(machine: _Machine, settings: Settings, seeds: int, epochs: int) -> list[Curve]:
    import dataclasses

    from rnnbench.lesson.curves import EpochRecord, train
    from rnnbench.measuring.workers import CaseProblem

    curves: list[Curve] = []
    with bar(seeds * epochs, "epochs") as show, machine.start() as trainer:
        for seed in range(settings.seed, settings.seed + seeds):

            def each(record: EpochRecord, seed: int = seed) -> None:
                done = len(curves) * epochs + record.epoch
                show(done, f"seed {seed}, loss {record.loss:.4f}, accuracy {record.accuracy:.4f}")

            one = dataclasses.replace(settings, seed=seed)
            try:
                curves.append(train(trainer, one, epochs, each, split=seeds == 1))
            except CaseProblem as problem:
                raise UserError(
                    f"{settings.implementation} cannot be trained here, {problem.status}: "
                    f"{problem.reason}"
                ) from None
    return curves


def _vary(
    machine: _Machine,
    settings: Sequence[Settings],
    chosen: Sequence[Variant],
    effort: Effort,
    file: Path | None,
) -> list[list[Outcome]]:
    """Measure the variants at each length; after each process the file has all there is so far."""
    from rnnbench.lesson.variants import measure

    groups: list[list[Outcome]] = []

    def keep(outcomes: list[Outcome]) -> None:
        write_json(file, _varied(machine, [*groups, outcomes], effort, complete=False))

    for one in settings:
        with bar(effort.processes, f"processes, length {one.seq_len},") as show:
            groups.append(measure(one, chosen, effort, machine.start, show, keep))
    write_json(file, _varied(machine, groups, effort, complete=True))
    return groups


def _print_curves(machine: _Machine, curves: Sequence[Curve], format: Format) -> None:  # noqa: A002
    from rnnbench.lesson import tables

    print_sentences([tables.about(curves[0].settings, machine.environment), *machine.notes])
    if len(curves) == 1:
        typer.echo(rendered(tables.epochs_table(curves[0]), format))
        typer.echo(rendered(tables.parts_table(curves[0]), format))
        print_sentences(tables.curve_sentences(curves[0]))
    else:
        typer.echo(rendered(tables.seeds_table(curves), format))
        print_sentences(tables.seeds_sentences(curves))


def _print_variants(
    machine: _Machine,
    groups: Sequence[Sequence[Outcome]],
    format: Format,  # noqa: A002
) -> None:
    from rnnbench.lesson import tables

    for outcomes in groups:
        base = outcomes[0].settings
        print_sentences([tables.about(base, machine.environment), *machine.notes])
        typer.echo(rendered(tables.variants_table(outcomes), format))
        print_sentences(tables.remarks(outcomes))


def _trained(machine: _Machine, curves: Sequence[Curve]) -> dict[str, Any]:
    """The first training's columns, and all of them where there are several."""
    seeds = [curve.columns() for curve in curves] if len(curves) > 1 else []
    return {**machine.header(), **curves[0].columns(), **({"seeds": seeds} if seeds else {})}


def _varied(
    machine: _Machine, groups: Sequence[Sequence[Outcome]], effort: Effort, *, complete: bool
) -> dict[str, Any]:
    import dataclasses

    return {
        **machine.header(),
        "complete": complete,
        "effort": dataclasses.asdict(effort),
        "lengths": [
            {
                "seq_len": outcomes[0].settings.seq_len,
                "variants": [outcome.columns(outcomes[0]) for outcome in outcomes],
            }
            for outcomes in groups
        ],
    }


def _lengths(text: str, *, several: bool) -> list[int]:
    try:
        lengths = [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(
            f"--seq-len is {text!r}; give a whole number of 1 or more, such as 10"
        ) from None
    if len(lengths) > 1 and not several:
        raise UserError(f"--seq-len is {text!r}; several lengths need --variants")
    return list(dict.fromkeys(lengths))


def _draw(file: Path, curves: Sequence[Curve]) -> None:
    import pandas as pd

    from rnnbench.lesson.curves import TARGET
    from rnnbench.report import plots

    one = curves[0].settings
    which = f"seed {one.seed}" if len(curves) == 1 else f"{len(curves)} seeds"
    frame = pd.DataFrame(
        [{"seed": c.settings.seed, **vars(record)} for c in curves for record in c.epochs]
    )
    figure = plots.learning_curves(
        frame,
        target=TARGET,
        title=f"More ones than zeros in {one.seq_len} bits: {one.implementation}, {which}",
        note=f"{one.samples:,} sequences, batch {one.batch}, H={one.hidden}, Adam "
        f"{one.learning_rate:g}, {one.device}. Loss and accuracy during an epoch are those of its "
        "steps, each before its own update.",
    )
    write_picture(file, figure)
