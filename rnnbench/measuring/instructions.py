"""Instructions of a call: a worker under Valgrind, started once and asked about many cases."""

from __future__ import annotations

import contextlib
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.measuring.asked import Asked
from rnnbench.measuring.workers import CaseProblem, ProcessWorker

__all__ = ["OLDEST_VALGRIND", "REPEATS", "Counter", "find_valgrind"]

OLDEST_VALGRIND = (3, 19)
"""The oldest that this was tried with: older ones stop at instructions that they do not know."""

REPEATS = 3
"""Calls of one process differ by some hundredths of a per cent."""

_START_TIMEOUT = 600.0
_FEATURES = {"AVX512": "avx512f", "AMX": "amx_tile"}
"""As PyTorch calls the code that it chooses, and as the processor calls what that needs."""

_CAPABILITIES = {"AVX512": "avx512", "AVX2": "avx2"}
"""As PyTorch says what code it chose, and as ATEN_CPU_CAPABILITY asks for it."""

_VARIABLES = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Equal runs must take equal steps; sets and dictionaries of texts are ordered by hashes, and a
pool of threads would compute beside what is counted."""

_VERSION = re.compile(r"valgrind-(\d+)\.(\d+)")


def find_valgrind() -> tuple[str, str]:
    """The program and its version.

    Raises:
        UserError: there is none, or it is too old.
    """
    program = shutil.which("valgrind")
    if program is None:
        raise UserError(
            "instructions are counted by Valgrind, which is not on the PATH; install it, or leave "
            "the option out"
        )
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = _VERSION.search(told.stdout)
    oldest = ".".join(map(str, OLDEST_VALGRIND))
    if version is None:
        raise UserError(
            f"{program} does not say its version; instructions need Valgrind {oldest} or newer"
        )
    if (int(version[1]), int(version[2])) < OLDEST_VALGRIND:
        raise UserError(
            f"{program} is {told.stdout.strip()}; instructions need Valgrind {oldest} or newer"
        )
    return program, told.stdout.strip()


class Counter(Asked):
    """A worker under Valgrind, whose long start is paid once, and one without that goes ahead.

    What must come of a case is computed by the second, many times as fast, and read by the first.

    Every question raises `CaseProblem` where a case cannot be counted, and `WorkerLost` where the
    process is gone.

    Raises:
        UserError: there is no Valgrind, or this Python does not start under it.
    """

    def __init__(
        self, environment: str, python: str, cache: Path, *, plugins: Sequence[str], timeout: float
    ) -> None:
        program, self.valgrind = find_valgrind()
        self._folder = tempfile.TemporaryDirectory(prefix="rnnbench-callgrind-", dir=cache)
        out = Path(self._folder.name) / "counts"
        under = [
            program,
            "--tool=callgrind",
            "-q",
            "--instr-atstart=no",
            "--collect-atstart=no",
            "--dump-line=no",
            "--dump-instr=no",
            f"--callgrind-out-file={out}",
        ]
        hello = {
            "plugins": [str(Path(plugin).resolve()) for plugin in plugins],
            "cache": str(cache),
            "devices": [],
        }
        with contextlib.ExitStack() as started:
            started.callback(self._folder.cleanup)
            worker = ProcessWorker(
                environment,
                python,
                0,
                {**hello, "out": str(out)},
                serving="rnnbench.profiling.counting",
                under=under,
                variables=_VARIABLES,
                start_timeout=_START_TIMEOUT,
            )
            started.callback(worker.close)
            # The same code as there, or inputs would differ in their last bits and what was
            # computed for these would be of no use.
            chosen = _CAPABILITIES.get(worker.hello["environment"]["cpu_capability"], "default")
            self._ahead = ProcessWorker(
                environment,
                python,
                0,
                hello,
                variables={**_VARIABLES, "ATEN_CPU_CAPABILITY": chosen},
            )
            started.pop_all()
        super().__init__(worker, timeout)

    def close(self) -> None:
        """End both, and remove what was counted into."""
        super().close()
        self._ahead.close()
        self._folder.cleanup()

    @property
    def hidden_features(self) -> list[str]:
        """What the processor has and Valgrind's has not: other code runs where it matters."""
        there = " ".join(self.environment["cpu"]["flags"])
        counted = self.environment["cpu_capability"]
        return [
            feature
            for feature, flag in _FEATURES.items()
            if flag in there and feature not in counted
        ]

    @property
    def cpu(self) -> float:
        """CPU time that it has used, as of its last answer."""
        return self._worker.cpu + self._ahead.cpu

    def counted(self, case: Case, *, repeats: int = REPEATS) -> dict[str, Any]:
        """The instructions of a case as a result holds them.

        ``instructions`` is the middle of the ``counts`` of single calls, without the allocator's
        search for room, which ``allocator`` has; ``functions`` are those with the most of them.
        """
        reason = self.unsupported(case)
        if reason is not None:
            raise CaseProblem("unsupported", reason)
        found = self.count(case, repeats=repeats)
        return {
            "instructions": statistics.median_low(found["counts"]),
            **found,
            "valgrind": self.valgrind,
            "hidden_features": self.hidden_features,
        }

    def count(self, case: Case, *, repeats: int) -> dict[str, Any]:
        """Build and verify a case and count; see `rnnbench.profiling.instructions`."""
        for worker in (self._ahead, self._worker):
            worker.ask("prepare", self._timeout, case=case.columns(), all_cores=[], iterations=1)
        return self._worker.ask("count", self._timeout, case=case.columns(), repeats=repeats)
