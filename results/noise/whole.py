"""Whole runs of `rnnbench noise`, judged by the estimator of today from the blocks that were kept.

    python results/noise/whole.py [results/noise/blocks-*.json.gz] > results/noise/whole.md

Files whose names end in `-first`, `-second` and so on are sessions of one run. What is counted are
the verdicts of `rnnbench compare`: all cases of a side judged together. The sentence below the
table has all runs together.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from figures import MARGIN, WIDE, Floats, Pairs, pairs_of, read_blocks, run_of

from rnnbench.regressions.family import Bounds, Finding, Interval, judge
from rnnbench.regressions.machine_noise import Share
from rnnbench.regressions.noise import AGAIN, SAME, covered, name_of_planted, share_of
from rnnbench.regressions.noise_output import per_cent
from rnnbench.statistics import side_figures, side_interval

PLANTED = (0.03, 0.05, 0.10)
SESSION = re.compile("-(first|second|third)$")
COLUMNS = (
    "run | processes a side | s a pair | other programs | false verdicts | holds 1 | "
    "`same` at 2 % | `same` at 5 % | 3 % found | 5 % found | 10 % found"
)


def whole_of(path: Path) -> str:
    """The name of the run that a file of blocks is a session of, or all of."""
    return SESSION.sub("", run_of(path))


def interval_of(pairs: Sequence[Pairs]) -> Interval:
    """The interval of new over base, by the processes of each session."""
    base, new = ([p for session in pairs for p in session[side]] for side in (0, 1))
    sessions = [number for number, (left, _) in enumerate(pairs) for _ in left]
    x, y = side_figures(base, new, sessions)

    def interval(level: float) -> Bounds:
        value, low, high = side_interval(x, y, level, sessions)
        assert low is not None and high is not None
        return math.exp(value), math.exp(low), math.exp(high)

    return interval


def judged(sessions: Sequence[dict[str, Any]], new: str, margin: float) -> list[Finding]:
    """The verdicts on all cases, of that environment against the unchanged one."""
    names = [
        name
        for name in sessions[0]["cases"]
        if all({SAME, new} <= session["cases"].get(name, {}).keys() for session in sessions)
    ]
    intervals = [interval_of([pairs_of(s["cases"][name], new) for s in sessions]) for name in names]
    return judge(intervals, margin=margin)


def cells(sessions: Sequence[dict[str, Any]]) -> list[str]:
    """A row of the table, without the name of the run."""
    unchanged = judged(sessions, AGAIN, MARGIN)
    first = next(iter(sessions[0]["cases"]))
    processes = sum(len(pairs_of(s["cases"][first], AGAIN)[0]) for s in sessions)
    others: Floats = np.array(
        [s["load"].get("others_share", math.nan) for s in sessions], dtype=float
    )
    shares = [
        share_of(unchanged, "slower", "faster"),
        covered(unchanged),
        share_of(unchanged, "same"),
        share_of(judged(sessions, AGAIN, WIDE), "same"),
        *(
            share_of(judged(sessions, name_of_planted(share), MARGIN), "slower")
            if name_of_planted(share) in sessions[0]["planted"]
            else None
            for share in PLANTED
        ),
    ]
    return [
        str(processes) + (f" in {len(sessions)} sessions" if len(sessions) > 1 else ""),
        f"{2 * sum(float(s['options']['seconds']) for s in sessions):g}",
        f"{100 * others.mean():.0f} %",
        *(f"{share.found}/{share.of}" if share else "—" for share in shares),
    ]


def together(rows: Sequence[Sequence[str]]) -> str:
    """Of all runs: how many verdicts on unchanged cases were false, how many intervals hold 1."""
    shares = []
    for name in ("false verdicts", "holds 1"):
        place = COLUMNS.split(" | ").index(name)
        counts = [[int(number) for number in row[place].split("/")] for row in rows]
        shares.append(Share(*map(sum, zip(*counts, strict=True))))
    false, holds = shares
    return (
        f"In {len(rows)} {'run' if len(rows) == 1 else 'runs'} {false.found} of {false.of} "
        f"unchanged cases {'was' if false.found == 1 else 'were'} called slower or faster "
        f"({per_cent(false)}), and "
        f"{holds.found} of {holds.of} intervals of 95 % hold 1 ({per_cent(holds)})."
    )


def main() -> None:
    """Print a row for each run."""
    folder = Path(__file__).parent
    paths = [Path(name) for name in sys.argv[1:]] or sorted(folder.glob("blocks-*.json.gz"))
    runs: dict[str, list[Path]] = {}
    for path in paths:
        runs.setdefault(whole_of(path), []).append(path)
    print(f"| {COLUMNS} |")
    print("|---" + "|---:" * COLUMNS.count("|") + "|")
    rows = [[name, *cells([read_blocks(path) for path in sorted(runs[name])])] for name in runs]
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(f"\n{together(rows)}")


if __name__ == "__main__":
    main()
