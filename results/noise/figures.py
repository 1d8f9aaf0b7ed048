"""What a process's figure is made of, on runs of `rnnbench noise`: coverage, verdicts, power.

    python results/noise/figures.py [results/noise/blocks-*.json.gz]

Each FILE holds the blocks of such a run (`blocks.py` makes it). In each trial base and new of an
unchanged case swap places at random in each pair of processes, so that all that is found is wrong
by construction; a change is planted by multiplying one side. Each case is judged alone.
"""

from __future__ import annotations

import gzip
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnnbench.regressions.noise import AGAIN, SAME
from rnnbench.statistics import own_figures, side_figures, side_interval, verdict_of
from rnnbench.steady import all_figures, steady_figures

Floats: TypeAlias = NDArray[np.float64]
Figures: TypeAlias = Callable[[Sequence[Floats], Sequence[Floats]], tuple[Floats, Floats]]
Pairs: TypeAlias = tuple[list[Floats], list[Floats]]
"""Both sides of a case: by process the logarithms of its blocks."""

SEED = 5
TRIALS = 40
MARGIN, WIDE = 0.02, 0.05
PLANTED = (0.03, 0.05)
COLUMNS = (
    "figure of a process | run | holds 1 | false verdict | `same` at 5 % | 3 % found | 5 % found"
)


def quarter(blocks: Floats) -> float:
    """The block a quarter of the way up from the fastest."""
    return float(np.sort(blocks)[(len(blocks) - 1) // 4])


def by_itself(figure: Callable[[Floats], float]) -> Figures:
    """Each process for itself."""
    return lambda *sides: tuple(np.array([figure(p) for p in side]) for side in sides)


FIGURES: dict[str, Figures] = {
    "median of all blocks": all_figures,
    "block a quarter up": by_itself(quarter),
    "median of its steady blocks": own_figures,
    "steady blocks of both, less a speed of both": steady_figures,
    "**the first or the fourth, whichever lies closer**": side_figures,
}


def run_of(path: Path) -> str:
    """The name of the run whose blocks a file holds."""
    return path.name.removeprefix("blocks-").removesuffix(".json.gz")


def read_blocks(path: Path) -> dict[str, Any]:
    """What `blocks.py` kept of a run, or of a session of one."""
    with gzip.open(path) as stream:
        document: dict[str, Any] = json.load(stream)
    return document


def pairs_of(sides: dict[str, list[list[float]]], new: str = AGAIN) -> Pairs:
    """Blocks of the unchanged side of a case and of another, by the processes that both have."""
    by_process: list[dict[int, list[float]]] = []
    for side in (SAME, new):
        by_process.append({})
        for replicate, _turn, low, _middle in sorted(sides[side], key=lambda row: row[1]):
            by_process[-1].setdefault(int(replicate), []).append(math.log(low))
    shared = sorted(by_process[0].keys() & by_process[1].keys())
    base, other = ([np.array(side[p]) for p in shared] for side in by_process)
    return base, other


def load(path: Path) -> dict[str, Pairs]:
    """The unchanged cases of a run, by name."""
    return {name: pairs_of(sides) for name, sides in read_blocks(path)["cases"].items()}


def row(runs: Sequence[dict[str, Pairs]], figures: Figures) -> Floats:
    """Shares in per cent: holds 1, false verdicts, the same within 5 %, and each planted found.

    Of the cases that all runs have; each run is a session of its own.
    """
    rng = np.random.default_rng(SEED)  # every figure sees the same trials
    counts = np.zeros(3 + len(PLANTED))
    shared = [name for name in runs[0] if all(name in run for run in runs)]
    for name in shared:
        for _ in range(TRIALS):
            sides = [figures(*turned(*run[name], rng)) for run in runs]
            sessions = [number for number, (x, _) in enumerate(sides) for _ in x]
            base, new = (np.concatenate(side) for side in zip(*sides, strict=True))
            _, low, high = side_interval(base, new, sessions=sessions)
            assert low is not None and high is not None
            low, high = math.exp(low), math.exp(high)
            counts += [
                low <= 1 <= high,
                verdict_of(low, high, MARGIN) in ("slower", "faster"),
                verdict_of(low, high, WIDE) == "same",
                *(verdict_of(low * (1 + p), high * (1 + p), MARGIN) == "slower" for p in PLANTED),
            ]
    return 100 * counts / (TRIALS * len(shared))


def turned(
    base: list[Floats], new: list[Floats], rng: np.random.Generator
) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
    """Both sides with base and new swapped in some pairs of processes, by chance."""
    turns = rng.integers(0, 2, len(base))
    pairs = [(b, a) if turn else (a, b) for a, b, turn in zip(base, new, turns, strict=True)]
    left, right = zip(*pairs, strict=True)
    return left, right


def main() -> None:
    folder = Path(__file__).parent
    paths = [Path(name) for name in sys.argv[1:]] or sorted(folder.glob("blocks-*.json.gz"))
    print(f"| {COLUMNS} |")
    print("|---|---" + "|---:" * (COLUMNS.count("|") - 1) + "|")
    for path in paths:
        cases = load(path)
        for name, figures in FIGURES.items():
            cells = " | ".join(f"{share:.1f}" for share in row([cases], figures))
            print(f"| {name} | {run_of(path)} | {cells} |")


if __name__ == "__main__":
    main()
