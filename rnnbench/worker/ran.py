"""What ran: operators and kernels of one profiled call, outside of all timing."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from rnnbench.cases import Case
from rnnbench.forms import steps_of
from rnnbench.worker.blocks import Timed
from rnnbench.worker.clocks import Clock
from rnnbench.worker.compilation import Graphs
from rnnbench.worker.memory import changes, peak_bytes, peak_of

__all__ = ["MEMORY_EVENT", "activities_of", "backend_of", "what_ran"]

MEMORY_EVENT = "[memory]"
"""As the profiler names an allocation or a release."""

_ACTIVITIES = {"cuda": "CUDA", "xpu": "XPU"}

# The compiled program as the profiler names it, across versions.
_COMPILED = ("Torch-Compiled Region", "## Call CompiledFxGraph", "CompiledFunction", "inductor::")

# What a device does that is no kernel.
_MOVES = ("Memcpy", "Memset")

# Operators of which one runs in every eager step, forward or backward: the activation's.
_EAGER_STEP = (
    "aten::tanh",
    "aten::sigmoid",
    "aten::relu",
    "aten::clamp_min",
    "aten::threshold",
    "aten::rnn",
)


def activities_of(kind: str) -> list[ProfilerActivity]:
    """What the profiler must watch where a device of this kind computes."""
    activities = [ProfilerActivity.CPU]
    if kind in _ACTIVITIES:
        activities.append(getattr(ProfilerActivity, _ACTIVITIES[kind]))
    return activities


def what_ran(
    case: Case, timed: Timed, clock: Clock, graphs: Graphs | None, compiler: str
) -> dict[str, Any]:
    """Profile one call of what is timed, not its first; returns the ``ran`` part of a result.

    ``operators``: how often each was called, those inside of others included; ``kernels``: the same
    for what ran on a device; ``launches``: kernels on a device, on a CPU the operators that call no
    other; ``backend``: derived from these names and from the graphs, never from what was meant;
    ``peak_bytes``: see `rnnbench.worker.memory.peak_bytes`.
    """
    device = torch.device(case.device).type
    with timed.context():
        # An optimizer makes its state in its first step; it is there in any later one.
        timed.run(timed.prepare())
        prepared = timed.prepare()
        clock.settle()
        marker = _mark_scripted_graph()
        with profile(activities=activities_of(device), profile_memory=device == "cpu") as profiler:
            result = timed.run(prepared)
            clock.settle()
        scripted = marker is not None and _last_scripted_graph() != marker
        del result, prepared
    operators: Counter[str] = Counter()
    kernels: Counter[str] = Counter()
    leaves = 0
    for name, on_cpu, is_leaf in _calls(profiler):
        if on_cpu:
            operators[name] += 1
            leaves += name.startswith("aten::") and is_leaf
        else:
            kernels[name] += 1
    launched = sum(count for name, count in kernels.items() if not name.startswith(_MOVES))
    launches = launched if device in _ACTIVITIES else leaves
    return {
        "operators": dict(sorted(operators.items())),
        "kernels": dict(sorted(kernels.items())),
        "launches": launches,
        "launches_per_step": launches / steps_of(case),
        "backend": backend_of(operators, kernels, graphs, compiler, scripted),
        "peak_bytes": (
            peak_of(changes(profiler)) if device == "cpu" else peak_bytes(case, timed, clock)
        ),
        **({} if graphs is None else graphs.as_dict()),
    }


def _calls(profiler: profile) -> Iterator[tuple[str, bool, bool]]:
    """Each event's name, whether it was on the CPU, and whether it held no other.

    Read off the profiler's raw events: ``profiler.events()`` makes a Python object with twenty
    fields of each first, which takes 0.4 s for a hundred steps. Versions before nanosecond times
    (2.4) are asked that way, since microseconds do not tell what holds what.
    """
    results = profiler.profiler.kineto_results if profiler.profiler is not None else None
    raw = results.events() if results is not None else []
    if not raw or not hasattr(raw[0], "start_ns"):
        for event in profiler.events() or ():  # type: ignore[no-untyped-call]
            if event.name != MEMORY_EVENT:
                yield event.name, event.device_type.name == "CPU", not event.cpu_children
        return
    on_cpu = []
    for event in raw:
        if event.name() == MEMORY_EVENT:
            continue
        if event.device_type().name == "CPU":
            start = event.start_ns()
            on_cpu.append((event.start_thread_id(), start, -start - event.duration_ns(), event))
        elif not (hasattr(event, "is_user_annotation") and event.is_user_annotation()):
            yield event.name(), False, True
    on_cpu.sort(key=lambda entry: entry[:3])
    following = [*on_cpu[1:], (-1, 0, 0, on_cpu[-1][-1])] if on_cpu else []
    for this, (next_thread, next_start, _, next_event) in zip(on_cpu, following, strict=True):
        thread, _, negative_end, event = this
        holds_next = next_thread == thread and next_start < -negative_end
        if holds_next and next_event.name() == event.name():
            continue  # one call, recorded by TorchScript's interpreter and by the dispatcher
        yield event.name(), True, not holds_next


def backend_of(
    operators: Counter[str],
    kernels: Counter[str],
    graphs: Graphs | None,
    compiler: str,
    scripted: bool = False,
) -> str:
    """The software that did the work, read off the names that were seen.

    ``cudnn``, ``miopen``, ``mkldnn``, ``torchscript``, ``inductor``, ``inductor+eager`` (compiled
    with graph breaks), ``eager`` (also for what was to be compiled and was not) or ``cuda_graph``.
    """
    names = [*operators, *kernels]
    for library in ("cudnn_rnn", "miopen_rnn", "mkldnn_rnn"):
        if any(library in name for name in names):
            return library.split("_")[0]
    if any("cudaGraphLaunch" in name for name in names):
        return "cuda_graph"
    compiled = any(mark in name for name in names for mark in _COMPILED)
    if compiler == "inductor" and graphs is not None and (graphs.unique or compiled):
        return "inductor+eager" if graphs.breaks else "inductor"
    if compiler == "inductor" and not any(name.startswith(_EAGER_STEP) for name in names):
        # Compiled ahead of time there is no region to see, but the step must have happened.
        return "inductor"
    return "torchscript" if scripted else "eager"


def _last_scripted_graph() -> str | None:
    """The graph that TorchScript's interpreter ran last in this thread, as text."""
    last = getattr(torch.jit, "last_executed_optimized_graph", None)
    graph = None if last is None else last()
    return None if graph is None else str(graph)


def _marker(x: torch.Tensor) -> torch.Tensor:
    return x + 12345


_scripted_marker: list[Any] = []


def _mark_scripted_graph() -> str | None:
    """Run a scripted graph that no layer has, so that a later one is seen by its difference.

    None where nothing was ever scripted in this thread: the profiler gives a scripted graph no
    event of its own, and what it ran cannot be told from its operators.
    """
    if _last_scripted_graph() is None:
        return None
    if not _scripted_marker:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            _scripted_marker.append(torch.jit.script(_marker))
    _scripted_marker[0](torch.zeros(1))
    return _last_scripted_graph()
