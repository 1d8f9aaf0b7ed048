"""How many workers fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rnnbench.cases import Case
from rnnbench.schema import WIDTHS

__all__ = ["available_memory", "largest_case", "replicates_that_fit"]

_KEPT = 4
_KEPT_PER_GATE = 4
"""Copies of the T·B·H states that a layer in training is reckoned to hold: the output, what each
step keeps for its gradient, and temporaries. An estimate for planning, not a measurement."""

_SPARE = 64 << 20
_COMPILER = 256 << 20
"""What a worker is reckoned to need beyond its start and its case; with torch.compile more."""

_SHARE = 0.8


def available_memory() -> int | None:
    """Bytes that can be had without swapping, the cgroup's limit respected; None if unknown."""
    known = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                known.append(int(line.split()[1]) * 1024)
    except OSError:
        return None
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        if limit != "max":
            known.append(int(limit) - used)
    except (OSError, ValueError):
        pass  # no cgroup of version 2: the machine's memory is the limit
    return min(known, default=None)


def largest_case(cases: Sequence[Case]) -> int:
    """Bytes that the largest group of competitors is reckoned to need in one worker."""
    per_group: dict[Case, int] = {}
    for case in cases:
        kept = _KEPT + _KEPT_PER_GATE * case.gates
        states = case.num_layers * case.directions * case.hidden_size * kept
        size = case.seq_len * case.batch * (case.input_size + states) * WIDTHS[case.stored_dtype]
        per_group[case.group] = per_group.get(case.group, 0) + size
    return max(per_group.values(), default=0)


def replicates_that_fit(
    asked: int,
    environments: int,
    worker: int | None,
    cases: Sequence[Case],
    available: int | None,
    *,
    compiles: bool = True,
) -> int:
    """How many workers of each environment fit; at most ``asked``, and 0 when not even one does.

    ``worker``: bytes of its own that a worker holds before it has built anything; ``compiles``:
    whether torch.compile will run in it.
    """
    if worker is None or available is None:
        return asked
    on_host = [case for case in cases if case.device == "cpu"]
    each = worker + largest_case(on_host) + (_COMPILER if compiles else _SPARE)
    return min(asked, int(available * _SHARE / (each * environments)))
