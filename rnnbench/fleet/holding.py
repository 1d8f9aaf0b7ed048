"""Locks in the folder of a fleet: one coordinator looks after it, and one job measures a shard."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnnbench.errors import UserError
from rnnbench.fleet.folder import Folder

__all__ = ["hold", "is_held"]

_AGAIN = 0.2
"""Seconds between two looks at a lock that another process holds."""


@contextmanager
def hold(folder: Folder, lock: Path, refusal: str, *, patience: float) -> Iterator[None]:
    """Hold a lock of the folder, after waiting so many seconds for who holds it.

    It is given back when the process ends, however that happens.

    Raises:
        UserError: it was not given back, which ``refusal`` says, or nothing can be written there.
    """
    with folder.usable(lock):
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + patience
        while not _takes(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise UserError(refusal)
            time.sleep(_AGAIN)
        yield
    finally:
        os.close(descriptor)


def is_held(lock: Path) -> bool:
    """Whether a process holds a lock now."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _takes(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _takes(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
