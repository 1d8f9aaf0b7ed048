"""The process that trains: asked over its standard input, a JSON line for each answer."""

from __future__ import annotations

from typing import Any

from rnnbench.worker import pipe

__all__ = ["serve_forever"]


def _server() -> Any:
    from rnnbench.classifier.server import TrainingServer

    return TrainingServer()


def serve_forever() -> None:
    """Answer until the pipe closes; see `rnnbench.classifier.server` for what can be asked."""
    pipe.serve_forever(_server)
