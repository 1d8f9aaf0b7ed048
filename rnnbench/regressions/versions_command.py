"""The command `versions`: PyTorch versions, or two states of a plug-in, in one run."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnbench.axis_options import axis_options, suite_arguments
from rnnbench.command_options import NoLock
from rnnbench.errors import UserError
from rnnbench.grids import DEFAULT_GRID, OPTION_PREFIX

if TYPE_CHECKING:
    from rnnbench.regressions.compare import Comparison
    from rnnbench.regressions.environments import Environment

__all__ = ["register"]

_PRECISION = 0.001
"""Verdicts need every replicate, so a group may stop early only where nothing is left to learn."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(axis_options(versions))


def versions(
    context: typer.Context,
    environment: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ENV]…",
            help="A version (2.8.0), a requirement (torch==2.8.0), or the path of a Python that "
            "has a torch; each may begin with NAME=. The first is what the others are compared "
            "with.",
            show_default=False,
        ),
    ] = None,
    *,
    grid: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The grid; `rnnbench grids` lists them.")
    ] = DEFAULT_GRID,
    replicates: Annotated[
        int, typer.Option(metavar="N", help="Fresh processes for each environment and stage.")
    ] = 8,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Seconds of rounds for each case, over all of its processes and stages; the "
            "grid's, else 1.",
            show_default=False,
        ),
    ] = None,
    stages: Annotated[
        int,
        typer.Option(
            metavar="K",
            help="Measure in up to K stages, each in fresh processes and with its share of the "
            "seconds: after the first, only cases with a verdict that is still inconclusive. Each "
            "look has a K-th of the error rate, so that all of them together keep it.",
        ),
    ] = 1,
    precision: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="A group stops early when all of its intervals are within ± this share.",
        ),
    ] = _PRECISION,
    baseline: Annotated[
        str,
        typer.Option(metavar="NAME", help="The implementation that ratios in the report are to."),
    ] = "nn_rnn",
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE.py",
            help="A file with implementations of yours, with NAME= in that environment alone; "
            "repeatable.",
            show_default=False,
        ),
    ] = None,
    a: Annotated[
        str | None,
        typer.Option(
            "--a",
            metavar="OLD.py",
            help="Compare two states of a plug-in in one environment: this one …",
            show_default=False,
        ),
    ] = None,
    b: Annotated[
        str | None,
        typer.Option("--b", metavar="NEW.py", help="… and this one.", show_default=False),
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
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder for the result and the report.")
    ] = Path("rnnbench-versions"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that ended before its time.")
    ] = False,
    no_lock: NoLock = False,
    list_: Annotated[
        bool, typer.Option("--list", help="List the environments that were made, and end.")
    ] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove them, or those that ENV names, and end.")
    ] = False,
    **axes: str | None,
) -> None:
    """Compare PyTorch versions, or two states of a plug-in, in one run in which all take turns.

    `rnnbench versions 2.8.0 2.13.0` makes an environment of each with uv, equal in all but torch,
    measures the grid in both, and writes versions.json, one file for each version, and a report.
    A run that was interrupted or killed goes on with the same command and --resume.
    """
    if list_ or clean:
        _list() if list_ else _clean(environment or ())
        return
    from rnnbench.regressions import versions as run
    from rnnbench.regressions.processes import Interrupted
    from rnnbench.regressions.stages import Plan, check_stages, measure_in_stages, seconds_of_case

    implementations = axes.get("axis_implementation")
    selection = [*suite_arguments(axes), f"{OPTION_PREFIX}grid={grid}"]
    try:
        result = run.prepare_output(output, resume=resume)
        check_stages(result, stages, replicates, resume=resume)
        _check_files(plugin or ())
        if context.obj is not None:  # what the command line lends from the room that measures
            # Before environments are made, for which gigabytes may be downloaded.
            context.obj.check(
                grid,
                axes,
                {
                    "replicates": replicates,
                    "seconds": seconds,
                    "precision": precision,
                    "case_timeout": case_timeout,
                },
                cores=cores,
                baseline=run.baseline_among(implementations, baseline),
                plugins=[file for file in (*(plugin or ()), a, b) if file],
                # Where there is a result, perhaps nothing is left to measure.
                lock=not (no_lock or result.exists()),
            )
        total = None if stages == 1 else seconds_of_case(seconds, grid)
        if a is None and b is None:
            environments = _environments(environment or ())
            plugins = list(plugin or ())
        else:
            environments, states = _two_states(environment or (), a, b)
            plugins = [*(plugin or ()), *states]
            if implementations is None:
                asked = [f"--grid={grid}"]
                asked += [f"--python={entry.name}={entry.python}" for entry in environments]
                implementations = ",".join(run.implementations_of(plugins, asked))
                selection.append(f"{OPTION_PREFIX}implementation={implementations}")
        baseline = run.baseline_among(implementations, baseline)
        given: Mapping[str, object] = {
            "replicates": replicates,
            "precision": precision,
            "baseline": baseline,
            "cores": cores,
            "case-timeout": case_timeout,
        }
        arguments = [f"{OPTION_PREFIX}{k}={v}" for k, v in given.items() if v is not None]
        arguments += [f"{OPTION_PREFIX}plugin={file}" for file in plugins]
        arguments += [f"{OPTION_PREFIX}no-lock"] if no_lock else []
        arguments += run.environment_arguments(environments)
        if total is None:
            arguments += [] if seconds is None else [f"{OPTION_PREFIX}seconds={seconds}"]
            run.measure(result, [*selection, *arguments], resume=resume)
        else:
            names = [entry.name for entry in environments]
            plan = Plan(stages, total, selection, arguments, names, plugins)
            measure_in_stages(result, plan, resume=resume, say=typer.echo)
    except Interrupted as interrupted:
        typer.echo(
            "rnnbench: interrupted; what was measured is kept, and the same command with --resume "
            "goes on from it",
            err=True,
        )
        raise typer.Exit(interrupted.status) from None
    _conclude(result, [entry.name for entry in environments], baseline)


def _check_files(plugins: Sequence[str]) -> None:
    """Refuse a plug-in that is not there, be it for one environment or for all."""
    for text in plugins:
        if not (Path(text).is_file() or Path(text.partition("=")[2]).is_file()):
            raise UserError(f"--plugin {text!r} is not a file; give the path of a plug-in")


def _environments(texts: Sequence[str]) -> list[Environment]:
    from rnnbench.regressions.environments import prepare_environments

    if not texts:
        raise UserError(
            "no environment was given; name those to compare, such as `rnnbench versions 2.8.0 "
            "2.13.0`"
        )
    return prepare_environments(texts, typer.echo)


def _two_states(
    texts: Sequence[str], a: str | None, b: str | None
) -> tuple[list[Environment], list[str]]:
    """The environments `a` and `b`, the same Python in both, and each one's plug-in."""
    import dataclasses

    if a is None or b is None:
        raise UserError("--a and --b go together: give both states of the plug-in")
    if len(texts) > 1:
        raise UserError(
            f"--a and --b compare two states on one PyTorch, and {len(texts)} environments were "
            "given; give one, or none for this Python"
        )
    for option, file in (("--a", a), ("--b", b)):
        if not Path(file).is_file():
            raise UserError(f"{option} {file!r} is not a file; give the path of a plug-in")
    (found,) = _environments(texts or [sys.executable])
    both = [dataclasses.replace(found, name=name) for name in ("a", "b")]
    return both, [f"a={a}", f"b={b}"]


def _conclude(result: Path, names: Sequence[str], baseline: str) -> None:
    """One file for each environment, the comparison, and the report."""
    from rnnbench.regressions.comparison_section import sections_of
    from rnnbench.regressions.instruction_section import report_sections
    from rnnbench.regressions.split import split_result
    from rnnbench.regressions.stages import compared_with_first
    from rnnbench.report.build import build_report
    from rnnbench.report.commands import print_sentences
    from rnnbench.report.writer import write_report
    from rnnbench.results import read

    files = split_result(result)
    results = read([str(result)])
    if results.measured.empty:
        typer.echo(f"Nothing could be measured; {result} says why.")
        return
    comparisons = compared_with_first(results, names)
    _print_comparisons(comparisons)
    made = build_report(results, baseline=baseline)
    sections = [*sections_of(comparisons), *report_sections(results)]
    made = made.with_sections(sections, before="limits")
    page = write_report(made, results, result.parent / "report")
    print_sentences(made.verdict)
    typer.echo(f"The result is {result}, and for each environment alone:")
    for name, file in files.items():
        typer.echo(f"  {name}: {file}")
    typer.echo(f"The report is {page}")


def _print_comparisons(comparisons: Sequence[Comparison]) -> None:
    """The verdicts on each environment against the first."""
    from rnnbench.regressions.comparison_output import sentences, to_table
    from rnnbench.report.commands import Format, print_sentences, rendered

    for found in comparisons:
        print_sentences(sentences(found))
        typer.echo(rendered(to_table(found), Format.TERMINAL))


def _list() -> None:
    import time

    from rnnbench.regressions.environments import cached_environments, human_size

    found = cached_environments()
    if not found:
        typer.echo("There is no environment yet; `rnnbench versions 2.8.0 2.13.0` makes two.")
        return
    for cached, why in found:
        made = time.strftime("%Y-%m-%d", time.localtime(cached.made))
        typer.echo(
            f"{cached.requirement}: PyTorch {cached.torch}, Python {cached.python}, "
            f"{human_size(cached.size)}, made {made}, {cached.folder}"
        )
        if why is not None:
            typer.echo(
                f"  broken: {why}; `rnnbench versions --clean {cached.requirement}` removes it, "
                "and the next run makes it anew"
            )


def _clean(texts: Sequence[str]) -> None:
    from rnnbench.regressions.environments import human_size, remove_environments

    removed = remove_environments(texts)
    for cached in removed:
        typer.echo(f"removed {cached.requirement}, {human_size(cached.size)}")
    if not removed:
        typer.echo("There was none to remove.")
