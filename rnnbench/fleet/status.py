"""How a fleet gets on, in a table and in sentences."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from rnnbench.fleet.canaries import Spread
from rnnbench.fleet.collecting import Collected
from rnnbench.fleet.folder import Folder, History, ShardPlan
from rnnbench.fleet.submitting import RUNNING
from rnnbench.report.escaping import clean
from rnnbench.statistics import student_t_quantile

__all__ = ["Progress", "collected_sentences", "plan_sentences", "state_of", "status_lines"]

_BETWEEN = 30.0
"""Seconds between two lines about how a fleet gets on, where nothing has ended."""


def plan_sentences(folder: Folder) -> Iterator[str]:
    """What was dealt."""
    plan = folder.plan
    where = "Slurm" if plan.executor == "slurm" else "this machine, one after the other"
    for kind in plan.kinds:
        mine = [shard for shard in plan.shards if shard.kind == kind.name]
        costs = [shard.cost for shard in mine]
        yield (
            f"{kind.name}: {sum(s.cases for s in mine):,} cases in {len(mine):,} shards on "
            f"{where}, about {_duration(sum(costs))} of work, the longest "
            f"{_duration(max(costs))}"
        )


def state_of(history: History, states: Mapping[str, str] | None) -> str:
    """The state of a shard in one word or two; without states of jobs by what it last said."""
    if history.outcome:
        return history.outcome
    begun = history.last == "started"
    if begun and (states is None or states.get(history.job) == RUNNING):
        return "running"
    if begun and states is not None and history.job not in states:
        return "died"
    return "requeued" if history.attempts else "waiting"


def status_lines(folder: Folder, states: Mapping[str, str] | None) -> Iterator[str]:
    """A table of the shards, and one line about all of them."""
    rows = [("shard", "kind", "state", "attempts", "cases", "node", "reason")]
    plan = folder.plan
    histories = {shard.number: folder.history(shard.number) for shard in plan.shards}
    for shard in plan.shards:
        history = histories[shard.number]
        state = state_of(history, states)
        rows.append(
            (
                str(shard.number),
                shard.kind,
                state,
                str(history.attempts),
                f"{folder.finished(shard.number):,} of {shard.cases:,}",
                ", ".join(map(clean, history.nodes)),
                "" if state == "done" else clean(history.reason, 120),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
    yield _summary(folder, histories, states)


class Progress:
    """Says how a fleet gets on when a shard has changed, and now and then."""

    def __init__(self, folder: Folder, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._last: Mapping[int, str] = {}
        self._said = 0.0

    def __call__(self, states: Mapping[str, str] | None) -> None:
        """Look at the fleet, and say what is new."""
        plan = self._folder.plan
        histories = {s.number: self._folder.history(s.number) for s in plan.shards}
        now = {number: state_of(history, states) for number, history in histories.items()}
        if now == self._last and time.monotonic() - self._said < _BETWEEN:
            return
        self._last, self._said = now, time.monotonic()
        self._say(_summary(self._folder, histories, states))


def collected_sentences(folder: Folder, found: Collected) -> Iterator[str]:
    """What came together and what did not, and what the canaries say."""
    merged = found.merged
    yield (
        f"{folder.result}: {merged.benchmarks:,} cases measured and {merged.not_measured:,} not, "
        f"of {merged.files:,} shards"
    )
    for name, why in merged.environments.items():
        if why:
            yield f"{name} is kept apart: {why}"
    for number, why in found.lost.items():
        yield f"shard {number} is missing: {why}"
    for spread in found.spreads:
        if spread.deviation is not None:
            yield (
                f"Shards on {spread.kind} differ by {spread.deviation:.1%} (standard deviation of "
                "the same cases): a difference between two of their groups means little below "
                f"{_least_difference(spread):.0%}"
            )
        for shard, times in spread.slow.items():
            yield (
                f"Shard {shard} ran on a slow or busy node: its canaries took {times:.2f} times as "
                "long as the others'; measure it again before anything of it is compared with "
                "other shards"
            )


def _least_difference(spread: Spread) -> float:
    """What two shards must differ by, at 95 %, to differ by more than their nodes do."""
    quantile = student_t_quantile(0.975, spread.even - 1)
    return math.expm1(quantile * math.sqrt(2) * (spread.deviation or 0.0))


def _summary(
    folder: Folder, histories: Mapping[int, History], states: Mapping[str, str] | None
) -> str:
    shards = folder.plan.shards
    counts = Counter(state_of(histories[shard.number], states) for shard in shards)
    listed = ", ".join(f"{count:,} {state}" for state, count in counts.items())
    done = {shard.number: folder.finished(shard.number) for shard in shards}
    left = _seconds_left(shards, histories, done, counts.get("running", 0))
    return (
        f"{len(shards):,} shards: {listed}; {sum(done.values()):,} of "
        f"{sum(shard.cases for shard in shards):,} cases done"
        + (f", about {_duration(left)} left" if left else "")
    )


def _seconds_left(
    shards: Sequence[ShardPlan],
    histories: Mapping[int, History],
    done: Mapping[int, int],
    running: int,
) -> float:
    """Estimated cost of what is left, at the speed of what is done, on as many jobs as run now."""
    left = spent = planned = 0.0
    for shard in shards:
        history = histories[shard.number]
        share = done[shard.number] / shard.cases
        if not history.outcome:
            left += shard.cost * (1 - share)
        if done[shard.number]:
            planned += shard.cost * share
            spent += _running_seconds(history)
    speed = spent / planned if planned else 1.0
    return left * speed / max(1, running)


def _running_seconds(history: History) -> float:
    total, since = 0.0, None
    for event in history.events:
        if event["event"] == "started":
            since = event["time"]
        elif since is not None and event["event"] in ("ended", "done"):
            total += event["time"] - since
            since = None
    return total + (time.time() - since if since is not None else 0.0)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
