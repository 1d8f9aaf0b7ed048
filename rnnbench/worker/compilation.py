"""What torch.compile did: seconds of first calls, graphs, breaks, recompilations, caches."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

__all__ = [
    "Graphs",
    "compiler_refused",
    "forget_compiled",
    "graphs_so_far",
    "start_compiler",
    "use_cache",
]

_COMPILER_MODULES = ("torch._dynamo", "torch._inductor", "torch._functorch", "torch._export")


class Graphs:
    """How often the tracer made a graph or gave up, and why; differences of its own counters."""

    def __init__(self, unique: int, frames: int, breaks: Mapping[str, int]) -> None:
        self.unique = unique
        self.frames = frames
        self.breaks = dict(breaks)

    def since(self, earlier: Graphs) -> Graphs:
        """What has come since ``earlier``."""
        breaks = {
            reason: count - earlier.breaks.get(reason, 0) for reason, count in self.breaks.items()
        }
        return Graphs(
            self.unique - earlier.unique,
            self.frames - earlier.frames,
            {reason: count for reason, count in breaks.items() if count},
        )

    def as_dict(self) -> dict[str, Any]:
        """As a result file holds it: ``graphs``, ``frames`` looked at, ``breaks`` by reason."""
        return {"graphs": self.unique, "frames": self.frames, "breaks": self.breaks}


def graphs_so_far() -> Graphs:
    """Read the tracer's counters; all zero before it was ever imported."""
    dynamo = getattr(torch, "_dynamo", None)
    if dynamo is None or not hasattr(dynamo, "utils"):
        return Graphs(0, 0, {})
    counters = dynamo.utils.counters
    breaks = {_first_lines(reason): count for reason, count in counters["graph_break"].items()}
    return Graphs(counters["stats"]["unique_graphs"], counters["frames"]["total"], breaks)


def _first_lines(reason: str) -> str:
    """A break's reason without its hints and links: its first line, and the explanation."""
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    kept = lines[:1] + [line for line in lines[1:] if line.startswith("Explanation:")]
    return "; ".join(kept)


def use_cache(root: Path, key: str) -> bool:
    """Compile into a folder that only this layer uses; returns whether it was there already.

    So the first process to compile a layer finds nothing of it, whatever else was compiled before,
    and a later process of the same run finds everything.
    """
    folder = root / hashlib.sha256(key.encode()).hexdigest()[:16]
    warm = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    os.environ["TRITON_CACHE_DIR"] = str(folder / "triton")
    return warm


def start_compiler(root: Path, device: str) -> float | None:
    """Compile something trivial, so that no case pays for the toolchain's own start.

    The first compilation in a process imports the compiler and finds out what the C++ compiler and
    the processor can do: 10 s where a small loop then takes 2 s. Returns those seconds, or None
    where this version cannot compile at all; the cases then say so themselves.
    """
    use_cache(root, f"start {device}")
    start = time.perf_counter()

    def trivial(x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x) + 1

    try:
        torch.compile(trivial, dynamic=False)(torch.zeros(64, device=device))
    except Exception as error:
        if not compiler_refused(error):
            raise
        return None
    return time.perf_counter() - start


def compiler_refused(error: BaseException) -> bool:
    """Whether an error is the compiler's own: this version cannot compile this program."""
    if type(error).__name__ == "TorchRuntimeError":
        return False  # the traced program itself is wrong, such as shapes that do not fit
    kinds = {kind.__module__ for kind in type(error).__mro__}
    if any(kind.startswith(_COMPILER_MODULES) for kind in kinds):
        return True
    # Raised by torch.compile itself where a Python or a platform is too new for the version.
    return isinstance(error, RuntimeError) and "is not supported on" in str(error)


def forget_compiled() -> None:
    """Drop compiled code of cases that are over, so that theirs do not count towards any limit."""
    dynamo = getattr(torch, "_dynamo", None)
    if dynamo is not None and hasattr(dynamo, "reset"):
        dynamo.reset()
