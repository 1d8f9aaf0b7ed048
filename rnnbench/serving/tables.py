"""What `rnnbench streaming` prints: a table of its crowds, and sentences on how to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from rnnbench.numbers import (
    NO_INTERVAL,
    column_unit,
    format_in_unit,
    format_rate,
    format_rate_within,
)
from rnnbench.report.content import Align, Cell, Table, TableColumn
from rnnbench.serving.measure import QUANTILES, Efficiency, Outcome, efficiency
from rnnbench.serving.plan import Plan
from rnnbench.statistics import Estimate

__all__ = ["about", "alone_of", "crowds_table", "remarks"]

_RIGHT: Align = "right"


def about(plan: Plan, environment: Mapping[str, Any]) -> str:
    """What steps, where, and how it was measured."""
    c = plan.case
    numbers = ", ".join(map(str, plan.cores))
    cores = f"one of the cores {numbers}" if len(plan.cores) > 1 else f"core {numbers}"
    return (
        f"Streams of {c.cell}, B={c.batch} I={c.input_size} H={c.hidden_size} L={c.num_layers}, "
        f"{c.layout}, {c.dtype}: a step at a time with the state carried, back to back. Workers "
        f"are processes of one thread, each pinned to {cores}; all of a row step "
        f"at the same time, in {plan.turns} windows of {plan.seconds:g} s in each of "
        f"{plan.replicates} replicates, in random order with the other rows. PyTorch "
        f"{environment['torch']}."
    )


def alone_of(outcome: Outcome, outcomes: Sequence[Outcome]) -> Outcome | None:
    """One worker of the same implementation by itself, where that was measured."""
    return next(
        (
            each
            for each in outcomes
            if each.crowd.implementation == outcome.crowd.implementation
            and each.crowd.workers == 1
            and each.measured
        ),
        None,
    )


def crowds_table(plan: Plan, outcomes: Sequence[Outcome]) -> Table:
    """Steps per second, what is left of a lone worker's, and percentiles of single steps.

    ``data``: implementation, workers, status, steps_per_second and p50, p95, p99 (seconds), each
    with ``_low`` and ``_high``, and efficiency with both. `remarks` says why some have no numbers.
    """
    latencies = {
        name: [outcome.latency(quantile) for outcome in outcomes]
        for name, quantile in QUANTILES.items()
    }
    scale, unit = column_unit(
        found.value for column in latencies.values() for found in column if found is not None
    )
    shares = [efficiency(outcome, alone_of(outcome, outcomes)) for outcome in outcomes]
    rates = [outcome.steps_per_second() for outcome in outcomes]
    rows = []
    for index, outcome in enumerate(outcomes):
        share = shares[index]
        rows.append(
            [
                Cell(outcome.crowd.implementation),
                Cell(_workers(outcome.crowd.workers, plan), float(outcome.crowd.workers)),
                _rate_cell(rates[index], outcome.status),
                _each_cell(rates[index], outcome),
                Cell("none") if share is None else _cell(share.value, share.low, share.high, 1.0),
                *(_time_cell(latencies[name][index], scale, outcome.status) for name in QUANTILES),
            ]
        )
    headings = ("steps/s", "a worker's", "efficiency", *(f"{name}, {unit}" for name in QUANTILES))
    return Table(
        "streaming",
        "Streams at the same time",
        "Steps per second of all workers and of one of them; efficiency is that over a lone "
        "worker's. Intervals are of 95 %, over replicates of fresh processes.",
        [
            TableColumn("implementation", choices=True),
            TableColumn("workers", _RIGHT),
            *(TableColumn(heading, _RIGHT) for heading in headings),
        ],
        rows,
        pd.DataFrame(
            {
                "implementation": [outcome.crowd.implementation for outcome in outcomes],
                "workers": [outcome.crowd.workers for outcome in outcomes],
                "status": [outcome.status for outcome in outcomes],
                **_bounds("steps_per_second", rates),
                **_bounds("efficiency", shares),
                **{k: v for name in QUANTILES for k, v in _bounds(name, latencies[name]).items()},
            }
        ),
    )


def remarks(plan: Plan, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What the numbers leave out, and why some are missing."""
    yield (
        "A latency is the time from the end of one step to the end of the next of the same worker, "
        "with the few tenths of a microsecond that its loop takes and with every pause that the "
        "system makes; each worker asks for its next step as soon as it has the last, so none "
        "waits in a queue. What a worker did before all of them were stepping is left out."
    )
    if 1 not in plan.workers:
        yield "Efficiency needs one worker by itself: give --workers 1 as well."
    for name in plan.implementations:
        first = next(each for each in outcomes if each.crowd.implementation == name)
        if not first.measured:
            yield f"{name} is {first.status}: {first.reason}."


def _workers(count: int, plan: Plan) -> str:
    cores = len(plan.cores)
    return str(count) if count <= cores else f"{count} on {cores} core{'s' if cores > 1 else ''}"


def _rate_cell(rate: Estimate | None, status: str) -> Cell:
    if rate is None:
        return Cell(status)
    value, low, high = rate.value, rate.low, rate.high
    if low is None or high is None:
        return Cell(f"{format_rate_within(value, None, None)} {NO_INTERVAL}", value)
    ends = ", ".join(format_rate_within(end, low, high) for end in (low, high))
    return Cell(f"{format_rate_within(value, low, high)} [{ends}]", value)


def _each_cell(rate: Estimate | None, outcome: Outcome) -> Cell:
    if rate is None:
        return Cell(outcome.status)
    each = rate.value / outcome.crowd.workers
    return Cell(format_rate(each), each)


def _share_cell(share: Efficiency | None, outcome: Outcome) -> Cell:
    if share is None:
        return Cell("none")
    if outcome.crowd.workers == 1:
        return Cell("1", 1.0)
    return _cell(share.value, share.low, share.high, 1.0)


def _time_cell(found: Estimate | None, scale: float, status: str) -> Cell:
    return Cell(status) if found is None else _cell(found.value, found.low, found.high, scale)


def _cell(value: float, low: float | None, high: float | None, scale: float) -> Cell:
    text, interval = format_in_unit(value, low, high, scale)
    return Cell(f"{text} {interval}", value)


def _bounds(name: str, found: Sequence[Any]) -> dict[str, list[float | None]]:
    return {
        name: [each and each.value for each in found],
        f"{name}_low": [each and each.low for each in found],
        f"{name}_high": [each and each.high for each in found],
    }
