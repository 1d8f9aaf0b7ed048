"""What a case will cost in seconds: as earlier results measured it, else by a model.

Only dealing and estimates of the time left rest on it, so it may be wrong by a factor; but what
compilation takes must be in it, for that is ten times what measuring takes.

A case costs the seconds of its rounds (the budget of the run: a group that is known well enough
stops earlier, which nobody knows beforehand), its preparation in each process (the float64 oracle,
which goes with the operations and the steps), and its compilation: cold in the first process, and
with a warm cache in each of the others, where tracing remains. What unrolls the loop compiles for
longer the longer the sequence: `compiled_loop` took 1.7 s for a forward and 3.9 s with gradients at
T=10 (`results/cpu-quick`), 27 s and 69 s at T=100, both on two cores; a warm cache leaves a
thirtieth to a tenth of it. Starting the compiler takes seconds in each process, however many cases
follow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.cases import DEFAULT_ENVIRONMENT, Case
from rnnbench.validation import read_document
from rnnbench.work import work_of

__all__ = ["Budget", "case_cost", "measured_costs", "modelled_cost", "start_cost"]

_START = 8.0
"""Seconds until a run's workers have started: they import torch."""

_COMPILER_START = 8.0
"""Seconds that starting Inductor takes, in each process."""

_INDUCTOR = ("compiled_", "scan", "aot_inductor")
"""How the names of implementations begin that need it."""

_ORACLE_RATE = 2e10
"""Operations in a second of the oracle in float64."""

_ORACLE_STEP = 0.3e-3
"""Seconds that each of its steps takes however small it is, gradients included."""

_GRADIENTS = frozenset(("backward", "forward_backward", "training_step"))


@dataclass(frozen=True)
class _Compilation:
    """Seconds until a compiled case can be used: once, for each step, and of that when warm.

    ``gradients`` is what the backward's graph adds, as a factor.
    """

    once: float
    step: float
    gradients: float
    warm: float


_COMPILED: Mapping[str, _Compilation] = {
    "compiled_cell": _Compilation(once=0.6, step=0.0, gradients=2.0, warm=0.1),
    "compiled_loop": _Compilation(once=0.0, step=0.2, gradients=2.4, warm=0.1),
    "compiled_hoisted_loop": _Compilation(once=0.0, step=0.09, gradients=3.3, warm=0.1),
    "compiled_nn_rnn": _Compilation(once=0.1, step=0.0, gradients=1.0, warm=1.0),
    "scan": _Compilation(once=5.0, step=0.0, gradients=2.4, warm=0.1),
    "aot_inductor": _Compilation(once=0.0, step=0.2, gradients=1.0, warm=1.0),
    "torchscript_cell": _Compilation(once=0.05, step=0.0, gradients=1.5, warm=1.0),
    "torchscript_loop": _Compilation(once=0.05, step=0.0, gradients=1.5, warm=1.0),
    "cuda_graph": _Compilation(once=0.2, step=0.0, gradients=1.5, warm=1.0),
}
"""By implementation; those that are not here, and a user's own, are taken for eager."""


@dataclass(frozen=True)
class Budget:
    """What a run gives each case: seconds of rounds over all processes, and how many those are."""

    seconds: float = 1.0
    replicates: int = 3


def case_cost(case: Case, budget: Budget, measured: Mapping[Case, float] | None = None) -> float:
    """Seconds that a case takes: as measured by `measured_costs` if it is there, else modelled."""
    known = measured.get(_anywhere(case)) if measured else None
    return modelled_cost(case, budget) if known is None else known


def modelled_cost(case: Case, budget: Budget) -> float:
    """Seconds that a case takes by the model of this module."""
    first, others = _preparation(case)
    return budget.seconds + first + (budget.replicates - 1) * others


def start_cost(cases: Iterable[Case], budget: Budget) -> float:
    """Seconds that a run of these cases takes beside them."""
    compiles = any(case.implementation.startswith(_INDUCTOR) for case in cases)
    return _START + (budget.replicates * _COMPILER_START if compiles else 0.0)


def _preparation(case: Case) -> tuple[float, float]:
    """Seconds of preparing a case in a first process and in each further one."""
    flops = work_of(case)["flops"]
    steps = case.seq_len * case.num_layers * case.directions
    oracle = flops / _ORACLE_RATE + steps * _ORACLE_STEP
    known = _COMPILED.get(case.implementation)
    if known is None:
        return oracle, oracle
    factor = known.gradients if case.pass_ in _GRADIENTS else 1.0
    cold = factor * (known.once + known.step * steps)
    return oracle + cold, oracle + known.warm * cold


def measured_costs(files: Iterable[Path], budget: Budget) -> dict[Case, float]:
    """What cases cost in earlier results, by the case without its environment.

    Rounds are taken to the seconds that a case has now, compilation as it was measured. A case that
    timed out costs its time-out, one that was unsupported next to nothing. Of several results the
    last one counts.

    Raises:
        UserError: a file is no valid result.
    """
    costs: dict[Case, float] = {}
    for file in files:
        document = read_document(file)
        options = document["rnnbench"]["options"]
        then = _number(options.get("seconds")) or budget.seconds
        for benchmark in document["benchmarks"]:
            ours = benchmark["extra_info"]["rnnbench"]
            case = _anywhere(Case.from_columns(ours["case"]))
            rounds = _seconds_of_rounds(benchmark) * budget.seconds / then
            costs[case] = min(rounds, 2 * budget.seconds) + _measured_preparation(
                case, ours["compile"], budget
            )
        for entry in document["rnnbench"]["not_measured"]:
            case = _anywhere(Case.from_columns(entry["case"]))
            if entry["status"] == "timed_out":
                costs[case] = _number(options.get("case_timeout")) or 300.0
            elif entry["status"] == "unsupported":
                costs[case] = 0.0
    return costs


def _seconds_of_rounds(benchmark: Mapping[str, Any]) -> float:
    ours = benchmark["extra_info"]["rnnbench"]
    warmup = sum(sum(block["warmup"]) for block in ours["blocks"])
    return float(ours["iterations"] * (sum(benchmark["stats"]["data"]) + warmup))


def _measured_preparation(case: Case, compiled: Any, budget: Budget) -> float:
    first, others = _preparation(case)
    cold, warm = (
        _number(table.get("seconds")) if isinstance(table, Mapping) else None
        for table in ((compiled or {}).get(key) for key in ("cold", "warm"))
    )
    if cold is not None:
        first = cold
    if warm is not None:
        others = warm
    return first + (budget.replicates - 1) * others


def _anywhere(case: Case) -> Case:
    if case.environment == DEFAULT_ENVIRONMENT:
        return case
    return dataclasses.replace(case, environment=DEFAULT_ENVIRONMENT)


def _number(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9
    return float(value) if usable else None
