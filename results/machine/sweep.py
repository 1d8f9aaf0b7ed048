"""The best rates that torch.mm reaches, swept without anything of rnnbench, beside its limits.

    python sweep.py THREADS > sweep-THREADS.json

Squares from 64 to 3,072, and skinny products of a recurrent step, (B, H) and (H, H). Each in
rounds of some milliseconds, all sizes in turn, again and again for a minute; the quickest round of
each counts.
"""

import json
import os
import sys
import time

import torch

SQUARES = [64, 96, 128, 192, 256, 384, 512, 640, 768, 1000, 1024, 1280, 1536, 2000, 2048, 3072]
SKINNY = [(batch, rows) for rows in (64, 256, 512) for batch in (1, 32, 128)]
SECONDS = 60.0


def seconds_of_round(a, b, calls):
    start = time.perf_counter_ns()
    for _ in range(calls):
        torch.mm(a, b)
    return (time.perf_counter_ns() - start) / 1e9 / calls


def main(threads):
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[-threads:]))
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(1)
    shapes = [(n, n, n) for n in SQUARES] + [(b, h, h) for b, h in SKINNY]
    factors = {
        (m, k, n): (torch.randn(m, k, generator=generator), torch.randn(k, n, generator=generator))
        for m, k, n in shapes
    }
    best = {}
    with torch.no_grad():
        end = time.monotonic() + SECONDS
        while time.monotonic() < end or len(best) < len(shapes):
            for shape, (a, b) in factors.items():
                once = seconds_of_round(a, b, 1)
                calls = max(1, int(0.005 / once))
                best[shape] = min(best.get(shape, once), seconds_of_round(a, b, calls))
    rows = [
        {"shape": shape, "seconds": seconds, "flops_per_second": 2 * m * k * n / seconds}
        for (shape, seconds) in best.items()
        for m, k, n in [shape]
    ]
    print(json.dumps({"threads": threads, "torch": torch.__version__, "products": rows}, indent=1))


if __name__ == "__main__":
    main(int(sys.argv[1]))
