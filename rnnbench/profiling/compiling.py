"""What torch.compile spent its seconds on, from its own accounts, and what it made."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["PHASES", "Accounts", "accounts_so_far", "forget_breaks", "phases_of"]

PHASES = ("tracing", "autograd", "lowering", "code_generation", "compiling")
"""Python to a graph; its backward and its decomposition; the graph's passes and loops; writing
C++ or Triton; and having that compiled and loaded."""

_TRACED = ("_compile.compile_inner", "_compile.<locals>.compile_inner")
_BACKEND = ("OutputGraph.call_user_compiler",)
_BACKWARD = ("backward._backward_impl", "compile_fx.<locals>.bw_compiler")
_INDUCTOR = ("compile_fx_inner",)
_MODULE = ("GraphLowering.compile_to_module", "GraphLowering.compile_to_fn")
_WRITTEN = ("GraphLowering.codegen",)


@dataclass(frozen=True)
class Accounts:
    """The compiler's own counters at a moment: seconds by name, and how much it had made."""

    seconds: Mapping[str, float]
    kernels: int
    recompilations: int

    def since(self, earlier: Accounts) -> dict[str, Any]:
        """What has come since ``earlier``, as a result holds it.

        ``phases`` are seconds and None where this version's accounts do not tell them apart;
        ``breaks`` are reasons since `forget_breaks`, with the line of the user's code where it is
        known.
        """
        grown = {
            name: total - earlier.seconds.get(name, 0.0) for name, total in self.seconds.items()
        }
        return {
            "phases": phases_of(grown),
            "kernels": self.kernels - earlier.kernels,
            "breaks": _break_reasons(),
            "recompilations": _recompilation_reasons()[earlier.recompilations :],
        }


def phases_of(seconds: Mapping[str, float]) -> dict[str, float] | None:
    """Seconds of each phase, from accounts that hold each other; None where one is missing.

    Tracing calls the backend, which calls the lowering for the forward; the backward is lowered
    when it is first called. The phases add up to all that was spent in tracing and backward.
    """

    def total(names: Sequence[str]) -> float | None:
        return next((seconds[name] for name in names if name in seconds), None)

    traced, backend, inductor = total(_TRACED), total(_BACKEND), total(_INDUCTOR)
    module, written = total(_MODULE), total(_WRITTEN)
    if traced is None or backend is None or inductor is None or module is None or written is None:
        return None
    backward = total(_BACKWARD) or 0.0
    found = (
        traced - backend,
        backend + backward - inductor,
        inductor - module,
        written,
        module - written,
    )
    return dict(zip(PHASES, found, strict=True))


def accounts_so_far() -> Accounts:
    """Read the accounts; all zero before the compiler was ever imported."""
    utils = sys.modules.get("torch._dynamo.utils")
    kept = getattr(utils, "compilation_time_metrics", {})
    metrics = sys.modules.get("torch._inductor.metrics")
    return Accounts(
        {name: float(sum(entries)) for name, entries in kept.items()},
        int(getattr(metrics, "generated_kernel_count", 0)),
        len(_recompilation_reasons()),
    )


def forget_breaks() -> None:
    """Begin a new list of reasons why graphs were broken; the compiler has one list for all."""
    getattr(sys.modules.get("torch._dynamo.utils"), "graph_break_reasons", []).clear()


def _break_reasons() -> list[str]:
    utils = sys.modules.get("torch._dynamo.utils")
    return [
        f"{str(found.reason).splitlines()[0]}{_line_of(found.user_stack)}"
        for found in getattr(utils, "graph_break_reasons", ())
    ]


def _line_of(stack: Sequence[Any]) -> str:
    """The place in the user's code, without its folder, which is this machine's own."""
    if not stack:
        return ""
    last = stack[-1]
    return f" ({last.filename.rpartition('/')[2]}, line {last.lineno})"


def _recompilation_reasons() -> list[str]:
    utils = sys.modules.get("torch._dynamo.utils")
    told = getattr(utils, "get_compilation_metrics", None)
    found = [] if told is None else [getattr(one, "recompile_reason", None) for one in told()]
    return [str(reason).splitlines()[0] for reason in found if reason]
