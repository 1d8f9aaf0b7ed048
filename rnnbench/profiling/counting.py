"""The process that counts instructions: a worker under Valgrind, asked over its standard input."""

from __future__ import annotations

from typing import Any

from rnnbench.worker import pipe

__all__ = ["serve_forever"]


def _server() -> Any:
    from rnnbench.profiling.instructions import CountServer

    return CountServer()


def serve_forever() -> None:
    """Answer until the pipe closes; see `rnnbench.profiling.instructions`."""
    pipe.serve_forever(_server)
