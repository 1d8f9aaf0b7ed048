"""A process that trains, as the command sees it: started, asked, ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnnbench.cases import DEFAULT_ENVIRONMENT
from rnnbench.classifier.settings import Settings
from rnnbench.cores import usable_cores
from rnnbench.measuring.asked import Asked
from rnnbench.measuring.workers import ProcessWorker

__all__ = ["Trainer"]


class Trainer(Asked):
    """One process; holds trainings by name, each prepared and verified before it is timed.

    ``cache`` is the folder for what is compiled: processes that share it compile once. ``timeout``
    is the longest that an answer may take, in seconds.

    Every question raises `CaseProblem` where the training cannot go on, and `WorkerLost`, which is
    one, where its process is gone.

    Raises:
        UserError: this Python has no torch, or is none.
    """

    def __init__(self, python: str, cache: Path, *, timeout: float, replicate: int = 0) -> None:
        self._settings: dict[str, Settings] = {}
        worker = ProcessWorker(
            DEFAULT_ENVIRONMENT,
            python,
            replicate,
            {"cache": str(cache)},
            serving="rnnbench.classifier.process",
        )
        super().__init__(worker, timeout)

    @property
    def best_device(self) -> str:
        """The device that is taken where none is asked for."""
        return str(self._worker.hello["best_device"])

    def prepare(self, name: str, settings: Settings) -> dict[str, Any]:
        """Build a training and verify its first step; returns errors, and seconds of both."""
        self._settings[name] = settings
        cores = list(usable_cores()) if settings.device == "cpu" else []
        return self._worker.ask(
            "prepare", self._timeout, name=name, settings=settings.columns(), all_cores=cores
        )

    def epoch(self, name: str) -> dict[str, Any]:
        """Train for an epoch: its ``loss``, ``accuracy`` and ``seconds``."""
        return self._ask("epoch", name)

    def epoch_both_ways(self, name: str, *, split_first: bool) -> dict[str, Any]:
        """The same epoch ``whole`` and ``split`` into its ``parts``, from the same state."""
        return self._ask("both", name, split_first=split_first)

    def evaluate(self, name: str) -> dict[str, Any]:
        """Accuracies of the weights as they are."""
        return self._ask("evaluate", name)

    def turn(self, name: str, epochs: int) -> list[float]:
        """Seconds of some epochs from the beginning of the training."""
        seconds: list[float] = self._ask("turn", name, epochs=epochs)["seconds"]
        return seconds

    def _ask(self, op: str, name: str, **fields: Any) -> dict[str, Any]:
        settings = self._settings[name]
        # The last ones, as for every case; where a device computes, its threads may be anywhere.
        cores = list(usable_cores())[-settings.threads :] if settings.device == "cpu" else []
        return self._worker.ask(op, self._timeout, name=name, cores=cores, **fields)
