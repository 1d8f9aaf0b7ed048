"""Result files with a known truth, whose noise comes from a model of processes, blocks and rounds.

Every document says inside that it is synthetic; none is ever written outside a test's own folder.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnnbench.cases import Case
from rnnbench.limits import CALLS, Ceiling, Least, Limits, Product, facts_of
from rnnbench.schema import SCHEMA_VERSION
from rnnbench.work import work_of

NOTE = "synthetic: made by rnnbench's tests, never measured"


@dataclass(frozen=True)
class Planted:
    """A case and the truth about it; ``seconds`` is the median over all processes.

    ``parts`` are shares of each call that it has timed by itself.
    """

    case: Case
    seconds: float
    device_seconds: float | None = None
    compile_cold: float | None = None
    compile_warm: float | None = None
    compiler: str = "inductor"
    ran: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    parts: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Noise:
    """Standard deviations of logarithms, by level; rounds are only ever slowed down."""

    process: float = 0.02  # of a process, for all of its cases alike
    luck: float = 0.01  # of a case in a process: its memory, its compiled code
    drift: float = 0.01  # of a sweep, for all competitors of a group alike
    block: float = 0.003
    round: float = 0.01


def environment(**changes: Any) -> dict[str, Any]:
    return {
        "torch": "2.13.0+cpu",
        "python": "3.11.7",
        "system": "Linux-6.1-x86_64-with-glibc2.36",
        "cpu": {"model": "Synthetic CPU", "count": 2, "virtual": True},
        "memory": 8 * 2**30,
        "variables": {},
        "devices": {},
        "processes": 3,
        **changes,
    }


def least(seconds: float, spread: float = 0.0) -> Least:
    """Seconds with an interval that reaches so far to both sides."""
    return Least(seconds, seconds * (1 - spread), seconds * (1 + spread))


def ceiling(
    products: Mapping[tuple[int, int, int], Least] | None = None,
    *,
    flops_per_second: float = 1e11,
    bytes_per_second: float = 1e12,
    call: float = 1e-9,
    dtype: str = "float32",
    threads: int = 1,
) -> Ceiling:
    """What a machine can do at best: one rate for all shapes but those that are given."""
    large = Product(1000, 1000, 1000)
    return Ceiling(
        "cpu",
        dtype,
        threads,
        {
            large: least(large.flops / flops_per_second),
            **{Product(*shape): time for shape, time in (products or {}).items()},
        },
        {1 << 20: least((1 << 20) / bytes_per_second)},
        dict.fromkeys(CALLS, least(call)),
    )


def limits(*ceilings: Ceiling, described: Mapping[str, Any] | None = None) -> Limits:
    """Limits of a machine and PyTorch as an environment describes them."""
    return Limits(facts_of(described or environment()), ceilings)


GPU = {
    "cuda": {
        "toolkit": "13.0",
        "cudnn": 91300,
        "devices": [{"name": "Synthetic GPU", "capability": "9.0", "memory": 2**37}],
        "driver": [{"driver_version": "580.1"}],
    }
}


def document(
    planted: Sequence[Planted],
    *,
    noise: Noise | None = None,
    seed: int = 0,
    replicates: int = 3,
    blocks: int = 5,
    rounds: int = 8,
    environments: Mapping[str, Any] | None = None,
    not_measured: Iterable[tuple[Case, str, str]] = (),
    notes: Iterable[str] = (),
) -> dict[str, Any]:
    """A result file's content; competitors of a group take turns, groups follow each other."""
    noise = noise or Noise()
    rng = np.random.default_rng(seed)
    process = rng.normal(0, noise.process, replicates)
    by_group: dict[Case, list[Planted]] = {}
    for entry in planted:
        by_group.setdefault(entry.case.group, []).append(entry)
    turn = 0
    taken: dict[Case, list[dict[str, Any]]] = {}
    data: dict[Case, list[float]] = {}
    for members in by_group.values():
        luck = {entry.case: rng.normal(0, noise.luck, replicates) for entry in members}
        for _ in range(blocks):
            drift = rng.normal(0, noise.drift)
            for replicate in range(replicates):
                for entry in members:
                    common = process[replicate] + luck[entry.case][replicate] + drift
                    log = common + rng.normal(0, noise.block)
                    slowed = np.abs(rng.normal(0, noise.round, rounds))
                    # The median of what only slows down is part of the truth.
                    times = entry.seconds * np.exp(log + slowed - 0.6745 * noise.round)
                    kept = data.setdefault(entry.case, [])
                    block = {
                        "replicate": replicate,
                        "turn": turn,
                        "start": 100.0 + 0.06 * turn,
                        "cores": [0],
                        "warmup": [float(times[0] * 1.5), float(times[0] * 1.1)],
                        "rounds": [len(kept), len(kept) + rounds],
                    }
                    if entry.device_seconds is not None:
                        on_device = times * (entry.device_seconds / entry.seconds)
                        block["device_rounds"] = on_device.tolist()
                    if entry.parts:
                        block["parts"] = {
                            name: (times * share).tolist() for name, share in entry.parts.items()
                        }
                    kept.extend(times.tolist())
                    taken.setdefault(entry.case, []).append(block)
                    turn += 1
    return {
        "machine_info": {"node": "synthetic"},
        "commit_info": {},
        "benchmarks": [_benchmark(e, data[e.case], taken[e.case]) for e in planted],
        "datetime": "2026-01-01T00:00:00+00:00",
        "version": "5.3.1",
        "rnnbench": {
            "schema": SCHEMA_VERSION,
            "version": "0.1.0",
            "grid": {"name": "synthetic", "description": NOTE, "cases": len(planted)},
            "options": {"seconds": 1.0, "replicates": replicates, "plugins": []},
            "environments": dict(environments or {"default": environment()}),
            "load": {"seconds": 0.06 * turn, "others_share": 0.01, "stolen_share": 0.0},
            "notes": [NOTE, *notes],
            "not_measured": [
                {"case": case.columns(), "status": status, "reason": reason}
                for case, status, reason in not_measured
            ],
        },
    }


def _benchmark(planted: Planted, data: list[float], blocks: list[dict[str, Any]]) -> dict[str, Any]:
    case = planted.case
    compiled = None
    if planted.compile_cold is not None:
        compiled = {
            "cold": _compile(planted, planted.compile_cold, warm=False),
            "warm": planted.compile_warm and _compile(planted, planted.compile_warm, warm=True),
        }
    times = np.array(data)
    q1, median, q3 = np.quantile(times, [0.25, 0.5, 0.75])
    return {
        "group": case.group.id,
        "name": f"test_layer[{case.id}]",
        "fullname": f"suites/test_layer.py::test_layer[{case.id}]",
        "params": {},
        "param": case.id,
        "extra_info": {
            "rnnbench": {
                "case": case.columns(),
                "verification": {
                    "oracle": "float64 formula",
                    "tolerance": {"output": 4e-6},
                    "error": {"output": 1e-6},
                },
                "ran": {
                    "operators": {"aten::addmm": case.seq_len},
                    "kernels": {},
                    "launches": 4 * case.seq_len,
                    "launches_per_step": 4.0,
                    "backend": "eager",
                    **planted.ran,
                },
                "compile": compiled,
                "clock": {
                    "rounds": "perf_counter",
                    "device_rounds": "events" if planted.device_seconds else None,
                },
                "iterations": 1,
                "blocks": blocks,
                "work": work_of(case),
                "stopped": "time spent",
            }
        },
        "options": {"timer": "perf_counter", "warmup": False},
        "stats": {
            "min": float(times.min()),
            "max": float(times.max()),
            "mean": float(times.mean()),
            "stddev": float(times.std(ddof=1)),
            "rounds": len(data),
            "median": float(median),
            "iqr": float(q3 - q1),
            "q1": float(q1),
            "q3": float(q3),
            "iqr_outliers": 0,
            "stddev_outliers": 0,
            "outliers": "0;0",
            "ld15iqr": float(times.min()),
            "hd15iqr": float(times.max()),
            "ops": float(1 / times.mean()),
            "total": float(times.sum()),
            "data": data,
            "iterations": 1,
        },
    }


def _compile(planted: Planted, seconds: float, *, warm: bool) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "parts": {},
        "compiler": planted.compiler,
        "warm_cache": warm,
        "compiler_start": 8.0,
    }


def write(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a document where a test wants it."""
    path.write_text(json.dumps(content))
    return path
