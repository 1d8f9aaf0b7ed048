"""README's table of what changed between PyTorch versions, from the committed run.

    python results/versions/summary.py > results/versions/summary.md

Each version is compared with the one before it, as `rnnbench compare FILE@OLD FILE@NEW` does with
its defaults: the verdicts of a comparison are one family, and a case counts by its verdict alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import median

from rnnbench.regressions.compare import Compared, Comparison, compare
from rnnbench.regressions.sides import sides_of
from rnnbench.results import Results, read

RESULT = Path(__file__).with_name("versions.json.gz")
EARLIER = RESULT.with_name("versions-2026-11-25.json.gz")
"""The same versions on another day."""
LARGEST = 3
"""Changes that are named for each step and direction."""


@cache
def comparisons(results: Results) -> Sequence[Comparison]:
    """Each environment with the next, in the order in which they were given."""
    (run,) = results.runs.values()
    return [compare(sides_of(results, old, new)) for old, new in pairwise(run.environments)]


def table(results: Results) -> list[str]:
    """A row for each implementation: the middle ratio of each step, and how many cases changed."""
    steps = comparisons(results)
    frame = results.frame
    names = [name_of(step) for step in steps]
    lines = [
        "| implementation | cases | " + " | ".join(names) + " |",
        "| --- | ---: |" + " --- |" * len(names),
    ]
    for implementation in dict.fromkeys(frame["implementation"].tolist()):
        columns = [
            [case for case in step.cases if frame.at[case.row, "implementation"] == implementation]
            for step in steps
        ]
        cells = [cell(cases) for cases in columns]
        lines.append(f"| {implementation} | {len(columns[0])} | " + " | ".join(cells) + " |")
    cells = [cell(step.cases) for step in steps]
    lines.append(f"| all | {len(steps[0].cases)} | " + " | ".join(cells) + " |")
    return lines


def cell(cases: list[Compared] | tuple[Compared, ...]) -> str:
    """The middle ratio of the cases, and how many of them are slower or faster."""
    found = [case for case in cases if case.finding is not None]
    if not found:
        return "not measured"
    verdicts = [case.verdict for case in found]
    counts = ", ".join(
        f"{verdicts.count(verdict)} {verdict}"
        for verdict in ("slower", "faster")
        if verdicts.count(verdict)
    )
    middle = median(case.finding.ratio for case in found if case.finding is not None)
    return f"{middle:.3f}: {counts or 'no change found'}"


def largest(results: Results) -> list[str]:
    """The largest changes of each step, with their intervals."""
    lines = ["| step | case | ratio, interval | verdict |", "| --- | --- | ---: | --- |"]
    for step in comparisons(results):
        for verdict, sign in (("slower", -1.0), ("faster", 1.0)):
            chosen = sorted(
                (case for case in step.cases if case.finding and case.verdict == verdict),
                key=lambda case, sign=sign: sign * case.finding.ratio,
            )
            for case in chosen[:LARGEST]:
                lines.append(
                    f"| {name_of(step)} | {named(results, case)} | {told(case)} | {verdict} |"
                )
    return lines


def name_of(step: Comparison) -> str:
    """The two versions of a step."""
    return f"{step.sides.base.torch} to {step.sides.new.torch}"


def told(case: Compared) -> str:
    """The ratio with its interval."""
    assert case.finding is not None
    return f"{case.finding.ratio:.3f} [{case.finding.low:.3f}, {case.finding.high:.3f}]"


def named(results: Results, case: Compared) -> str:
    """The case in words: what varies in the quick grid."""
    row = results.frame.loc[case.row]
    return (
        f"{row['implementation']} {row['pass']} T={row['seq_len']} B={row['batch']} "
        f"H={row['hidden_size']} {row['layout']}"
    )


def main() -> None:
    """Print both tables."""
    results = read([RESULT])
    (run,) = results.runs.values()
    first, *_, last = run.environments
    whole = compare(sides_of(results, first, last))
    counts = ", ".join(f"{number} {verdict}" for verdict, number in sorted(whole.verdicts.items()))
    print("\n".join(table(results)))
    print(f"\nFrom {name_of(whole)}: {counts}.\n")
    print("\n".join(largest(results)))


if __name__ == "__main__":
    main()
