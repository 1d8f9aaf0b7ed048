"""Fleets on one machine, whose shards should be alike, and one of which a shard is half as fast.

    python results/fleet/slow_node.py FOLDER [--even 5] [--slurm partition=work]

Runs a fleet of four shards so often with nothing beside it, and once with a process on each core
that takes half of shard 1's share of it. Says what the canaries flag, and how many ratios between
shards have an interval. The status is 1 where a shard is flagged that should not be, or the slow
one is not, or anything is said across it.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rnnbench.cores import usable_cores
from rnnbench.fleet.folder import Folder
from rnnbench.report._processes import ratios_of
from rnnbench.results import Results, read

SHARDS = 4
SLOW = 1
GRID = (
    *("quick", "--implementation=nn_rnn,python_loop,hoisted_loop", "--pass=inference"),
    *("--seconds=0.5", "--replicates=2", f"--shards={SHARDS}"),
)
"""Four groups, so that each shard is one of them."""

Disturbance = Callable[[Folder], contextlib.AbstractContextManager[None]]


def run_fleet(folder: Folder, asked: Sequence[str], disturbed: Disturbance) -> None:
    """Run one fleet to its end."""
    command = [sys.executable, "-m", "rnnbench", "fleet", *GRID, f"--output={folder.path}"]
    with (
        (folder.path.parent / f"{folder.path.name}.txt").open("w") as said,
        disturbed(folder),
    ):
        subprocess.run([*command, *asked], stdout=said, stderr=subprocess.STDOUT, check=True)


@contextlib.contextmanager
def in_peace(_: Folder) -> Iterator[None]:
    """Nothing beside the fleet."""
    yield


@contextlib.contextmanager
def with_a_competitor(folder: Folder) -> Iterator[None]:
    """Half of each core goes to somebody else while one shard runs."""
    watcher = multiprocessing.Process(target=_compete, args=(folder.path,))
    watcher.start()
    try:
        yield
    finally:
        watcher.terminate()
        watcher.join()


def _compete(path: Path) -> None:
    folder = Folder(path)
    while folder.history(SLOW).last != "started":
        time.sleep(0.1)
    spinning = [
        multiprocessing.Process(target=_spin, args=(core, os.getpid())) for core in usable_cores()
    ]
    for process in spinning:
        process.start()
    while folder.history(SLOW).last == "started":
        time.sleep(0.1)
    for process in spinning:
        process.kill()


def _spin(core: int, parent: int) -> None:
    os.sched_setaffinity(0, {core})
    while os.getppid() == parent:
        sum(range(100_000))


def told(name: str, folder: Folder) -> tuple[set[int], int]:
    """Say what a fleet's result holds: what it flags, and how many ratios to the slow shard."""
    results = read([str(folder.result)])
    (run,) = results.runs.values()
    flagged = {number - 1 for number in run.slow}
    across = list(_across(results))
    ratios = ratios_of(results, across)
    known = [pair for pair, ratio in zip(across, ratios, strict=True) if ratio.low is not None]
    of_slow = sum(any(_shard_of(results, row) == SLOW for row in pair) for pair in known)
    deviation, _ = run.spreads["default"]
    print(
        f"{name}: {len(results.measured)} cases; shards differ by {deviation:.1%}; flagged: "
        f"{', '.join(f'shard {number}' for number in sorted(flagged)) or 'none'}; "
        f"{len(known)} of {len(across)} ratios between shards have an interval, {of_slow} of them "
        f"to shard {SLOW}",
        flush=True,
    )
    return flagged, of_slow


def _across(results: Results) -> Iterator[tuple[int, int]]:
    """Pairs of rows of one implementation in different shards."""
    for one, other in itertools.combinations(map(int, results.measured.index), 2):
        same = results.case_of(one).implementation == results.case_of(other).implementation
        if same and _shard_of(results, one) != _shard_of(results, other):
            yield one, other


def _shard_of(results: Results, row: int) -> int:
    """The shard of a row: here each shard is one session."""
    (session,) = results.sessions_at(row)
    return session - 1


def main() -> int:
    parser = argparse.ArgumentParser(description="A slow node, and even ones.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--even", type=int, default=5)
    parser.add_argument("--slurm", action="append", default=[])
    given = parser.parse_args()
    asked = [f"--slurm={text}" for text in given.slurm] or ["--local"]
    given.folder.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for number in range(given.even):
        folder = Folder(given.folder / f"even-{number}")
        run_fleet(folder, asked, in_peace)
        flagged, _ = told(f"even {number}", folder)
        wrong += bool(flagged)
    folder = Folder(given.folder / "slow")
    run_fleet(folder, asked, with_a_competitor)
    flagged, known = told("slow", folder)
    wrong += flagged != {SLOW} or known > 0
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
