"""What runs on a node: one shard, an ordinary `pytest suites` with its journal in the folder."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

from rnnbench.errors import UserError
from rnnbench.fleet.folder import STRIKES, Folder, Plan
from rnnbench.fleet.holding import hold
from rnnbench.fleet.identity import check_code
from rnnbench.fleet.planning import environment_arguments
from rnnbench.grids import OPTION_PREFIX
from rnnbench.measuring.journal import journal_path, read_journal
from rnnbench.regressions.processes import Interrupted, run_through
from rnnbench.regressions.suites import suites_command

__all__ = ["run_shard"]

_COMPLETED = (0, 1)  # 1: a case failed, and the result says which and why

_PATIENCE = 600.0
"""Seconds to wait for an earlier job of the shard that still runs: one whose node was given up for
lost may be alive."""

_CLOCK = 60.0
"""Seconds by which the clocks of a node and of the folder may differ before it is said."""


def run_shard(path: str, number: int) -> str:
    """Measure what is left of a shard; returns its last event.

    Whatever ends this, the journal keeps what was measured, and the next attempt goes on from it.
    """
    folder = Folder(Path(path))
    plan = folder.plan
    try:
        # Two jobs of it, of which one was thought dead, must not both measure.
        busy = "an earlier job of this shard is still running"
        with hold(folder, folder.lock_of(number), busy, patience=_PATIENCE):
            return _attempt(folder, plan, number)
    except UserError as error:
        _end(folder, number, "refused", str(error))
        return "ended"


def _attempt(folder: Folder, plan: Plan, number: int) -> str:
    history = folder.history(number)
    if history.settled:
        return history.outcome
    if history.last == "started":
        # The job is requeued by Slurm itself, or its node came back: nobody wrote its end.
        _end(folder, number, "lost", "its process ended without a word")
        history = folder.history(number)
    if history.strikes >= STRIKES:
        folder.note(number, "given up", reason=history.reason)
        return "given up"
    _restore(plan)
    folder.note(
        number,
        "started",
        node=platform.node(),
        process=os.getpid(),
        slurm=os.environ.get("SLURM_JOB_ID"),
        finished=folder.finished(number),
        clock=_clock_difference(folder, number),
    )
    try:
        check_code(plan.version, plan.code, plan.plugins)
        _measure(folder, plan, number)
    except UserError as error:
        _end(folder, number, "failed", str(error))
        return "ended"
    except Interrupted as interrupted:
        _end(folder, number, "interrupted", f"signal {interrupted.status - 128} ended it")
        raise SystemExit(interrupted.status) from None
    folder.note(number, "done", finished=folder.finished(number))
    return "done"


def _end(folder: Folder, number: int, how: str, reason: str) -> None:
    folder.note(number, "ended", how=how, reason=reason, finished=folder.finished(number))


def _measure(folder: Folder, plan: Plan, number: int) -> None:
    shard = next(shard for shard in plan.shards if shard.number == number)
    result = folder.result_of(number)
    attempt = folder.history(number).attempts
    canaries = folder.canaries_of(shard.kind)
    arguments = [*plan.arguments, *environment_arguments(plan.kind(shard.kind))]
    _check_journal(result)
    for moment in ("before", "after"):
        if moment == "after":
            _run(result, [f"{OPTION_PREFIX}grid={folder.grid_of(number)}", *arguments])
        if canaries.exists():
            file = folder.shard(number) / f"canaries-{attempt:03}-{moment}.json"
            _run(file, [f"{OPTION_PREFIX}grid={canaries}", *_canary_arguments(arguments)])


def _run(result: Path, arguments: Sequence[str]) -> None:
    going_on = [f"{OPTION_PREFIX}resume"] if journal_path(result).exists() else []
    status = run_through(suites_command(result, [*arguments, *going_on]))
    if status not in _COMPLETED or not result.exists():
        raise UserError(
            f"`pytest suites` ended with status {status}; what it said is in the job's output"
        )


def _check_journal(result: Path) -> None:
    """Refuse a journal that is damaged or none, before anything is measured.

    Raises:
        UserError: it cannot be gone on from.
    """
    read_journal(journal_path(result))


def _canary_arguments(arguments: Sequence[str]) -> list[str]:
    """As the shard's own, but for what the canaries' grid says itself."""
    own = tuple(f"{OPTION_PREFIX}{name}=" for name in ("seconds", "replicates", "order-seed"))
    return [argument for argument in arguments if not argument.startswith(own)]


def _restore(plan: Plan) -> None:
    """Set variables as they were for the coordinator where the local executor changes them."""
    for name, value in plan.variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _clock_difference(folder: Folder, number: int) -> float | None:
    """Seconds that the node's clock is ahead of the folder's; None where that is little."""
    probe = folder.shard(number) / f".clock-{platform.node()}-{os.getpid()}"
    with folder.usable(probe):
        probe.touch()
        try:
            difference = time.time() - probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)
    return difference if abs(difference) > _CLOCK else None
