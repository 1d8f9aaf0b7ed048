"""Print how the ratios of identical competitors are distributed: python distribution.py FILE…

Each FILE is a result in which ``NAME_twin`` is ``NAME`` under another name (``twins.py``). Every
ratio should be 1, and an interval at the stated level should hold 1.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from rnnbench.statistics import Comparison, compare_blocks

SUFFIX = "_twin"


def load(path: str) -> list[dict[str, Any]]:
    data = Path(path).read_bytes()
    text = gzip.decompress(data) if path.endswith(".gz") else data
    return json.loads(text)["benchmarks"]


def processes(benchmark: dict[str, Any]) -> list[list[list[float]]]:
    by_replicate: dict[int, list[tuple[int, list[float]]]] = {}
    for block in benchmark["extra_info"]["rnnbench"]["blocks"]:
        rounds = benchmark["stats"]["data"][slice(*block["rounds"])]
        by_replicate.setdefault(block["replicate"], []).append((block["turn"], rounds))
    return [[rounds for _, rounds in sorted(by_replicate[r])] for r in sorted(by_replicate)]


def compare(path: str) -> list[tuple[str, Comparison]]:
    found = {}
    for benchmark in load(path):
        case = dict(benchmark["extra_info"]["rnnbench"]["case"])
        name = case.pop("implementation")
        found[name, tuple(sorted(case.items()))] = benchmark
    results = []
    for (name, case), twin in found.items():
        if name.endswith(SUFFIX):
            original = found[name.removesuffix(SUFFIX), case]
            compared = compare_blocks(
                processes(original), processes(twin), warmup_rounds=0, same_process=True
            )
            results.append((original["name"], compared))
    return results


def row(label: str, compared: list[Comparison]) -> str:
    ratios = np.array([c.ratio for c in compared])
    off = np.abs(np.log(ratios))
    holds = np.mean([c.low <= 1 <= c.high for c in compared if c.low is not None and c.high])
    within = [np.mean(off <= np.log1p(share)) for share in (0.01, 0.025, 0.05)]
    quantiles = np.quantile(ratios, [0, 0.05, 0.5, 0.95, 1])
    half = np.median([(c.high - c.low) / 2 for c in compared if c.low is not None and c.high])
    false = np.mean([c.verdict in ("slower", "faster") for c in compared])
    cells = [label, str(len(compared))]
    cells += [f"{value:.4f}" for value in quantiles]
    cells += [f"{share:.1%}" for share in (*within, holds, false)] + [f"±{half:.2%}"]
    return "| " + " | ".join(cells) + " |"


def main(paths: list[str]) -> None:
    head = (
        "run",
        "pairs",
        "least",
        "5 %",
        "median",
        "95 %",
        "most",
        "within ±1 %",
        "±2.5 %",
        "±5 %",
        "interval holds 1",
        "false verdicts",
        "median half width",
    )
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    everything: list[Comparison] = []
    for path in paths:
        compared = [c for _, c in compare(path)]
        everything += compared
        print(row(Path(path).name.split(".")[0], compared))
    print(row("all", everything))


if __name__ == "__main__":
    main(sys.argv[1:])
