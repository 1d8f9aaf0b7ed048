"""What really ran, what could not be measured, and how much work was done in a second."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from rnnbench.numbers import format_count, format_rate_within, format_share
from rnnbench.report.content import Cell, Table
from rnnbench.report.escaping import clean
from rnnbench.report.groups import CASE_NAMES
from rnnbench.report.tables._columns import (
    HEADINGS,
    Column,
    Values,
    assemble,
    competitors,
    constant_setting,
    setting_columns,
    sort_key,
    text_cell,
    times_of,
    values_of,
    varying_settings,
)
from rnnbench.report.tables.limits import why_no_limits
from rnnbench.results import MEASURED, Results

__all__ = ["compiled_cell", "not_measured", "rates", "what_ran"]

_RAN = (
    "backend",
    "launches",
    "launches_per_step",
    "graphs",
    "breaks",
    "break_reasons",
    "recompilations",
    "error_share",
)
_RATES = (
    "cases_per_second",
    "tokens_per_second",
    "valid_tokens_per_second",
    "flops_per_second",
    "flops_share",
    "bytes_share",
)


def what_ran(results: Results) -> Table | None:
    """What ran in each competitor's passes, by their profiles; None without a measured case.

    A row stands for all shapes of a competitor's pass and workload. ``data``: a row for each case
    with row, run, the columns of the case, backend, launches, launches_per_step, graphs, breaks,
    break_reasons, recompilations, error_share (largest error relative to its tolerance).
    """
    frame = results.measured
    if frame.empty:
        return None
    values = values_of(results.frame, ("run", *CASE_NAMES, *_RAN))
    several_runs = len(set(values["run"])) > 1
    kinds = _several(values, ("workload", "device", "pass"))
    names = [*(["run"] if several_runs else []), *kinds]
    key = sort_key(values, names)
    labels = competitors(values, range(len(values["run"])))
    found: dict[tuple[Any, ...], list[int]] = {}
    for row in frame.index.tolist():
        found.setdefault((key(row), labels[row]), []).append(row)
    environments = list(dict.fromkeys(values["environment"]))

    def place(group: tuple[Any, ...]) -> tuple[Any, ...]:
        row = found[group][0]
        given = environments.index(values["environment"][row])
        return group[0], values["implementation"][row], given

    ordered = [found[group] for group in sorted(found, key=place)]
    firsts = [rows[0] for rows in ordered]
    columns = [
        *setting_columns(values, firsts, names),
        Column("competitor", [Cell(labels[row]) for row in firsts], choices=True),
        Column("cases", [Cell(str(len(rows)), float(len(rows))) for rows in ordered], "right"),
        Column("backend", [_words(values, "backend", rows) for rows in ordered], choices=True),
        Column(
            "launches a step", [_span(values, "launches_per_step", r) for r in ordered], "right"
        ),
        Column("torch.compile", [_compiled(values, rows) for rows in ordered], once=True),
        Column("error / tolerance", [_largest(values, "error_share", r) for r in ordered], "right"),
    ]
    reasons = list(dict.fromkeys(reason for reason in values["break_reasons"] if reason))
    if len(reasons) > 1:
        cells = [_words(values, "break_reasons", rows, "none") for rows in ordered]
        columns.append(Column("why the graph broke", cells))
    return assemble(
        "what_ran",
        "What really ran",
        [
            "From the profile of each case, not from its name.",
            "Launches: kernels on a device, inner operators on a CPU.",
            "Errors: the largest of outputs and gradients, relative to its tolerance.",
            f"Why graphs broke: {clean(reasons[0]).rstrip('.')}." if len(reasons) == 1 else "",
        ],
        columns,
        _case_data(frame, _RAN),
    )


def rates(results: Results) -> Table | None:
    """How much work was done in a second; None without a measured case.

    ``data``: row, run, the columns of the case, cases_per_second, tokens_per_second,
    valid_tokens_per_second, flops_per_second (all 1/s), flops_share and bytes_share (of the
    machine's limits, missing where those are not known).
    """
    frame = results.measured
    if frame.empty:
        return None
    times = ("time", "time_low", "time_high")
    values = values_of(results.frame, ("run", *CASE_NAMES, *times, *_RATES))
    rows = frame.index.tolist()
    varied = varying_settings(values, rows)
    key = sort_key(values, varied)
    rows.sort(key=lambda row: (key(row), values["time"][row]))
    padded = any(
        values["tokens_per_second"][row] != values["valid_tokens_per_second"][row] for row in rows
    )
    shown = [("cases/s", "cases_per_second"), ("tokens/s", "tokens_per_second")]
    shown += [("valid tokens/s", "valid_tokens_per_second")] if padded else []
    shown += [("FLOP/s", "flops_per_second")]
    limits = any(values[name][row] is not None for name in _RATES[-2:] for row in rows)
    columns = [
        *setting_columns(values, rows, varied),
        Column("competitor", [Cell(c) for c in competitors(values, rows)], choices=True),
        *(
            Column(heading, [_rate(values, row, name) for row in rows], "right")
            for heading, name in shown
        ),
        *(
            Column(heading, [_share(values[name][row]) for row in rows], "right", once=True)
            for heading, name in (("share of FLOP/s", "flops_share"), ("of bytes/s", "bytes_share"))
            if limits
        ),
    ]
    return assemble(
        "rates",
        "Work done in a second",
        [
            constant_setting(values, rows),
            "FLOP: matrix products alone, by closed forms; a multiplication and an addition are "
            "two.",
            "Shares are of the machine's limits, as they were measured."
            if limits
            else "The machine's limits were not measured, so no share of them is known.",
            *([] if limits else why_no_limits(results)),
        ],
        columns,
        _case_data(frame, _RATES).set_index("row").loc[rows].reset_index(),
    )


def not_measured(results: Results) -> Table | None:
    """What has no time and why; None where every case has one.

    Cases of a competitor with the same status and reason share a row. ``data``: a row for each
    case with row, run, the columns of the case, status, reason.
    """
    frame = results.frame[results.frame["status"] != MEASURED]
    if frame.empty:
        return None
    values = values_of(results.frame, ("run", *CASE_NAMES, "status", "reason"))
    several_runs = len(set(values["run"])) > 1
    every = list(range(len(values["run"])))
    varied = [name for name in varying_settings(values, every) if name != "run"]
    labels = competitors(values, every)
    found: dict[tuple[str, ...], list[int]] = {}
    for row in frame.index.tolist():
        what = (values["status"][row], labels[row], values["run"][row], values["reason"][row] or "")
        found.setdefault(what, []).append(row)
    ordered = sorted(found.items())
    members = [rows for _, rows in ordered]
    columns = [
        *([Column("run", [Cell(w[2]) for w, _ in ordered], choices=True)] if several_runs else []),
        Column("status", [Cell(what[0]) for what, _ in ordered], choices=True),
        Column("competitor", [Cell(what[1]) for what, _ in ordered], choices=True),
        Column("cases", [Cell(format_count(len(r)), float(len(r))) for r in members], "right"),
        Column("which", [Cell(_which(values, rows, varied)) for rows in members]),
        Column("reason", [text_cell(what[3] or None, "none given") for what, _ in ordered]),
    ]
    return assemble(
        "not_measured",
        "What could not be measured",
        [f"{format_count(len(frame))} of {format_count(len(every))} cases have no time."],
        columns,
        _case_data(frame, ("status", "reason")),
    )


def compiled_cell(values: Values, row: int) -> Cell:
    """What torch.compile made of a case, in words."""
    return _compiled(values, [row])


def _compiled(values: Values, rows: Sequence[int]) -> Cell:
    words = []
    for name, one, many in (
        ("graphs", "graph", "graphs"),
        ("breaks", "break", "breaks"),
        ("recompilations", "recompilation", "recompilations"),
    ):
        known = [values[name][row] for row in rows if values[name][row] is not None]
        if known and (name == "graphs" or max(known)):
            least, most = min(known), max(known)
            count = str(most) if least == most else f"{least} to {most}"
            words.append(f"{count} {one if most == 1 else many}")
    return Cell(", ".join(words) or "not used")


def _several(values: Values, names: Iterable[str]) -> list[str]:
    return [name for name in names if len(set(values[name])) > 1]


def _words(values: Values, name: str, rows: Sequence[int], missing: str = "unknown") -> Cell:
    met = dict.fromkeys(v for row in rows if (v := values[name][row]))
    return Cell(", ".join(map(clean, met)) or missing)


def _span(values: Values, name: str, rows: Sequence[int]) -> Cell:
    known = [v for row in rows if (v := values[name][row]) is not None]
    if not known:
        return Cell("unknown")
    least, most = (f"{v:.1f}" for v in (min(known), max(known)))
    return Cell(least if least == most else f"{least} to {most}", float(min(known)))


def _largest(values: Values, name: str, rows: Sequence[int]) -> Cell:
    known = [v for row in rows if (v := values[name][row]) is not None]
    return Cell(format_share(max(known)), max(known)) if known else Cell("unknown")


def _rate(values: Values, row: int, name: str) -> Cell:
    rate = values[name][row]
    time, low, high = times_of(values, row)
    if rate is None or time is None:
        return Cell("unknown")
    ends = (None, None) if low is None or high is None else (rate * time / high, rate * time / low)
    return Cell(format_rate_within(rate, *ends), rate)


def _share(share: float | None) -> Cell:
    return Cell("limit not measured") if share is None else Cell(format_share(share), share)


def _which(values: Values, rows: Sequence[int], varied: Sequence[str]) -> str:
    """The values that these cases take in the columns in which the cases of all files differ."""
    words = []
    for name in varied:
        key = sort_key(values, [name])
        met = dict.fromkeys(values[name][row] for row in sorted(rows, key=key))
        if name == "bidirectional":
            words.append(" or ".join("two directions" if v else "one direction" for v in met))
        elif name == "bias":
            words.append(" or ".join("biases" if v else "no biases" for v in met))
        elif name == "dropout":
            words.append(" or ".join(f"dropout {v:g}" if v else "no dropout" for v in met))
        elif name == "initial_state":
            words.append(f"initial state {' or '.join(met)}")
        else:
            equals = f"{HEADINGS[name]}=" if name in HEADINGS else ""
            many = "threads " if name == "threads" else ""
            words.append(f"{equals}{many}{', '.join(map(str, met))}")
    return "; ".join(words) or "all"


def _case_data(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    columns = ["run", *CASE_NAMES, *names]
    return frame[columns].rename_axis("row").reset_index()
