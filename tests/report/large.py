"""Writes a valid result file of 10,000 benchmarks and 1,000,000 rounds, for the test of size.

    python -m tests.report.large large.json
    /usr/bin/time -v rnnbench report large.json --output large
    /usr/bin/time -v pytest-benchmark compare large.json

The grid is 10 implementations, 5 passes, 2 layouts, 2 devices and 50 shapes. The file says inside
that it is synthetic.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from rnnbench.cases import Case
from rnnbench.schema import PASSES
from tests.synthetic import GPU, Noise, Planted, document, environment

IMPLEMENTATIONS = (
    "nn_rnn",
    "python_loop",
    "hoisted_loop",
    "torchscript_cell",
    "torchscript_loop",
    "compiled_cell",
    "compiled_loop",
    "compiled_hoisted_loop",
    "compiled_nn_rnn",
    "cuda_graph",
)
LAYOUTS = ("time_major", "batch_first")
DEVICES = ("cpu", "cuda")
SHAPES = tuple(itertools.product((10, 20, 50, 100, 200), (1, 32), (32, 64, 128, 256, 512)))
REPLICATES, BLOCKS, ROUNDS = 5, 4, 5
"""100 rounds for each benchmark."""


def planted() -> Iterator[Planted]:
    """Every case, with a time that grows with its work and differs by implementation."""
    luck = random.Random(0)
    for (seq_len, batch, hidden), pass_, layout, device in itertools.product(
        SHAPES, PASSES, LAYOUTS, DEVICES
    ):
        per_step = (
            3e-6 + 4e-9 * batch * hidden if device == "cpu" else 1.2e-5 + 5e-11 * batch * hidden
        )
        for place, implementation in enumerate(IMPLEMENTATIONS):
            case = Case(
                seq_len=seq_len,
                batch=batch,
                hidden_size=hidden,
                pass_=pass_,
                layout=layout,
                device=device,
                implementation=implementation,
            )
            factor = (1 + PASSES.index(pass_)) * (1 + 0.05 * place) * luck.uniform(0.9, 1.1)
            compiled = implementation.startswith("compiled")
            seconds = (1e-5 + per_step * seq_len) * factor
            yield Planted(
                case,
                seconds,
                device_seconds=seconds * 0.8 if device == "cuda" else None,
                compile_cold=4.0 if compiled else None,
                compile_warm=0.5 if compiled else None,
            )


def main(path: Path) -> None:
    """Write the file."""
    cases = list(planted())
    missing = [
        (dataclasses.replace(entry.case, implementation="scan"), "unsupported", "no scan here")
        for entry in cases[:: len(IMPLEMENTATIONS) * 5]
    ]
    made = document(
        cases,
        noise=Noise(),
        replicates=REPLICATES,
        blocks=BLOCKS,
        rounds=ROUNDS,
        environments={"default": environment(devices=GPU, processes=REPLICATES)},
        not_measured=missing,
    )
    path.write_text(json.dumps(made))
    rounds = sum(benchmark["stats"]["rounds"] for benchmark in made["benchmarks"])
    print(  # noqa: T201
        f"{path}: {len(made['benchmarks']):,} benchmarks, {rounds:,} rounds, "
        f"{path.stat().st_size / 2**20:.0f} MiB"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
