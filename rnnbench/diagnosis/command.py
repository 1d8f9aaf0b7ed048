"""The command `profile`: what a case's time is spent on, what it keeps, how gradients flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rnnbench.axis_options import axis_options
from rnnbench.choosing import chosen_cases
from rnnbench.command_options import (
    Environments,
    GridName,
    JsonFile,
    Plugins,
    TableFormat,
    Timeout,
    check_timeout,
)
from rnnbench.errors import UserError
from rnnbench.grids import DEFAULT_GRID
from rnnbench.report.commands import Format, print_sentences, rendered
from rnnbench.session import Alone, bar, json_bytes, picture_bytes, picture_file

if TYPE_CHECKING:
    from rnnbench.cases import Case
    from rnnbench.diagnosis.profiles import Effort, Profile
    from rnnbench.grids import Grid

__all__ = ["register"]

_MOST_CASES = 50
"""More than anybody reads; a profile takes seconds, and with a compiler minutes."""

_MOST_TABLES = 6


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("profile")(profile)


@axis_options
def profile(
    *,
    grid: GridName = DEFAULT_GRID,
    plugin: Plugins = None,
    python: Environments = None,
    calls: Annotated[
        int, typer.Option(metavar="N", help="Profile so many calls; the middle one is shown.")
    ] = 5,
    turns: Annotated[
        int,
        typer.Option(
            metavar="N", help="Turns of three lengths, for the cost of a step; 0 leaves it out."
        ),
    ] = 5,
    instructions: Annotated[
        bool,
        typer.Option(
            "--instructions",
            help="Count instructions as well, by Valgrind; takes a minute and some seconds a case.",
        ),
    ] = False,
    compile_lengths: Annotated[
        str | None,
        typer.Option(
            metavar="N,…",
            help="Compile at these lengths too, cold, and say how the seconds grow.",
            show_default=False,
        ),
    ] = None,
    timeout: Timeout = 300.0,
    json_: JsonFile = None,
    trace: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.json", help="Write a trace that Perfetto opens.", show_default=False
        ),
    ] = None,
    flame: Annotated[
        str | None,
        typer.Option(metavar="FILE.html", help="Write flame graphs there.", show_default=False),
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.png|svg",
            help="Write the gradient flow there, as a plot.",
            show_default=False,
        ),
    ] = None,
    compile_plot: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.png|svg",
            help="Write there how compilation grows with the length, as a plot.",
            show_default=False,
        ),
    ] = None,
    format: TableFormat = Format.TERMINAL,  # noqa: A002
    no_lock: Annotated[
        bool, typer.Option("--no-lock", help="Profile also while a run measures.")
    ] = False,
    **axes: str | None,
) -> None:
    """Say why cases take the time they do; none of its numbers is a measured time.

    Operators by time and count, what a call's time is spent on, its fixed cost and the cost of a
    step, the memory kept for the backward pass, and how gradients flow through time. Cases are
    chosen as in `rnnbench list`, and each is verified before it is profiled.
    """
    from rnnbench.diagnosis.profiles import Effort

    if instructions:
        from rnnbench.measuring.instructions import find_valgrind

        find_valgrind()
    for option, value, least in (("--calls", calls, 1), ("--turns", turns, 0)):
        if value < least:
            raise UserError(f"{option} is {value}; give {least} or more")
    check_timeout(timeout)
    lengths = None if compile_lengths is None else _lengths(compile_lengths)
    files = {
        option: _file(option, path)
        for option, path in (("--json", json_), ("--trace", trace), ("--flame", flame))
        if path is not None
    }
    for option, path in (("--plot", plot), ("--compile-plot", compile_plot)):
        picture = picture_file(path, option)
        if picture is not None:
            files[option] = picture
    if compile_plot is not None and lengths is None:
        raise UserError("--compile-plot needs lengths to compile at; give --compile-lengths too")
    plugins = tuple(plugin or ())
    chosen, cases, environments = _cases(grid, axes, plugins, python or ())
    effort = Effort(calls=calls, turns=turns, spans=bool({"--trace", "--flame"} & files.keys()))
    with _Processes(environments, plugins, timeout, no_lock=no_lock) as processes:
        profiles = _profile(processes, cases, effort)
        if lengths is not None:
            processes.drop_all()
            _grow(processes, profiles, lengths)
        if instructions:
            processes.drop_all()  # what waits beside Valgrind would only take memory
            _count(processes, profiles)
    _print(profiles, processes, format)
    document = _document(chosen, effort, plugins, profiles, processes)
    failed = _write(files, profiles, document)
    if failed:
        raise typer.Exit(2)


def _cases(
    grid: str, axes: Mapping[str, str | None], plugins: Sequence[str], python: Sequence[str]
) -> tuple[Grid, list[Case], dict[str, str]]:
    chosen, cases, environments = chosen_cases(grid, axes, plugins, python)
    if len(cases) > _MOST_CASES:
        raise UserError(
            f"these are {len(cases):,} cases, and `profile` takes up to {_MOST_CASES}; choose some "
            "by their axes, such as --implementation nn_rnn --seq-len 100 --hidden 256"
        )
    return chosen, cases, environments


class _Processes(Alone):
    """The lock, the folder for compiled code, and one process for each environment."""

    def __init__(
        self, pythons: Mapping[str, str], plugins: Sequence[str], timeout: float, *, no_lock: bool
    ) -> None:
        super().__init__("rnnbench profile", no_lock=no_lock)
        self._pythons = pythons
        self._plugins = plugins
        self._timeout = timeout
        self._running: dict[str, Any] = {}
        self.environments: dict[str, Any] = {}

    def __exit__(self, *error: object) -> None:
        self.drop_all()
        super().__exit__(*error)

    def of(self, environment: str) -> Any:
        """The process of an environment, started where there is none."""
        from rnnbench.diagnosis.profiler import Profiler

        started: Any = self._get(environment, Profiler)
        self.environments[environment] = started.environment
        return started

    def counting(self, environment: str) -> Any:
        """The process of an environment that counts instructions."""
        from rnnbench.measuring.instructions import Counter

        return self._get(environment, Counter)

    def _get(self, environment: str, kind: Callable[..., Any]) -> Any:
        from rnnbench.measuring.options import Options

        if environment not in self._running:
            options = Options(plugins=tuple(self._plugins), environments=self._pythons)
            self._running[environment] = kind(
                environment,
                self._pythons[environment],
                self.folder,
                plugins=options.plugins_of(environment),
                timeout=self._timeout,
            )
        return self._running[environment]

    def fresh(self, environment: str) -> Any:
        """A process with a cache of its own, which whoever asks for it ends."""
        from tempfile import mkdtemp

        from rnnbench.diagnosis.profiler import Profiler
        from rnnbench.measuring.options import Options

        options = Options(plugins=tuple(self._plugins), environments=self._pythons)
        return Profiler(
            environment,
            self._pythons[environment],
            Path(mkdtemp(dir=self.folder)),
            plugins=options.plugins_of(environment),
            timeout=self._timeout,
        )

    def drop_all(self) -> None:
        """End all processes."""
        for name in list(self._running):
            self.drop(name)

    def drop(self, environment: str) -> None:
        """End the process of an environment."""
        self._running.pop(environment).__exit__(None, None, None)


def _profile(processes: _Processes, cases: Sequence[Case], effort: Effort) -> list[Profile]:
    import dataclasses

    from rnnbench.diagnosis.profiles import Profile, profile_case
    from rnnbench.measuring.workers import WorkerLost

    found: list[Profile] = []
    flows: set[Case] = set()
    with bar(len(cases)) as show:
        for case in cases:
            show(len(found), case.id)
            # Of the formula and the data alone: the same for all who compute it.
            new = dataclasses.replace(effort, gradients=case.setting not in flows)
            try:
                found.append(profile_case(processes.of(case.environment), case, new))
            except WorkerLost as lost:
                found.append(Profile(case, lost.status, lost.reason))
                processes.drop(case.environment)
            if found[-1].gradients:
                flows.add(case.setting)
    return found


def _grow(processes: _Processes, profiles: Sequence[Profile], lengths: Sequence[int]) -> None:
    """Compile what is compiled at other lengths, each in a process that finds nothing compiled."""
    from functools import partial

    from rnnbench.diagnosis.growth import compile_growth

    done = [profile for profile in profiles if profile.compiled]
    with bar(len(done)) as show:
        for number, profile in enumerate(done):
            show(number, f"compiling {profile.case.id}")
            start = partial(processes.fresh, profile.case.environment)
            profile.growth, missing = compile_growth(start, profile.case, lengths)
            if missing:
                profile.missing["compile_growth"] = missing


def _lengths(text: str) -> tuple[int, ...]:
    from rnnbench.diagnosis.growth import FEWEST_LENGTHS

    try:
        lengths = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        lengths = ()
    if len(lengths) < FEWEST_LENGTHS or lengths[0] < 1:
        raise UserError(
            f"--compile-lengths is {text!r}; give {FEWEST_LENGTHS} or more different lengths of 1 "
            "or more, such as 5,10,20,40,80"
        )
    return lengths


def _count(processes: _Processes, profiles: Sequence[Profile]) -> None:
    """Count the instructions of what was profiled, one process for all cases of an environment."""
    from rnnbench.diagnosis.profiles import count_case
    from rnnbench.measuring.workers import WorkerLost

    done = [profile for profile in profiles if profile.status == "profiled"]
    with bar(len(done)) as show:
        for number, profile in enumerate(done):
            show(number, f"instructions of {profile.case.id}")
            environment = profile.case.environment
            try:
                count_case(processes.counting(environment), profile)
            except WorkerLost as lost:
                profile.missing["instructions"] = lost.reason
                processes.drop(environment)


def _print(profiles: Sequence[Profile], processes: _Processes, format: Format) -> None:  # noqa: A002
    from rnnbench.diagnosis import tables

    done = [profile for profile in profiles if profile.status == "profiled"]
    print_sentences(processes.notes)
    if done:
        found = [
            tables.parts_table(done),
            *map(tables.operators_table, done[:_MOST_TABLES]),
            tables.steps_table(done),
            tables.memory_table(done),
            tables.gradients_table(done),
            tables.compiled_table(done),
            tables.growth_table(done),
            tables.instructions_table(done),
            *(tables.functions_table(p) for p in done[:_MOST_TABLES] if p.instructions),
        ]
        for table in found:
            if table is not None:
                typer.echo(rendered(table, format))
        if len(done) > _MOST_TABLES:
            print_sentences(
                [
                    f"Operators of the first {_MOST_TABLES} cases are shown; --json FILE writes "
                    "those of all."
                ]
            )
    print_sentences(tables.remarks(profiles))


def _document(
    grid: Grid,
    effort: Effort,
    plugins: Sequence[str],
    profiles: Sequence[Profile],
    processes: _Processes,
) -> dict[str, Any]:
    """A result file without timed cases: profiles are no benchmarks."""
    from datetime import UTC, datetime

    from rnnbench import __version__
    from rnnbench.schema import SCHEMA_VERSION

    return {
        "datetime": datetime.now(UTC).isoformat(),
        "benchmarks": [],
        "rnnbench": {
            "schema": SCHEMA_VERSION,
            "version": __version__,
            "grid": grid.as_dict(),
            "options": {
                "calls": effort.calls,
                "turns": effort.turns,
                "plugins": [Path(plugin.rpartition("=")[2]).name for plugin in plugins],
            },
            "environments": processes.environments,
            "load": {},
            "notes": processes.notes,
            "not_measured": [
                {"case": p.case.columns(), "status": p.status, "reason": p.reason}
                for p in profiles
                if p.status != "profiled"
            ],
            "profiles": [p.columns() for p in profiles if p.status == "profiled"],
        },
    }


def _write(
    files: Mapping[str, Path], profiles: Sequence[Profile], document: Mapping[str, Any]
) -> bool:
    """Write what was asked for; what cannot be written is told, and the rest is. Whether any."""
    from rnnbench.report.outputs import write_file

    makers: dict[str, Callable[[], bytes]] = {
        "--json": lambda: json_bytes(document),
        "--trace": lambda: _trace(profiles),
        "--flame": lambda: _flame(profiles),
        "--plot": lambda: _drawn(files["--plot"], profiles),
        "--compile-plot": lambda: _growth_drawn(files["--compile-plot"], profiles),
    }
    failed = False
    for option, path in files.items():
        try:
            write_file(path, makers[option]())
        except UserError as error:
            typer.echo(f"rnnbench: {option} {error}", err=True)
            failed = True
    return failed


def _trace(profiles: Sequence[Profile]) -> bytes:
    from rnnbench.diagnosis.trace import trace_bytes

    return trace_bytes(profiles)


def _flame(profiles: Sequence[Profile]) -> bytes:
    from rnnbench.diagnosis.flame import flame_bytes

    return flame_bytes(profiles)


def _growth_drawn(path: Path, profiles: Sequence[Profile]) -> bytes:
    from rnnbench.diagnosis.growth import growth_figure

    growths = [(profile.case, profile.growth) for profile in profiles if profile.growth is not None]
    if not growths:
        raise UserError(f"{path}: no case was compiled at three lengths, so there is no plot")
    return picture_bytes(path, growth_figure(growths))


def _drawn(path: Path, profiles: Sequence[Profile]) -> bytes:
    import pandas as pd

    from rnnbench.report import plots

    rows = [
        {"series": _series(p.case, flow), "t": t, "norm": norm}
        for p in profiles
        for flow in p.gradients
        for t, norm in enumerate(flow["norms"])
        if norm is not None
    ]
    frame = pd.DataFrame(rows, columns=["series", "t", "norm"])
    figure = plots.gradient_flow(
        frame,
        title="Gradient flow through time",
        note="By the cell's formula in float64, with weights as torch.nn initialises them; the "
        "loss is a function of the last states alone.",
    )
    return picture_bytes(path, figure)


def _series(case: Case, flow: Mapping[str, Any]) -> str:
    layer = f" layer {flow['layer']}" if case.num_layers > 1 else ""
    reverse = " reverse" if flow["direction"] else ""
    return f"{case.cell} {flow['state']} T{case.seq_len} H{case.hidden_size}{layer}{reverse}"


def _file(option: str, path: str) -> Path:
    from rnnbench.report.outputs import check_output_file

    return check_output_file(path, option=option)
