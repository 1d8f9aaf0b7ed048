"""Write a synthetic result of 10,000 cases and 1,050,000 rounds to the file that is named.

For the question how long `rnnbench report` takes on a large file, and how much memory. Run from the
root of the source tree with PYTHONPATH=. set.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from rnnbench.cases import Case
from rnnbench.schema import PASSES
from tests.synthetic import Planted, document, write

FACTORS = {
    "nn_rnn": 1.0,
    "python_loop": 1.3,
    "hoisted_loop": 0.95,
    "torchscript_loop": 1.1,
    "compiled_loop": 0.8,
}
LENGTHS, BATCHES, WIDTHS = (5, 10, 20, 50, 100), (1, 8, 32, 128, 512), (32, 64, 128, 256)
LAYOUTS, THREADS = ("time_major", "batch_first"), (1, 2)


def planted() -> list[Planted]:
    """5 implementations × 5 passes × 5 lengths × 5 batches × 4 widths × 2 layouts × 2 threads."""
    found = []
    axes = (FACTORS, PASSES, LENGTHS, BATCHES, WIDTHS, LAYOUTS, THREADS)
    for name, pass_, t, b, h, layout, threads in itertools.product(*axes):
        case = Case(
            implementation=name,
            pass_=pass_,
            seq_len=t,
            batch=b,
            hidden_size=h,
            layout=layout,
            threads=threads,
        )
        seconds = FACTORS[name] * t * (2e-5 + 2e-10 * b * h * (64 + h)) / threads**0.5
        cold = 20.0 if name.startswith("compiled") else None
        found.append(Planted(case, seconds, compile_cold=cold, compile_warm=cold and 2.0))
    return found


if __name__ == "__main__":
    write(Path(sys.argv[1]), document(planted(), blocks=5, rounds=7))
