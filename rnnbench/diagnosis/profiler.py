"""A process that profiles, as the command sees it: started, asked, ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnbench.cases import Case
from rnnbench.cores import usable_cores
from rnnbench.measuring.asked import Asked
from rnnbench.measuring.memory import available_memory
from rnnbench.measuring.workers import ProcessWorker

__all__ = ["Profiler"]


class Profiler(Asked):
    """One process; a case is prepared and verified in it before anything else is asked of it.

    ``cache`` is the folder for what is compiled, ``timeout`` the longest that an answer may take.

    Every question raises `CaseProblem` where the case cannot be profiled, and `WorkerLost`, which
    is one, where its process is gone.

    Raises:
        UserError: this Python has no torch, a plug-in does not import, and the like.
    """

    def __init__(
        self,
        environment: str,
        python: str,
        cache: Path,
        *,
        plugins: Sequence[str],
        timeout: float,
    ) -> None:
        hello = {
            "plugins": [str(Path(plugin).resolve()) for plugin in plugins],
            "cache": str(cache),
            "memory_limit": available_memory(),
            "devices": [],
        }
        worker = ProcessWorker(environment, python, 0, hello, serving="rnnbench.profiling.process")
        super().__init__(worker, timeout)

    def prepare(self, case: Case) -> dict[str, Any]:
        """Build and verify a case."""
        cores = list(usable_cores()) if case.device == "cpu" else []
        return self._worker.ask("prepare", self._timeout, case=case.columns(), all_cores=cores)

    def ran(self, case: Case) -> dict[str, Any]:
        """What runs, as the result of a timed case has it too: backend, graphs and breaks."""
        return self._worker.ask("describe", self._timeout, case=case.columns())

    def operators(self, case: Case, *, calls: int, spans: bool) -> dict[str, Any]:
        """See `rnnbench.profiling.operators`; with all spans of the call where they are wanted."""
        return self._ask("operators", case, calls=calls, spans=spans)

    def memory(self, case: Case) -> dict[str, Any]:
        """See `rnnbench.profiling.memory`."""
        return self._ask("memory", case)

    def lengths(
        self, case: Case, lengths: Sequence[int], *, turns: int, seconds: float
    ) -> list[list[float]]:
        """For each turn the seconds of a call of the case at each length."""
        found: list[list[float]] = self._ask(
            "lengths", case, lengths=list(lengths), turns=turns, seconds=seconds
        )["turns"]
        return found

    def gradients(self, case: Case) -> list[dict[str, Any]]:
        """See `rnnbench.profiling.gradients`."""
        flow: list[dict[str, Any]] = self._ask("gradients", case)["flow"]
        return flow

    def limits(
        self, shapes: Sequence[Sequence[int]], dtype: str, threads: int, *, seconds: float
    ) -> dict[str, Any]:
        """See `rnnbench.profiling.limits`."""
        cores = list(usable_cores())[-threads:]
        return self._worker.ask(
            "limits",
            self._timeout,
            shapes=[list(shape) for shape in shapes],
            dtype=dtype,
            threads=threads,
            seconds=seconds,
            cores=cores,
        )

    def launches(self, *, seconds: float) -> list[dict[str, Any]]:
        """See `rnnbench.profiling.limits`: one for each kind of device, or why there is none."""
        answer = self._worker.ask("launches", self._timeout, seconds=seconds)
        found: list[dict[str, Any]] = answer["devices"]
        return found

    def _ask(self, op: str, case: Case, **fields: Any) -> dict[str, Any]:
        # The last ones, as for every timed case; where a device computes, threads may be anywhere.
        cores = list(usable_cores())[-case.threads :] if case.device == "cpu" else []
        return self._worker.ask(op, self._timeout, case=case.columns(), cores=cores, **fields)
