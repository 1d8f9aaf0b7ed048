"""Whether what the run of `versions.json.gz` found is found by another run too.

    python results/versions/again.py > results/versions/again.md
    python results/versions/again.py OTHER/versions.json

The other one is that of an earlier day unless it is named. Both runs are compared version by
version as `summary.py` does it. A change counts as found again where the other run gives the same
verdict.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from summary import EARLIER, RESULT, comparisons, name_of, named, told

from rnnbench.regressions.compare import Compared
from rnnbench.results import Results, read

OPPOSITE = {"slower": "faster", "faster": "slower"}
KINDS = ("again", "same", "inconclusive", "opposite")

Change = tuple[str, str]
"""A step between two versions, and a case in words."""


def changes(results: Results) -> Iterator[tuple[Change, Compared]]:
    """Every case of every step, with what was found."""
    for step in comparisons(results):
        for case in step.cases:
            yield (name_of(step), named(results, case)), case


def judged(run: Results, another: Results) -> Iterator[tuple[Change, Compared, Compared, str]]:
    """Every change of the run with the same case in the other one, and which kind that is."""
    there = dict(changes(another))
    for change, case in changes(run):
        if case.verdict not in OPPOSITE:
            continue
        other = there[change]
        kind = str(other.verdict)
        if other.verdict == case.verdict:
            kind = "again"
        elif other.verdict == OPPOSITE[case.verdict]:
            kind = "opposite"
        yield change, case, other, kind


def table(run: Results, another: Results) -> list[str]:
    """A row for each step and verdict: how many of its changes the other run found, too."""
    found: dict[tuple[str, str], Counter[str]] = {}
    contrary = []
    for (step, name), case, other, kind in judged(run, another):
        found.setdefault((step, str(case.verdict)), Counter())[kind] += 1
        if kind == "opposite":
            contrary.append(f"- {name}, {step}: {told(case)}, in the other run {told(other)}")
    lines = [
        "| step | verdict | cases | found in both runs | same | inconclusive | opposite |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (step, verdict), counts in found.items():
        cells = " | ".join(str(counts[kind]) for kind in KINDS)
        lines.append(f"| {step} | {verdict} | {counts.total()} | {cells} |")
    return [*lines, *(["", "Opposite:", "", *contrary] if contrary else [])]


def main(file: Path | str = EARLIER) -> None:
    """Print the table."""
    print("\n".join(table(read([RESULT]), read([file]))))


if __name__ == "__main__":
    main(*sys.argv[1:])
