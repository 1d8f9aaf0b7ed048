"""Brings the results of a fleet's shards together, with what the canaries say of the nodes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnbench.cases import DEFAULT_ENVIRONMENT, Case
from rnnbench.errors import UserError
from rnnbench.fleet.canaries import Spread, Visit, read_visit, spread_of
from rnnbench.fleet.folder import Folder
from rnnbench.fleet.merging import Merged, merge_results
from rnnbench.fleet.salvage import salvaged
from rnnbench.grids import load_grid
from rnnbench.measuring.journal import by_type, journal_path, read_journal
from rnnbench.regressions.joining import sessions_of

__all__ = ["Collected", "collect"]


@dataclasses.dataclass(frozen=True)
class Collected:
    """What came together; ``lost`` are the shards that were given up or cancelled, and why."""

    merged: Merged
    spreads: Sequence[Spread]
    lost: Mapping[int, str]


def collect(folder: Folder) -> Collected:
    """Write the fleet's result from all shards that are done, and what others had finished.

    Raises:
        UserError: no shard is done, or a shard's result is damaged.
    """
    done: dict[Path, int] = {}
    lost: dict[int, str] = {}
    for shard in folder.plan.shards:
        history = folder.history(shard.number)
        if history.outcome == "done":
            done[folder.result_of(shard.number)] = shard.number
            continue
        what = history.outcome or "not finished"
        lost[shard.number] = f"{what}: {history.reason}" if history.reason else what
        if _salvage(folder, shard.number):
            done[folder.salvaged_of(shard.number)] = shard.number
    if not done:
        reasons = "; ".join(f"shard {number} was {why}" for number, why in lost.items())
        raise UserError(f"no shard of the fleet in {folder.path} is done: {reasons}")
    visits = list(_visits(folder))
    spreads = spread_of(visits)
    slow = {shard for spread in spreads for shard in spread.slow}

    def sessions(file: Path, document: Mapping[str, Any]) -> list[dict[str, Any]]:
        number = done[file]
        facts = {"shard": number, "slow": number in slow}
        result = folder.result_of(number)
        return [{**session, **facts} for session in _by_node(result, document)]

    notes = [*_slow_notes(spreads), *_clock_notes(folder)]
    merged = merge_results(
        list(done),
        folder.result,
        grid=folder.plan.grid,
        sessions=sessions,
        missing=[*_missing(folder, lost)],
        extra={
            "canaries": [visit.as_dict() for visit in visits],
            "spreads": [spread.as_dict() for spread in spreads],
        },
        notes=notes,
    )
    return Collected(merged, spreads, lost)


def _salvage(folder: Folder, number: int) -> bool:
    """Keep what a shard without a result had finished; whether there is anything."""
    kind = folder.plan.shards[number].kind
    others = [s.number for s in folder.plan.shards if s.kind == kind and s.number != number]
    models = [*folder.canary_results(number), *map(folder.result_of, others)]
    document = salvaged(folder.result_of(number), models)
    if document is None:
        return False
    folder.write(folder.salvaged_of(number), json.dumps(document, allow_nan=False))
    return True


def _visits(folder: Folder) -> Iterator[Visit]:
    for shard in folder.plan.shards:
        for file in folder.canary_results(shard.number):
            yield read_visit(file, shard.number, shard.kind)


def _by_node(file: Path, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The sessions of a shard: one for each node on which its job went on."""
    (whole,) = sessions_of(document)
    end = whole["replicates"][1]
    records, _ = read_journal(journal_path(file))
    starts: dict[int, str] = {}
    for record in (*by_type(records, "run"), *by_type(records, "resumed")):
        first = record.get("first_replicate", 0)
        if first < end:
            # Of two that begin with the same replicate, the first one measured nothing.
            starts[first] = str(record.get("node", ""))
    if len(starts) < 2:
        return [whole]
    ends = [*sorted(starts)[1:], end]
    return [
        {**whole, "node": starts[low], "replicates": [low, high]}
        for low, high in zip(sorted(starts), ends, strict=True)
    ]


def _missing(folder: Folder, lost: Mapping[int, str]) -> Iterator[tuple[Case, str, str]]:
    kinds = {shard.number: shard.kind for shard in folder.plan.shards}
    for number, why in lost.items():
        for case in load_grid(folder.grid_of(number)).cases():
            yield (
                dataclasses.replace(case, environment=kinds[number] or DEFAULT_ENVIRONMENT),
                "failed",
                f"shard {number} of the fleet was {why}",
            )


def _slow_notes(spreads: Sequence[Spread]) -> Iterator[str]:
    for spread in spreads:
        for shard, times in spread.slow.items():
            yield (
                f"shard {shard} ran on a slow or busy node: its canaries took {times:.2f} times as "
                f"long as those of the other shards of {spread.kind}; compare nothing of it with "
                "other shards"
            )


def _clock_notes(folder: Folder) -> Iterator[str]:
    for shard in folder.plan.shards:
        for event in folder.history(shard.number).events:
            if event.get("clock"):
                yield (
                    f"the clock of node {event['node']} is {event['clock']:+.0f} s off that of the "
                    "folder: what the result says of when it was measured is wrong by as much"
                )
