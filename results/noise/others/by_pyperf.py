"""pyperf: many short processes for each case and side, compared by `pyperf compare_to`."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from others.commands import failed, said_by
from others.outcome import CaseOutcome
from others.plan import BASE, Batch, Side, python

NAME = "pyperf"
PACKAGE = "pyperf"
RULES = {
    "compare_to": "`pyperf compare_to`: “two-sample, two-tailed t-test with alpha=0.95”",
    "compare_to --min-speed=5": (
        "`pyperf compare_to --min-speed=5`: the same, and a change of at least 5 %"
    ),
}
NUMBER_VARIABLE = "RNNBENCH_OTHERS_NUMBER"

_SUITE = Path(__file__).with_name("suite_of_pyperf.py")
_VALUE = 0.1
_VALUES = 3
_WARMUPS = 1
"""pyperf's defaults: a value lasts 0.1 s or more, and each process has one to warm up and three."""

_FEWEST_PROCESSES = 2
_TITLE = re.compile(r"^(Slower|Faster|Same speed) \(\d+\):$")
_ENTRY = re.compile(r"^- (\S+): ")
_HIDDEN = re.compile(r"^Benchmark hidden because not significant \(\d+\): (.+)$")
_WORDS = {"Slower": "slower", "Faster": "faster", "Same speed": "same"}


def measure(batch: Batch) -> list[CaseOutcome]:
    """Run every side of a case before the next case, then compare the sides' files."""
    estimates = json.loads(
        said_by(python("-m", "others.work"), batch.variables(), batch.folder).splitlines()[-1]
    )
    for number, case in enumerate(batch.cases):
        for side in batch.sides:
            _run(batch, side, number, estimates[case.id])
    stats = {side.name: _stats(_file(batch, side)) for side in batch.sides}
    verdicts = {
        rule: {side.name: _compare(batch, side, rule) for side in batch.changed} for rule in RULES
    }
    return [
        CaseOutcome(
            case=case.id,
            times={name: of[case.id]["median"] for name, of in stats.items()},
            measured={name: of[case.id]["measured"] for name, of in stats.items()},
            verdicts={
                rule: {name: found[case.id] for name, found in of.items()}
                for rule, of in verdicts.items()
            },
        )
        for case in batch.cases
    ]


def processes_for(seconds: float) -> int:
    """How many processes with pyperf's usual values take about that long."""
    return max(_FEWEST_PROCESSES, round(seconds / ((_WARMUPS + _VALUES) * _VALUE)))


def verdicts_in(said: str) -> dict[str, str]:
    """The verdict of each case, from what `compare_to --group-by-speed` prints."""
    found: dict[str, str] = {}
    verdict = None
    for line in said.splitlines():
        if title := _TITLE.match(line):
            verdict = _WORDS[title[1]]
        elif hidden := _HIDDEN.match(line):
            found.update(dict.fromkeys(hidden[1].split(", "), "not significant"))
        elif verdict and (entry := _ENTRY.match(line)):
            found[entry[1]] = verdict
    return found


def _run(batch: Batch, side: Side, number: int, seconds: float) -> None:
    command = python(
        *(_SUITE, "--quiet", "--copy-env", f"--affinity={batch.core}"),
        f"--processes={processes_for(batch.seconds)}",
        # The same number of calls on every side, and no process of its own to find it.
        f"--loops={max(1, math.ceil(_VALUE / seconds))}",
        f"--append={_file(batch, side)}",
    )
    said_by(command, {**batch.variables(side), NUMBER_VARIABLE: str(number)}, batch.folder)


def _compare(batch: Batch, side: Side, rule: str) -> dict[str, str]:
    base = next(side for side in batch.sides if side.name == BASE)
    command = python(
        *("-m", "pyperf", *rule.split(), "--group-by-speed"),
        *(_file(batch, base), _file(batch, side)),
    )
    said = said_by(command, batch.variables(), batch.folder)
    found = verdicts_in(said)
    if found.keys() != {case.id for case in batch.cases}:
        raise failed(command, "other cases than were measured", said)
    return found


def _file(batch: Batch, side: Side) -> Path:
    return batch.folder / f"{side.name.replace(' ', '')}.json"


def _stats(file: Path) -> dict[str, dict[str, float]]:
    """Median and measured seconds of each case, warm-up values included, from pyperf's own file."""
    document = json.loads(file.read_text(encoding="utf-8"))
    return dict(_of_benchmark(document, entry) for entry in document["benchmarks"])


def _of_benchmark(
    document: Mapping[str, Any], entry: Mapping[str, Any]
) -> tuple[str, dict[str, float]]:
    # What is common to all runs stands with their benchmark, and what is to all of these, above.
    common = {**document.get("metadata", {}), **entry.get("metadata", {})}
    name = ""
    values: list[float] = []
    measured = 0.0
    for run in entry["runs"]:
        said = {**common, **run.get("metadata", {})}
        name = said["name"]
        values += run.get("values", [])
        measured += said.get("loops", 1) * sum(run.get("values", []))
        measured += sum(loops * value for loops, value in run.get("warmups", []))
    return name, {"median": statistics.median(values), "measured": measured}
