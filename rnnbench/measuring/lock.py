"""One run at a time on a machine: a lock that says who holds it and that the kernel frees."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from pathlib import Path
from types import TracebackType

from rnnbench.errors import UserError

__all__ = ["LOCK_VARIABLE", "MachineLock", "lock_path"]

LOCK_VARIABLE = "RNNBENCH_LOCK"
"""Names another file for the lock: the same one for containers that share a machine, one each for
runs that share no core."""

_LONGEST_COMMAND = 200
_OPTION = "--rnn-no-lock (--no-lock for a command of rnnbench)"


def lock_path() -> Path:
    """The file of this user's lock, in the temporary folder unless the variable names another."""
    given = os.environ.get(LOCK_VARIABLE)
    return Path(given or f"{tempfile.gettempdir()}/rnnbench.{os.getuid()}.lock")


class MachineLock:
    """Holds the machine for one run; ``note`` says what a reader of its result must know.

    The lock is the kernel's (flock): it ends with the process, whatever ended that. The file says
    who holds it and stays when the lock is free. Workers do not inherit it.
    """

    def __init__(self, command: str, *, insist: bool = True, option: str = _OPTION) -> None:
        """Take the lock.

        ``insist`` refuses to measure beside another run, and names the ``option`` that would not;
        without it the note tells of that run. `pytest suites` does not know whether a command of
        `rnnbench` began it, in whose help the option has another name: so both are named.

        Raises:
            UserError: another run holds the lock.
        """
        self.note: str | None = None
        self._descriptor: int | None = None
        path = lock_path()
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(path, flags, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder, command = self._holder()
            self.release()
            if insist:
                raise UserError(
                    f"another run is measuring on this machine: {holder}{command}; both would be "
                    f"wrong: wait until it has ended, or give {option} to measure all the same"
                ) from None
            # Without the command, which may hold paths: the note goes into the result.
            self.note = f"another run measured on this machine at the same time: {holder}"
        except OSError as error:
            # A folder that cannot be written must not keep anybody from measuring.
            self.release()
            self.note = (
                "it is not known whether another run measured at the same time: the lock "
                f"{path.name} cannot be taken ({error.strerror})"
            )
        else:
            self._say_who(command)

    def release(self) -> None:
        """Let the next run begin."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> MachineLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _say_who(self, command: str) -> None:
        assert self._descriptor is not None
        who = {"pid": os.getpid(), "since": time.time(), "command": command[:_LONGEST_COMMAND]}
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(who).encode(), 0)

    def _holder(self) -> tuple[str, str]:
        """Who holds the lock, and its command; as far as the file says it, which may be just now
        being written.
        """
        assert self._descriptor is not None
        try:
            who = json.loads(os.pread(self._descriptor, 4096, 0))
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(who["since"]))
            return f"process {int(who['pid'])} since {since}", f" ({who['command']})"
        except (ValueError, KeyError, TypeError, OverflowError, OSError):
            return "a process that has not said yet which it is", ""
