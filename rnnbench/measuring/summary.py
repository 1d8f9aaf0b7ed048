"""The table at the end: each group's times with intervals, ratios to the baseline, and what is
missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from rnnbench.bounds import Bound, defect_sentences
from rnnbench.cases import Case
from rnnbench.measuring.engine import CaseRun, baseline_of, ratio_of
from rnnbench.numbers import (
    format_interval,
    format_rate,
    format_ratio,
    format_seconds,
    format_share,
)
from rnnbench.statistics import estimate_blocks
from rnnbench.work import work_of

__all__ = ["summary_lines"]

Limit: TypeAlias = Callable[[Case], Bound | None]
"""The limit of a case, where it is known."""


def _unknown(case: Case) -> None:
    """No limit was measured."""


def summary_lines(runs: Sequence[CaseRun], baseline: str, limit: Limit = _unknown) -> Iterator[str]:
    """Lines of the summary: a table per group, then all that was not measured and why.

    Where limits are known, the share of them that each case reached, and what is wrong with them.
    """
    groups: dict[Case, list[CaseRun]] = {}
    for run in runs:
        if run.measured and run.blocks:
            groups.setdefault(run.case.group, []).append(run)
    several = len({run.case.environment for run in runs}) > 1
    for group, members in groups.items():
        yield ""
        yield _title(group)
        yield from _table(members, baseline, several, limit)
    yield from _not_measured(runs)
    yield from _defects([run for members in groups.values() for run in members], limit)


def _title(group: Case) -> str:
    c = group
    layers = f"L={c.num_layers}" + (" bidirectional" if c.bidirectional else "")
    threads = "1 thread" if c.threads == 1 else f"{c.threads} threads"
    layout = c.layout if c.lengths == "full" else f"lengths {c.lengths}"
    return (
        f"{c.pass_}: {c.workload} {c.cell}, T={c.seq_len} B={c.batch} I={c.input_size} "
        f"H={c.hidden_size} {layers}, {layout}, {c.dtype}, {c.device}, {threads}"
        + ("" if c.bias else ", no bias")
        + (f", dropout {c.dropout:g}" if c.dropout else "")
        + (f", {c.initial_state} initial state" if c.initial_state != "given" else "")
        + (f", seed {c.seed}" if c.seed else "")
    )


def _table(members: Sequence[CaseRun], baseline: str, several: bool, limit: Limit) -> Iterator[str]:
    rows = [["implementation", "median", "95 % interval", f"time / {baseline}", "", "tokens/s"]]
    bounds = [limit(run.case) for run in members]
    if any(bounds):
        rows[0].append("of limit")
    measured = []
    for run, bound in zip(members, bounds, strict=True):
        processes = run.processes()
        estimate = estimate_blocks(processes)
        base = baseline_of(run, members, baseline)
        ratio, interval = "", ""
        if base is run:
            ratio = "1"
        elif base is not None:
            compared = ratio_of(base, run)
            ratio, interval = format_ratio(compared.ratio, compared.low, compared.high)
        name = " ".join(filter(None, (run.case.implementation, _variant(run.case))))
        name += f" @ {run.case.environment}" if several else ""
        tokens = work_of(run.case)["tokens"] / estimate.value
        row = [
            name,
            format_seconds(estimate.value, estimate.low, estimate.high),
            format_interval(estimate.value, estimate.low, estimate.high),
            ratio,
            interval,
            format_rate(tokens),
        ]
        if any(bounds):
            row.append(format_share(bound.least.seconds / estimate.value) if bound else "unknown")
        measured.append((estimate.value, row))
    rows += [row for _, row in sorted(measured, key=lambda pair: pair[0])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  " + "  ".join(cells).rstrip()


def _variant(case: Case) -> str:
    """What tells a case from the others of its group, beside implementation and environment."""
    parts = [case.workload.partition(".")[2]]
    parts += [case.layout] if case.lengths != "full" else []
    return " ".join(part for part in parts if part)


def _defects(runs: Sequence[CaseRun], limit: Limit) -> Iterator[str]:
    shares = []
    for run in runs:
        bound = limit(run.case)
        if bound is not None:
            time = estimate_blocks(run.processes()).value
            shares.append((run.case.id, bound.least.seconds / time, bound.is_beaten_by(time)))
    for sentence in defect_sentences(shares):
        yield ""
        yield sentence


def _not_measured(runs: Sequence[CaseRun]) -> Iterator[str]:
    reasons: dict[tuple[str, str, str], list[CaseRun]] = {}
    for run in runs:
        if not run.measured:
            where = " ".join(filter(None, (run.case.implementation, _variant(run.case))))
            if len({x.case.environment for x in runs}) > 1:
                where += f" @ {run.case.environment}"
            reasons.setdefault((run.status, where, run.reason), []).append(run)
    if not reasons:
        return
    yield ""
    yield "not measured:"
    for (status, where, reason), missing in sorted(reasons.items()):
        cases = missing[0].case.id if len(missing) == 1 else f"{len(missing)} cases"
        yield f"  {status}: {where} ({cases}): {reason}"
