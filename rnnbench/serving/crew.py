"""The processes of a replicate: each holds every stream, verified, and steps when it is told to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnbench.cases import DEFAULT_ENVIRONMENT, Case
from rnnbench.errors import UserError
from rnnbench.measuring.memory import available_memory, replicates_that_fit
from rnnbench.measuring.workers import CaseProblem, ProcessWorker
from rnnbench.serving.plan import Plan

__all__ = ["Crew", "Stepped"]

_LEAD = 0.3
"""Seconds from the order to a window's start, in which every worker steps already: longer than it
takes to hear of it, to move to a core and to have warm caches."""

_TRIES = 3
"""Windows that may be begun for one: each of them after twice the lead, if a worker came late."""


@dataclass(frozen=True, eq=False)
class Stepped:
    """What one worker did in a window: the core that it was on, and its steps in seconds each."""

    core: int | None
    latencies: NDArray[np.float64]


class Crew:
    """As many workers as the largest crowd of the plan has; they wait without computing.

    Raises:
        UserError: this Python has no torch, or memory does not hold so many workers.
    """

    def __init__(
        self, plan: Plan, python: str, cache: Path, *, timeout: float, replicate: int = 0
    ) -> None:
        self._plan = plan
        self._timeout = timeout
        self._workers: list[ProcessWorker] = []
        memory = available_memory()
        hello: dict[str, Any] = {
            "plugins": [],
            "cache": str(cache),
            "memory_limit": memory,
            "devices": [],
        }
        try:
            for number in range(plan.most):
                self._workers.append(
                    ProcessWorker(
                        DEFAULT_ENVIRONMENT, python, replicate * plan.most + number, hello
                    )
                )
                if number == 0:
                    self._refuse_too_many(memory)
        except BaseException:
            self.close(at_once=True)
            raise

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Whoever steps hears nothing before its window is over.
        self.close(at_once=kind is not None)

    def close(self, *, at_once: bool = False) -> None:
        """End all of them."""
        while self._workers:
            self._workers.pop().close(at_once=at_once)

    @property
    def environment(self) -> dict[str, Any]:
        """What they run in: torch and its build, processor."""
        described: dict[str, Any] = self._workers[0].hello["environment"]
        return described

    def prepare(self, case: Case) -> dict[str, Any]:
        """Build and verify a stream in each worker; returns what the first says of it.

        Raises:
            CaseProblem: it cannot be done, or its steps are not right.
        """
        columns, answers = case.columns(), []
        (reason,) = self._workers[0].ask("check", self._timeout, cases=[columns])["unsupported"]
        if reason is not None:
            raise CaseProblem("unsupported", reason)
        for worker in self._workers:
            answers.append(
                worker.ask(
                    "prepare",
                    self._timeout,
                    case=columns,
                    all_cores=list(self._plan.cores),
                    iterations=1,
                )
            )
        first: dict[str, Any] = answers[0]
        return first

    def window(self, case: Case, members: Sequence[int], cores: Sequence[int]) -> list[Stepped]:
        """Have some workers step at the same time, each on its core, for the plan's seconds.

        Raises:
            CaseProblem: one of them could not, or ended no step in the window.
            UserError: their clock is not this process's.
        """
        workers = [self._workers[number] for number in members]
        lead = _LEAD
        for _ in range(_TRIES):
            start = time.monotonic() + lead
            answers = self._ask_all(workers, case, cores, start)
            if not any(answer["late"] for answer in answers):
                return [self._stepped(answer) for answer in answers]
            lead *= 2
        raise CaseProblem(
            "failed",
            f"one of {len(workers)} workers did not step {lead / 2:g} s after it was told to, in "
            f"{_TRIES} windows",
        )

    def _ask_all(
        self, workers: Sequence[ProcessWorker], case: Case, cores: Sequence[int], start: float
    ) -> list[dict[str, Any]]:
        end = start + self._plan.seconds
        sent = time.monotonic()
        for worker, core in zip(workers, cores, strict=True):
            worker.send("window", case=case.columns(), cores=[core], start=start, end=end)
        answers: list[dict[str, Any]] = []
        problems = []
        for worker in workers:
            try:
                answers.append(worker.answer(end - time.monotonic() + self._timeout))
            except CaseProblem as problem:
                # The others answer too, and theirs must not be taken for answers to what is next.
                problems.append(problem)
        if problems:
            raise problems[0]
        received = time.monotonic()
        if any(not sent <= answer["began"] <= received for answer in answers):
            raise UserError(
                "the workers' monotonic clock is not this process's, so they cannot be told of a "
                "common window; this has been seen to work on Linux"
            )
        return answers

    def _stepped(self, answer: dict[str, Any]) -> Stepped:
        latencies = np.array(answer["latencies"], dtype=np.float64)
        if len(latencies) == 0 or float(latencies.min()) <= 0:
            raise CaseProblem(
                "failed",
                f"a step took longer than the window of {self._plan.seconds:g} s, or less than the "
                "clock can tell; give other --seconds",
            )
        cores = answer["cores"]
        return Stepped(cores[0] if cores else None, latencies)

    def _refuse_too_many(self, memory: int | None) -> None:
        plan = self._plan
        fit = replicates_that_fit(
            plan.most,
            1,
            self._workers[0].hello["memory"],
            [plan.case_of(name) for name in plan.implementations],
            memory,
            compiles=False,
        )
        if fit < plan.most:
            raise UserError(
                f"memory holds {fit} workers, and --workers holds {plan.most}; give fewer, or free "
                "some memory"
            )
