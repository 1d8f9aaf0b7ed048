"""One worker process as those see it who ask it themselves: asked, and ended."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from rnnbench.cases import Case
from rnnbench.measuring.workers import ProcessWorker

__all__ = ["Asked"]


class Asked:
    """Holds a worker while a ``with`` lasts; ``timeout`` is the longest that an answer may take."""

    def __init__(self, worker: ProcessWorker, timeout: float) -> None:
        self._worker = worker
        self._timeout = timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._worker.close()

    @property
    def environment(self) -> dict[str, Any]:
        """What it runs in: torch and its build, processor, devices."""
        described: dict[str, Any] = self._worker.hello["environment"]
        return described

    def unsupported(self, case: Case) -> str | None:
        """Why the case cannot be done in this environment, or None."""
        answer = self._worker.ask("check", self._timeout, cases=[case.columns()])
        reason: str | None = answer["unsupported"][0]
        return reason
