"""The engine: prepares a group of competitors, passes the turn, stops, and owns what came of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnnbench.cases import Case
from rnnbench.measuring.journal import Journal
from rnnbench.measuring.options import Options
from rnnbench.measuring.team import Team
from rnnbench.measuring.turns import sweeps
from rnnbench.measuring.workers import CaseProblem, NoWorker, Worker, WorkerKilled, WorkerLost
from rnnbench.statistics import Comparison, compare_blocks, estimate_blocks
from rnnbench.work import work_of

__all__ = ["CaseRun", "Engine", "baseline_of", "ratio_of", "result_of", "timed_seconds"]

_LEAST_SWEEPS = 4
"""Turns of each competitor in each replicate before its group may stop: two blocks say little
about how blocks of a process differ."""

_SPIN_PAUSE = 0.005
"""Seconds between two turns of which one had several threads: OpenMP threads of a worker that has
just answered spin on, and at two threads took 9 % of the next block when it began at once, 0.3 %
after 5 ms."""

_MOST_EXCUSED = 3
"""Workers of a group that may die while they wait, or by somebody's SIGKILL, without a case being
blamed. After that the case that is asked is given up: something in the group ends them, and a run
must end too."""

_THREADED_BLOCKS = 2
"""Blocks with several threads are longer by this factor, so that the pause weighs less."""


@dataclass
class CaseRun:
    """All that is known of one case: what preparing it told, and its blocks so far.

    ``blocks`` are as in the result file, but each holds its own ``rounds``, seconds per call.
    ``unfinished``: an environment of its group broke, so a resumed run goes on with the group.
    """

    case: Case
    prepared: dict[str, Any] = field(default_factory=dict)
    ran: dict[str, Any] = field(default_factory=dict)
    warm_compile: dict[str, Any] | None = None
    blocks: list[dict[str, Any]] = field(default_factory=list)
    stopped: str = ""
    status: str = "measured"
    reason: str = ""
    instructions: dict[str, Any] = field(default_factory=dict)
    resumed: bool = False
    unfinished: bool = False

    @property
    def measured(self) -> bool:
        """Whether nothing has gone wrong with it so far."""
        return self.status == "measured"

    def by_replicate(self) -> dict[int, list[list[float]]]:
        """Rounds of each block in the order of the turns, by replicate, replicates in order."""
        rounds: dict[int, list[list[float]]] = {}
        for block in sorted(self.blocks, key=lambda block: (block["replicate"], block["turn"])):
            rounds.setdefault(block["replicate"], []).append(block["rounds"])
        return rounds

    def processes(self) -> list[list[list[float]]]:
        """The same without the replicates' numbers, as the statistics take them."""
        return list(self.by_replicate().values())

    def spent(self) -> float:
        """Seconds that its turns have taken."""
        return float(sum(block["seconds"] for block in self.blocks))

    def record(self) -> dict[str, Any]:
        """As the journal holds it; blocks have lines of their own."""
        return {
            "type": "finished",
            "case": self.case.columns(),
            "status": self.status,
            "reason": self.reason,
            "stopped": self.stopped,
            "prepared": self.prepared,
            "ran": self.ran,
            "warm_compile": self.warm_compile,
        }


class Engine:
    """Measures groups with a team; the journal gets every block before it is counted."""

    def __init__(
        self,
        options: Options,
        team: Team,
        journal: Journal,
        progress: Callable[[str, CaseRun], None] = lambda stage, run: None,
    ) -> None:
        self._options = options
        self._team = team
        self._journal = journal
        self._progress = progress
        self._turn = 0
        self._excused = 0
        self._last: Worker | None = None
        self.timed_seconds = 0.0
        self.notes: list[str] = []

    def continue_after(self, turn: int) -> None:
        """Number the turns of a resumed run after those of the one before."""
        self._turn = turn

    def measure(self, runs: Sequence[CaseRun], *, time_them: bool = True) -> None:
        """Prepare, verify and time a group of competitors; every run ends with a status."""
        self._excused = 0
        for environment in dict.fromkeys(run.case.environment for run in runs):
            for slot in range(self._team.slots):
                self._replace_if_dead(environment, slot)
        self._check(runs)
        alive = [run for run in runs if run.measured]
        for slot in range(self._team.slots):
            self._prepare_slot(alive, slot, describe=slot == 0)
            alive = [run for run in alive if run.measured]
        if time_them and alive:
            self._take_turns(alive)
        self._finish(alive)
        if any(run.unfinished for run in runs):
            # All of them again when the run is resumed: what is compared must have taken turns.
            for run in runs:
                run.unfinished = True
            return
        self._journal.append(*(run.record() for run in runs))

    def _check(self, runs: Sequence[CaseRun]) -> None:
        for environment in dict.fromkeys(run.case.environment for run in runs):
            mine = [run for run in runs if run.case.environment == environment]
            try:
                self._check_together(mine)
            except CaseProblem as problem:
                if isinstance(problem, WorkerLost):
                    self._team.replace(environment, 0)
                # Some check, maybe a plug-in's, raised or took the worker down: whose was it?
                for run in mine:
                    self._check_alone(run)

    def _check_together(self, runs: Sequence[CaseRun]) -> None:
        worker = self._team.worker(runs[0].case.environment, 0)
        columns = [run.case.columns() for run in runs]
        answer = worker.ask("check", self._options.case_timeout, cases=columns)
        for run, reason in zip(runs, answer["unsupported"], strict=True):
            if reason is not None:
                self._give_up(run, CaseProblem("unsupported", reason))

    def _check_alone(self, run: CaseRun) -> None:
        try:
            self._check_together([run])
        except CaseProblem as problem:
            self._give_up(run, problem)
            if isinstance(problem, WorkerLost):
                self._team.replace(run.case.environment, 0)

    def _prepare_slot(self, alive: Sequence[CaseRun], slot: int, *, describe: bool) -> None:
        """Prepare all cases in one slot; a case that takes its worker down is given up alone.

        In another order in each slot: what is built first gets other memory than what is built
        last, and luck that is the same in every process looks like a difference.
        """
        todo = list(alive)
        if slot > 0:
            random.Random(f"{self._options.seed} {slot}").shuffle(todo)
        ready: list[CaseRun] = []
        while todo:
            run = todo.pop(0)
            if not run.measured:
                continue
            worker = self._team.worker(run.case.environment, slot)
            self._progress("verify", run)
            try:
                answer = self._ask(
                    worker,
                    "prepare",
                    run.case,
                    all_cores=self._options.cores,
                    iterations=run.prepared.get("iterations"),
                )
                self._keep_answer(run, answer)
                if describe and not run.ran:
                    run.ran = self._ask(worker, "describe", run.case)
                ready.append(run)
            except WorkerLost as lost:
                self._blame(run, lost)
                self._team.replace(run.case.environment, slot)
                # The fresh worker has none of the cases that the lost one held.
                again = [x for x in ready if x.case.environment == run.case.environment]
                ready = [x for x in ready if x.case.environment != run.case.environment]
                todo = [*again, run, *todo]
            except CaseProblem as problem:
                self._give_up(run, problem)

    def _keep_answer(self, run: CaseRun, answer: dict[str, Any]) -> None:
        compiled = answer["compile"]
        if not run.prepared:
            run.prepared = answer
        elif compiled is not None and compiled["warm_cache"] and run.warm_compile is None:
            run.warm_compile = compiled

    def _ask(self, worker: Worker, op: str, case: Case, **fields: Any) -> dict[str, Any]:
        return worker.ask(op, self._options.case_timeout, case=case.columns(), **fields)

    def _blame(self, run: CaseRun, lost: WorkerLost) -> None:
        """Give the case up that its worker was lost with, unless somebody killed the worker."""
        if isinstance(lost, WorkerKilled) and self._excused < _MOST_EXCUSED:
            self._excused += 1
            self.notes.append(
                f"a worker was ended by SIGKILL while it had {run.case.id}, which went on in a "
                "fresh process"
            )
        else:
            self._give_up(run, lost)

    def _give_up(self, run: CaseRun, problem: CaseProblem) -> None:
        run.status, run.reason = problem.status, problem.reason
        run.unfinished = isinstance(problem, NoWorker)
        run.blocks.clear()

    def _take_turns(self, alive: list[CaseRun]) -> None:
        budget = self._options.seconds
        order = sweeps(alive, self._team.slots, self._options.seed + self._turn)
        done = 0
        while True:
            for run, slot in next(order):
                if run.measured:
                    self._one_turn(run, slot, alive)
            done += 1
            alive = [run for run in alive if run.measured]
            if not alive:
                return
            spent = sum(run.spent() for run in alive) / len(alive)
            if done < _LEAST_SWEEPS and spent < budget:
                continue
            if self._precise(alive):
                stopped = "precise"
            elif spent >= budget:
                stopped = "time spent"
            else:
                continue
            for run in alive:
                run.stopped = stopped
            return

    def _one_turn(self, run: CaseRun, slot: int, alive: Sequence[CaseRun]) -> None:
        case = run.case
        seconds = self._options.block_seconds
        if case.threads > 1:
            time.sleep(_SPIN_PAUSE)
            if self._last is not None:
                self._last.settled()
            seconds *= _THREADED_BLOCKS
        if self._replace_if_dead(case.environment, slot):
            self._prepare_again(case.environment, slot, alive)
            if not run.measured:
                return
        worker = self._last = self._team.worker(case.environment, slot)
        self._progress("time", run)
        try:
            answer = self._ask(
                worker,
                "block",
                case,
                seconds=seconds,
                iterations=run.prepared["iterations"],
                cores=self._options.cores_for(case.threads),
            )
        except WorkerLost as lost:
            self._blame(run, lost)
            self._team.replace(case.environment, slot)
            self._prepare_again(case.environment, slot, alive)
            return
        except CaseProblem as problem:
            self._give_up(run, problem)
            return
        block = {"replicate": worker.replicate, "turn": self._turn, **answer}
        self._turn += 1
        self._journal.append({"type": "block", "case": case.columns(), **block})
        run.blocks.append(block)
        self.timed_seconds += timed_seconds(run, block)

    def _replace_if_dead(self, environment: str, slot: int) -> bool:
        """Replace a worker that died while it waited: nothing that is asked now is to blame."""
        dead = not self._team.worker(environment, slot).alive()
        if not dead or self._excused >= _MOST_EXCUSED:
            return False
        self._excused += 1
        self._team.replace(environment, slot)
        return True

    def _prepare_again(self, environment: str, slot: int, alive: Sequence[CaseRun]) -> None:
        """Give a fresh worker the cases that the lost one held."""
        held = [run for run in alive if run.case.environment == environment and run.measured]
        self._prepare_slot(held, slot, describe=False)

    def _precise(self, alive: Sequence[CaseRun]) -> bool:
        """Whether every estimate, and every ratio to the baseline, is known well enough."""
        processes = {run.case: run.processes() for run in alive}
        for run in alive:
            estimate = estimate_blocks(processes[run.case])
            if estimate.low is None or estimate.high is None:
                return False
            if (estimate.high - estimate.low) / 2 > self._options.precision * estimate.value:
                return False
            base = baseline_of(run, alive, self._options.baseline)
            if base is None or base is run:
                continue
            ratio = ratio_of(base, run)
            if ratio.low is None or ratio.high is None:
                return False
            if (ratio.high - ratio.low) / 2 > self._options.precision * ratio.ratio:
                return False
        return True

    def _finish(self, alive: Sequence[CaseRun]) -> None:
        recompiled: dict[str, int] = {}
        for environment in dict.fromkeys(run.case.environment for run in alive):
            for slot in range(self._team.slots):
                worker = self._team.worker(environment, slot)
                try:
                    answer = worker.ask("finish", self._options.case_timeout)
                except WorkerLost:
                    # It was lost while it waited. What it measured stands; the next needs one.
                    self._team.replace(environment, slot)
                    continue
                except NoWorker:
                    continue
                count = recompiled.get(environment, 0) + answer["recompilations"]
                recompiled[environment] = count
        for run in alive:
            if "graphs" in run.ran:
                run.ran["recompilations"] = recompiled.get(run.case.environment)


def baseline_of(run: CaseRun, group: Sequence[CaseRun], baseline: str) -> CaseRun | None:
    """The competitor that a case is compared with: the baseline in its own environment, or in the
    first environment that has it; None where nothing of that name was measured.

    Of the variants of a workload it is the plain one, whose name has no dot, and of the ways to lay
    out a batch of different lengths it is ``padded``, wherever these were measured.
    """
    found = [x for x in group if x.case.implementation == baseline and x.measured and x.blocks]
    own = [x for x in found if x.case.environment == run.case.environment]
    candidates = sorted(
        own or found, key=lambda x: ("." in x.case.workload, x.case.layout != "padded")
    )
    return candidates[0] if candidates else None


def ratio_of(base: CaseRun, run: CaseRun) -> Comparison:
    """Compare a case with its baseline by the processes that they share.

    In one environment both are timed in the same processes, and only those that hold blocks of both
    are compared: a run that was killed or lost a worker may hold one competitor's blocks alone.
    """
    same = base.case.environment == run.case.environment
    left, right = base.by_replicate(), run.by_replicate()
    shared = sorted(left.keys() & right.keys())
    if not shared:
        return compare_blocks(base.processes(), run.processes(), warmup_rounds=0, took_turns=False)
    return compare_blocks(
        [left[replicate] for replicate in shared],
        [right[replicate] for replicate in shared],
        warmup_rounds=0,
        same_process=same,
    )


def timed_seconds(run: CaseRun, block: dict[str, Any]) -> float:
    """Seconds of a block that were timed rounds; for `backward` with what prepared each."""
    if run.case.pass_ == "backward":
        return float(block["seconds"])
    calls = run.prepared["iterations"]
    return float(calls * (sum(block["rounds"]) + sum(block["warmup"])))


def result_of(run: CaseRun) -> dict[str, Any]:
    """The ``extra_info.rnnbench`` of a measured case, as the schema has it."""
    blocks = []
    at = 0
    for block in run.blocks:
        entry = {key: block[key] for key in ("replicate", "turn", "start", "cores", "warmup")}
        entry["rounds"] = [at, at + len(block["rounds"])]
        if block["device_rounds"]:
            entry["device_rounds"] = block["device_rounds"]
        if block.get("parts"):  # a journal of an earlier version has none
            entry["parts"] = block["parts"]
        at += len(block["rounds"])
        blocks.append(entry)
    compiled = run.prepared["compile"]
    if compiled is not None:
        compiled = {"cold": None, "warm": run.warm_compile}
        compiled["warm" if run.prepared["compile"]["warm_cache"] else "cold"] = run.prepared[
            "compile"
        ]
    return {
        "case": run.case.columns(),
        "verification": run.prepared["verification"],
        "ran": run.ran,
        "compile": compiled,
        "clock": run.prepared["clock"],
        "iterations": run.prepared["iterations"],
        "blocks": blocks,
        "work": work_of(run.case),
        "stopped": run.stopped,
        **({"instructions": run.instructions} if run.instructions else {}),
    }
