"""What of a result file is a measurement of its own, and by which runs it is known again.

A file may hold other files' measurements: those of stages, of sessions of `rnnbench noise`, or of
what was merged. And it may hold some that say nothing about PyTorch: slowdowns that were planted.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import UTC, datetime

from rnnbench.errors import UserError
from rnnbench.regressions.noise import AGAIN, SAME
from rnnbench.report._words import joined, name
from rnnbench.results import Run
from rnnbench.validation import read_document

__all__ = ["no_points", "runs_in", "time_of"]

_ALL = 3  # environments that a reason names


def time_of(text: object) -> datetime | None:
    """A file's own time; one without a zone is UTC, which pytest-benchmark writes."""
    try:
        time = datetime.fromisoformat(str(text))
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def runs_in(run: Run, measured_at: datetime) -> frozenset[str]:
    """Names of the runs that a file holds: its own, or those that it was joined from.

    A run that has no ``run_id``, as in older files, is known by when it was measured.
    """
    own = run.run_id or measured_at.isoformat()
    if not run.sessions:
        return frozenset({own})
    try:
        sessions = read_document(run.path)["rnnbench"].get("sessions", ())
    except UserError:
        # It was there a moment ago: what was read of it still counts, as a run of its own.
        return frozenset({own})
    return frozenset(_name_of(session) or own for session in sessions)


def _name_of(session: Mapping[str, object]) -> str | None:
    run_id = session.get("run_id")
    if isinstance(run_id, str) and run_id:
        return run_id
    time = time_of(session.get("measured_at"))
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
