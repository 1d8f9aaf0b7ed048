"""The process that profiles: asked over its standard input, a JSON line for each answer."""

from __future__ import annotations

from typing import Any

from rnnbench.worker import pipe

__all__ = ["serve_forever"]


def _server() -> Any:
    from rnnbench.profiling.server import ProfileServer

    return ProfileServer()


def serve_forever() -> None:
    """Answer until the pipe closes; see `rnnbench.profiling.server` for what can be asked."""
    pipe.serve_forever(_server)
