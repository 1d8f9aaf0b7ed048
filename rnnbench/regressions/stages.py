"""Measures environments in stages: after each, only cases are measured again that are still open.

How often one looks is planned before the first look, because each look has its share of the error
rate: `rnnbench.regressions.family` says why that keeps it. A stage is a run like any other, with
a result and a journal of its own, in fresh processes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.cases import DEFAULT_ENVIRONMENT, Case
from rnnbench.errors import UserError
from rnnbench.grids import AXES, OPTION_PREFIX, load_grid
from rnnbench.regressions.compare import Comparison, compare
from rnnbench.regressions.joining import join_results
from rnnbench.regressions.kept_state import check_ended, check_same, read_state
from rnnbench.regressions.machine_noise import known_noise
from rnnbench.regressions.sides import sides_of
from rnnbench.regressions.versions import measure
from rnnbench.report.outputs import write_document, write_file
from rnnbench.results import Results, described_run, read
from rnnbench.schema import MOST_STAGES

__all__ = [
    "Plan",
    "arguments_of_order",
    "check_stages",
    "compared_with_first",
    "grid_of",
    "measure_in_stages",
    "seconds_of_case",
]

_SECONDS = 1.0
"""What `pytest suites` takes where neither an option nor the grid says it."""

_ORDERS = 1_000_000
"""Seeds of orders that a stage may use: the coordinator counts on from its own with each turn, and
what was built or had its turn in the same order in each stage would have the same luck in each."""

_NAMES = {"python": "the environments"}
"""Options of `pytest suites` of which `rnnbench versions` has none of that name."""


@dataclass(frozen=True)
class Plan:
    """What a run in stages was asked to do.

    ``seconds`` is the time for the rounds of a case over all of its processes and all stages.
    ``selection`` are the arguments of `pytest suites` that choose the cases, ``arguments`` all
    others but the seconds; ``names`` the environments, of which the first is the base; ``plugins``
    as `pytest suites` takes them.
    """

    stages: int
    seconds: float
    selection: Sequence[str]
    arguments: Sequence[str]
    names: Sequence[str]
    plugins: Sequence[str] = ()

    def asked(self) -> dict[str, list[str]]:
        """What must not change before the last stage has ended, by option."""
        found: dict[str, list[str]] = {}
        for text in (*self.selection, *self.arguments, f"{OPTION_PREFIX}seconds={self.seconds}"):
            name, _, value = text.removeprefix(OPTION_PREFIX).partition("=")
            if name != "no-lock":
                found.setdefault(_NAMES.get(name, f"--{name}"), []).append(value)
        return found | {"the content of plug-ins": [_digest(file) for file in self.plugins]}


@dataclass(frozen=True)
class _State:
    """What the output folder says of a run that was begun."""

    stages: int
    finished: int
    asked: dict[str, list[str]]


def check_stages(result: Path, stages: int, replicates: int, *, resume: bool) -> None:
    """Refuse a number of stages that cannot be, or is not that of the run in the folder.

    Raises:
        UserError: it is out of range, or the folder holds a run that was planned otherwise.
    """
    if not 1 <= stages <= MOST_STAGES:
        raise UserError(f"--stages is {stages}; give a whole number from 1 to {MOST_STAGES}")
    if stages > 1 and replicates < 2:
        raise UserError(
            f"--stages {stages} with --replicates {replicates}: of a single process a stage there "
            "is no interval, so every case would stay open; give --replicates 2 or more"
        )
    folder = result.parent
    state = _read_state(result)
    if state is None:
        journal = result.with_name(f"{result.name}.journal")
        if stages > 1 and (result.exists() or journal.exists()):
            raise UserError(
                f"--output {folder}: holds a run that was begun without --stages; leave the option "
                "out to complete it, or give another folder"
            )
    elif not resume:
        raise UserError(
            f"--output {folder}: holds an earlier run in stages; give another folder, or --resume "
            "to complete that run"
        )
    elif state.stages != stages:
        raise UserError(
            f"--stages is {stages}, but the run in {folder} was begun with --stages "
            f"{state.stages}; how often one looks is fixed before the first look, so give that "
            "again, or another folder"
        )


def seconds_of_case(seconds: float | None, grid: str) -> float:
    """The seconds for a case: those that were given, else the grid's, else 1.

    Raises:
        UserError: there is no such grid.
    """
    if seconds is not None:
        return seconds
    return float(load_grid(grid).options.get("seconds", _SECONDS))


def measure_in_stages(
    result: Path, plan: Plan, *, resume: bool, say: Callable[[str], None]
) -> None:
    """Measure all cases, and in further stages those whose verdict is still inconclusive.

    The result is written anew after each stage, from all that were run so far. With ``resume`` a
    stage that has ended is not measured again, and one that was interrupted goes on.

    Raises:
        UserError: a run did not come to its end, or the folder holds one of other options.
        Interrupted: a signal asked for the end; what was measured is kept.
    """
    state = _begun(result, plan, resume=resume)
    seconds = plan.seconds / plan.stages
    while True:
        if state.finished:
            write_document(result, _joined(result, plan.stages, state.finished))
        if state.finished >= plan.stages:
            return
        stage = state.finished + 1
        chosen = plan.selection
        what = "all cases"
        if state.finished:
            cases = _open_cases(compared_with_first(read([str(result)]), plan.names))
            if not cases:
                say(f"After stage {state.finished} of {plan.stages} no verdict is inconclusive.")
                return
            chosen = _grid_arguments(result, stage, cases)
            what = f"{_counted(len(cases))} with an inconclusive verdict"
        say(f"Stage {stage} of {plan.stages}: {what}, {seconds:.3g} s of rounds each")
        measure(
            _stage_file(result, stage),
            [*chosen, *plan.arguments, f"{OPTION_PREFIX}seconds={seconds}"],
            resume=resume,
        )
        state = dataclasses.replace(state, finished=stage)
        write_document(_state_file(result), dataclasses.asdict(state))


def compared_with_first(results: Results, names: Sequence[str]) -> list[Comparison]:
    """Each environment of a result against the first one."""
    found = []
    for name in names[1:]:
        sides = sides_of(results, names[0], name)
        found.append(compare(sides, noise=known_noise(sides.new.described)))
    return found


def grid_of(cases: Sequence[Case], description: str) -> str:
    """A grid file of just these cases, in whatever environments it is run."""
    lines = [f"description = {json.dumps(description)}", "plugins = false"]
    for case in cases:
        columns = case.columns()
        lines += ["", "[[product]]"]
        lines += [f"{axis} = {json.dumps(columns[axis])}" for axis in AXES]
    return "\n".join(lines) + "\n"


def _open_cases(comparisons: Sequence[Comparison]) -> list[Case]:
    """Cases with a verdict that is inconclusive in any of the comparisons, without environment."""
    found = [
        dataclasses.replace(
            comparison.sides.results.case_of(compared.row), environment=DEFAULT_ENVIRONMENT
        )
        for comparison in comparisons
        for compared in comparison.cases
        if compared.verdict == "inconclusive"
    ]
    return sorted(set(found))


def _grid_arguments(result: Path, stage: int, cases: Sequence[Case]) -> list[str]:
    file = result.with_name(f"stage-{stage}.toml")
    text = grid_of(cases, f"What was inconclusive before stage {stage}.")
    write_file(file, text.encode())
    return [f"{OPTION_PREFIX}grid={file}", *arguments_of_order(stage)]


def arguments_of_order(number: int) -> list[str]:
    """Arguments that give the run of a number, from 1, an order that no other one has."""
    return [f"{OPTION_PREFIX}order-seed={(number - 1) * _ORDERS}"]


def _joined(result: Path, planned: int, stage: int) -> dict[str, Any]:
    """The result so far: all stages in one, with what was planned."""
    document = join_results([_stage_file(result, number) for number in range(1, stage + 1)])
    ours = document["rnnbench"]
    ours["stages"] = {"planned": planned, "run": stage}
    ours["notes"].append(_note(document, planned, stage))
    return document


def _note(document: dict[str, Any], planned: int, stage: int) -> str:
    run = described_run("", "", document)
    took: dict[Case, int] = {}
    for benchmark in document["benchmarks"]:
        ours = benchmark["extra_info"]["rnnbench"]
        case = Case.from_columns({**ours["case"], "environment": DEFAULT_ENVIRONMENT})
        stages = set(run.sessions_of(block["replicate"] for block in ours["blocks"]) or [1])
        took[case] = max(took.get(case, 0), len(stages))
    counts = [
        f"{_counted(count)} in {number}" for number, count in sorted(Counter(took.values()).items())
    ]
    return (
        f"measured in {stage} of {planned} planned stages ({', '.join(counts) or 'no case'}): each "
        "further one measured again, in fresh processes, what was inconclusive. So a 95 % interval "
        "of this file holds the truth less often than that; verdicts on environments take it into "
        "account."
    )


def _counted(cases: int) -> str:
    return f"{cases:,} case{'' if cases == 1 else 's'}"


def _stage_file(result: Path, stage: int) -> Path:
    return result.with_name(f"stage-{stage}.json")


def _begun(result: Path, plan: Plan, *, resume: bool) -> _State:
    """The state of the run that the folder holds, or of one that is begun now."""
    folder = result.parent
    state = _read_state(result) if resume else None
    if state is None:
        folder.mkdir(exist_ok=True)
        state = _State(plan.stages, 0, plan.asked())
        write_document(_state_file(result), dataclasses.asdict(state))
    check_same(state.asked, plan.asked(), f"the run in {folder}")
    for stage in range(1, state.finished + 1):
        check_ended(_stage_file(result, stage), "stage")
    return state


def _state_file(result: Path) -> Path:
    return result.with_name(f"{result.name}.stages")


def _read_state(result: Path) -> _State | None:
    kinds = {"stages": int, "finished": int, "asked": dict}
    found = read_state(_state_file(result), kinds, "a run in stages")
    return None if found is None else _State(**found)


def _digest(plugin: str) -> str:
    """The content of a plug-in's file, which may come after the name of its environment."""
    for path in (Path(plugin), Path(plugin.partition("=")[2])):
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()
    return "missing"
