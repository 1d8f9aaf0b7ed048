"""Keep of a run of `rnnbench noise` what a study of estimators needs: two quantiles of each block.

    python results/noise/blocks.py noise.json results/noise/blocks-DATE.json.gz

The raw rounds of such a run are some tens of megabytes; its blocks are a hundredth of that. Seconds
of a call, warm-up rounds left out, by case, environment, replicate and turn.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from rnnbench.report.groups import CASE_NAMES
from rnnbench.results import read

QUANTILES = (0.1, 0.5)
DIGITS = 5


def blocks_of(path: str) -> dict[str, Any]:
    """Everything that is kept of a result file."""
    results = read([path])
    (run,) = results.runs.values()
    names = [name for name in CASE_NAMES if name != "environment"]
    cases: dict[str, dict[str, list[Any]]] = {}
    for row, samples in enumerate(results.samples):
        if samples is None:
            continue
        case = " ".join(f"{name}={results.frame.at[row, name]}" for name in names)
        environment = str(results.frame.at[row, "environment"])
        cases.setdefault(case, {})[environment] = [
            [
                block.replicate,
                block.turn,
                *(float(f"{np.quantile(block.rounds, q):.{DIGITS}g}") for q in QUANTILES),
            ]
            for block in samples.blocks
        ]
    return {
        "columns": ["replicate", "turn", *(f"quantile {q}" for q in QUANTILES)],
        "unit": "s",
        "measured_at": run.measured_at,
        "rnnbench": run.version,
        "options": dict(run.options),
        "load": dict(run.load),
        "planted": {
            name: found["planted"] for name, found in run.environments.items() if "planted" in found
        },
        "torch": sorted({str(found.get("torch")) for found in run.environments.values()}),
        "cases": cases,
    }


def main(source: str, target: str) -> None:
    """Write them."""
    text = json.dumps(blocks_of(source), separators=(",", ":"))
    Path(target).write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{target}: {Path(target).stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
