"""The callable that every tool times: one pass of one layer, plain or with more time planted in it.

Tools run this in processes of their own; what to time reaches them in environment variables. torch
is imported where it is needed, because some of these processes only start others.

    python -m others.work    prints the seconds that a call of each case takes, roughly
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from rnnbench.cases import Case

CASES_VARIABLE = "RNNBENCH_OTHERS_CASES"
"""Names the file that holds the columns of each case."""

SHARE_VARIABLE = "RNNBENCH_OTHERS_SHARE"
"""Holds the share by which each call is made longer; 0 for the code as it is."""

_LOOKED_AT = 0.05
_FEWEST_CALLS = 5


class Timed(Protocol):
    """As in `rnnbench.worker.blocks`, which would import torch."""

    def context(self) -> AbstractContextManager[Any]: ...
    def prepare(self) -> Any: ...
    def run(self, prepared: Any) -> Any: ...


def given_cases() -> list[Case]:
    """The cases that this process is to time."""
    columns = json.loads(Path(os.environ[CASES_VARIABLE]).read_text(encoding="utf-8"))
    return [Case.from_columns(case) for case in columns]


def given_share() -> float:
    """The share of its own time by which each call is to take longer."""
    return float(os.environ[SHARE_VARIABLE])


def build(case: Case, share: float) -> Timed:
    """The pass of a case as rnnbench's worker builds it, slowed in the same way."""
    import torch

    from rnnbench.implementations import registered
    from rnnbench.worker.planted import Slowed
    from rnnbench.workloads import workload

    torch.set_num_threads(case.threads)
    if torch.get_num_interop_threads() != 1:
        torch.set_num_interop_threads(1)
    importlib.import_module(f"rnnbench.implementations.{case.implementation}")
    chosen = workload(case.workload)
    model = chosen.model(case, registered()[case.implementation], chosen.data(case))
    timed: Timed = chosen.timed(case, model)
    return Slowed(timed, share) if share else timed


def typical_seconds(timed: Timed) -> float:
    """The median of some calls, the first one left out."""
    times: list[float] = []
    with timed.context():
        timed.run(timed.prepare())
        while len(times) < _FEWEST_CALLS or sum(times) < _LOOKED_AT:
            prepared = timed.prepare()
            start = time.perf_counter()
            timed.run(prepared)
            times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    print(json.dumps({case.id: typical_seconds(build(case, 0.0)) for case in given_cases()}))
