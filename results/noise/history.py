"""How often change points are found, and how often where there are none, in recorded noise.

    python results/noise/history.py FOLDER > results/noise/history-table.md

FOLDER holds the recordings, `*.json.gz`: pairs of processes that ran the same code. A series has 60
runs of one case of one recording; a run is what its file would say: processes drawn with
replacement, the median of each one's blocks, the median of those. So a slow process is as frequent
as it was, and nothing changes unless it is planted. With apache-otava on the path it is tried too.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import ruptures
from numpy.typing import NDArray
from scipy.stats import binomtest

from rnnbench.regressions.changes import Shape, shape_of
from rnnbench.statistics import estimate_blocks

Floats: TypeAlias = NDArray[np.float64]
Plant: TypeAlias = Callable[[np.random.Generator, Floats], int]

SEED = 60
RUNS = 60
WARMUP_ROUNDS = 4
FAR_FROM_ENDS = 5
KINDS = ("steady", "spike", "step", "drift")


def load(folder: Path) -> list[Floats]:
    """For each case of each recording the logarithms of its processes' times."""
    found = []
    for path in sorted(folder.glob("*.json.gz")):
        with gzip.open(path) as stream:
            recorded = json.load(stream)
        for case in recorded["cases"]:
            processes = [pair[case][side] for pair in recorded["pairs"] for side in "ab"]
            times = [estimate_blocks([p], warmup_rounds=WARMUP_ROUNDS).value for p in processes]
            found.append(np.log(times))
    return found


def draw(rng: np.random.Generator, pools: list[Floats], processes: int) -> Floats:
    """The logarithms of a series that does not change."""
    pool = pools[rng.integers(len(pools))]
    middle: Floats = np.median(rng.choice(pool, (RUNS, processes)), axis=1)
    return middle


def unchanged(rng: np.random.Generator, logs: Floats) -> int:
    return 0


def step(size: float) -> Plant:
    def plant(rng: np.random.Generator, logs: Floats) -> int:
        place = int(rng.integers(1, RUNS))
        logs[place:] += math.log(1 + size)
        return place

    return plant


def spike(runs: int, size: float = 0.20) -> Plant:
    def plant(rng: np.random.Generator, logs: Floats) -> int:
        place = int(rng.integers(3, RUNS - runs - 2))
        logs[place : place + runs] += math.log(1 + size)
        return place

    return plant


def drift(size: float) -> Plant:
    def plant(rng: np.random.Generator, logs: Floats) -> int:
        logs += np.linspace(0, math.log(1 + size), RUNS)
        return 0

    return plant


def up_and_down(rng: np.random.Generator, logs: Floats) -> int:
    """A step of 10 % that is taken back after 10 to 30 runs."""
    place = int(rng.integers(5, 20))
    logs[place : place + int(rng.integers(10, 31))] += math.log(1.10)
    return place


PLANTS: dict[str, Plant] = {
    "nothing": unchanged,
    "step of 10 %": step(0.10),
    "step of 5 %": step(0.05),
    "step of 10 %, taken back": up_and_down,
    "one run 20 % slower": spike(1),
    "two runs 20 % slower": spike(2),
    "drift of 10 %": drift(0.10),
    "drift of 20 %": drift(0.20),
}


def share(count: int, of: int) -> str:
    low, high = binomtest(count, of).proportion_ci(method="exact")
    return f"{100 * count / of:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def near(places: list[int], place: int) -> bool:
    return any(abs(found - place) <= 1 for found in places)


def print_kinds(pools: list[Floats], processes: int, trials: int) -> None:
    print(f"\n**{processes} processes a run: what series are called**\n")
    print(f"| planted | {' | '.join(KINDS)} |\n|---{'|---:' * len(KINDS)}|")
    steps: list[tuple[int, Shape]] = []
    for name, plant in PLANTS.items():
        rng = np.random.default_rng(SEED)
        shapes = []
        for _ in range(trials):
            logs = draw(rng, pools, processes)
            place = plant(rng, logs)
            shapes.append((place, shape_of(np.exp(logs))))
        if name == "step of 10 %":
            steps = shapes
        counts = Counter(shape.kind for _, shape in shapes)
        print(f"| {name} | {' | '.join(share(counts[kind], trials) for kind in KINDS)} |")
    hits = [(place, s) for place, s in steps if near([x.index for x in s.steps], place)]
    middle = [(place, s) for place, s in steps if FAR_FROM_ENDS <= place <= RUNS - FAR_FROM_ENDS]
    middle_hits = [entry for entry in hits if entry in middle]
    alone = sum(len(s.steps) == 1 for _, s in hits)
    covered = sum(
        any(abs(x.index - p) <= 1 and x.low <= 1.10 <= x.high for x in s.steps) for p, s in hits
    )
    print(
        f"\nSteps of 10 % within one run of their place: {share(len(hits), len(steps))} % of all, "
        f"{share(len(middle_hits), len(middle))} % of those at least {FAR_FROM_ENDS} runs from an "
        f"end; of those found, {share(alone, len(hits))} % have no other step beside them, and the "
        f"interval of {share(covered, len(hits))} % holds 1.10.",
        flush=True,
    )


def chosen(logs: Floats) -> list[int]:
    return [found.index for found in shape_of(np.exp(logs)).steps]


def penalised(logs: Floats) -> list[int]:
    """Ruptures alone: least squares, and a penalty of 3 log n variances for each step."""
    deviation = 1.4826 * float(np.median(np.abs(np.diff(logs)))) / math.sqrt(2)
    search = ruptures.KernelCPD(kernel="linear", min_size=3).fit((logs - logs.mean())[:, None])
    return list(search.predict(pen=max(3 * math.log(RUNS) * deviation**2, 1e-12))[:-1])


def penalised_kernel(logs: Floats) -> list[int]:
    """Ruptures alone: a Gaussian kernel of the median distance, and a penalty of log n."""
    search = ruptures.KernelCPD(kernel="rbf", min_size=3).fit(logs[:, None])
    return list(search.predict(pen=math.log(RUNS))[:-1])


def candidates() -> dict[str, Callable[[Floats], list[int]]]:
    found = {
        "**chosen**": chosen,
        "ruptures, squares, penalty": penalised,
        "ruptures, Gaussian kernel, penalty": penalised_kernel,
    }
    try:
        from otava.analysis import compute_change_points
    except ImportError:
        return found
    for p in (0.001, 0.01):

        def otava(logs: Floats, p: float = p) -> list[int]:
            # One window for all runs: with its 50, 0.8.0 raises a ValueError on some of the series.
            found, _ = compute_change_points(np.exp(logs), window_len=2 * RUNS, max_pvalue=p)
            return [int(x.index) for x in found]

        found[f"apache-otava, p < {p}"] = otava
    return found


def print_candidates(pools: list[Floats], processes: int, trials: int) -> None:
    print(f"\n**{processes} processes a run: other ways; shares of series with change points**\n")
    print("| | unchanged | one run off | two runs off | step of 10 % found | far from the ends |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, candidate in candidates().items():
        cells = []
        for plant in (unchanged, spike(1), spike(2)):
            rng = np.random.default_rng(SEED)
            flagged = 0
            for _ in range(trials):
                logs = draw(rng, pools, processes)
                plant(rng, logs)
                flagged += bool(candidate(logs))
            cells.append(share(flagged, trials))
        rng = np.random.default_rng(SEED)
        hits = []
        for _ in range(trials):
            logs = draw(rng, pools, processes)
            place = step(0.10)(rng, logs)
            hits.append((place, near(candidate(logs), place)))
        middle = [hit for place, hit in hits if FAR_FROM_ENDS <= place <= RUNS - FAR_FROM_ENDS]
        cells += [share(sum(hit for _, hit in hits), trials), share(sum(middle), len(middle))]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder of the recordings, *.json.gz")
    parser.add_argument("--trials", type=int, default=1000, help="series of each row (1000)")
    options = parser.parse_args()
    pools = load(options.folder)
    print(f"Per cent with exact 95 % intervals; {options.trials} series of {RUNS} runs each, from")
    print(f"{len(pools)} recorded cases. Steps lie at any place, 1 to {RUNS - 1}.")
    for processes in (3, 8):
        print_kinds(pools, processes, options.trials)
    for processes in (3, 8):
        print_candidates(pools, processes, options.trials // 2)


if __name__ == "__main__":
    main()
