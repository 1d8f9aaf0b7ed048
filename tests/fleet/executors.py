"""Fleets as a user runs them, for tests: here or on a Slurm of one node, and what befalls them.

Coordinators of tests are less patient than a user's, and their canaries shorter: nothing but the
time that a test takes depends on it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rnnbench.fleet.folder import Folder
from tests.conftest import environment
from tests.fleet.slurm_node import PARTITION, SlurmNode

_COORDINATOR = """
from rnnbench.cli import main
from rnnbench.fleet import canaries, tending

canaries.BUDGET = canaries.Budget(seconds=0.1, replicates=1)
tending._GRACE = {"slurm": 1.0, "local": 0.5}
main()
"""

_LONG = 300.0

Harm = Callable[["Fleet", int], None]
"""Something bad that happens to the shard of a number while it runs."""


class Fleet:
    """One fleet: its folder, and the command that looks after it."""

    def __init__(self, path: Path, executor: Executor) -> None:
        self.folder = Folder(path)
        self.executor = executor
        self._command: _Command | None = None

    def begin(self, *arguments: str) -> None:
        """Start the command with a grid, and leave it running."""
        self._command = self._start(
            "quick", f"--output={self.folder.path}", *self.executor.asked, *arguments
        )

    def resume(self) -> None:
        """Start the command that looks after the fleet again."""
        self._command = self._start(f"--resume={self.folder.path}")

    def run(self, *arguments: str) -> tuple[int, str]:
        """Begin, and wait for the end."""
        self.begin(*arguments)
        return self.ended()

    def ask(self, option: str) -> tuple[int, str]:
        """Run the command with another option on the folder."""
        return self._start(f"{option}={self.folder.path}").ended()

    def ended(self) -> tuple[int, str]:
        """Wait for the end of the command: its status and what it said."""
        assert self._command is not None
        return self._command.ended()

    def is_running(self) -> bool:
        """Whether the command has not ended."""
        return self._command is not None and self._command.process.poll() is None

    def interrupt(self) -> None:
        """End the command as a terminal that is closed would."""
        assert self._command is not None
        self._command.process.send_signal(signal.SIGTERM)

    def crash(self) -> None:
        """Kill the command; what it started lives on."""
        if self._command is not None:
            self._command.process.kill()
            self._command.process.wait()

    def running(self) -> int | None:
        """The shard that runs, once there is one; None when the command has ended without."""
        wait_for(lambda: self.running_now() is not None or not self.is_running())
        return self.running_now()

    def running_now(self) -> int | None:
        """The shard that runs at this moment."""
        if not self.folder.plan_file.exists():
            return None
        numbers = (shard.number for shard in self.folder.plan.shards)
        return next((number for number in numbers if self._is_measured(number)), None)

    def wait_for_a_case(self) -> None:
        """Wait until the first shard has finished one."""
        wait_for(lambda: self.folder.finished(0) > 0 or not self.is_running())

    def process_of(self, number: int) -> int:
        """The process that measures a shard."""
        events = self.folder.history(number).events
        return int([event for event in events if event["event"] == "started"][-1]["process"])

    def _is_measured(self, number: int) -> bool:
        if self.folder.history(number).last != "started":
            return False
        try:
            os.kill(self.process_of(number), 0)
        except ProcessLookupError:
            return False
        return True

    def _start(self, *arguments: str) -> _Command:
        return _Command(arguments, self.folder.path.parent, self.executor.variables)


class _Command:
    """`rnnbench fleet` in a process of its own.

    It writes to a file, not to a pipe, which a job that outlives it would keep open.
    """

    def __init__(
        self, arguments: Sequence[str], folder: Path, variables: Mapping[str, str]
    ) -> None:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open for as long as the command)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _COORDINATOR, "fleet", *arguments],
            stdout=self._said,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment(**variables),
        )

    def ended(self) -> tuple[int, str]:
        """Wait for the end: the status, and what it said."""
        status = self.process.wait(timeout=_LONG)
        self._said.seek(0)
        return status, self._said.read()


class Executor:
    """Where shards run, and how to harm them there."""

    name: str
    asked: Sequence[str]
    variables: Mapping[str, str]

    @property
    def harms(self) -> Sequence[Harm]:
        """All that may happen to a shard while it runs."""
        return (self.kill, self.requeue, self.crash)

    def kill(self, fleet: Fleet, number: int) -> None:
        """Kill what measures the shard, at once."""
        raise NotImplementedError

    def requeue(self, fleet: Fleet, number: int) -> None:
        """Take the shard's node away, and queue its job again."""
        raise NotImplementedError

    def crash(self, fleet: Fleet, number: int) -> None:
        """Kill what looks after the shard's job, and start it again."""
        raise NotImplementedError

    def clear(self) -> None:
        """End all that still runs."""


class Here(Executor):
    """This machine, one shard after the other."""

    name = "local"
    asked = ("--local",)
    variables: Mapping[str, str] = {}

    def kill(self, fleet: Fleet, number: int) -> None:
        _send(fleet, number, signal.SIGKILL)

    def requeue(self, fleet: Fleet, number: int) -> None:
        # What submitit takes for the news that the node is taken away.
        _send(fleet, number, signal.SIGUSR2)

    def crash(self, fleet: Fleet, number: int) -> None:
        fleet.crash()
        fleet.resume()


def _send(fleet: Fleet, number: int, which: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just come to its end
        os.kill(fleet.process_of(number), which)


class Slurm(Executor):
    """A Slurm of one node."""

    name = "slurm"
    asked = (f"--slurm=partition={PARTITION}",)

    def __init__(self, node: SlurmNode) -> None:
        self.node = node
        self.variables = {"SLURM_CONF": str(node.conf)}

    def kill(self, fleet: Fleet, number: int) -> None:
        self.node.ask("scancel", "--signal=KILL", fleet.folder.history(number).job)

    def requeue(self, fleet: Fleet, number: int) -> None:
        self.node.ask("scontrol", "requeue", fleet.folder.history(number).job)

    def crash(self, fleet: Fleet, number: int) -> None:
        self.node.kill_slurmd()
        time.sleep(0.5)
        self.node.start_slurmd()
        self.node.wait_until_idle()

    def clear(self) -> None:
        self.node.ask("scancel", "--full", "--me")
        wait_for(lambda: not self.node.ask("squeue", "--noheader").strip())


def wait_for(condition: Callable[[], object], seconds: float = _LONG) -> None:
    """Wait until something has come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)
