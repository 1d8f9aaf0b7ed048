"""What of a result file is a measurement of its own, and by which runs it is known again.

A file may hold other files' measurements: those of stages, of sessions of `rnnbench noise`, or of
what was merged. And it may hold some that say nothing about PyTorch: slowdowns that were planted.
"""

from __future__ import annotations

from collections.abc import Set
from datetime import UTC, datetime

from rnnbench.regressions.noise import AGAIN, SAME
from rnnbench.report._words import joined, name
from rnnbench.results import Run

__all__ = ["no_points", "runs_in", "time_of"]

_ALL = 3  # environments that a reason names


def time_of(text: str) -> datetime | None:
    """A file's own time; one without a zone is UTC, which pytest-benchmark writes."""
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def runs_in(run: Run, measured_at: datetime) -> frozenset[str]:
    """Names of the runs that a file holds: its own, or those that it was joined from.

    A run that has no ``run_id``, as in older files, is known by when it was measured.
    """
    own = run.run_id or measured_at.isoformat()
    if not run.origins:
        return frozenset({own})
    return frozenset(run_id or _named_by(text) or own for run_id, text in run.origins)


def _named_by(text: str) -> str | None:
    time = time_of(text)
    return None if time is None else time.isoformat()


def no_points(run: Run) -> tuple[Set[str], str]:
    """The environments of a run that belong in no timeline, and why; nothing where all do.

    `rnnbench noise` measures the same code under two names, which is one point and not two, and
    once more with each planted slowdown, which is none.
    """
    planted = [label for label, described in run.environments.items() if described.get("planted")]
    again = [
        label
        for label in run.environments
        if label not in planted
        and label.startswith(AGAIN)
        and SAME + label.removeprefix(AGAIN) in run.environments
    ]
    reasons = []
    if planted:
        reasons.append(f"a slowdown was planted in {_named(planted)}")
    if again:
        same = [SAME + label.removeprefix(AGAIN) for label in again]
        reasons.append(f"{_named(again)} is the same code as {_named(same)}")
    return {*planted, *again}, "; ".join(reasons)


def _named(labels: list[str]) -> str:
    shown = [name(label) for label in labels[:_ALL]]
    more = len(labels) - len(shown)
    return joined([*shown, f"{more} more"] if more else shown)
