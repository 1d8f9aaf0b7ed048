"""Looks after the shards of a fleet until each is done or given up with its reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from rnnbench.errors import UserError
from rnnbench.fleet.folder import STRIKES, Folder, History, ShardPlan
from rnnbench.fleet.holding import hold, is_held
from rnnbench.fleet.submitting import Submitter

__all__ = ["cancel", "is_looked_after", "submit_all", "tend"]

_GRACE = {"slurm": 30.0, "local": 1.0}
"""Seconds for which a job must be gone before its end is taken for one without a word: what it
wrote last may take a moment until every node sees it."""

_PATIENCE = 1.0
"""Seconds: who shows how a fleet gets on looks at its lock for a moment."""


def tend(
    folder: Folder,
    submitter: Submitter,
    show: Callable[[Mapping[str, str] | None], None],
    *,
    pause: float = 1.0,
) -> None:
    """Submit what is not submitted, again what died, and give up what does not get on.

    Raises:
        UserError: another coordinator looks after this fleet, or jobs cannot be submitted.
    """
    gone: dict[int, float] = {}
    cancelled: set[str] = set()
    with _alone(folder):
        while True:
            histories = {s.number: folder.history(s.number) for s in folder.plan.shards}
            left = [s for s in folder.plan.shards if not histories[s.number].settled]
            # Another process may have cancelled them, who cannot end jobs that run here.
            ended = {h.job for h in histories.values() if h.outcome == "cancelled" and h.job}
            if ended - cancelled:
                submitter.cancel(sorted(ended - cancelled))
                cancelled |= ended
            jobs = [histories[s.number].job for s in left if histories[s.number].job]
            states = submitter.states(jobs)
            show(states)
            if not left:
                return
            if states is not None:
                again = [s for s in left if _is_to_submit(folder, s, states, gone)]
                _submit(folder, submitter, again)
            time.sleep(pause)


def submit_all(folder: Folder, submitter: Submitter) -> None:
    """Submit what was never submitted, and leave it to itself."""
    with _alone(folder):
        plan = folder.plan
        new = [shard for shard in plan.shards if not folder.history(shard.number).events]
        _submit(folder, submitter, new)


def cancel(folder: Folder, submitter: Submitter) -> int:
    """End all jobs of a fleet; what was measured stays. Returns how many shards were not done."""
    left = [
        (shard.number, history)
        for shard in folder.plan.shards
        if not (history := folder.history(shard.number)).settled
    ]
    # First the word, so that nobody who looks after them submits them again.
    for number, _ in left:
        folder.note(number, "cancelled")
    submitter.cancel([history.job for _, history in left if history.job])
    return len(left)


def _is_to_submit(
    folder: Folder, shard: ShardPlan, states: Mapping[str, str], gone: dict[int, float]
) -> bool:
    # Read again: a job may have ended between the first reading and the question what runs.
    history = folder.history(shard.number)
    if history.settled:
        return False
    if not history.job:
        return True
    if history.job in states:
        gone.pop(shard.number, None)
        return False
    since = gone.setdefault(shard.number, time.monotonic())
    if time.monotonic() - since < _GRACE[folder.plan.executor]:
        return False
    if folder.plan.executor == "local" and is_held(folder.lock_of(shard.number)):
        # The coordinator that started it was killed; its job measures on, and is let.
        return False
    del gone[shard.number]
    _close(folder, shard, history)
    history = folder.history(shard.number)
    if history.strikes < STRIKES:
        return True
    folder.note(shard.number, "given up", reason=history.reason)
    return False


def _close(folder: Folder, shard: ShardPlan, history: History) -> None:
    """Say that a job has ended where it could not say so itself."""
    reasons = {
        "submitted": "its job ended before it began: is the folder one that its node sees?",
        "started": "its job ended without a word: it was killed, or its node went down",
    }
    if history.last in reasons:
        folder.note(
            shard.number,
            "ended",
            how="lost",
            reason=reasons[history.last],
            finished=folder.finished(shard.number),
        )


def _submit(folder: Folder, submitter: Submitter, shards: Sequence[ShardPlan]) -> None:
    for kind in folder.plan.kinds:
        mine = [shard for shard in shards if shard.kind == kind.name]
        if not mine:
            continue
        with folder.usable(folder.jobs):
            jobs = submitter.submit(
                kind, [shard.number for shard in mine], max(shard.cost for shard in mine)
            )
        try:
            for shard, job in zip(mine, jobs, strict=True):
                folder.note(shard.number, "submitted", job=job)
        except UserError:
            submitter.cancel(jobs)  # the folder does not know all of them
            raise


def is_looked_after(folder: Folder) -> bool:
    """Whether a coordinator looks after the fleet now."""
    return is_held(folder.lock)


def _alone(folder: Folder) -> AbstractContextManager[None]:
    refusal = (
        f"another coordinator looks after the fleet in {folder.path}; `rnnbench fleet "
        f"--status {folder.path}` shows how it gets on"
    )
    return hold(folder, folder.lock, refusal, patience=_PATIENCE)
