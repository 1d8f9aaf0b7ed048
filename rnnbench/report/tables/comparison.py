"""Competitors side by side: times, ratios to a baseline, and the fastest of each setting."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from rnnbench.numbers import column_unit, format_in_unit, format_rate_within
from rnnbench.report.content import Cell, Table
from rnnbench.report.groups import CASE_NAMES, COMPETITOR
from rnnbench.report.ratios import Ratio
from rnnbench.report.tables._columns import (
    LIMITS,
    Column,
    Values,
    assemble,
    competitors,
    constant_setting,
    footing_columns,
    limit_columns,
    pairings_of,
    ratio_cell,
    ratio_data,
    setting_columns,
    sort_key,
    time_cell,
    times_of,
    values_of,
    varying_settings,
)
from rnnbench.report.tables._standings import Against, against_baseline, winners_by_setting
from rnnbench.report.winners import Winners
from rnnbench.results import Results

__all__ = [
    "DEFAULT_BASELINE",
    "best_rows",
    "comparison",
    "fastest",
    "rate_cell",
    "time_alone",
    "to_baseline",
]

DEFAULT_BASELINE = "nn_rnn"

_TIME = ("time", "time_low", "time_high")
_USED = ("run", *CASE_NAMES, *_TIME, "tokens", "tokens_per_second", *LIMITS)


def comparison(results: Results, baseline: str = DEFAULT_BASELINE) -> Table | None:
    """All competitors of each setting from the fastest to the slowest; None without a time.

    ``data``: row (in the frame), run, the columns of the case, label, time, time_low, time_high
    (seconds), base (the baseline's row), ratio, ratio_low, ratio_high (time over the baseline's),
    ratio_pairing (its footing), verdict, tokens_per_second, best, limit_share.
    """
    frame = results.measured
    if frame.empty:
        return None
    values = values_of(results.frame, _USED)
    rows = frame.index.tolist()
    varied = varying_settings(values, rows)
    setting, time = sort_key(values, varied), values["time"]
    rows.sort(key=lambda row: (setting(row), time[row]))
    best = best_rows(results)
    against = against_baseline(results, baseline)
    labels = competitors(values, rows)
    ratios = [against.ratio.get(row) for row in rows]
    footings, meanings = footing_columns(pairings_of(ratios))
    scale, unit = column_unit(time[row] for row in rows)
    times = [time_cell(*times_of(values, row), scale, best=row in best) for row in rows]
    columns = [
        *setting_columns(values, rows, varied),
        Column("competitor", [Cell(label) for label in labels], choices=True),
        Column(f"time, {unit} [95 % interval]", times, "right"),
        Column(f"time / {baseline}", [to_baseline(against, row) for row in rows], "right"),
        *footings,
        Column("tokens/s", [rate_cell(values, row, "tokens") for row in rows], "right"),
        *limit_columns(values, rows),
    ]
    data = pd.DataFrame(
        {
            "row": rows,
            **{name: [values[name][row] for row in rows] for name in ("run", *CASE_NAMES)},
            "label": labels,
            **{name: [values[name][row] for row in rows] for name in _TIME},
            "base": pd.array([against.base.get(row) for row in rows], dtype="Int64"),
            **ratio_data("ratio", ratios),
            "verdict": pd.array([ratio and ratio.verdict for ratio in ratios], dtype="string"),
            "tokens_per_second": [values["tokens_per_second"][row] for row in rows],
            "best": [row in best for row in rows],
            "limit_share": pd.Series([values["limit_share"][row] for row in rows], dtype="float64"),
        }
    )
    return assemble(
        "comparison",
        "Implementations compared",
        [
            constant_setting(values, rows),
            f"Ratios are times over that of {baseline}: below 1 is faster.",
            *meanings,
        ],
        columns,
        data,
    )


def fastest(results: Results, baseline: str = DEFAULT_BASELINE) -> Table | None:
    """For each setting the fastest and all that cannot be told from it; None without a time.

    ``data``: run, the columns of the setting (those of the case without implementation and
    environment), best (its row), named (whether it is the fastest beyond doubt), tied (rows,
    separated by spaces), label (of the best), time, time_low, time_high (seconds, of the best),
    next (the row of the first that is told apart), next_ratio, next_ratio_low, next_ratio_high
    (its time over the best's), baseline (its row), baseline_ratio and the same for it,
    limit_share (of the best).
    """
    frame = results.measured
    if frame.empty:
        return None
    values = values_of(results.frame, _USED)
    every = frame.index.tolist()
    varied = varying_settings(values, every)
    key = sort_key(values, varied)
    found = sorted(winners_by_setting(results).values(), key=lambda winners: key(winners.best))
    labels = dict(zip(every, competitors(values, every), strict=True))
    against = against_baseline(results, baseline)
    best = [winners.best for winners in found]
    ratios = [{s.row: s.ratio for s in winners.standings} for winners in found]
    # The best's own ratio is None, as is that of a baseline that there is not.
    following = [next((s.row for s in w.standings if s.behind), None) for w in found]
    bases = [against.base.get(row) for row in best]
    to_next = [_of(known, row) for known, row in zip(ratios, following, strict=True)]
    to_base = [_of(known, row) for known, row in zip(ratios, bases, strict=True)]
    scale, unit = column_unit(values["time"][row] for row in best)
    columns = [
        *setting_columns(values, best, varied),
        Column("fastest, or not told apart", [Cell(_names(labels, w)) for w in found]),
        Column(f"time, {unit}", [time_alone(values, row, scale) for row in best], "right"),
        Column(
            "next: its time / fastest",
            [_next(labels, *each) for each in zip(found, following, to_next, strict=True)],
        ),
        Column(
            f"{baseline} / fastest",
            [
                Cell(f"is {baseline}", 1.0) if row == of else ratio_cell(ratio, "no baseline")
                for row, of, ratio in zip(best, bases, to_base, strict=True)
            ],
            "right",
        ),
        *limit_columns(values, best),
    ]
    shared = [name for name in ("run", *CASE_NAMES) if name not in COMPETITOR]
    data = pd.DataFrame(
        {
            **{name: [values[name][row] for row in best] for name in shared},
            "best": best,
            "named": [winners.named is not None for winners in found],
            "tied": [" ".join(map(str, winners.tied)) for winners in found],
            "label": [labels[row] for row in best],
            **{name: [values[name][row] for row in best] for name in _TIME},
            "next": pd.array(following, dtype="Int64"),
            **ratio_data("next_ratio", to_next),
            "baseline": pd.array(bases, dtype="Int64"),
            **ratio_data("baseline_ratio", to_base),
            "limit_share": pd.Series([values["limit_share"][row] for row in best], dtype="float64"),
        }
    )
    return assemble(
        "fastest",
        "The fastest of each setting",
        [
            constant_setting(values, every),
            "Where several are named, the intervals cannot tell them apart; the time and the "
            "ratios are those of the first.",
        ],
        columns,
        data,
    )


def best_rows(results: Results) -> set[int]:
    """Rows that are the best of their setting, or that its intervals cannot tell from the best.

    A row without a competitor is best of nothing.
    """
    return {
        row
        for winners in winners_by_setting(results).values()
        if len(winners.standings) > 1
        for row in (winners.best, *winners.tied)
    }


def to_baseline(against: Against, row: int) -> Cell:
    """The ratio of a row to its baseline, 1 for the baseline itself."""
    if against.base.get(row) == row:
        return Cell("1", 1.0)
    return ratio_cell(against.ratio.get(row), "no baseline")


def time_alone(
    values: Values, row: int | None, scale: float, *, best: bool = False, missing: str = "none"
) -> Cell:
    """A time without its interval, but with the digits that the interval supports."""
    if row is None:
        return Cell(missing)
    time, low, high = times_of(values, row)
    return Cell(format_in_unit(time or 0.0, low, high, scale)[0], time, best)


def rate_cell(values: Values, row: int, work: str) -> Cell:
    """What is done in a second, ``work`` being a column that counts it."""
    time, low, high = times_of(values, row)
    amount = values[work][row]
    if time is None or amount is None:
        return Cell("unknown")
    ends = (amount / high, amount / low) if low is not None and high is not None else (None, None)
    return Cell(format_rate_within(amount / time, *ends), amount / time)


def _of(ratios: Mapping[int, Ratio | None], row: int | None) -> Ratio | None:
    return None if row is None else ratios.get(row)


def _names(labels: Mapping[int, str], winners: Winners) -> str:
    return ", ".join(labels[row] for row in (winners.best, *winners.tied))


def _next(
    labels: Mapping[int, str], winners: Winners, row: int | None, ratio: Ratio | None
) -> Cell:
    if row is None or ratio is None:
        alone = len(winners.standings) == 1
        return Cell("nothing else measured" if alone else "none told apart")
    return Cell(f"{labels[row]} {ratio_cell(ratio).text}", ratio.value)
