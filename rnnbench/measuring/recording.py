"""The one place that knows pytest-benchmark's inside: hands it rounds, makes its saving safe.

Written against pytest-benchmark 5.3; ``tests/measuring/test_recording.py`` fails when what is used
here changes. Used are: the fixture's ``_make_stats(iterations=…)``, ``_mode``, ``group``,
``extra_info`` and ``has_error``; the result's ``update(seconds)``; and the session's ``json``,
``save_json``, ``quiet``, ``benchmarks``, ``disabled`` and hooks, found as
``config._benchmarksession``.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

__all__ = [
    "check_json_path",
    "is_disabled",
    "json_path",
    "prepare_session",
    "record",
    "save_without_benchmarks",
    "shorten",
    "times_nothing",
    "write_atomically",
]

_DIGITS = 12
"""Decimals of a round in seconds: a thousandth of what a clock tells, since a round may be the
mean of many calls."""


def _session(config: pytest.Config) -> Any:
    return config._benchmarksession  # type: ignore[attr-defined]


def json_path(config: pytest.Config) -> Path | None:
    """Where the result goes: ``--benchmark-json``; None where no times are taken, so that
    ``--benchmark-disable`` touches neither a result nor its journal.
    """
    session = _session(config)
    if session.disabled or session.json is None:
        return None
    # Before 5.3 the option held a file that was open, and by then empty, in place of a path.
    given = session.json
    return given if isinstance(given, Path) else Path(given.name)


def is_disabled(benchmark: Any) -> bool:
    """Whether ``--benchmark-disable`` asked for no timing."""
    return bool(benchmark.disabled)


def times_nothing(config: pytest.Config) -> bool:
    """Whether ``--benchmark-disable`` holds for the whole run."""
    return bool(_session(config).disabled)


def check_json_path(config: pytest.Config) -> None:
    """Refuse a path that could not be written hours later.

    Raises:
        pytest.UsageError: its folder does not exist or is not writable, or it is a folder.
    """
    path = json_path(config)
    if path is None:
        return
    if path.is_dir():
        raise pytest.UsageError(f"--benchmark-json {path}: this is a folder; give a file's path")
    if not path.parent.is_dir():
        raise pytest.UsageError(
            f"--benchmark-json {path}: the folder {path.parent} does not exist; make it first"
        )
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise pytest.UsageError(
            f"--benchmark-json {path}: it cannot be written there; choose another folder"
        )


def record(
    benchmark: Any,
    *,
    group: str,
    iterations: int,
    rounds: Sequence[float],
    extra_info: dict[str, Any],
) -> None:
    """Give a fixture its rounds, in seconds per call, as if it had timed them itself."""
    benchmark._mode = "rnnbench"
    benchmark.group = group
    benchmark.extra_info["rnnbench"] = extra_info
    # Left out of the file until it is whole: an interrupt must not leave a part of the rounds.
    benchmark.has_error = True
    stats = benchmark._make_stats(iterations=iterations)
    for seconds in rounds:
        # It divides by the iterations again.
        stats.update(seconds * iterations)
    benchmark.has_error = False


def mark_used(benchmark: Any) -> None:
    """Tell a fixture that not having timed anything is no mistake."""
    benchmark._mode = "rnnbench"


def prepare_session(config: pytest.Config) -> None:
    """Have results written to a temporary file and renamed; and keep one table in the terminal.

    pytest-benchmark's own table of every round's minimum and maximum would come beside ours, which
    has the intervals; ``--benchmark-verbose`` brings it back.
    """
    session = _session(config)
    if not session.verbose:
        session.quiet = True

    def save_json(document: dict[str, Any]) -> None:
        path = json_path(config)
        assert path is not None
        write_atomically(path, document)
        session.logger.info(f"Wrote benchmark data in: {path}", purple=True)

    session.save_json = save_json


def shorten(benchmarks: Sequence[dict[str, Any]]) -> None:
    """Cut the digits below a picosecond off the rounds of a file: no clock tells them."""
    for benchmark in benchmarks:
        rounds = benchmark["stats"].get("data")
        if rounds:
            benchmark["stats"]["data"] = [round(seconds, _DIGITS) for seconds in rounds]


def save_without_benchmarks(config: pytest.Config) -> None:
    """Write the file of a run in which nothing could be measured: its reasons are its result."""
    session = _session(config)
    if json_path(config) is None or session.benchmarks:
        return
    info = session.get_machine_info()
    hook = config.hook
    document = hook.pytest_benchmark_generate_json(
        config=config,
        benchmarks=[],
        include_data=True,
        machine_info=info,
        commit_info=hook.pytest_benchmark_generate_commit_info(config=config),
    )
    hook.pytest_benchmark_update_json(config=config, benchmarks=[], output_json=document)
    session.save_json(document)


def write_atomically(path: Path, document: dict[str, Any]) -> None:
    """Write JSON beside ``path`` and rename it there: a reader finds the old file or the new."""
    text = json.dumps(_finite(document), allow_nan=False, default=str)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        temporary = Path(file.name)
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            # A temporary file is its owner's alone; a result is as readable as any new file.
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _finite(value: Any) -> Any:
    """JSON has no infinity; pytest-benchmark's statistics may hold one, say in ``ops``."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value
