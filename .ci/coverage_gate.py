"""Fail when the worker or the coordinator is covered less than promised, in lines or branches."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

LEAST_LINES, LEAST_BRANCHES = 90.0, 85.0
SIDES = {
    "worker": (
        "rnnbench/worker",
        "rnnbench/workloads",
        "rnnbench/implementations",
        "rnnbench/classifier",
    ),
    "coordinator": ("rnnbench/measuring", "rnnbench/grids"),
    "reporting": ("rnnbench/report", "rnnbench/results.py", "rnnbench/validation.py"),
}


def main() -> int:
    """Print each side's coverage; the status is 1 when one of them is too low."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        subprocess.run(["coverage", "json", "-q", "-o", str(path)], check=True)
        files = json.loads(path.read_text())["files"]
    low = False
    for side, rooms in SIDES.items():
        totals = [
            report["summary"]
            for name, report in files.items()
            if any(room in Path(name).as_posix() for room in rooms)
        ]
        lines = _share(totals, "covered_lines", "num_statements")
        branches = _share(totals, "covered_branches", "num_branches")
        sys.stdout.write(f"{side}: {lines:.1f} % of lines, {branches:.1f} % of branches\n")
        low |= lines < LEAST_LINES or branches < LEAST_BRANCHES
    if low:
        sys.stdout.write(f"needed: {LEAST_LINES} % of lines and {LEAST_BRANCHES} % of branches\n")
    return int(low)


def _share(totals: list[dict[str, int]], covered: str, of: str) -> float:
    return 100 * sum(t[covered] for t in totals) / max(1, sum(t[of] for t in totals))


if __name__ == "__main__":
    sys.exit(main())
