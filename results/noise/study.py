"""Compare ways to turn the recorded noise into a ratio and an interval: coverage, verdicts, power.

    python results/noise/study.py FOLDER > results/noise/table.md

FOLDER holds the recordings, `*.json.gz`: pairs of processes that ran the same code. A trial draws
some of the pairs of one recording and one case, tosses a coin for which process of a pair is the
base, and takes a run of blocks of each. All that a trial finds is therefore wrong by construction;
a change of 5 % is planted by multiplying one side's times by 1.05.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnnbench.statistics import (
    compare_blocks,
    own_figures,
    side_interval,
    student_t_quantile,
    verdict_of,
)
from rnnbench.steady import steady_figures

Floats: TypeAlias = NDArray[np.float64]
Answer: TypeAlias = tuple[float, float, float]  # logarithms: estimate, low, high
Candidate: TypeAlias = Callable[[Floats, Floats], Answer]

SEED = 20
MARGIN = 0.02
LEVEL = 0.95
PLANTED = (0.02, 0.03, 0.05, 0.10)
WARMUP_ROUNDS = 4


@dataclass(frozen=True)
class Recording:
    """One case in one file: logarithms of low and middle block times, pair x side x block."""

    file: str
    case: str
    low: Floats
    middle: Floats


def load(folder: Path) -> list[Recording]:
    recordings = []
    for path in sorted(folder.glob("*.json.gz")):
        with gzip.open(path) as stream:
            recorded = json.load(stream)
        for case in recorded["cases"]:
            blocks = [[pair[case][side] for side in "ab"] for pair in recorded["pairs"]]
            low, middle = (
                np.array([[[_block_log(b, q) for b in s] for s in pair] for pair in blocks])
                for q in (0.1, 0.5)
            )
            recordings.append(Recording(path.name.split(".")[0], case, low, middle))
    return recordings


def _block_log(nanoseconds: list[int], quantile: float) -> float:
    kept = nanoseconds[min(WARMUP_ROUNDS, len(nanoseconds) // 2) :]
    return math.log(float(np.quantile(kept, quantile)) * 1e-9)


# Candidates for two processes: each takes blocks of both sides, process x block


def chosen(x: Floats, y: Floats) -> Answer:
    """compare_blocks itself; each block comes as one round, which is its own quantile."""
    return _asked(x, y, same_process=False)


def chosen_paired(x: Floats, y: Floats) -> Answer:
    return _asked(x, y, same_process=True)


def _asked(x: Floats, y: Floats, same_process: bool) -> Answer:
    base, new = (np.exp(side)[:, :, None].tolist() for side in (x, y))
    answer = compare_blocks(base, new, MARGIN, level=LEVEL, same_process=same_process)
    assert answer.low is not None and answer.high is not None
    return math.log(answer.ratio), math.log(answer.low), math.log(answer.high)


def all_blocks(x: Floats, y: Floats) -> Answer:
    """The chosen test on the median of all blocks of a process, steady or not."""
    return _sides_of(np.median(x, axis=1), np.median(y, axis=1))


def own_steady(x: Floats, y: Floats) -> Answer:
    """The chosen test on the steady blocks of each process by itself."""
    return _sides_of(*own_figures(list(x), list(y)))


def both_steady(x: Floats, y: Floats) -> Answer:
    """The chosen test on the blocks that were steady for both, whether that is closer or not."""
    return _sides_of(*steady_figures(list(x), list(y)))


def quarter_block(x: Floats, y: Floats) -> Answer:
    """The chosen test on the block a quarter of the way up from the fastest."""
    place = (x.shape[1] - 1) // 4
    return _sides_of(np.sort(x, axis=1)[:, place], np.sort(y, axis=1)[:, place])


def _sides_of(a: Floats, b: Floats) -> Answer:
    value, low, high = side_interval(a, b, LEVEL)
    assert low is not None and high is not None
    return value, low, high


def pairs_student(x: Floats, y: Floats) -> Answer:
    """Mean of the pairs' log-ratios, Student's t."""
    return student(np.median(y, axis=1) - np.median(x, axis=1))


def pairs_signed_rank(x: Floats, y: Floats) -> Answer:
    """Median of the pairs' log-ratios, signed-rank interval (Student below six pairs)."""
    return signed_rank(np.median(y, axis=1) - np.median(x, axis=1))


def sides_welch(x: Floats, y: Floats) -> Answer:
    """Difference of the sides' mean logarithms, Welch's t."""
    a, b = np.median(x, axis=1), np.median(y, axis=1)
    n = len(a)
    u, v = a.var(ddof=1) / n, b.var(ddof=1) / n
    freedom = (u + v) ** 2 * (n - 1) / (u**2 + v**2)
    half = student_t_quantile((1 + LEVEL) / 2, freedom) * math.sqrt(u + v)
    middle = float(b.mean() - a.mean())
    return middle, middle - half, middle + half


def sides_bootstrap(x: Floats, y: Floats) -> Answer:
    """Lower quartiles of the sides, percentile bootstrap over processes."""
    rng = np.random.default_rng(SEED)
    a, b = np.median(x, axis=1), np.median(y, axis=1)
    picks = rng.integers(0, len(a), (2, 300, len(a)))
    shifts = np.quantile(b[picks[1]], 0.25, axis=1) - np.quantile(a[picks[0]], 0.25, axis=1)
    low, high = np.quantile(shifts, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(np.quantile(b, 0.25) - np.quantile(a, 0.25)), float(low), float(high)


def sides_rank_sum(x: Floats, y: Floats) -> Answer:
    """Hodges and Lehmann: median of all differences, Wilcoxon's rank-sum interval (n = 4, 8)."""
    a, b = np.median(x, axis=1), np.median(y, axis=1)
    differences = np.sort((b[:, None] - a).ravel())
    # The largest k with P(U < k) <= 2.5 % (Hollander, Wolfe and Chicken 2014, section 4.3); three
    # processes a side cannot reach it: their widest interval holds 90 %.
    k = {2: 1, 3: 1, 4: 1, 8: 14}[len(a)]
    return float(np.median(differences)), float(differences[k - 1]), float(differences[-k])


# Candidates for one process: blocks of both sides took turns in it


def blocks_student(x: Floats, y: Floats) -> Answer:
    """Median ratio of a process's pairs of blocks; mean over processes, Student's t."""
    return student(np.median(y - x, axis=1))


def blocks_trimmed(x: Floats, y: Floats) -> Answer:
    """Trim a fifth of the processes at both ends (Yuen 1974); below five nothing is trimmed."""
    shifts = np.sort(np.median(y - x, axis=1))
    n, cut = len(shifts), len(shifts) // 5
    middle = float(shifts[cut : n - cut].mean())
    spread = float(np.clip(shifts, shifts[cut], shifts[n - cut - 1]).std(ddof=1))
    half = student_t_quantile((1 + LEVEL) / 2, n - 2 * cut - 1) * spread * math.sqrt(n)
    return middle, middle - half / (n - 2 * cut), middle + half / (n - 2 * cut)


def student(shifts: Floats) -> Answer:
    n, middle = len(shifts), float(shifts.mean())
    half = student_t_quantile((1 + LEVEL) / 2, n - 1) * float(shifts.std(ddof=1)) / math.sqrt(n)
    return middle, middle - half, middle + half


def signed_rank(shifts: Floats) -> Answer:
    if len(shifts) < 6:
        _, low, high = student(shifts)
        return float(np.median(shifts)), low, high
    rows, columns = np.triu_indices(len(shifts))
    means = np.sort(shifts[rows] + shifts[columns]) / 2
    return float(np.median(shifts)), float(means[3]), float(means[-4])  # n = 8: P(W <= 3) = 0.0195


TWO_PROCESSES: dict[str, tuple[Candidate, str]] = {
    "**chosen**": (chosen, "low"),
    "chosen, median of a block": (chosen, "middle"),
    "steady blocks of both": (both_steady, "low"),
    "steady blocks of each": (own_steady, "low"),
    "median of all blocks": (all_blocks, "low"),
    "block a quarter up": (quarter_block, "low"),
    "pairs: mean, Student": (pairs_student, "low"),
    "pairs: median, signed rank": (pairs_signed_rank, "low"),
    "sides: mean, Welch": (sides_welch, "low"),
    "sides: quartile, bootstrap": (sides_bootstrap, "low"),
    "sides: Hodges-Lehmann, rank sum": (sides_rank_sum, "low"),
}
ONE_PROCESS: dict[str, tuple[Candidate, str]] = {
    "**chosen**": (chosen_paired, "low"),
    "chosen, median of a block": (chosen_paired, "middle"),
    "mean, Student": (blocks_student, "low"),
    "trimmed mean, Yuen": (blocks_trimmed, "low"),
    "sides: mean, Welch": (sides_welch, "low"),
}


# Trials


def draw_pairs(rng: np.random.Generator, shape: tuple[int, ...], n: int, m: int) -> Drawn:
    """Return which blocks of n different pairs make the base, and which the new side."""
    return _sides(rng, shape, rng.permutation(shape[0])[:n, None], m)


def draw_with_return(rng: np.random.Generator, shape: tuple[int, ...], n: int, m: int) -> Drawn:
    """Draw n pairs that may be drawn again: harder, as some of them are copies of each other."""
    return _sides(rng, shape, rng.integers(0, shape[0], (n, 1)), m)


def _sides(
    rng: np.random.Generator, shape: tuple[int, ...], pair: NDArray[np.int64], m: int
) -> Drawn:
    n, blocks = len(pair), shape[2]
    side = rng.integers(0, 2, (n, 1))
    block = rng.integers(0, blocks - m + 1, (n, 1)) + np.arange(m)
    return (pair, side, block), (pair, 1 - side, block)


def draw_unpaired(rng: np.random.Generator, shape: tuple[int, ...], n: int, m: int) -> Drawn:
    """Draw 2 n different processes, without regard to who took turns with whom."""
    pairs, _, blocks = shape
    process = rng.permutation(2 * pairs)[: 2 * n, None]
    block = rng.integers(0, blocks - m + 1, (2 * n, 1)) + np.arange(m)
    x, y = process[:n], process[n:]
    return (x // 2, x % 2, block[:n]), (y // 2, y % 2, block[n:])


def draw_halves(rng: np.random.Generator, shape: tuple[int, ...], n: int, m: int) -> Drawn:
    """Split the blocks of n processes into two sides that take turns: x y, y x, x y, ..."""
    pairs, _, blocks = shape
    process = rng.permutation(2 * pairs)[:n, None]
    turn = rng.integers(0, blocks // 2 - m + 1, (n, 1)) + np.arange(m)
    swap = (np.arange(m) + rng.integers(0, 2, (n, 1))) % 2
    where = (process // 2, process % 2)
    return (*where, 2 * turn + swap), (*where, 2 * turn + 1 - swap)


Index: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
Drawn: TypeAlias = tuple[Index, Index]
Draw: TypeAlias = Callable[[np.random.Generator, tuple[int, ...], int, int], Drawn]


def measure(
    recording: Recording, candidate: Candidate, which: str, draw: Draw, n: int, m: int, trials: int
) -> Floats:
    """Return the shares that make one row of the table, for one recording."""
    rng = np.random.default_rng(SEED)  # every candidate sees the same trials
    logs = recording.low if which == "low" else recording.middle
    answers = []
    for _ in range(trials):
        x, y = draw(rng, logs.shape, n, m)
        answers.append(candidate(logs[x], logs[y]))
    estimate, low, high = np.array(answers).T

    def share(verdict: str, planted: float = 0.0) -> float:
        factor = 1 + planted  # every candidate's answer moves with the logarithm of the factor
        ends = zip(np.exp(low) * factor, np.exp(high) * factor, strict=True)
        return float(np.mean([verdict_of(a, b, MARGIN) == verdict for a, b in ends]))

    return np.array(
        [
            np.mean((low <= 0) & (high >= 0)),
            np.mean(np.abs(estimate) <= math.log(1.025)),
            np.mean(np.abs(estimate) <= math.log(1.05)),
            share("slower") + share("faster"),
            share("same"),
            math.expm1(float(np.median(high - low)) / 2),
            *(share("slower", planted) for planted in PLANTED),
        ]
    )


COLUMNS = (
    "candidate | holds 1 | worst case | within 2.5 % | within 5 % | false verdict | `same` "
    "| ± | slower 2 % | 3 % | 5 % | 10 % | 5 %, worst case"
)


def print_table(
    title: str,
    candidates: dict[str, tuple[Candidate, str]],
    recordings: list[Recording],
    draw: Draw,
    n: int,
    m: int,
    trials: int,
) -> None:
    print(f"\n**{title}: {n} processes a side, {m} blocks** ({len(recordings)} recordings)\n")
    print(f"| {COLUMNS} |")
    print("|---" + "|---:" * COLUMNS.count("|") + "|")
    for name, (candidate, which) in candidates.items():
        rows = np.array([measure(r, candidate, which, draw, n, m, trials) for r in recordings])
        mean = [f"{100 * value:.1f}" for value in rows.mean(axis=0)]
        mean[5] = f"{100 * np.median(rows[:, 5]):.1f}"
        cells = [name, mean[0], f"{100 * rows[:, 0].min():.1f}", *mean[1:]]
        print(f"| {' | '.join(cells)} | {100 * rows[:, 8].min():.1f} |", flush=True)


def print_unequal(trials: int) -> None:
    """Print how the chosen one does where its premise fails: sides of unequal spread (synthetic).

    Base processes vary by 1.2 % around the same median as the new ones; 1 is the true ratio of the
    medians and of the fast modes, yet not of the lower quartiles.
    """
    print("\n**Synthetic, unequal spread: one block a process; true ratio of medians 1**\n")
    print(
        "| new side | processes | holds 1 | within 5 % | false verdict |\n|---|---:|---:|---:|---:|"
    )
    for name, spread, slow_share in (
        ("alike", 1.0, 0.0),
        ("spread twice", 2.0, 0.0),
        ("spread four times", 4.0, 0.0),
        ("one process in six 28 % slower", 1.0, 1 / 6),
        ("one process in three 28 % slower", 1.0, 1 / 3),
    ):
        for n in (3, 4, 8):
            rng = np.random.default_rng(SEED)
            answers = []
            for _ in range(trials):
                x, y = 0.012 * rng.standard_normal((2, n, 1))
                slow = math.log(1.28) * (rng.random((n, 1)) < slow_share)
                answers.append(chosen(x, spread * y + slow))
            estimate, low, high = np.array(answers).T
            ends = zip(np.exp(low), np.exp(high), strict=True)
            verdicts = [verdict_of(a, b, MARGIN) for a, b in ends]
            cells = (
                np.mean((low <= 0) & (high >= 0)),
                np.mean(np.abs(estimate) <= math.log(1.05)),
                np.mean([v in ("faster", "slower") for v in verdicts]),
            )
            print(f"| {name} | {n} | {' | '.join(f'{100 * c:.1f}' for c in cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder of the recordings, *.json.gz")
    parser.add_argument("--trials", type=int, default=400, help="per recording and row (400)")
    options = parser.parse_args()
    everything = load(options.folder)
    turns = [r for r in everything if "different-cores" not in r.file]
    apart = [r for r in everything if "different-cores" in r.file]
    long = [r for r in turns if len(r.low) >= 8]
    best = {"**chosen**": TWO_PROCESSES["**chosen**"]}

    print(f"Shares in per cent, means over the recordings; {options.trials} trials each.")
    for n, m in ((8, 20), (8, 10), (8, 5), (8, 3), (4, 16), (4, 5), (3, 16), (3, 5)):
        recordings = long if n == 8 else turns
        print_table("Two processes", TWO_PROCESSES, recordings, draw_pairs, n, m, options.trials)
    print_table("Two processes", best, turns, draw_pairs, 2, 16, options.trials)
    print_table("Not of one pair", best, long, draw_unpaired, 8, 20, options.trials)
    two = {name: TWO_PROCESSES[name] for name in ("**chosen**", "sides: quartile, bootstrap")}
    print_table("Pairs drawn with return", two, long, draw_with_return, 8, 20, options.trials)
    print_table("Different cores", best, apart, draw_pairs, 4, 16, options.trials)
    for n, m in ((8, 8), (8, 3), (4, 8), (3, 8), (3, 3)):
        print_table("One process", ONE_PROCESS, turns, draw_halves, n, m, options.trials)
    print_unequal(5 * options.trials)


if __name__ == "__main__":
    main()
