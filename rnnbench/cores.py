"""Which processor cores this process may use; standard library only."""

from __future__ import annotations

import os

__all__ = ["usable_cores"]


def usable_cores() -> tuple[int, ...]:
    """Cores that this process may run on; where the system has no affinity, all of them."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))
