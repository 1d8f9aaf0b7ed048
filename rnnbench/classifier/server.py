"""What the training process can be asked: trainings by name, prepared, verified, then timed."""

from __future__ import annotations

import dataclasses
import gc
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rnnbench import implementations
from rnnbench.classifier.settings import Settings
from rnnbench.classifier.training import Training
from rnnbench.errors import UserError
from rnnbench.worker import compilation
from rnnbench.worker.bench import why_no_device
from rnnbench.worker.environment import describe_environment
from rnnbench.worker.process import run_on
from rnnbench.worker.server import failure

__all__ = ["TrainingServer", "best_device"]

_CANDIDATES = ("cuda", "mps", "xpu")


class _Unsupported(Exception):
    """A training that cannot be done here; the message says why."""


def best_device() -> str:
    """The device that PyTorch would be given first: a GPU where it finds one."""
    return next((name for name in _CANDIDATES if why_no_device(name) is None), "cpu")


class TrainingServer:
    """Answers requests; holds the trainings that take turns, by the name of each."""

    def __init__(self) -> None:
        self._trainings: dict[str, Training] = {}
        self._cache = Path()
        self._compiler_start: float | None = None
        self._compiles = False
        self._cores: list[int] = []
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "hello": self._hello,
            "prepare": self._prepare,
            "epoch": self._epoch,
            "both": self._both,
            "evaluate": self._evaluate,
            "turn": self._turn,
        }

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one request: ``{"result": …}``, or ``{"status": …, "reason": …}``."""
        try:
            return {"result": self._operations[request["op"]](request)}
        except KeyboardInterrupt:
            raise
        except _Unsupported as refusal:
            return {"status": "unsupported", "reason": str(refusal)}
        # As in rnnbench.worker.server: what one training raises must not end the others.
        except Exception as error:  # noqa: BLE001
            traceback.print_exc(file=sys.stderr)
            return failure(error, self._compiles)

    def _hello(self, request: dict[str, Any]) -> dict[str, Any]:
        torch.backends.cuda.matmul.allow_tf32 = False  # float32 means float32, as in every case
        torch.backends.cudnn.allow_tf32 = False
        implementations.load_builtin()
        self._cache = Path(request["cache"])
        return {
            "pid": os.getpid(),
            "environment": describe_environment(),
            "best_device": best_device(),
        }

    def _prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        settings = Settings.from_columns(request["settings"])
        self._use(request["all_cores"])  # compiling may take what there is; an epoch its own
        torch.set_num_threads(settings.threads)
        found = self._supported(settings)
        compiler = found.compiler or ("inductor" if settings.compile else "")
        self._compiles = bool(compiler)
        warm = self._start(compiler, request["name"], settings)
        before = compilation.graphs_so_far()
        start = time.perf_counter()
        training = Training(settings)
        build = time.perf_counter() - start
        verification, steps = training.verify()
        self._compiles = False
        self._trainings[request["name"]] = training
        gc.collect()
        gc.freeze()
        graphs = compilation.graphs_so_far().since(before)
        return {
            "verification": verification,
            "compiler": compiler,
            "warm_cache": warm,
            "compiler_start": self._compiler_start if compiler == "inductor" else None,
            "seconds": {"build": build, "first_steps": steps},
            "graphs": graphs.as_dict() if compiler == "inductor" else None,
        }

    def _supported(self, settings: Settings) -> implementations.Implementation:
        reason = why_no_device(settings.device)
        if reason is not None:
            raise UserError(f"--device {settings.device}: {reason}; leave it out for the best one")
        registered = implementations.registered()
        found = registered[settings.implementation]
        # What compiles the layer alone needs the same as what compiles the whole model.
        asked = [found, *([registered["compiled_nn_rnn"]] if settings.compile else [])]
        for size in settings.batch_sizes:
            for one in asked:
                reason = reason or one.unsupported(settings.case(size))
        if found.compiler == "cuda_graph" and len(settings.batch_sizes) > 1:
            reason = reason or (
                f"a CUDA graph is captured for one batch size, and the last batch has "
                f"{settings.batch_sizes[1]} of {settings.batch} sequences; choose --samples that "
                "--batch divides"
            )
        if reason is not None:
            raise _Unsupported(reason)
        return found

    def _start(self, compiler: str, name: str, settings: Settings) -> bool:
        """Start the compiler once, and give this training a cache of its own; whether it was warm.

        A later process of the same run finds there what an earlier one has compiled.
        """
        if not compiler:
            return False
        if compiler == "inductor" and self._compiler_start is None:
            self._compiler_start = compilation.start_compiler(self._cache, settings.device)
        return compilation.use_cache(self._cache, f"{name} {settings}")

    def _epoch(self, request: dict[str, Any]) -> dict[str, Any]:
        training = self._ready(request)
        return dataclasses.asdict(training.epoch())

    def _both(self, request: dict[str, Any]) -> dict[str, Any]:
        whole, split = self._ready(request).epoch_both_ways(split_first=request["split_first"])
        return {"whole": dataclasses.asdict(whole), "split": dataclasses.asdict(split)}

    def _evaluate(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._trainings[request["name"]].evaluate()

    def _turn(self, request: dict[str, Any]) -> dict[str, Any]:
        """Train some epochs from the beginning, the same work in every turn."""
        training = self._ready(request)
        training.reset()
        return {"seconds": [training.epoch().seconds for _ in range(request["epochs"])]}

    def _ready(self, request: dict[str, Any]) -> Training:
        training = self._trainings[request["name"]]
        self._use(request["cores"])
        if torch.get_num_threads() != training.settings.threads:
            torch.set_num_threads(training.settings.threads)
        return training

    def _use(self, cores: list[int]) -> None:
        if cores and self._cores != cores:
            self._cores = run_on(cores)
