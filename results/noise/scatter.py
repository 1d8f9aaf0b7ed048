"""How often intervals hold 1 where processes are scattered and the machine has one speed.

    python results/noise/scatter.py

`rnnbench.steady.steady_figures` takes off what both processes of a pair are slower than their
sides. Where a machine has one speed that is chance, and must hardly ever happen. Each row draws
logarithms of processes: normal ones, of which one in six may be slow by 28 % for its life. Last
what `rnnbench.steady.side_figures` makes of them, which takes nothing off where that does not bring
processes closer together.
"""

from __future__ import annotations

import math

import numpy as np

from rnnbench import steady
from rnnbench.statistics import own_figures, side_figures, side_interval
from rnnbench.steady import steady_figures

SEED = 1
TRIALS = 1500
FACTORS = (0.0, 2.0, 4.0)
SCATTERS = ((0.01, 0.28), (0.03, 0.28), (0.1, 0.0), (0.3, 0.0))
PAIRS = (4, 5, 6, 8, 10)


def holds(x: np.ndarray, y: np.ndarray) -> bool:
    _, low, high = side_interval(x, y)
    assert low is not None and high is not None
    return low <= 0 <= high


def main() -> None:
    chosen = steady._CLEAR
    names = ["none taken off", *(f"factor {f:g}" for f in FACTORS), "whichever lies closer"]
    print(f"| processes a side | deviation | slow for life | {' | '.join(names)} |")
    print("|---:|---:|---:" + "|---:" * len(names) + "|")
    for pairs in PAIRS:
        for deviation, slow in SCATTERS:
            rng = np.random.default_rng(SEED)
            counts = np.zeros(len(names))
            for _ in range(TRIALS):
                sides = [
                    rng.normal(0, deviation, pairs) + (rng.random(pairs) < 1 / 6) * math.log1p(slow)
                    for _ in "ab"
                ]
                blocks = [[np.array([log]) for log in side] for side in sides]
                found = [own_figures(*blocks)]
                for factor in FACTORS:
                    steady._CLEAR = factor
                    found.append(steady_figures(*blocks))
                steady._CLEAR = chosen
                found.append(side_figures(*blocks))
                counts += [holds(*figures) for figures in found]
            cells = " | ".join(f"{100 * count / TRIALS:.1f}" for count in counts)
            print(f"| {pairs} | {100 * deviation:g} % | {100 * slow:g} % | {cells} |", flush=True)


if __name__ == "__main__":
    main()
