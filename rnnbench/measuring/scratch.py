"""The run's own folder for compiled code; what killed runs left behind is removed."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from pathlib import Path

__all__ = ["Scratch"]

_PREFIX = "rnnbench-"
_LOCK = "lock"
_YOUNG = 60.0
"""Seconds in which a folder is let be: between being made and being locked it looks orphaned."""


class Scratch:
    """A temporary folder that is locked while its run lives.

    A run that was killed cannot remove its folder, which may hold hundreds of megabytes. The lock
    ends with the process, whatever ended it, so the next run knows which folders are nobody's; a
    process number would not say so where containers share the folder.
    """

    def __init__(self) -> None:
        _remove_orphans(Path(tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = (self.folder / _LOCK).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _remove_orphans(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < _YOUNG:
                continue
            with (folder / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # somebody's: another run's that lives, another user's, or no folder of ours
