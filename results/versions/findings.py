"""What the run of `versions.json.gz` found, in sentences; README has them.

The first one says what it rests on, the last one what the run of another day says to it.

python results/versions/findings.py > results/versions/findings.md
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from again import judged
from summary import EARLIER, RESULT, comparisons, told

from rnnbench.regressions.compare import Compared, Comparison
from rnnbench.results import Results, read

SHOWN = {"implementation": "compiled_cell", "pass": "inference", "batch": 32}
"""The case whose steps are told one by one: a step compiled alone, without gradients."""


def sentences(run: Results, earlier: Results) -> list[str]:
    """For the run, the case that is shown, all that is not compiled, and the other day."""
    eager = [of_eager(run, step) for step in comparisons(run)]
    cases = len(eager_cases(run, comparisons(run)[0]))
    return [
        f"Each version had {processes_of(run)}.",
        "A step that is compiled alone, without gradients "
        f"(`{SHOWN['implementation']}`, B={SHOWN['batch']}), took {all_shown(run)} of the time; "
        f"in the earlier run {all_shown(earlier)}.",
        f"Of the {cases} cases that are not compiled, {', '.join(eager)}.",
        of_both(run, earlier),
    ]


def processes_of(results: Results) -> str:
    """How many processes a version had, and when and on what they were measured."""
    (run,) = results.runs.values()
    counts = sorted({case.processes for case in comparisons(results)[0].cases})
    days = sorted({when[:10] for _, when in run.origins} or {run.measured_at[:10]})
    sessions = f" in {len(run.sessions)} sessions" if len(run.sessions) > 1 else ""
    environment = next(iter(run.environments.values()))
    return (
        f"{' or '.join(map(str, counts))} processes{sessions}, measured on {' and on '.join(days)} "
        f"on an {environment['cpu']['model']} with {environment['cpu_capability']}"
    )


def of_both(run: Results, earlier: Results) -> str:
    """How many of all changes the earlier run found too."""
    kinds = Counter(kind for *_, kind in judged(run, earlier))
    return (
        f"Of all {kinds.total()} changes that were found between a version and the next, an "
        f"earlier run ({processes_of(earlier)}) found {kinds['again']} too, could not tell "
        f"{kinds['inconclusive']}, called {kinds['same']} the same and found the opposite of "
        f"{kinds['opposite']}."
    )


def step_of(step: Comparison) -> str:
    """The two versions, without what they were built with."""
    base, new = (side.torch.partition("+")[0] for side in (step.sides.base, step.sides.new))
    return f"from {base} to {new}"


def all_shown(run: Results) -> str:
    """The ratios of the case that is shown, step by step."""
    return ", ".join(of_shown(run, step) for step in comparisons(run))


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
    print("\n".join(f"- {sentence}" for sentence in sentences(read([RESULT]), read([EARLIER]))))


if __name__ == "__main__":
    main()
