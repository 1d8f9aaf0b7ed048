"""pytest-benchmark: a saved run of each side, one after the other, compared as it says itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from others.commands import failed, said_by
from others.outcome import CaseOutcome
from others.plan import BASE, Batch, Side, python

NAME = "pytest-benchmark"
PACKAGE = "pytest-benchmark"
RULES = {
    "median:5%": "`--benchmark-compare-fail=median:5%`: “Fail test if performance regresses”",
    "min:5%": "`--benchmark-compare-fail=min:5%`: the same of the fastest round",
}

_SUITE = Path(__file__).with_name("suite_of_pytest.py")
_REGRESSED = "Performance has regressed"
_FAILED = re.compile(
    r"^\s*test_case\[(?P<case>[^\]]+)\] \(0001_base\) - Field '(?P<field>\w+)' has failed "
    r"PercentageRegressionCheck: ",
    re.MULTILINE,
)


def measure(batch: Batch) -> list[CaseOutcome]:
    """Run every side and let pytest-benchmark compare each with the first."""
    regressed = {side.name: _run(batch, side) for side in batch.sides}
    stats = {side.name: _stats(batch.folder, side) for side in batch.sides}
    return [
        CaseOutcome(
            case=case.id,
            times={name: of[case.id]["median"] for name, of in stats.items()},
            measured={
                name: of[case.id]["total"] * of[case.id]["iterations"] for name, of in stats.items()
            },
            verdicts={
                rule: {
                    side.name: (
                        "slower" if (case.id, rule) in regressed[side.name] else "not regressed"
                    )
                    for side in batch.changed
                }
                for rule in RULES
            },
        )
        for case in batch.cases
    ]


def regressions_in(said: str) -> set[tuple[str, str]]:
    """The case and the rule of each regression that pytest-benchmark lists."""
    rules = {rule.partition(":")[0]: rule for rule in RULES}
    return {(match["case"], rules[match["field"]]) for match in _FAILED.finditer(said)}


def _run(batch: Batch, side: Side) -> set[tuple[str, str]]:
    command = python(
        *("-m", "pytest", _SUITE, "-q", "-c", "/dev/null", "--import-mode=importlib"),
        *("--rootdir", _SUITE.parent, "-p", "no:cacheprovider"),
        *("-p", "no:rnnbench.measuring.plugin"),
        *("--benchmark-only", "--benchmark-columns=min,median,rounds"),
        f"--benchmark-max-time={batch.seconds}",
        f"--benchmark-storage={batch.folder}",
        f"--benchmark-save={_file_name(side)}",
        # The option takes several rules at once; given twice, the second replaces the first.
        *(
            ()
            if side.name == BASE
            else ("--benchmark-compare=0001", "--benchmark-compare-fail", *RULES)
        ),
    )
    said = said_by(command, batch.variables(side), batch.folder, allowed=range(256))
    regressed = regressions_in(said)
    complete = _stats(batch.folder, side).keys() == {case.id for case in batch.cases}
    if not complete or (_REGRESSED in said) != bool(regressed):
        raise failed(command, "a failure", said)
    return regressed


def _file_name(side: Side) -> str:
    return re.sub(r"\W", "", side.name)


def _stats(folder: Path, side: Side) -> dict[str, dict[str, Any]]:
    """What the saved run says of each case."""
    return {
        entry["param"]: entry["stats"]
        for file in folder.glob(f"*/*_{_file_name(side)}.json")
        for entry in json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
    }
