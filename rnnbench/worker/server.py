"""The worker's side of the protocol: requests about cases in, results or reasons out.

The same object serves a worker process (``pipe.py``) and ``--rnn-in-process``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rnnbench import implementations
from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.worker.bench import Bench, why_no_device
from rnnbench.worker.compilation import compiler_refused
from rnnbench.worker.environment import describe_environment
from rnnbench.worker.process import limit_memory, run_on
from rnnbench.worker.threads import bind_threads
from rnnbench.worker.verification import Incorrect

__all__ = ["Server", "failure"]


_CONTEXT_LOST = 70


class Server:
    """Answers requests; holds the cases of the group that is being measured."""

    def __init__(self) -> None:
        self._bench: Bench | None = None
        self._cores: list[int] = []
        self._bound: tuple[list[int], int] | None = None
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "hello": self._hello,
            "check": self._check,
            "prepare": self._prepare,
            "describe": self._describe,
            "block": self._block,
            "window": self._window,
            "finish": self._finish,
        }

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one request: ``{"result": …}``, or ``{"status": …, "reason": …}``."""
        try:
            return {"result": self._operations[request["op"]](request)}
        except KeyboardInterrupt:
            raise
        # Whatever an implementation, maybe a user's own, raises: it is a result of that case and
        # must not end the worker, which holds the other cases of the group.
        except Exception as error:  # noqa: BLE001
            compiles = self._bench is not None and self._bench.is_compiling
            traceback.print_exc(file=sys.stderr)
            if "CUDA error" in str(error) and not _out_of_memory(error):
                # The device's context is lost, and every later call in this process would fail.
                sys.stderr.write(f"{_sentence(error)}\n")
                sys.stderr.flush()
                os._exit(_CONTEXT_LOST)
            return failure(error, compiles)

    @property
    def bench(self) -> Bench:
        assert self._bench is not None, "the first request is hello"
        return self._bench

    def _hello(self, request: dict[str, Any]) -> dict[str, Any]:
        # Equal arithmetic for all: TF32 has the precision of no column, and by default cuDNN uses
        # it while matrix products do not.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        if torch.get_num_interop_threads() != 1 and not request.get("in_process"):
            torch.set_num_interop_threads(1)
        implementations.load_builtin()
        builtin = set(implementations.registered())
        for number, plugin in enumerate(request["plugins"]):
            load_plugin(plugin, number)
        _load_entry_points()
        cache = Path(request["cache"])
        planted = float(request.get("planted") or 0.0)
        self._bench = Bench(cache, planted)
        if not request.get("in_process"):
            if not torch.cuda.is_available():  # a driver maps far more than a process may use
                limit_memory(request.get("memory_limit"))
            # Collections are called for between groups; one in a round would be its outlier.
            gc.collect()
            gc.freeze()
            gc.disable()
        registered = implementations.registered()
        return {
            "pid": os.getpid(),
            "environment": {**describe_environment(), **({"planted": planted} if planted else {})},
            "implementations": {
                name: {"description": found.description, "compiler": found.compiler}
                for name, found in registered.items()
            },
            "plugins": sorted(set(registered) - builtin),
            "memory": _resident_memory(),
            "no_device": {device: why_no_device(device) for device in request["devices"]},
        }

    def _check(self, request: dict[str, Any]) -> dict[str, Any]:
        reasons = [self.bench.unsupported(Case.from_columns(case)) for case in request["cases"]]
        return {"unsupported": reasons}

    def _prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        # All cores: a compilation should take what there is. A block takes its own.
        self._cores = run_on(request["all_cores"]) if request["all_cores"] else []
        self._bound = None
        return self.bench.prepare(Case.from_columns(request["case"]), request.get("iterations"))

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.bench.describe(Case.from_columns(request["case"]))

    def _block(self, request: dict[str, Any]) -> dict[str, Any]:
        case = Case.from_columns(request["case"])
        self._bind(request["cores"], case)
        block = self.bench.block(case, request["seconds"], request["iterations"])
        return {
            "start": block.start,
            "seconds": block.seconds,
            "cores": self._cores,
            "warmup": block.warmup,
            "rounds": block.rounds,
            "device_rounds": block.device_rounds,
            "parts": block.parts,
        }

    def _window(self, request: dict[str, Any]) -> dict[str, Any]:
        case = Case.from_columns(request["case"])
        self._bind(request["cores"], case)
        window = self.bench.window(case, request["start"], request["end"])
        return {"cores": self._cores, **dataclasses.asdict(window)}

    def _bind(self, cores: list[int], case: Case) -> None:
        """Have the case's threads on these cores, unless they are there from the last time."""
        if cores and self._bound != (cores, case.threads):
            self._cores = bind_threads(cores, case.threads)
            self._bound = (cores, case.threads)

    def _finish(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"recompilations": self.bench.finish()}


def load_plugin(path: str, number: int = 0) -> None:
    """Run a user's file, which registers implementations.

    Raises:
        UserError: the file is not there, does not import or registers a taken name.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"plug-in {path!r} is not a file; give the path of a Python file")
    name = f"rnnbench_plugin_{number}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"plug-in {path!r} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except UserError as error:
        raise UserError(f"plug-in {path!r}: {error}") from error
    except Exception as error:  # a user's module may raise anything while it is imported
        raise UserError(
            f"plug-in {path!r} does not import: {_sentence(error)}; mend the file and run again"
        ) from error


def _load_entry_points() -> None:
    from importlib.metadata import entry_points

    for entry in entry_points(group="rnnbench.implementations"):
        try:
            entry.load()
        except UserError as error:
            raise UserError(f"entry point {entry.name!r} ({entry.value}): {error}") from error
        except Exception as error:  # as for a plug-in file
            raise UserError(
                f"entry point {entry.name!r} ({entry.value}) does not import: {_sentence(error)}"
            ) from error


def failure(error: BaseException, compiles: bool) -> dict[str, Any]:
    """Status and reason of what was raised; ``user_error`` is for the user and not for the case."""
    if isinstance(error, UserError):
        return {"status": "user_error", "reason": str(error)}
    if isinstance(error, Incorrect):
        return {"status": "incorrect", "reason": str(error)}
    if _out_of_memory(error):
        return {"status": "out_of_memory", "reason": _sentence(error)}
    if compiles and compiler_refused(error):
        return {
            "status": "unsupported",
            "reason": f"the compiler of PyTorch {torch.__version__} cannot: {_sentence(error)}",
        }
    return {"status": "failed", "reason": _sentence(error)}


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    # The CPU allocator has no exception class of its own.
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "not enough memory" in text or "out of memory" in text
    )


def _sentence(error: BaseException) -> str:
    """An exception as one line that people can read: its type, and what it says first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # Compiler errors say "backend='inductor' raised:" first, and what was raised second.
    text = " ".join(lines[:2]) if lines and lines[0].endswith(":") else "".join(lines[:1])
    text = text if len(text) <= 300 else text[:300] + "…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _resident_memory() -> int | None:
    """Bytes that are this process's own: all workers of an environment share its libraries."""
    with contextlib.suppress(OSError):
        resident, shared = Path("/proc/self/statm").read_text().split()[1:3]
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    return None
