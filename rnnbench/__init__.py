"""Benchmarks of recurrent layers in PyTorch whose numbers can be trusted."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnbench.results import load, rounds

__all__ = ["__version__", "load", "rounds"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Only when asked for: measuring works without pandas, and `rnnbench --help` is quick.
    if name in ("load", "rounds"):
        return getattr(importlib.import_module("rnnbench.results"), name)
    raise AttributeError(f"module 'rnnbench' has no attribute {name!r}")
