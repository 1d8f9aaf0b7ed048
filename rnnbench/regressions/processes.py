"""Child processes that end with this one, however it ends, and that a Ctrl-C reaches once."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

__all__ = ["Interrupted", "run_streamed", "run_through"]

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal asked for the end, and the child has ended; ``status`` is that of a shell."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


def run_through(command: Sequence[str], variables: Mapping[str, str] | None = None) -> int:
    """Run a command with this process's own input and output; returns its exit status.

    Raises:
        Interrupted: a signal to end came, was passed on, and the command has ended.
    """
    with _Child() as child:
        return child.start(command, variables).wait()


def run_streamed(
    command: Sequence[str],
    each_line: Callable[[str], None],
    variables: Mapping[str, str] | None = None,
) -> int:
    """Run a command and hand on each line that it says to standard error; returns its status.

    Raises:
        Interrupted: as `run_through`.
    """
    with _Child() as child:
        process = child.start(
            command, variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, piped=True
        )
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                each_line(line.rstrip())
        return process.wait()


class _Child:
    """Owns one child while a ``with`` lasts: signals to end are passed on as an interrupt.

    The child has a session of its own, so that a Ctrl-C in the terminal reaches it once, through
    here, and not twice: a second one would cut short what it does to end in order. A second Ctrl-C
    ends it at once.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._met: list[int] = []
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def start(
        self,
        command: Sequence[str],
        variables: Mapping[str, str] | None,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        piped: bool = False,
    ) -> subprocess.Popen[str]:
        parent = os.getpid()
        self._process = subprocess.Popen(
            command,
            env=None if variables is None else dict(variables),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE if piped else None,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=lambda: _begin(parent),  # there are no threads here
        )
        if self._met:
            self._process.send_signal(signal.SIGINT)
        return self._process

    def __enter__(self) -> _Child:
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            # One that is ignored, as under nohup, stays so.
            if handler not in (None, signal.SIG_IGN):
                self._before[number] = signal.signal(number, self._pass_on)
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._met:
            raise Interrupted(self._met[0])

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self._met.append(number)
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT if len(self._met) == 1 else signal.SIGKILL)


def _begin(parent: int) -> None:
    """In the child, before its program: end when the parent does (Linux), and hear an interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has died in the meantime
            os.kill(os.getpid(), signal.SIGKILL)
