"""What a worker asks of the operating system: its cores, its memory, and not to outlive its run."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["die_with_parent", "limit_memory", "run_on"]

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with_parent() -> None:
    """Have the kernel end this process when the coordinator dies, however it dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with contextlib.suppress(OSError):
            # Should memory run out all the same, a worker can be replaced and its run cannot.
            Path("/proc/self/oom_score_adj").write_text("800")


def limit_memory(limit: int | None) -> None:
    """Make an allocation beyond ``limit`` bytes fail in this process.

    Without it an allocation of more than there is succeeds, and the kernel ends some process, maybe
    another one, when the pages are touched. RLIMIT_DATA and not RLIMIT_AS: libraries map far more
    address space than they use.
    """
    if limit is not None and sys.platform == "linux":
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def run_on(cores: Iterable[int]) -> list[int]:
    """Move every thread of this process to ``cores``; returns the cores that it then has.

    Every thread, because an OpenMP pool keeps the cores that its first parallel region had. Where
    the system has no affinity the answer is an empty list.
    """
    if not hasattr(os, "sched_setaffinity"):
        return []
    wanted = set(cores)
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):  # it ended in the meantime
            os.sched_setaffinity(int(thread), wanted)
    return sorted(os.sched_getaffinity(0))
