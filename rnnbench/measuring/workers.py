"""A worker as the coordinator sees it: started, asked, timed out, buried, replaced."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rnnbench.errors import UserError

__all__ = [
    "CaseProblem",
    "InProcessWorker",
    "MissingWorker",
    "NoWorker",
    "ProcessWorker",
    "Worker",
    "WorkerKilled",
    "WorkerLost",
    "own_environment",
]

_START_TIMEOUT = 180.0
_END_TIMEOUT = 5.0
_CPUCLOCK_SCHED = 2  # <linux/posix-timers.h>
_PYTHON_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


class CaseProblem(Exception):
    """A case cannot be measured: one of the schema's statuses, and why."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason


class WorkerLost(CaseProblem):
    """As above, and the worker's process is gone: its other cases must be prepared anew."""


class WorkerKilled(WorkerLost):
    """As above, but by a SIGKILL from elsewhere, which says nothing of the case."""


class NoWorker(CaseProblem):
    """The case's environment has broken since the run began: no worker of it can be had any more.

    It says nothing of the case, which a resumed run therefore measures.
    """


class Worker(Protocol):
    """One process of one environment."""

    environment: str
    replicate: int
    hello: dict[str, Any]
    waited_cpu: float
    waited_wall: float
    cpu: float

    def ask(self, op: str, timeout: float, **fields: Any) -> dict[str, Any]:
        """Send a request and wait for the answer; raises `CaseProblem` or `WorkerLost`."""

    def settled(self) -> None:
        """Tell it that the pause after its turn is over: from now on it must not compute."""

    def alive(self) -> bool:
        """Whether its process is still there."""

    def close(self) -> None:
        """End it."""


def own_environment(python: str) -> dict[str, str]:
    """Environment variables for a worker: this process's, less what would mix two Pythons."""
    variables = dict(os.environ)
    if python != sys.executable:
        for name in _PYTHON_VARIABLES:
            variables.pop(name, None)
    # One compilation at a time and in the worker itself: no pool of compilers that stays behind
    # and computes while another worker has the turn.
    variables.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    return variables


def _result(reply: Mapping[str, Any]) -> dict[str, Any]:
    if "result" in reply:
        result: dict[str, Any] = reply["result"]
        return result
    if reply["status"] == "user_error":
        raise UserError(reply["reason"])
    raise CaseProblem(reply["status"], reply["reason"])


class ProcessWorker:
    """A worker in a process of its own, spoken to by JSON lines."""

    def __init__(
        self,
        environment: str,
        python: str,
        replicate: int,
        hello: Mapping[str, Any],
        *,
        serving: str = "rnnbench.worker.pipe",
        under: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        start_timeout: float = _START_TIMEOUT,
    ) -> None:
        """Start it; ``under`` is a command that runs its Python, with environment ``variables``."""
        self.environment = environment
        self.replicate = replicate
        self.waited_cpu = 0.0
        self.waited_wall = 0.0
        self.cpu = 0.0
        self._answered_at: float | None = None
        self._spun = 0.0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed in close()
        self._oom_kills = _oom_kills()
        bootstrap = Path(__file__).parent.parent / "worker" / "bootstrap.py"
        try:
            self._process = subprocess.Popen(
                [*under, python, str(bootstrap), serving],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**own_environment(python), **(variables or {})},
                # A process group of its own: a hanging compiler's children end with it, and a
                # Ctrl-C is the coordinator's to handle.
                start_new_session=True,
            )
        except OSError as error:
            self._log.close()
            raise UserError(
                f"environment {environment!r}: {under[0] if under else python} cannot be started "
                f"({error.strerror})"
            ) from error
        self._buffer = b""
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        try:
            self.hello = self.ask("hello", start_timeout, **hello)
        except WorkerLost as lost:
            self.close()
            raise UserError(
                f"environment {environment!r}: its Python does not start as a worker "
                f"({lost.reason}); it needs Python 3.10 or newer with PyTorch 2.1 or newer"
            ) from lost
        except CaseProblem as problem:
            self.close()
            raise UserError(f"environment {environment!r}: {problem.reason}") from problem
        except BaseException:
            self.close()
            raise

    def ask(self, op: str, timeout: float, **fields: Any) -> dict[str, Any]:
        self.send(op, **fields)
        return self.answer(timeout)

    def send(self, op: str, **fields: Any) -> None:
        """Send a request without waiting: others may be sent theirs before this one answers."""
        line = json.dumps({"op": op, **fields}) + "\n"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None

    def answer(self, timeout: float) -> dict[str, Any]:
        """Wait for the answer to what was sent."""
        reply = json.loads(self._read_line(timeout))
        self.waited_cpu += max(0.0, reply["waited"]["cpu"] - self._spun)
        self.waited_wall += reply["waited"]["wall"]
        self.cpu = reply["cpu"]
        self._answered_at, self._spun = _cpu_seconds_of(self._process.pid), 0.0
        return _result(reply)

    def settled(self) -> None:
        # Nobody computes in the pause, so what OpenMP's threads spin in it disturbs no block.
        now = _cpu_seconds_of(self._process.pid)
        if now is not None and self._answered_at is not None:
            self._spun = now - self._answered_at

    def alive(self) -> bool:
        return self._process.poll() is None

    def _read_line(self, timeout: float) -> bytes:
        deadline = time.monotonic() + timeout
        assert self._process.stdout is not None
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                self._kill()
                raise WorkerLost("timed_out", f"no answer within {timeout:g} s")
            chunk = os.read(self._process.stdout.fileno(), 1 << 20)
            if not chunk:
                raise self._died()
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _died(self) -> WorkerLost:
        """Why the process is gone."""
        # Its end of the pipe closes before it does: give it the moment to say its last words.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_END_TIMEOUT)
        self._kill()
        code = self._process.wait()
        if code == -signal.SIGKILL and _oom_kills() > self._oom_kills:
            return WorkerLost(
                "out_of_memory", "the kernel ended the worker because memory had run out"
            )
        if code == -signal.SIGKILL:
            return WorkerKilled("crashed", "the worker was ended by SIGKILL")
        if code < 0:
            return WorkerLost("crashed", f"the worker was ended by {signal.Signals(-code).name}")
        return WorkerLost("crashed", f"the worker ended with status {code}{self._last_words()}")

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1].strip()[:200]}" if lines else ""

    def _kill(self) -> None:
        # The whole group, also when its leader is gone: a compiler that it started may go on.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self, *, at_once: bool = False) -> None:
        """Ask it to end, then end it; ``at_once`` whatever it is doing."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if at_once:
            self._kill()
            self._process.wait()
        if self._process.poll() is None:
            try:
                self._process.stdin.write(b'{"op": "exit"}\n')
                self._process.stdin.close()
                self._process.wait(timeout=_END_TIMEOUT)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                self._kill()
                self._process.wait()
        with contextlib.suppress(BrokenPipeError):  # a request that a dead worker never read
            self._process.stdin.close()
        self._selector.close()
        self._process.stdout.close()
        self._log.close()


class MissingWorker:
    """Stands where a worker could not be replaced, and answers every question with the reason."""

    def __init__(self, lost: Worker, reason: str) -> None:
        self.environment = lost.environment
        self.replicate = lost.replicate
        self.hello = lost.hello
        self.waited_cpu = 0.0
        self.waited_wall = 0.0
        self.cpu = 0.0
        self._reason = reason

    def ask(self, op: str, timeout: float, **fields: Any) -> dict[str, Any]:
        raise NoWorker("crashed", self._reason)

    def settled(self) -> None:
        """It never computes."""

    def alive(self) -> bool:
        """So that nobody tries to replace it again."""
        return True

    def close(self) -> None:
        """Nothing to end."""


class InProcessWorker:
    """The same worker code in this very process, for a debugger; no time-out, no replicates."""

    def __init__(self, environment: str, hello: Mapping[str, Any]) -> None:
        self.environment = environment
        self.replicate = 0
        self.waited_cpu = 0.0
        self.waited_wall = 0.0
        self.cpu = 0.0
        # By name, so that nothing but this one option can bring torch into the coordinator.
        server = importlib.import_module("rnnbench.worker.server")
        self._handle: Callable[[dict[str, Any]], dict[str, Any]] = server.Server().handle
        self.hello = self.ask("hello", _START_TIMEOUT, in_process=True, **hello)

    def ask(self, op: str, timeout: float, **fields: Any) -> dict[str, Any]:
        return _result(self._handle({"op": op, **fields}))

    def settled(self) -> None:
        """Nobody else computes."""

    def alive(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing to end."""


def _cpu_seconds_of(pid: int) -> float | None:
    """CPU time of all threads of a process, None where the system does not tell (Linux does).

    The clock of another process, as clock_getcpuclockid(3) makes its number from the process's.
    """
    if sys.platform != "linux":
        return None
    try:
        return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:  # it has ended
        return None


def _oom_kills() -> int:
    """How many processes the kernel has ended for want of memory since it started (Linux)."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        return 0
    return 0
