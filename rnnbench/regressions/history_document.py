"""Timelines for programs: JSON, and records of which tables keep the numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rnnbench.regressions.history import History, Point, Timeline

__all__ = ["change_record", "changes_of", "point_records", "to_document", "to_json"]

_FORMAT = 1


def to_document(history: History) -> dict[str, Any]:
    """Everything, ready for JSON; times in seconds, ratios after over before."""
    return {
        "rnnbench_history": _FORMAT,
        "by": history.by,
        "machines": [
            {
                "key": machine.key,
                "description": machine.description,
                "runs": history.runs(machine),
                "timelines": [
                    _timeline_document(timeline)
                    for timeline in history.timelines
                    if timeline.machine == machine
                ],
            }
            for machine in history.machines
        ],
        "skipped": [{"path": one.path, "reason": one.reason} for one in history.skipped],
    }


def to_json(history: History) -> str:
    """`to_document` as text."""
    return json.dumps(to_document(history), indent=1, ensure_ascii=False) + "\n"


def _timeline_document(timeline: Timeline) -> dict[str, Any]:
    shape = timeline.shape
    return {
        "case": dict(timeline.case),
        "kind": shape.kind,
        "p": shape.p,
        "changes": list(changes_of(timeline)),
        "spikes": [
            {"first": one.first, "last": one.last, "ratio": one.ratio, "open": one.open}
            for one in shape.spikes
        ],
        "points": [_point_document(point) for point in timeline.points],
        "not_measured": [_point_document(point) for point in timeline.gaps],
    }


def _point_document(point: Point) -> dict[str, Any]:
    return {
        "file": point.file,
        "environment": point.environment,
        "torch": point.torch,
        "measured_at": point.measured_at.isoformat(),
        "status": point.status,
        "time": point.time,
        "time_low": point.low,
        "time_high": point.high,
    }


def changes_of(timeline: Timeline) -> Iterator[dict[str, Any]]:
    """Steps and the drift alike; ``before`` and ``after`` count the points."""
    for step in timeline.shape.steps:
        yield {
            "kind": "step",
            "before": step.index - 1,
            "after": step.index,
            "ratio": step.ratio,
            "low": step.low,
            "high": step.high,
            "p": step.p,
        }
    drift = timeline.shape.drift
    if drift is not None:
        yield {
            "kind": "drift",
            "before": drift.first,
            "after": drift.last,
            "ratio": drift.ratio,
            "low": drift.low,
            "high": drift.high,
            "p": timeline.shape.p,
        }


def change_record(timeline: Timeline, change: dict[str, Any]) -> dict[str, Any]:
    """A change with the columns of its case and what is known of its two ends."""
    sides = {
        f"{key}_{side}": value
        for side in ("before", "after")
        for key, value in _point_document(timeline.points[change[side]]).items()
        if key in ("file", "environment", "torch", "measured_at")
    }
    numbers = {key: change[key] for key in ("kind", "ratio", "low", "high", "p")}
    return {**timeline.case, "machine": timeline.machine.key, **numbers, **sides}


def point_records(history: History) -> list[dict[str, Any]]:
    """A record for each point of each timeline, those without a time last."""
    return [
        {
            **timeline.case,
            "machine": timeline.machine.key,
            "kind": timeline.shape.kind,
            **_point_document(point),
        }
        for timeline in history.timelines
        for point in (*timeline.points, *timeline.gaps)
    ]
