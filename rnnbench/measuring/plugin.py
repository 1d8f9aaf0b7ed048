"""The pytest plugin: options, cases as items, one result an item, a table at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from rnnbench.cases import Case
from rnnbench.cores import usable_cores
from rnnbench.errors import UserError
from rnnbench.grids import AXES, OPTION_PREFIX, Grid, Value, load_grid, parse_axis
from rnnbench.measuring import recording
from rnnbench.measuring.engine import CaseRun, result_of
from rnnbench.measuring.instructions import find_valgrind
from rnnbench.measuring.load import load_note
from rnnbench.measuring.lock import MachineLock
from rnnbench.measuring.options import Options, parse_cores, parse_environments, parse_planted
from rnnbench.measuring.planning import check_baseline, plan_cases
from rnnbench.measuring.progress import make_progress
from rnnbench.measuring.run import Run
from rnnbench.measuring.summary import summary_lines

_PLAN = pytest.StashKey["Plan"]()
_CASE = "rnn_case"


class Plan:
    """What was asked for, before anything is measured; the run once something is."""

    def __init__(self, options: Options, grid: Grid, cases: list[Case]) -> None:
        self.options = options
        self.grid = grid
        self.cases = cases
        self.run: Run | None = None
        self.lock: MachineLock | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a run; those of the axes come from the grids' own table."""
    group = parser.getgroup("rnnbench", "benchmarks of recurrent layers")
    group.addoption(
        "--rnn-grid",
        metavar="NAME|FILE",
        default="quick",
        help="grid of cases: a name that `rnnbench grids` lists, or a TOML file (default: quick)",
    )
    for axis in AXES.values():
        group.addoption(
            f"{OPTION_PREFIX}{axis.option}",
            metavar="LIST",
            default=None,
            dest=_destination(axis.name),
            help=f"override the grid's axis: {axis.help}".replace("%", "%%"),
        )
    group.addoption(
        "--rnn-plugin",
        metavar="[NAME=]FILE.py",
        action="append",
        default=[],
        help="a file that registers implementations of your own, with NAME= only in the "
        "environment of that name (repeatable)",
    )
    group.addoption(
        "--rnn-python",
        metavar="NAME=PATH",
        action="append",
        default=[],
        help="measure in that Python, which needs nothing but torch; give it once for each "
        "environment to compare (default: the Python that runs pytest)",
    )
    group.addoption(
        "--rnn-planted",
        metavar="NAME=SHARE",
        action="append",
        default=[],
        help="make each call longer by that share, such as 5%%, in the environment of that name, "
        "to see whether a comparison finds it; the result says so (repeatable, CPU only)",
    )
    group.addoption(
        "--rnn-instructions",
        action="store_true",
        help="count the instructions of a call as well, by Valgrind, for cases on a CPU with one "
        "thread: no neighbour changes them; they are no time",
    )
    group.addoption(
        "--rnn-replicates",
        metavar="N",
        type=int,
        help="fresh worker processes for each environment; each measures every case (default: the "
        "grid's, else 3)",
    )
    group.addoption(
        "--rnn-seconds",
        metavar="S",
        type=float,
        help="seconds of rounds for each case, over all replicates (default: the grid's, else 1)",
    )
    group.addoption(
        "--rnn-precision",
        metavar="SHARE",
        type=float,
        default=0.02,
        help="a group stops early when all of its intervals are within ± this share "
        "(default: 0.02)",
    )
    group.addoption(
        "--rnn-case-timeout",
        metavar="S",
        type=float,
        default=300.0,
        help="give a case up when it does not answer for this long, compilation included "
        "(default: 300)",
    )
    group.addoption(
        "--rnn-baseline",
        metavar="NAME",
        default="nn_rnn",
        help="implementation that the others' ratios are to (default: nn_rnn)",
    )
    group.addoption(
        "--rnn-cores",
        metavar="LIST",
        default=None,
        help="cores that blocks may run on, such as 2,3; all competitors share them (default: all)",
    )
    group.addoption(
        "--rnn-order-seed",
        metavar="N",
        type=int,
        help="seed of the order in which competitors are built and take turns; a further run of "
        "the same cases must not repeat it (default: the first of --rnn-seed)",
    )
    group.addoption(
        "--rnn-resume",
        action="store_true",
        help="go on from the journal beside the JSON file; measures nothing twice",
    )
    group.addoption(
        "--rnn-no-lock",
        action="store_true",
        help="measure also while another run does on this machine; the result says so",
    )
    group.addoption(
        "--rnn-in-process",
        action="store_true",
        help="measure in the pytest process, for a debugger: no replicates, no time-out",
    )


def _destination(axis: str) -> str:
    return f"rnn_axis_{axis}"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker that a suite carries."""
    config.addinivalue_line(
        "markers",
        "rnn_workload(name): a benchmark over the grid's cases of that workload and its variants",
    )


@contextlib.contextmanager
def _as_usage_error() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise pytest.UsageError(str(error)) from error


def _options(config: pytest.Config, grid: Grid, devices: Sequence[Value]) -> Options:
    cores = config.getoption("rnn_cores")
    in_process = config.getoption("rnn_in_process")
    seeds = config.getoption(_destination("seed"))
    order = config.getoption("rnn_order_seed")
    if order is None:
        order = int(parse_axis("seed", seeds)[0]) if seeds else 0
    given = {
        name: config.getoption(f"rnn_{name}")
        for name in ("seconds", "replicates")
        if config.getoption(f"rnn_{name}") is not None
    }
    if in_process:
        if config.getoption("rnn_python"):
            raise UserError("--rnn-in-process has one Python, its own; leave out --rnn-python")
        given["replicates"] = 1
    if config.getoption("rnn_instructions"):
        find_valgrind()
    return Options(
        **{**grid.options, **given},
        precision=config.getoption("rnn_precision"),
        case_timeout=config.getoption("rnn_case_timeout"),
        baseline=config.getoption("rnn_baseline"),
        seed=order,
        resume=config.getoption("rnn_resume"),
        in_process=in_process,
        instructions=config.getoption("rnn_instructions"),
        cores=parse_cores(cores) if cores else usable_cores(),
        devices=tuple(str(device) for device in devices),
        plugins=tuple(config.getoption("rnn_plugin")),
        environments=parse_environments(config.getoption("rnn_python")),
        planted=parse_planted(config.getoption("rnn_planted")),
    )


def _make_plan(config: pytest.Config) -> Plan:
    grid = load_grid(config.getoption("rnn_grid"))
    overrides = {
        name: parse_axis(name, text)
        for name in AXES
        if (text := config.getoption(_destination(name))) is not None
    }
    options = _options(config, grid, overrides.get("device", ()))
    grid, cases, plugins = plan_cases(
        grid,
        overrides,
        plugins=options.plugins,
        environments=options.environments,
        cores=len(options.cores),
    )
    check_baseline(options.baseline, plugins)
    return Plan(options, grid, cases)


def pytest_collection(session: pytest.Session) -> None:
    """Expand the grid before anything is collected, so that a mistake in it is one sentence."""
    config = session.config
    with _as_usage_error():
        config.stash[_PLAN] = _make_plan(config)


def pytest_pycollect_makeitem(collector: pytest.Collector, obj: object) -> list[Any] | None:
    """Leave out suites that the grid has no case for: pytest would call each of them skipped."""
    plan = collector.config.stash.get(_PLAN, None)
    marks = getattr(obj, "pytestmark", None)
    if plan is None or not isinstance(marks, list):
        return None
    families = {mark.args[0] for mark in marks if getattr(mark, "name", "") == "rnn_workload"}
    known = {case.family for case in plan.cases}
    return [] if families and not families & known else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item of each case of a suite's workload, the workload's variants among them."""
    marker = metafunc.definition.get_closest_marker("rnn_workload")
    if marker is None:
        return
    # Where xdist is active only its workers collect; what fails in them is told in one line.
    if hasattr(metafunc.config, "workerinput"):
        pytest.fail(
            "benchmarks cannot run under pytest-xdist: competitors take turns in one run; leave "
            "out -n",
            pytrace=False,
        )
    plan = metafunc.config.stash[_PLAN]
    cases = [case for case in plan.cases if case.family == marker.args[0]]
    metafunc.parametrize(_CASE, cases, ids=[case.id for case in cases])


def _selected(items: list[pytest.Item]) -> list[Case]:
    cases = []
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and isinstance(callspec.params.get(_CASE), Case):
            cases.append(callspec.params[_CASE])
    return cases


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Start the workers when there is something to measure, before the first item runs."""
    config = session.config
    cases = _selected(session.items)
    if not cases or config.option.collectonly:
        return
    if session.testsfailed and not config.option.continue_on_collection_errors:
        return
    if config.getoption("benchmark_skip", False):
        return
    recording.check_json_path(config)
    recording.prepare_session(config)
    plan = config.stash[_PLAN]
    grid = {**plan.grid.as_dict(), "cases": len(plan.cases), "selected": len(cases)}
    progress = make_progress()
    run = Run(plan.options, grid, cases, recording.json_path(config), progress)
    with _as_usage_error():
        plan.lock = _machine_lock(config)
        try:
            run.start()
        except BaseException:
            _release(plan)
            raise
    if plan.lock is not None and plan.lock.note is not None:
        run.notes.append(plan.lock.note)
    plan.run = run


def _machine_lock(config: pytest.Config) -> MachineLock | None:
    if recording.times_nothing(config):
        return None
    command = " ".join(["pytest", *map(str, config.invocation_params.args)])
    return MachineLock(command, insist=not config.getoption("rnn_no_lock"))


def _release(plan: Plan) -> None:
    if plan.lock is not None:
        plan.lock.release()
        plan.lock = None


@pytest.fixture
def rnn_measure(request: pytest.FixtureRequest) -> Callable[[Case, Any], None]:
    """A function ``measure(case, benchmark)`` that verifies and times a case and records it."""
    run = request.config.stash[_PLAN].run
    assert run is not None
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def measure(case: Case, benchmark: Any) -> None:
        recording.mark_used(benchmark)
        visible = capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()
        with visible:
            result = run.result(case, time_it=not recording.is_disabled(benchmark))
        _report(result, benchmark)

    return measure


def _report(result: CaseRun, benchmark: Any) -> None:
    if result.status == "unsupported":
        pytest.skip(f"unsupported: {result.reason}")
    if not result.measured:
        pytest.fail(f"{result.status}: {result.reason}", pytrace=False)
    if not result.blocks:
        return
    group = result.case.group
    recording.record(
        benchmark,
        group=group.id.removeprefix("any-").removesuffix("@any"),
        iterations=result.prepared["iterations"],
        rounds=[seconds for block in result.blocks for seconds in block["rounds"]],
        extra_info=result_of(result),
    )


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Add what the run knows to pytest-benchmark's file."""
    run = _run_of(config)
    if run is not None:
        output_json["rnnbench"] = run.document()
        recording.shorten(output_json["benchmarks"])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the workers; write the file also where nothing could be measured."""
    run = _run_of(session.config)
    if run is not None:
        if run.reported():
            recording.save_without_benchmarks(session.config)
        run.close()
        _release(session.config.stash[_PLAN])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the tables, what is missing, and the run's accounts."""
    run = _run_of(config)
    if run is None or not run.reported():
        return
    terminalreporter.section("recurrent layers")
    for line in summary_lines(run.reported(), run.options.baseline, run.bound):
        terminalreporter.write_line(line)
    terminalreporter.write_line("")
    for line in _closing_lines(run):
        terminalreporter.write_line(line)


def _closing_lines(run: Run) -> Iterator[str]:
    accounts = run.load()
    if accounts:
        precise = sum(x.stopped == "precise" for x in run.reported())
        timed = sum(bool(x.stopped) for x in run.reported())
        yield (
            f"{timed} cases timed in {accounts['seconds']:.0f} s after start-up; "
            f"{precise} stopped because their intervals were narrow enough"
        )
        yield (
            f"timed rounds filled {accounts['timed_share']:.0%} of that time; waiting workers used "
            f"{accounts['waiting_cpu_share'] or 0:.2%} of a processor"
        )
        note = load_note(accounts)
        if note is not None:
            yield note
    yield from run.all_notes()
    yield from dict.fromkeys(
        told["no_limits"] for told in run.limits().values() if "no_limits" in told
    )


def _run_of(config: pytest.Config) -> Run | None:
    plan = config.stash.get(_PLAN, None)
    return None if plan is None else plan.run
