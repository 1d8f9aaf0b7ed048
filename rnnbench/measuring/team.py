"""The team: every worker of a run, by environment and slot, replaced when one is lost."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.measuring.memory import available_memory, replicates_that_fit
from rnnbench.measuring.options import Options
from rnnbench.measuring.scratch import Scratch
from rnnbench.measuring.workers import InProcessWorker, MissingWorker, ProcessWorker, Worker

__all__ = ["Team"]


class Team:
    """Starts, replaces and ends workers.

    A slot holds one worker of each environment; a worker that is lost is replaced in its slot by a
    fresh process with a new replicate number, because the process is the unit of evidence. Where
    none starts any more the environment has broken: ``broken`` says why, and the others go on.
    """

    def __init__(self, options: Options, first_replicate: int = 0) -> None:
        self._options = options
        self._next_replicate = dict.fromkeys(options.environments, first_replicate)
        self._workers: dict[tuple[str, int], Worker] = {}
        self._described: dict[str, dict[str, Any]] = {}
        self._scratch = Scratch()
        self._memory = available_memory()
        self.slots = 0
        self.note: str | None = None
        self.broken: dict[str, str] = {}
        self.waited_cpu = 0.0
        self.waited_wall = 0.0
        self._cpu_of_retired = 0.0

    def start_first(self) -> None:
        """Start one worker of each environment, enough to ask what there is.

        Raises:
            UserError: a Python has no torch, a plug-in does not import, and the like.
        """
        for environment in self._options.environments:
            self._start(environment, 0)
        self.slots = 1
        for device in self._options.devices:
            reasons = [worker.hello["no_device"][device] for worker in self._workers.values()]
            if all(reason is not None for reason in reasons):
                raise UserError(f"--rnn-device {device}: {reasons[0]}; leave it out")

    def start_rest(self, cases: Sequence[Case]) -> None:
        """Start the other replicates, as many as memory holds.

        Raises:
            UserError: memory does not hold one worker of each environment.
        """
        if self._options.in_process:
            self.note = "run in the pytest process: its numbers have no replicates"
            return
        environments = len(self._options.environments)
        memories = [worker.hello["memory"] for worker in self._workers.values()]
        largest = max((memory for memory in memories if memory is not None), default=None)
        asked = self._options.replicates
        compilers = {
            name: described.get("compiler")
            for worker in self._workers.values()
            for name, described in worker.hello["implementations"].items()
        }
        fit = replicates_that_fit(
            asked,
            environments,
            largest,
            cases,
            self._memory,
            compiles=any(compilers.get(case.implementation) == "inductor" for case in cases),
        )
        if fit < 1:
            raise UserError(
                f"memory holds fewer than {environments} workers with these cases; give fewer "
                "environments or smaller sizes, or free some memory"
            )
        if fit < asked:
            self.note = (
                f"memory holds {fit} workers of each environment, so there are {fit} replicates "
                f"and not {asked}"
            )
        for slot in range(1, fit):
            for environment in self._options.environments:
                self._start(environment, slot)
        self.slots = fit

    def worker(self, environment: str, slot: int) -> Worker:
        """The worker that is in a slot now."""
        return self._workers[environment, slot]

    def replace(self, environment: str, slot: int) -> Worker:
        """Bury the worker of a slot and start another in its place, or what stands for one."""
        lost = self._workers.pop((environment, slot))
        self._retire(lost)
        try:
            return self._start(environment, slot)
        except UserError as error:
            reason = f"no worker could be started again: {error}"
            self.broken.setdefault(environment, reason)
            missing = self._workers[environment, slot] = MissingWorker(lost, reason)
            return missing

    def environments(self) -> dict[str, dict[str, Any]]:
        """What each environment says of itself, and which replicates it had."""
        return {
            name: {
                **described,
                "processes": self._next_replicate[name],
                **({"broken": self.broken[name]} if name in self.broken else {}),
            }
            for name, described in self._described.items()
        }

    def plugin_implementations(self) -> list[str]:
        """Names that plug-ins have registered."""
        names = {name for worker in self._workers.values() for name in worker.hello["plugins"]}
        return sorted(names)

    def waiting_cpu_share(self) -> float | None:
        """CPU time that waiting workers used, as a share of the time that they waited."""
        cpu = self.waited_cpu + sum(worker.waited_cpu for worker in self._workers.values())
        wall = self.waited_wall + sum(worker.waited_wall for worker in self._workers.values())
        return cpu / wall if wall else None

    def cpu_seconds(self) -> float:
        """CPU time of this process and of all workers, as of their last answers."""
        workers = sum(worker.cpu for worker in self._workers.values())
        return time.process_time() + self._cpu_of_retired + workers

    def close(self) -> None:
        """End all workers and remove the run's folder."""
        while self._workers:
            self._retire(self._workers.popitem()[1])
        self._scratch.remove()

    def _retire(self, worker: Worker) -> None:
        self.waited_cpu += worker.waited_cpu
        self.waited_wall += worker.waited_wall
        self._cpu_of_retired += worker.cpu
        worker.close()

    def _start(self, environment: str, slot: int) -> Worker:
        hello = {
            "plugins": [
                str(Path(plugin).resolve()) for plugin in self._options.plugins_of(environment)
            ],
            "cache": str(
                self._scratch.folder / hashlib.sha256(environment.encode()).hexdigest()[:8]
            ),
            "memory_limit": self._memory,
            "devices": list(self._options.devices),
            "planted": self._options.planted.get(environment),
        }
        worker: Worker
        if self._options.in_process:
            worker = InProcessWorker(environment, hello)
        else:
            worker = ProcessWorker(
                environment,
                self._options.environments[environment],
                self._next_replicate[environment],
                hello,
            )
        self._next_replicate[environment] += 1
        self._workers[environment, slot] = worker
        self._described.setdefault(environment, worker.hello["environment"])
        return worker
