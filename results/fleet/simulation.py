"""A fleet of 1,000 nodes and 100,000 cases without a cluster: dealing, preemption, sizes, merging.

    python results/fleet/simulation.py deal [--cases 100000] [--nodes 1000]
    python results/fleet/simulation.py preempt
    python results/fleet/simulation.py merge [--files 1000] [--rounds 8]

Times of cases are those of the cost model. What the files of a merge hold is a benchmark that was
really measured (`results/cpu-quick`), copied under other cases; nothing here is a measurement.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import itertools
import json
import random
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rnnbench.cases import Case
from rnnbench.fleet.costs import Budget, case_cost, start_cost
from rnnbench.fleet.dealing import Shard, deal, imbalance
from rnnbench.fleet.folder import STRIKES
from rnnbench.fleet.merging import merge_results
from rnnbench.grids import Grid

QUICK = Path(__file__).parents[1] / "cpu-quick" / "quick.json.gz"
BUDGET = Budget(seconds=1.0, replicates=3)
BLOCK = 0.05

AXES: dict[str, tuple[Any, ...]] = {
    "implementation": (
        *("nn_rnn", "python_loop", "hoisted_loop", "torchscript_cell", "torchscript_loop"),
        *("compiled_cell", "compiled_loop", "compiled_hoisted_loop"),
    ),
    "pass": ("inference", "forward", "backward", "forward_backward", "training_step"),
    "cell": ("rnn_tanh", "lstm", "gru"),
    "layout": ("time_major", "batch_first"),
    "seq_len": (1, 2, 5, 10, 20, 35, 50),
    "hidden_size": (16, 32, 64, 128, 256, 512),
    "batch": (1, 4, 16, 32, 64),
    "num_layers": (1, 2),
}
"""100,800 cases in 12,600 groups."""


@dataclasses.dataclass(frozen=True)
class Preempted:
    """What preemption at some rate did to one shard, in seconds."""

    total: float
    lost: float
    preemptions: int
    given_up: bool


def cases_of_size(count: int) -> list[Case]:
    """So many cases of the simulated grid, whole groups first."""
    grid = Grid("simulation", "100,000 cases", (AXES,))
    cases = sorted(grid.cases(cores=2), key=lambda case: case.group)
    return cases[:count]


def with_preemption(shard: Shard, per_hour: float, seed: int) -> Preempted:
    """A shard whose node is taken away at random moments.

    Kept is every block that was finished. Lost is the block that ran, and what must be done again
    before its group goes on: starting workers, and preparing the group, which compiles it anew:
    another node has another cache.
    """
    chance = random.Random(seed)
    groups = [list(g) for _, g in itertools.groupby(shard.cases, key=lambda case: case.group)]
    costs = [sum(case_cost(case, BUDGET) for case in group) for group in groups]
    rounds = [BUDGET.seconds * len(group) for group in groups]
    start = start_cost(shard.cases, BUDGET)
    clock, lost, count = start, 0.0, 0
    strikes = 0
    upcoming = chance.expovariate(per_hour / 3600) if per_hour else float("inf")
    for cost, timed in zip(costs, rounds, strict=True):
        preparation, left = cost - timed, timed
        while True:
            begun, needed = clock, preparation + left
            if begun + needed <= upcoming:
                clock = begun + needed
                strikes = 0
                break
            # Taken away in the middle: blocks that were whole are kept.
            kept = max(0.0, upcoming - begun - preparation)
            kept -= kept % BLOCK
            left -= kept
            lost += (upcoming - begun - kept) + start
            count += 1
            strikes += 1
            if strikes == STRIKES:
                return Preempted(upcoming, lost, count, True)
            clock = upcoming + start
            upcoming = clock + chance.expovariate(per_hour / 3600)
    return Preempted(clock, lost, count, False)


def deal_and_tell(count: int, nodes: int) -> list[Shard]:
    """Deal so many cases to so many nodes, and say how long it took and how even it is."""
    cases = cases_of_size(count)
    begun, busy = time.perf_counter(), time.process_time()
    shards = deal(cases, lambda case: case_cost(case, BUDGET), nodes)
    took, busy = time.perf_counter() - begun, time.process_time() - busy
    costs = [shard.cost for shard in shards]
    groups: dict[Case, float] = {}
    for case in cases:
        groups[case.group] = groups.get(case.group, 0.0) + case_cost(case, BUDGET)
    mean = sum(costs) / len(costs)
    print(
        f"{len(cases):,} cases in {len(groups):,} groups dealt to {len(shards):,} shards in "
        f"{took:.1f} s ({busy:.1f} s of processor); mean shard {mean:.0f} s, "
        f"longest {max(costs):.0f} s ({imbalance(shards):+.1%}), shortest {min(costs):.0f} s; "
        f"longest group {max(groups.values()):.0f} s"
    )
    return shards


def preempt_and_tell(shards: Sequence[Shard]) -> None:
    """Say what preemption at several rates costs."""
    print("| preemptions a node and hour | of a shard | work lost | longest shard | given up |")
    print("|--:|--:|--:|--:|--:|")
    calm = max(with_preemption(shard, 0.0, 0).total for shard in shards)
    for rate in (0.0, 0.1, 0.5, 1.0, 2.0, 4.0):
        found = [with_preemption(shard, rate, seed) for seed, shard in enumerate(shards)]
        total = sum(one.total for one in found)
        print(
            f"| {rate:g} | {sum(one.preemptions for one in found) / len(found):.2f} | "
            f"{sum(one.lost for one in found) / total:.1%} | "
            f"{max(one.total for one in found) / calm:.2f} × | "
            f"{sum(one.given_up for one in found):,} |"
        )


def shard_files(folder: Path, shards: Sequence[Shard], rounds: int) -> Iterator[Path]:
    """A result file for each shard, of benchmarks that were measured once under other cases."""
    document = json.loads(gzip.decompress(QUICK.read_bytes()))
    model = _shortened(document["benchmarks"][0], rounds)
    for number, shard in enumerate(shards):
        ours = {**document["rnnbench"], "run_id": f"simulated-{number}", "not_measured": []}
        made = {
            **document,
            "machine_info": {**document["machine_info"], "node": f"node{number:04}"},
            "benchmarks": [_under(model, case) for case in shard.cases],
            "rnnbench": {**ours, "notes": ["simulated: benchmarks of cpu-quick under other cases"]},
        }
        path = folder / f"shard-{number:04}.json"
        path.write_text(json.dumps(made))
        yield path


def journal_bytes(shards: Sequence[Shard], rounds: int) -> int:
    """The size of one shard's journal: a line for each block, and one for each case."""
    document = json.loads(gzip.decompress(QUICK.read_bytes()))
    model = _shortened(document["benchmarks"][0], rounds)
    ours = model["extra_info"]["rnnbench"]
    data = model["stats"]["data"]
    blocks = [
        {
            "type": "block",
            "case": ours["case"],
            **block,
            "rounds": data[slice(*block["rounds"])],
            "device_rounds": None,
            "seconds": 0.05,
        }
        for block in ours["blocks"]
    ]
    end = {"type": "finished", "prepared": ours["verification"], "ran": ours["ran"]}
    lines = [*blocks, {**end, "case": ours["case"], "stopped": ours["stopped"]}]
    each = sum(len(json.dumps(line)) + 1 for line in lines)
    return each * max(len(shard.cases) for shard in shards)


def merge_and_tell(shards: Sequence[Shard], rounds: int) -> None:
    """Write the files, merge them, and say how long it took and how much memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = list(shard_files(folder, shards, rounds))
        total = sum(file.stat().st_size for file in files)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.perf_counter()
        merged = merge_results(files, folder / "all.json")
        took = time.perf_counter() - begun
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        size = (folder / "all.json").stat().st_size
    print(
        f"{len(files):,} files of {total / 2**20:,.0f} MiB merged to {merged.benchmarks:,} cases "
        f"and {size / 2**20:,.0f} MiB in {took:.0f} s; memory at most {most / 2**10:,.0f} MiB "
        f"({before / 2**10:,.0f} MiB before)"
    )
    print(f"a shard's journal is {journal_bytes(shards, rounds) / 2**20:.1f} MiB")


def _shortened(benchmark: dict[str, Any], rounds: int) -> dict[str, Any]:
    """The same benchmark with so many rounds in each of its blocks."""
    ours = benchmark["extra_info"]["rnnbench"]
    data: list[float] = []
    blocks = []
    for block in ours["blocks"]:
        kept = benchmark["stats"]["data"][slice(*block["rounds"])][:rounds]
        blocks.append(
            {
                **block,
                "warmup": block["warmup"][:2],
                "rounds": [len(data), len(data) + len(kept)],
            }
        )
        data += kept
    extra = {"rnnbench": {**ours, "blocks": blocks}}
    stats = {**benchmark["stats"], "data": data, "rounds": len(data)}
    return {**benchmark, "extra_info": extra, "stats": stats}


def _under(model: dict[str, Any], case: Case) -> dict[str, Any]:
    extra = {"rnnbench": {**model["extra_info"]["rnnbench"], "case": case.columns()}}
    named = {"name": f"test_layer[{case.id}]", "param": case.id, "group": case.group.id}
    return {**model, **named, "extra_info": extra}


def main() -> None:
    parser = argparse.ArgumentParser(description="A fleet without a cluster.")
    parser.add_argument("what", choices=("deal", "preempt", "merge"))
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--nodes", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    shards = deal_and_tell(given.cases, given.nodes)
    if given.what == "preempt":
        preempt_and_tell(shards)
    if given.what == "merge":
        merge_and_tell(shards, given.rounds)


if __name__ == "__main__":
    main()
