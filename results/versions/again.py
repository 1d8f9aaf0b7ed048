"""Whether what the run of `versions.json.gz` found was found on another day too.

    python results/versions/again.py > results/versions/again.md

Both runs are compared version by version as `summary.py` does it. A change counts as found again
where the other run gives the same verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from summary import RESULT, comparisons, named

from rnnbench.regressions.compare import Compared
from rnnbench.results import Results, read

EARLIER = Path(__file__).with_name("earlier.json.gz")
"""A run of the same versions and grid on another machine of the same kind."""

OPPOSITE = {"slower": "faster", "faster": "slower"}

Change = tuple[str, str]
"""A step between two versions, and a case in words."""


def changes(results: Results) -> Iterator[tuple[Change, Compared]]:
    """Every case of every step, with what was found."""
    for step in comparisons(results):
        name = f"{step.sides.base.torch} to {step.sides.new.torch}"
        for case in step.cases:
            yield (name, named(results, case)), case


def table(run: Results, earlier: Results) -> list[str]:
    """A row for each step and verdict: how many of its changes the earlier run found, too."""
    there = dict(changes(earlier))
    found: dict[tuple[str, str], Counter[str]] = {}
    contrary = []
    for change, case in changes(run):
        if case.verdict not in OPPOSITE:
            continue
        verdict = there[change].verdict
        counts = found.setdefault((change[0], case.verdict), Counter())
        if verdict == case.verdict:
            counts["again"] += 1
        elif verdict == OPPOSITE[case.verdict]:
            counts["opposite"] += 1
            contrary.append(f"{change[1]}, {change[0]}: {told(case)}, then {told(there[change])}")
        else:
            counts["neither"] += 1
    lines = [
        "| step | verdict | cases | found in both runs | not told in the earlier one | opposite |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for (step, verdict), counts in found.items():
        kinds = " | ".join(str(counts[kind]) for kind in ("again", "neither", "opposite"))
        lines.append(f"| {step} | {verdict} | {counts.total()} | {kinds} |")
    if contrary:
        lines += ["", "Opposite, here and in the earlier run:", ""]
        lines += [f"- {sentence}" for sentence in contrary]
    return lines


def told(case: Compared) -> str:
    """The ratio with its interval."""
    assert case.finding is not None
    return f"{case.finding.ratio:.3f} [{case.finding.low:.3f}, {case.finding.high:.3f}]"


def main() -> None:
    """Print the table."""
    print("\n".join(table(read([RESULT]), read([EARLIER]))))


if __name__ == "__main__":
    main()
