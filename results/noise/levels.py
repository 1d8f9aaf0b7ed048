"""Whether a machine has two speeds: how many blocks are slow, and whether neighbours in time agree.

    python results/noise/levels.py results/noise/blocks-2026-11-25-threads2.json.gz

A block is slow if it takes over 1.3 times as long as the fastest of its case and environment. For
each group of competitors: the share of slow blocks, how much longer those take in the middle, and
in how many turns a block was as the one before it, whichever competitor that was of.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import defaultdict
from typing import Any

import numpy as np

SLOW = 1.3


def groups(cases: dict[str, Any]) -> dict[str, list[tuple[int, float]]]:
    """Of each group its blocks as (turn, time over the fastest of its case and environment)."""
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for name, sides in cases.items():
        group = " ".join(part for part in name.split() if not part.startswith("implementation="))
        for blocks in sides.values():
            fastest = min(low for _, _, low, _ in blocks)
            found[group] += [(turn, low / fastest) for _, turn, low, _ in blocks]
    return found


def main() -> None:
    print("| group | blocks | slow | slow over fastest | as the one before |")
    print("|---|---:|---:|---:|---:|")
    for path in sys.argv[1:]:
        with gzip.open(path) as stream:
            cases = json.load(stream)["cases"]
        for group, blocks in groups(cases).items():
            times = np.array([time for _, time in sorted(blocks)])
            slow = times > SLOW
            over = f"{np.median(times[slow]):.2f}" if slow.any() else ""
            told = dict(part.split("=") for part in group.split())
            shape = f"{told['pass']} T{told['seq_len']} B{told['batch']} {told['layout']}"
            agree = np.mean(slow[1:] == slow[:-1])
            print(
                f"| {shape} | {len(times)} | {100 * slow.mean():.1f} | {over} | {100 * agree:.1f} |"
            )


if __name__ == "__main__":
    main()
