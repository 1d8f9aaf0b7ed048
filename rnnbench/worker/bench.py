"""The bench: cases of the current group, built, verified and ready to be timed."""

from __future__ import annotations

import dataclasses
import gc
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rnnbench import implementations
from rnnbench.cases import Case, builtin_implementations
from rnnbench.cores import usable_cores
from rnnbench.implementations import Implementation
from rnnbench.worker import compilation
from rnnbench.worker.autocast import why_no_autocast
from rnnbench.worker.blocks import Block, Timed, calibrate, run_block
from rnnbench.worker.clocks import Clock, clock_for
from rnnbench.worker.expected import Expected, expected_of
from rnnbench.worker.masks import fix_masks
from rnnbench.worker.planted import Slowed
from rnnbench.worker.ran import what_ran
from rnnbench.worker.verification import Incorrect, verify, verify_step
from rnnbench.worker.windows import Window, run_window
from rnnbench.workloads import Data, Model, Workload, tensors_of, with_own_weights, workload

__all__ = ["Bench", "why_no_device"]

_VERIFIED_LEARNING_RATE = 0.1
"""Of the step that is verified: large enough to be seen in a weight, unlike the timed one."""


_SETTLING_CALLS = 2
"""Calls after the first, before results are verified: TorchScript watches two calls and specialises
in the third, and what is verified must be the program that is timed. Only the eager implementations
that come with rnnbench are known to be the same program in every call."""

_MOST_PADDING = 4096
"""Floats of a tensor that is never read, of random size, before each layer's weights. Where tensors
lie in memory is worth some tenths of a per cent, and a process repeats the same allocations; so
replicates would share that luck. (Mytkowicz et al. 2009, "Producing wrong data without doing
anything obviously wrong!"; randomising it: Curtsinger and Berger 2013, "Stabilizer".)"""


@dataclass
class _Setting:
    """Weights and inputs, what must come of them, and the models that were built on them."""

    workload: Workload
    data: Data
    expected: Expected
    built: dict[str, _Built] = field(default_factory=dict)


@dataclass
class _Built:
    """One model of the current setting, shared by its passes."""

    implementation: Implementation
    compiler: str
    model: Model
    warm_cache: bool
    build_seconds: float
    before: compilation.Graphs
    settling_calls: int
    """How many calls come between the first and what is verified."""

    first_calls: dict[str, float] = field(default_factory=dict)
    graphs: compilation.Graphs | None = None
    verified: dict[str, dict[str, Any]] = field(default_factory=dict)


class Bench:
    """Holds the settings of one group at a time, and the cases measured in them."""

    def __init__(self, cache: Path, planted: float = 0.0) -> None:
        self._cache = cache
        self._planted = planted
        self._ground: Case | None = None
        self._settings: dict[Case, _Setting] = {}
        self._timed: dict[Case, Timed] = {}
        self._profiled: dict[Case, Timed] = {}
        self._clocks: dict[str, Clock] = {}
        self._compiler_start: dict[str, float | None] = {}
        self._graphs_before_blocks: compilation.Graphs | None = None
        self._padding: list[torch.Tensor] = []
        self.is_compiling = False

    def unsupported(self, case: Case) -> str | None:
        """Why a case cannot be done in this environment, or None."""
        found = implementations.registered().get(case.implementation)
        if found is None:
            return f"this environment has no implementation {case.implementation!r}"
        if self._planted and torch.device(case.device).type != "cpu":
            return "a slowdown can be planted on a CPU only"
        return why_no_device(case.device) or why_no_autocast(case) or _unsupported(case, found)

    def start_compiler(self, device: str) -> None:
        """Start the compiler for a device, once; no case pays for that."""
        if device not in self._compiler_start:
            self._compiler_start[device] = compilation.start_compiler(self._cache, device)

    def enter(self, case: Case) -> None:
        """Make a case's group the current one; all that the last one held is dropped."""
        self._enter(case)

    def prepare(self, case: Case, iterations: int | None = None) -> dict[str, Any]:
        """Build and verify a case; the layer is shared by its passes.

        ``iterations``: what another replicate has found; without it they are found here.

        Raises whatever building, compiling or verifying raises, `Incorrect` among it.
        """
        self._graphs_before_blocks = None  # what is compiled here is no recompilation
        setting = self._enter(case)
        torch.set_num_threads(case.threads)
        found = implementations.registered()[case.implementation]
        self.is_compiling = bool(_compiler_of(setting, found))
        built = setting.built.get(case.implementation) or self._build(setting, found, case)
        self._verify_outputs(setting, built, case)
        reason = self._verify_training(setting, built, case)
        timed = setting.workload.timed(case, built.model)
        verification = dict(built.verified["training" if reason is None else "inference"])
        if reason is not None:
            verification["gradients_not_checked"] = reason
        if case.pass_ == "training_step":
            verification["error"] = {
                **verification["error"],
                **self._verify_step(setting, built, case, timed),
            }
        clock = self._clock(case)
        self._profiled[case] = setting.workload.profiled(case, timed)
        if self._planted:
            timed = Slowed(timed, self._planted)
        self._timed[case] = timed
        # TorchScript specialises itself anew in the first calls of the very pass, which a replicate
        # that is told its iterations would otherwise make in its first timed block.
        if iterations is None or built.settling_calls:
            settled = calibrate(timed, clock, setting.workload.resolutions)
            iterations = settled if iterations is None else iterations
        self.is_compiling = False
        return {
            "verification": verification,
            "compile": self._compile_record(built, case),
            "iterations": iterations,
            "clock": {"rounds": clock.name, "device_rounds": clock.device_clock},
        }

    def ready(self, case: Case) -> tuple[Timed, Model, Clock]:
        """What is profiled of a prepared case, as in `describe`, its model and the clock.

        A slowdown that is planted in what is timed is not in it.
        """
        model = self._settings[case.setting].built[case.implementation].model
        return self._profiled[case], model, self._clock(case)

    def describe(self, case: Case) -> dict[str, Any]:
        """What runs when this case is timed, and the memory it takes, from a profiled call."""
        torch.set_num_threads(case.threads)
        built = self._settings[case.setting].built[case.implementation]
        timed, clock = self._profiled[case], self._clock(case)
        return what_ran(case, timed, clock, built.graphs, built.compiler)

    def block(self, case: Case, seconds: float, iterations: int) -> Block:
        """Run one block of a prepared case."""
        return run_block(
            self._with_threads(case), self._clock(case), seconds=seconds, iterations=iterations
        )

    def window(self, case: Case, start: float, end: float) -> Window:
        """Call a prepared case on and on, while others may do so too; see `run_window`."""
        return run_window(self._with_threads(case), start, end)

    def finish(self) -> int:
        """Drop the cases of the group, keep its settings; returns graphs compiled in its blocks.

        These were recompilations in the middle of what was timed.
        """
        before, self._graphs_before_blocks = self._graphs_before_blocks, None
        self._timed.clear()
        self._profiled.clear()
        return 0 if before is None else compilation.graphs_so_far().since(before).unique

    def _with_threads(self, case: Case) -> Timed:
        """A prepared case with its threads."""
        if self._graphs_before_blocks is None:
            self._graphs_before_blocks = compilation.graphs_so_far()
        if torch.get_num_threads() != case.threads:
            torch.set_num_threads(case.threads)
        return self._timed[case]

    def _enter(self, case: Case) -> _Setting:
        """The case's setting; the first of another ground drops all that the last one held."""
        if case.ground != self._ground:
            self._leave()
            self._ground = case.ground
        if case.setting not in self._settings:
            # The oracle is not timed: it may use every core, whatever the last case had.
            torch.set_num_threads(len(usable_cores()))
            chosen = workload(case.workload)
            data = chosen.data(case)
            expected = expected_of(
                case, tensors_of(data), lambda: chosen.expected(case, data), self._cache
            )
            self._settings[case.setting] = _Setting(chosen, data, expected)
        return self._settings[case.setting]

    def _leave(self) -> None:
        self._timed.clear()
        self._profiled.clear()
        self._settings.clear()
        self._padding.clear()
        self._ground = None
        compilation.forget_compiled()
        gc.collect()
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.empty_cache()  # the other workers of this run share the device's memory

    def _clock(self, case: Case) -> Clock:
        if case.device not in self._clocks:
            self._clocks[case.device] = clock_for(case.device)
        return self._clocks[case.device]

    def _build(self, setting: _Setting, found: Implementation, case: Case) -> _Built:
        warm, compiler = False, _compiler_of(setting, found)
        if compiler:
            if compiler == "inductor":
                self.start_compiler(case.device)
            warm = compilation.use_cache(self._cache, f"{found.name} {case.setting.id}")
        self._padding.append(torch.empty(random.randrange(1, _MOST_PADDING)))
        data = with_own_weights(setting.data)
        before = compilation.graphs_so_far()
        start = time.perf_counter()
        model = setting.workload.model(case, found, data)
        seconds = time.perf_counter() - start
        settles = bool(compiler) or found.name not in builtin_implementations()
        settling = _SETTLING_CALLS if settles else 0
        built = _Built(found, compiler, model, warm, seconds, before, settling)
        setting.built[case.implementation] = built
        return built

    def _verify_outputs(self, setting: _Setting, built: _Built, case: Case) -> None:
        if "inference" in built.verified:
            return
        inference = dataclasses.replace(case, pass_="inference")
        timed = _verified(setting, inference, built.model)
        clock = self._clock(case)
        with timed.context():
            fix_masks(case)
            seconds, _, outputs = clock.time(lambda: timed.run(None))
            for _ in range(built.settling_calls):
                fix_masks(case)
                outputs = timed.run(None)
        named = _named(outputs, built.model.inferred)
        built.first_calls["inference"] = seconds
        built.verified["inference"] = verify(inference, setting.expected, named, None).as_dict()
        self._note_graphs(built)

    def _verify_training(self, setting: _Setting, built: _Built, case: Case) -> str | None:
        """Verify output and gradients with autograd on; the reason where that cannot be done.

        An inference case, too, is refused when its gradients are wrong: whoever picks an
        implementation for its speed may train with it. Only where gradients cannot be had is an
        inference case timed without them.
        """
        if "training" in built.verified:
            return None
        training = dataclasses.replace(case, pass_="forward_backward")
        reason = _unsupported(training, built.implementation, some_pass=True)
        if reason is not None:
            return reason
        names = built.model.names
        timed = _verified(setting, dataclasses.replace(case, pass_="backward"), built.model)
        clock = self._clock(case)
        try:
            with timed.context():
                fix_masks(case)
                forward, _, outputs = clock.time(timed.prepare)
                named = _named(outputs, names)
                backward, _, gradients = clock.time(partial(timed.run, outputs))
                for _ in range(built.settling_calls):
                    fix_masks(case)
                    outputs = timed.prepare()
                    named = _named(outputs, names)
                    gradients = timed.run(outputs)
        except Exception as error:
            if case.pass_ == "inference" and compilation.compiler_refused(error):
                return f"{type(error).__name__} in the compilation of the training pass"
            raise
        built.first_calls.update(forward=forward, backward=backward)
        verified = verify(training, setting.expected, named, gradients)
        built.verified["training"] = verified.as_dict()
        self._note_graphs(built)
        return None

    def _verify_step(
        self, setting: _Setting, built: _Built, case: Case, timed: Any
    ) -> dict[str, float]:
        """Check one step of the optimizer at a rate that can be seen, and undo it."""
        timed = setting.workload.verified(case, timed)
        weights = built.model.parameters
        before = [weight.detach().clone() for weight in weights]
        timed_optimizer = timed.optimizer
        rule = built.model.rule
        timed.optimizer = rule.make(weights, _VERIFIED_LEARNING_RATE)
        try:
            fix_masks(case)
            with timed.context():
                timed.run(None)
            return verify_step(
                case,
                setting.expected,
                rule,
                before,
                weights,
                learning_rate=_VERIFIED_LEARNING_RATE,
            )
        finally:
            timed.optimizer = timed_optimizer
            with torch.no_grad():
                for weight, value in zip(weights, before, strict=True):
                    weight.copy_(value)

    def _note_graphs(self, built: _Built) -> None:
        graphs = compilation.graphs_so_far().since(built.before)
        # TorchScript and ahead-of-time compilation have no frames that could be traced or broken.
        if built.compiler == "inductor" and graphs.frames:
            built.graphs = graphs

    def _compile_record(self, built: _Built, case: Case) -> dict[str, Any] | None:
        """Seconds until the pass could first be used, with what its compilation was worth."""
        if not built.compiler:
            return None
        calls = {
            "inference": ("inference",),
            "forward": ("forward",),
            "backward": ("forward", "backward"),
            "forward_backward": ("forward", "backward"),
            "training_step": ("forward", "backward"),
        }[case.pass_]
        return {
            "seconds": built.build_seconds + sum(built.first_calls[call] for call in calls),
            "parts": {
                "build": built.build_seconds,
                **{call: built.first_calls[call] for call in calls},
            },
            "compiler": built.compiler,
            "warm_cache": built.warm_cache,
            "compiler_start": (
                self._compiler_start[case.device] if built.compiler == "inductor" else None
            ),
        }


def _compiler_of(setting: _Setting, found: Implementation) -> str:
    """What compiles, of the layer or around it."""
    return found.compiler or setting.workload.compiler


def _verified(setting: _Setting, case: Case, model: Model) -> Timed:
    """The pass by which a model is verified."""
    return setting.workload.verified(case, setting.workload.timed(case, model))


def _unsupported(case: Case, found: Implementation, *, some_pass: bool = False) -> str | None:
    """Why an implementation cannot do a case, for the layer's or for the workload's sake.

    With ``some_pass`` it is enough that the workload has a pass with gradients.
    """
    chosen = workload(case.workload)
    if some_pass and chosen.passes == ("inference",):
        return f"the workload {case.workload} has no gradients"
    if not some_pass and case.pass_ not in chosen.passes:
        return (
            f"the workload {case.workload} has no {case.pass_}; it has {', '.join(chosen.passes)}"
        )
    return found.unsupported(case) or chosen.unsupported(case, found)


def _named(outputs: Any, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """What a call returned, by the names that it should have.

    Raises:
        Incorrect: it is not a tensor for each name.
    """
    if (
        not isinstance(outputs, (tuple, list))
        or len(outputs) != len(names)
        or not all(isinstance(value, torch.Tensor) for value in outputs)
    ):
        count = {2: "two", 3: "three"}.get(len(names), str(len(names)))
        raise Incorrect(
            f"the layer must return ({', '.join(names)}), {count} tensors; it returned "
            f"{type(outputs).__name__}"
        )
    return dict(zip(names, outputs, strict=True))


def why_no_device(device: str) -> str | None:
    """Why a torch device cannot be used here, or None."""
    try:
        where = torch.device(device)
    except RuntimeError:
        return f"PyTorch {torch.__version__} knows no device {device}"
    kind = where.type
    if kind == "cpu":
        return None
    module = getattr(torch, kind, None)
    available = getattr(module, "is_available", None)
    if available is None and kind == "mps":
        available = torch.backends.mps.is_available
    if available is None or not available():
        return f"PyTorch {torch.__version__} finds no {kind} device here"
    count = module.device_count() if module is not None and hasattr(module, "device_count") else 1
    if where.index is not None and where.index >= count:
        return f"there is no {device}: {count} {kind} device(s) found"
    return None
