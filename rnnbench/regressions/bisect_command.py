"""The command `bisect`: between which releases a case became slower or faster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnbench.axis_options import AXIS_PREFIX, axis_options, axis_overrides
from rnnbench.command_options import NoLock
from rnnbench.errors import UserError
from rnnbench.grids import DEFAULT_GRID, OPTION_PREFIX

if TYPE_CHECKING:
    from rnnbench.cases import Case
    from rnnbench.regressions.bisect import Bisection
    from rnnbench.regressions.environments import Environment

__all__ = ["register"]

_SHOWN = 5


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(axis_options(bisect))


def bisect(
    case: Annotated[
        list[str],
        typer.Argument(
            metavar="CASE…",
            help="Cases as `rnnbench list` names them, or parts of a name that only one has.",
        ),
    ],
    *,
    good: Annotated[str, typer.Option(metavar="ENV", help="Before the change.")],
    bad: Annotated[str, typer.Option(metavar="ENV", help="After it.")],
    through: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ENV",
            help="An environment between the two, in order; repeatable. Without it, all releases "
            "between two versions.",
            show_default=False,
        ),
    ] = None,
    grid: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The grid that has the cases.")
    ] = DEFAULT_GRID,
    replicates: Annotated[
        int, typer.Option(metavar="N", help="Fresh processes for each version at first.")
    ] = 8,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="Seconds of rounds for each version at first.")
    ] = 4.0,
    margin: Annotated[
        str, typer.Option(metavar="SHARE", help="Changes up to it do not matter.")
    ] = "2%",
    rate: Annotated[
        str, typer.Option(metavar="SHARE", help="How likely a wrong decision on a case may be.")
    ] = "5%",
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder for the results of all steps.")
    ] = Path("rnnbench-bisect"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Use the steps that the folder holds already.")
    ] = False,
    no_lock: NoLock = False,
    **axes: str | None,
) -> None:
    """Find the releases between which a case became slower, or faster, by measuring.

    `rnnbench bisect --good 2.1.0 --bad 2.15.0 nn_rnn-rnn_tanh-inference-T10-B32` halves the
    releases between: each step runs the case in a release and in both ends, which take turns. A
    release that cannot run the case, or tells nothing, is left out and named.
    """
    from rnnbench.regressions.bisect import Effort, check_folder
    from rnnbench.regressions.bisect import bisect as run
    from rnnbench.regressions.compare_command import parse_share
    from rnnbench.regressions.processes import Interrupted
    from rnnbench.report.commands import print_sentences
    from rnnbench.report.outputs import check_output_folder

    effort = Effort(
        replicates=replicates,
        seconds=seconds,
        margin=parse_share(margin, "--margin"),
        rate=parse_share(rate, "--rate"),
        arguments=[f"{OPTION_PREFIX}no-lock"] if no_lock else [],
        resume=resume,
    )
    chosen = _chosen(case, grid, axes)
    folder = check_output_folder(output)
    chain = _chain(good, bad, through or ())
    places = [folder / f"case-{number}" for number in range(1, 1 + len(chosen))]
    for wanted, place in zip(chosen, places, strict=True):
        check_folder(wanted, chain, place, effort)
    typer.echo(f"{len(chain)} versions: {', '.join(chain)}")
    made: dict[str, Environment] = {}

    def make(version: str) -> Environment:
        from rnnbench.regressions.environments import prepare_environments

        if version not in made:
            (made[version],) = prepare_environments([version], typer.echo)
        return made[version]

    try:
        for wanted, place in zip(chosen, places, strict=True):
            found = run(wanted, chain, make, place, effort, typer.echo)
            print_sentences(sentences(found, chain, effort.rate))
    except Interrupted as interrupted:
        typer.echo(
            "rnnbench: interrupted; the same command with --resume goes on from what was measured",
            err=True,
        )
        raise typer.Exit(interrupted.status) from None


def sentences(found: Bisection, chain: Sequence[str], rate: float) -> Iterator[str]:
    """What a bisection says."""
    from rnnbench.numbers import format_ratio, format_share

    finding = found.ends.finding
    assert finding is not None
    ratio = " ".join(format_ratio(finding.ratio, finding.low, finding.high))
    ends = f"{chain[-1]} takes {ratio} times as long as {chain[0]}"
    if found.found is None:
        yield f"{found.case.id}: {ends} ({finding.verdict}), so there is no change to look for."
        return
    where = found.found
    yield (
        f"{found.case.id}: {ends}; the change lies after {where.good} and not after {where.bad}"
        + (", the largest part of it: there was more than one" if where.several else "")
        + "."
    )
    for step in where.steps:
        yield (
            f"{step.version} is {step.answer}: {step.reason}."
            if step.reason
            else (f"{step.version} is {step.answer}.")
        )
    if where.untold:
        yield (
            f"Between them {', '.join(where.untold)} could not be told from both ends, or could "
            "not run the case."
        )
    yield (
        f"All of these decisions are right with a probability of at least {format_share(1 - rate)}"
        + ("; which part of the change is the largest is an estimate." if where.several else ".")
    )


def _chain(good: str, bad: str, through: Sequence[str]) -> list[str]:
    from rnnbench.regressions.releases import released_between

    chain = [good, *through, bad] if through else released_between(good, bad)
    twice = next((version for version in chain if chain.count(version) > 1), None)
    if twice is not None:
        raise UserError(f"{twice} is named twice; give each version once")
    return chain


def _chosen(texts: Sequence[str], grid: str, axes: Mapping[str, str | None]) -> list[Case]:
    """The cases of a grid that are meant, each by a part of its name that only it has."""
    from rnnbench.grids import load_grid

    cases = load_grid(grid).override(axis_overrides(axes), prefix=AXIS_PREFIX).cases()
    chosen = []
    for text in texts:
        # The beginning of a name before its middle: compiled_nn_rnn ends as nn_rnn does.
        found = (
            [case for case in cases if case.id == text]
            or [case for case in cases if case.id.startswith(text)]
            or [case for case in cases if text in case.id]
        )
        if len(found) != 1:
            names = ", ".join(case.id for case in (found or cases)[:_SHOWN])
            how = "several cases have" if found else f"no case of the grid {grid} has"
            raise UserError(
                f"CASE {text!r}: {how} this in their name, such as {names}; `rnnbench list` shows "
                f"all, and options such as {AXIS_PREFIX}batch choose among them"
            )
        chosen += found
    return list(dict.fromkeys(chosen))
