"""Who else used the machine while it measured: processor time of others, stolen and throttled."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Load", "load_note", "sample"]


@dataclass(frozen=True)
class Load:
    """Counters of the whole machine at one moment; seconds."""

    wall: float
    busy: float | None
    stolen: float | None
    throttled: float | None
    own: float
    average: float | None


def sample(own: float) -> Load:
    """Read the counters now; ``own`` is the CPU time that the run's processes have used."""
    busy = stolen = None
    tick = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
    try:
        # proc(5): user nice system idle iowait irq softirq steal …, in ticks over all cores.
        fields = [int(x) for x in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        user, nice, system, _idle, _iowait, irq, softirq, steal = fields
        busy = (user + nice + system + irq + softirq) / tick
        stolen = steal / tick
    except (OSError, ValueError):
        pass  # not Linux: unknown stays None
    average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return Load(time.monotonic(), busy, stolen, _throttled(), own, average)


def _throttled() -> float | None:
    try:
        for line in Path("/sys/fs/cgroup/cpu.stat").read_text().splitlines():
            if line.startswith("throttled_usec "):
                return int(line.split()[1]) / 1e6
    except OSError:
        return None
    return None


def between(start: Load, end: Load, cores: int) -> dict[str, Any]:
    """What happened between two samples, as a result file holds it; shares of all cores' time."""
    capacity = max(end.wall - start.wall, 1e-9) * cores

    def share(before: float | None, after: float | None, less: float = 0.0) -> float | None:
        if before is None or after is None:
            return None
        return max(0.0, after - before - less) / capacity

    return {
        "seconds": end.wall - start.wall,
        "own_share": (end.own - start.own) / capacity,
        "others_share": share(start.busy, end.busy, end.own - start.own),
        "stolen_share": share(start.stolen, end.stolen),
        "throttled_share": share(start.throttled, end.throttled),
        "load_average": [start.average, end.average],
    }


def load_note(load: dict[str, Any]) -> str | None:
    """A sentence when the machine was busy or throttled while it measured, else None."""
    limits = {
        "others_share": (0.05, "other processes used {:.0%} of the processor"),
        "stolen_share": (0.02, "the hypervisor withheld {:.0%} of the processor"),
        "throttled_share": (0.01, "a cgroup throttled the run for {:.0%} of its time"),
    }
    said = [
        text.format(load[name])
        for name, (limit, text) in limits.items()
        if load.get(name) is not None and load[name] > limit
    ]
    if not said:
        return None
    return "busy machine: while it measured, " + " and ".join(said)
