"""What a process that profiles can be asked, beside all that a worker can."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from rnnbench.cases import Case
from rnnbench.implementations import registered
from rnnbench.profiling.compiling import accounts_so_far, forget_breaks
from rnnbench.profiling.gradients import gradient_flow
from rnnbench.profiling.kinds import OVERHEAD, kernel_part, part_of
from rnnbench.profiling.lengths import seconds_at
from rnnbench.profiling.limits import devices_to_ask, launches_of, measure_limits
from rnnbench.profiling.memory import memory_of
from rnnbench.profiling.operators import middle_recording, operators_of, seconds_of_calls
from rnnbench.worker.bench import Bench
from rnnbench.worker.server import Server
from rnnbench.worker.threads import bind_threads

__all__ = ["ProfileServer"]


class ProfileServer(Server):
    """A worker's server that profiles cases; what is asked for must be prepared first."""

    def __init__(self) -> None:
        super().__init__()
        self._cache = Path()
        self._compiled: dict[Case, dict[str, Any]] = {}
        self._operations.update(
            operators=self._operators,
            memory=self._memory,
            lengths=self._lengths,
            gradients=self._gradients,
            limits=self._limits,
            launches=self._launches,
        )

    def _hello(self, request: dict[str, Any]) -> dict[str, Any]:
        self._cache = Path(request["cache"])
        return super()._hello(request)

    def _prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        case = Case.from_columns(request["case"])
        found = registered().get(case.implementation)
        if found is None or found.compiler != "inductor":
            return super()._prepare(request)
        _name_compiled_kernels()
        self.bench.start_compiler(case.device)
        # Whoever leaves another group drops what was compiled there, and the accounts of it.
        self.bench.enter(case)
        forget_breaks()
        before = accounts_so_far()
        answer = super()._prepare(request)
        # One model serves all passes of a setting: the first of them has it compiled.
        key = dataclasses.replace(case, pass_="inference")
        self._compiled.setdefault(key, accounts_so_far().since(before))
        return {**answer, "compiled": self._compiled[key]}

    def _operators(self, request: dict[str, Any]) -> dict[str, Any]:
        case = self._on_its_cores(request)
        timed, _, clock = self.bench.ready(case)
        plain = seconds_of_calls(timed, clock, request["calls"])
        recording = middle_recording(case, timed, clock, request["calls"])
        found = operators_of(case, recording, plain)
        if request["spans"]:
            found["spans"] = [
                {**dataclasses.asdict(span), "part": part_of(span.name) or OVERHEAD}
                for span in recording.spans
            ]
            found["kernel_spans"] = [
                {**dataclasses.asdict(span), "part": kernel_part(span.name)}
                for span in recording.kernels
            ]
        return found

    def _memory(self, request: dict[str, Any]) -> dict[str, Any]:
        case = self._on_its_cores(request)
        timed, model, clock = self.bench.ready(case)
        return memory_of(case, model, timed, clock)

    def _lengths(self, request: dict[str, Any]) -> dict[str, Any]:
        case = self._on_its_cores(request)
        cases = [dataclasses.replace(case, seq_len=length) for length in request["lengths"]]
        turns = seconds_at(
            cases,
            lambda: Bench(self._cache),
            turns=request["turns"],
            seconds=request["seconds"],
        )
        return {"turns": turns}

    def _gradients(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"flow": gradient_flow(Case.from_columns(request["case"]))}

    def _limits(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["cores"]:
            self._cores = bind_threads(request["cores"], request["threads"])
            self._bound = None
        return measure_limits(
            request["shapes"], request["dtype"], request["threads"], seconds=request["seconds"]
        )

    def _launches(self, request: dict[str, Any]) -> dict[str, Any]:
        seconds = request["seconds"]
        return {"devices": [launches_of(device, seconds) for device in devices_to_ask()]}

    def _on_its_cores(self, request: dict[str, Any]) -> Case:
        case = Case.from_columns(request["case"])
        if request["cores"] and self._bound != (request["cores"], case.threads):
            self._cores = bind_threads(request["cores"], case.threads)
            self._bound = (request["cores"], case.threads)
        torch.set_num_threads(case.threads)
        return case


def _name_compiled_kernels() -> None:
    """Have the compiler announce each kernel that it makes for a CPU; a profiler sees none else.

    What is compiled here is for this process alone, so no timed program carries the announcements.
    """
    try:
        from torch._inductor import config
    except ImportError:  # a build without the compiler
        return
    if hasattr(config.cpp, "enable_kernel_profile"):
        config.cpp.enable_kernel_profile = True
