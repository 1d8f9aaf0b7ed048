"""What two runs find that are judged as two sessions of one, beside each of them alone.

    python results/noise/sessions.py > results/noise/sessions.md

Of the runs on two threads with a core for each that had no more than two sessions themselves;
trials are those of `figures.py`, with the figure of a process that was chosen there.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

from figures import COLUMNS, load, row, run_of
from whole import whole_of

from rnnbench.statistics import side_figures


def main() -> None:
    """Print a row for each run and for each two of them."""
    folder = Path(__file__).parent
    paths = [
        path
        for path in sorted(folder.glob("blocks-*threads2*.json.gz"))
        if "unbound" not in path.name
    ]
    sessions = Counter(map(whole_of, paths))
    runs = {run_of(path): load(path) for path in paths if sessions[whole_of(path)] <= 2}
    print(f"| {COLUMNS.partition(' | ')[2].replace('run', 'runs', 1)} |")
    print("|---" + "|---:" * (COLUMNS.count("|") - 1) + "|")
    for names in [*combinations(runs, 1), *combinations(runs, 2)]:
        shares = row([runs[name] for name in names], side_figures)
        print(f"| {' + '.join(names)} | {' | '.join(f'{share:.1f}' for share in shares)} |")


if __name__ == "__main__":
    main()
