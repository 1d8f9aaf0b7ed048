"""How much instruction counts of equal code differ, whether 1 % more work is found, and how long it
takes.

    python results/instructions/study.py repeat repeat.json   # in 21 fresh processes
    python results/instructions/study.py many many.json       # 24 cases in one, by the clock
    python results/instructions/study.py table repeat.json many.json

`repeat` counts the loop of `planted.py` with and without its planted 1 % in each process, and goes
on where it ended. A process is compared with the one before it: its plain loop must be the same,
its planted one must have more.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rnnbench.cases import Case
from rnnbench.grids import load_grid
from rnnbench.measuring.instructions import Counter
from rnnbench.numbers import format_count
from rnnbench.regressions.instructions import MARGIN, change_between

PLUGIN = Path(__file__).parent / "planted.py"
PROCESSES = 21
FIRST = 10
"""Processes whose counts are compared with each other, each with each."""

MANY = 24
EAGER = ("nn_rnn", "python_loop", "hoisted_loop", "torchscript_cell", "torchscript_loop")
TIMEOUT = 600.0
SHAPE = {
    "pass_": "inference",
    "seq_len": 100,
    "batch": 4,
    "input_size": 32,
    "hidden_size": 64,
}
PLAIN, PLANTED = (Case(implementation=name, **SHAPE) for name in ("plain", "planted"))


def counter(folder: str) -> Counter:
    return Counter("default", sys.executable, Path(folder), plugins=[str(PLUGIN)], timeout=TIMEOUT)


def counted(process: Counter, case: Case) -> dict[str, Any]:
    """Counts of a case without its functions, and the seconds that it took to build and count."""
    start = time.monotonic()
    found = process.counted(case)
    return {
        "instructions": found["instructions"],
        "counts": found["counts"],
        "seconds": round(time.monotonic() - start, 3),
    }


def surroundings(process: Counter) -> dict[str, Any]:
    """What the counts depend on."""
    return {
        "torch": process.environment["torch"],
        "python": process.environment["python"],
        "cpu": process.environment["cpu"]["model"],
        "cpu_capability": process.environment["cpu_capability"],
        "hidden_features": process.hidden_features,
        "valgrind": process.valgrind,
    }


def written(file: Path, document: dict[str, Any]) -> None:
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def repeat(file: Path) -> None:
    """Count both loops in fresh processes, the order of the two in turns."""
    document = json.loads(file.read_text()) if file.exists() else {"runs": []}
    runs = document["runs"]
    while len(runs) < PROCESSES:
        cases = [PLAIN, PLANTED] if len(runs) % 2 else [PLANTED, PLAIN]
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, counter(folder) as process:
            started = time.monotonic() - start
            found = {case.implementation: counted(process, case) for case in cases}
            document = {"case": PLAIN.columns(), **surroundings(process), "runs": runs}
        runs.append({"start_seconds": round(started, 3), **found})
        written(file, document)
        print(f"{len(runs)} of {PROCESSES}: {time.monotonic() - start:.0f} s", flush=True)


def many(file: Path) -> None:
    """Count cases of the quick grid, from all over it, in one process."""
    eager = [case for case in load_grid("quick").cases() if case.implementation in EAGER]
    cases = [eager[at * len(eager) // MANY] for at in range(MANY)]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, counter(folder) as process:
        found = {case.id: counted(process, case) for case in cases}
        document = surroundings(process)
    seconds = round(time.monotonic() - start, 1)
    written(file, {**document, "seconds": seconds, "cases": found})
    print(f"{len(found)} cases: {seconds:.0f} s")


def table(repeated: Path, several: Path) -> str:
    """What both files say, as Markdown."""
    document = json.loads(repeated.read_text())
    runs = document["runs"]
    plain, planted = ([run[name]["instructions"] for run in runs] for name in ("plain", "planted"))
    apart = [abs(b / a - 1) for a, b in itertools.combinations(plain[:FIRST], 2)]
    pairs = list(itertools.pairwise(plain))
    alarms = sum(change_between(a, b, MARGIN) != "same" for a, b in pairs)
    grown = list(zip(plain, planted[1:], strict=False))
    found = sum(change_between(a, b, MARGIN) == "more" for a, b in grown)
    more = [b / a - 1 for a, b in grown]
    calls = [
        count / run["plain"]["instructions"] - 1 for run in runs for count in run["plain"]["counts"]
    ]
    lasted = json.loads(several.read_text())
    rows = [
        ("instructions of a call, the middle process", format_count(statistics.median(plain))),
        (
            f"{FIRST} processes, each with each: median difference",
            f"{100 * statistics.median(apart):.3f} %",
        ),
        ("the largest", f"{100 * max(apart):.3f} %"),
        (
            "calls of one process: furthest from its middle one",
            f"{100 * max(map(abs, calls)):.3f} %",
        ),
        (f"unchanged code: called changed beyond {100 * MARGIN:g} %", f"{alarms} of {len(pairs)}"),
        ("1 % of the steps twice: found", f"{found} of {len(grown)}"),
        ("by how much it had more", f"{100 * min(more):.2f} to {100 * max(more):.2f} %"),
        (
            "seconds of a process: start, and a case",
            f"{statistics.median(run['start_seconds'] for run in runs):.0f}, "
            f"{statistics.median(run['plain']['seconds'] for run in runs):.0f}",
        ),
        (f"{len(lasted['cases'])} cases of the quick grid, seconds", f"{lasted['seconds']:.0f}"),
    ]
    return "\n".join(["| | |", "|---|--:|", *(f"| {name} | {value} |" for name, value in rows)])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("repeat", "many", "table"))
    parser.add_argument("files", nargs="+", type=Path)
    asked = parser.parse_args()
    if asked.what == "table":
        print(table(*asked.files))
    else:
        {"repeat": repeat, "many": many}[asked.what](*asked.files)


if __name__ == "__main__":
    main()
