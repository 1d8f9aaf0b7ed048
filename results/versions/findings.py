"""What the run of `versions.json.gz` found, in sentences; README has them.

The first one says what it rests on.

python results/versions/findings.py > results/versions/findings.md
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from summary import RESULT, comparisons, told

from rnnbench.regressions.compare import Compared, Comparison
from rnnbench.results import Results, read

SHOWN = {"implementation": "compiled_cell", "pass": "inference", "batch": 32}
"""The case whose steps are told one by one: a step compiled alone, without gradients."""


def sentences(run: Results) -> list[str]:
    """One for the run, one for the case that is shown, and one for all that is not compiled."""
    steps = list(comparisons(run))
    shown = [of_shown(run, step) for step in steps]
    eager = [of_eager(run, step) for step in steps]
    cases = len(eager_cases(run, steps[0]))
    return [
        of_run(run, steps[0]),
        "A step that is compiled alone, without gradients "
        f"(`{SHOWN['implementation']}`, B={SHOWN['batch']}), took {', '.join(shown)} of the time.",
        f"Of the {cases} cases that are not compiled, {', '.join(eager)}.",
    ]


def of_run(results: Results, step: Comparison) -> str:
    """How many processes a version had, and when they were measured."""
    (run,) = results.runs.values()
    counts = sorted({case.processes for case in step.cases})
    days = sorted({when[:10] for _, when in run.origins} or {run.measured_at[:10]})
    sessions = f" in {len(run.sessions)} sessions" if len(run.sessions) > 1 else ""
    return (
        f"Each version had {' or '.join(map(str, counts))} processes{sessions}, measured on "
        f"{' and on '.join(days)}."
    )


def step_of(step: Comparison) -> str:
    """The two versions, without what they were built with."""
    base, new = (side.torch.partition("+")[0] for side in (step.sides.base, step.sides.new))
    return f"from {base} to {new}"


def of_shown(run: Results, step: Comparison) -> str:
    """The ratio of the case that is shown, and its verdict."""
    (case,) = [
        case
        for case in step.cases
        if all(run.frame.at[case.row, name] == value for name, value in SHOWN.items())
    ]
    return f"{step_of(step)} {told(case)} ({case.verdict})"


def eager_cases(run: Results, step: Comparison) -> Sequence[Compared]:
    """Cases of implementations that torch.compile has no part in."""
    names = run.frame["implementation"]
    return [case for case in step.cases if not str(names[case.row]).startswith("compiled")]


def of_eager(run: Results, step: Comparison) -> str:
    """How many became slower and faster, and the middle ratio."""
    cases = eager_cases(run, step)
    verdicts = Counter(case.verdict for case in cases)
    middle = median(case.finding.ratio for case in cases if case.finding is not None)
    return (
        f"{verdicts['slower']} became slower and {verdicts['faster']} faster {step_of(step)} "
        f"({middle:.3f} of the time in the middle)"
    )


def main() -> None:
    """Print them as a list."""
    print("\n".join(f"- {sentence}" for sentence in sentences(read([RESULT]))))


if __name__ == "__main__":
    main()
