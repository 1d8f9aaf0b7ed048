"""Runs `pytest suites` in a process of its own, the way a user does, on cases of milliseconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import rnnbench

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE_ROOT = Path(rnnbench.__file__).resolve().parents[1]
PLUGIN = "rnnbench.measuring.plugin"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what a script sends to the background with interrupts ignored, all that tests
    # start would inherit that, and tests that interrupt it would fail.
    signal.signal(signal.SIGINT, signal.default_int_handler)

TINY: Mapping[str, str] = {
    "implementation": "nn_rnn,python_loop",
    "pass": "inference",
    "hidden": "8",
    "input": "4",
    "batch": "2",
    "seq_len": "3",
    "layout": "time_major",
    "seconds": "0.1",
    "replicates": "1",
}
"""Options of a run that takes as long as its workers take to start."""


@dataclass(frozen=True)
class Finished:
    """A run that has ended: its exit status, what it printed and what it wrote."""

    status: int
    output: str
    errors: str
    json: Path

    @property
    def said(self) -> str:
        return self.output + self.errors

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.json.read_text())
        return document

    def results(self) -> list[dict[str, Any]]:
        """The ``extra_info.rnnbench`` of each measured case."""
        return [entry["extra_info"]["rnnbench"] for entry in self.document()["benchmarks"]]

    def measured(self) -> list[str]:
        """Implementations with a number, in order."""
        return sorted({result["case"]["implementation"] for result in self.results()})

    def not_measured(self) -> dict[str, tuple[str, str]]:
        """Status and reason of what has no number, by implementation."""
        return {
            entry["case"]["implementation"]: (entry["status"], entry["reason"])
            for entry in self.document()["rnnbench"]["not_measured"]
        }

    def journal(self) -> list[dict[str, Any]]:
        path = self.json.with_name(self.json.name + ".journal")
        return [json.loads(line) for line in path.read_text().splitlines()]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that no core waits for one of them at the end."""
    if not os.environ.get("RNNBENCH_MINUTES"):
        skip = pytest.mark.skip(reason="takes minutes: set RNNBENCH_MINUTES=1 to run it")
        for item in items:
            if item.get_closest_marker("minutes"):
                item.add_marker(skip)
    slow = {
        item.path
        for item in items
        if any(item.get_closest_marker(name) for name in ("slow", "slurm"))
    }
    items.sort(key=lambda item: item.path not in slow)


LOCK = Path(tempfile.gettempdir()) / f"rnnbench-tests.{os.getpid()}.lock"


@pytest.fixture(autouse=True, scope="session")
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What commands find that are called in this process, or that it starts.

    The tests' own lock; no limits or noise of this machine; and nothing of xdist, by which
    pytest-benchmark would take their runs for parts of this one and time nothing.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNBENCH_LOCK", str(LOCK))
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:
            patch.delenv(name)
        yield


def environment(**variables: str) -> dict[str, str]:
    """Environment variables with which a Python finds this copy of rnnbench.

    With a lock of these tests alone: they say nothing of time, so nobody need wait for them.
    """
    path = [variables.pop("PYTHONPATH", ""), str(PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry for entry in path if entry),
        "RNNBENCH_LOCK": str(LOCK),
        **variables,
    }


def finished(
    command: Sequence[str], folder: Path, variables: Mapping[str, str], timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with this copy of rnnbench, until it ends; keep what it says."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment(**variables),
        timeout=timeout,
    )


def nested_pytest(*arguments: str) -> list[str]:
    """The command of a pytest that has the plugin, whether rnnbench is installed or not."""
    return [sys.executable, "-m", "pytest", "-p", PLUGIN, "-p", "no:cacheprovider", *arguments]


def suite_arguments(**options: str | Path | Sequence[str] | None) -> list[str]:
    """The tiny run's arguments; ``batch=None`` and the like leave an option out."""
    arguments = []
    for name, given in {**TINY, **options}.items():
        values = [given] if isinstance(given, str | Path) else given or ()
        arguments += [f"--rnn-{name.replace('_', '-')}={value}" for value in values]
    return arguments


class Suite:
    """Starts runs of the suites in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def command(self, *arguments: str, **options: Any) -> list[str]:
        return nested_pytest(
            str(REPOSITORY / "suites"), *suite_arguments(**options), *map(str, arguments)
        )

    def __call__(
        self,
        *arguments: str,
        json: str | Path | None = "result.json",
        variables: Mapping[str, str] | None = None,
        timeout: float = 300,
        **options: Any,
    ) -> Finished:
        path = self.folder / (json or "result.json")
        given = [] if json is None else [f"--benchmark-json={path}"]
        command = self.command(*given, *arguments, **options)
        done = finished(command, self.folder, variables or {}, timeout)
        return Finished(done.returncode, done.stdout, done.stderr, path)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a run and leave it to the test to end it."""
        return subprocess.Popen(
            self.command(f"--benchmark-json={self.folder / 'result.json'}", *arguments, **options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=environment(),
        )


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """A function that runs the suites with its results in this test's folder."""
    return Suite(tmp_path)


@pytest.fixture(scope="module")
def shared_suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """The same for runs that several tests of a module look at."""
    return Suite(tmp_path_factory.mktemp("suite"))


@pytest.fixture
def nested(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a pytest with the plugin, but on a test file in this test's folder."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = nested_pytest("-c", os.devnull, "--rootdir", str(tmp_path), *map(str, arguments))
        return finished(command, tmp_path, variables)

    return run


@pytest.fixture
def plugins() -> Path:
    """The folder of the plug-ins that tests use."""
    return REPOSITORY / "tests" / "plugins"


@pytest.fixture
def python_with(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script in a Python of its own that finds this copy of rnnbench."""

    def run(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return finished([sys.executable, "-c", script, *arguments], tmp_path, variables)

    return run


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that the test starts run without coverage, which takes a third of their time.

    For tests of what stands around a run; tests of the run itself count the lines that it reaches.
    """
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def workers_of() -> Callable[[int], set[int]]:
    """The worker processes whose coordinator is a given process."""

    from tests.processes import parent, workers

    def of(coordinator: int) -> set[int]:
        return {pid for pid in workers() if parent(pid) == coordinator}

    return of


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    """Whether a process is there and is a worker; another one may have got its number since."""
    from tests.processes import workers

    return lambda pid: pid in workers()


@pytest.fixture(scope="session", autouse=True)
def _lock_is_removed() -> Iterator[None]:
    yield
    LOCK.unlink(missing_ok=True)


@pytest.fixture(scope="session", autouse=True)
def _this_copy_is_tested() -> None:
    """An entry point of another copy must not stand in for the one that these tests import."""
    for entry in entry_points(group="pytest11"):
        if entry.value == PLUGIN:
            assert entry.name == PLUGIN, "reinstall rnnbench: its entry point has an old name"
