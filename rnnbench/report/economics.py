"""When a compilation has paid for itself: what it costs, what it gains a call, after how many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias
from weakref import WeakKeyDictionary

import pandas as pd

from rnnbench.report._processes import Bounds, Figures, figures_of, middles, paired_differences
from rnnbench.report._records import dtypes_of, frame_of
from rnnbench.report.groups import CASE_NAMES, groups
from rnnbench.results import Results

__all__ = ["BASES", "STATES", "Payback", "economics"]

Payback: TypeAlias = Literal["pays", "never", "cannot tell"]

STATES: dict[Payback, str] = {
    "pays": "a call is faster beyond doubt, so that enough calls pay for the compilation",
    "never": "a call is not faster, so that no number of calls pays for it",
    "cannot tell": "the interval of the gain holds 0, or too few processes give none; at most a "
    "least number of calls is known",
}
"""What is said of a compilation, and what it means."""

BASES = ("base", "eager")
"""Prefixes of the columns by what is compared with: the baseline, and the fastest eager row."""

_KEPT = (
    "time",
    "compiler",
    "compile_cold",
    "compile_warm",
    "compiler_start",
    "graphs",
    "breaks",
    "break_reasons",
    "recompilations",
)
_CALLS = ("calls", "calls_low", "calls_high")
_AGAINST = (
    "gain",
    "gain_low",
    "gain_high",
    *_CALLS,
    *(f"warm_{name}" for name in _CALLS),
)


_KNOWN: WeakKeyDictionary[Results, dict[tuple[str, float], pd.DataFrame]] = WeakKeyDictionary()
"""The table, the picture and the sentence of one report ask for the same."""


def economics(results: Results, baseline: str = "nn_rnn", *, level: float = 0.95) -> pd.DataFrame:
    """Say for each measured row that has a compilation when it has paid for itself.

    Two rows of the same setting, run and environment are compared with: ``base``, that of the
    implementation ``baseline``, and ``fastest_eager``, the one of least time without a
    compilation. The columns of the first comparison begin with ``base_``, those of the second with
    ``eager_``:

    - ``gain``, ``gain_low``, ``gain_high``: seconds that a call is faster. In each process the
      median over pairs of blocks that took turns, then the middle over processes, with an interval
      from them.
    - ``calls``, ``calls_low``, ``calls_high``: compile_cold / gain, the number of calls of this
      very pass after which the seconds of the first call are won back; ``warm_calls`` … the same
      with the compiler's cache filled. Where the pass is part of a step (a ``backward``), these
      count such parts. A missing ``calls_high`` has no bound.
    - ``state``: one of `STATES`. With "never" no number of calls is given, with "cannot tell" the
      least that the interval allows; of one process alone the estimate without bounds.

    The seconds of a compilation were taken once, so that the bounds on calls hold what is not
    known of the gain alone. ``compiler_start``, once in each process, is not in them. The fastest
    eager row is picked by times that luck is part of, which makes the gain over it seem smaller
    where several are alike: with three that tie, "never" is said of a true gain of 0 somewhat more
    often than the level allows; "pays" more seldom.

    Columns: ``row``, ``run``, the columns of the case, ``time``, ``compiler``, ``compile_cold``,
    ``compile_warm``, ``compiler_start``, ``graphs``, ``breaks``, ``break_reasons``,
    ``recompilations``, ``base``, ``fastest_eager`` (rows, missing where there is none or where it
    is of no use), then the two comparisons.
    """
    known = _KNOWN.setdefault(results, {})
    if (baseline, level) not in known:
        known[baseline, level] = _computed(results, baseline, level)
    return known[baseline, level].copy()


def _computed(results: Results, baseline: str, level: float) -> pd.DataFrame:
    figures = figures_of(results)
    measured = results.measured
    facts = dict(
        zip(
            measured.index.tolist(),
            measured[list(_KEPT)].astype(object).to_dict("records"),
            strict=True,
        )
    )
    records: list[dict[str, Any]] = []
    for members in groups(measured, ("implementation",)).values():
        eager = [row for row in members if pd.isna(facts[row]["compiler"])]
        fastest = min(eager, key=lambda row: figures.times[row], default=None)
        named = [row for row in members if figures.columns["implementation"][row] == baseline]
        base = named[0] if named else None
        for row in members:
            if not pd.isna(facts[row]["compiler"]):
                records.append(
                    {
                        "row": row,
                        **{name: figures.columns[name][row] for name in ("run", *CASE_NAMES)},
                        **facts[row],
                        "base": None if base == row else base,
                        "fastest_eager": fastest,
                    }
                )
    for prefix, column in zip(BASES, ("base", "fastest_eager"), strict=True):
        _compare(figures, records, column, prefix, level)
    return _frame(records)


def _compare(
    figures: Figures, records: Sequence[dict[str, Any]], column: str, prefix: str, level: float
) -> None:
    """Add to each record what it gains over the row in one of its columns."""
    compared = [record for record in records if record[column] is not None]
    gains = [
        # New minus base is what a call takes longer, so the sides change places.
        paired_differences(figures.medians(record["row"]), figures.medians(record[column]))
        for record in compared
    ]
    for record, gain in zip(compared, middles(gains, level), strict=True):
        known = gain[0] == gain[0]  # not NaN: the two have a process in common
        state = _state(gain) if known else "cannot tell"
        values: dict[str, Any] = {"state": state}
        if known:
            values.update(zip(("gain", "gain_low", "gain_high"), gain, strict=True))
            for name, seconds in (("", "compile_cold"), ("warm_", "compile_warm")):
                if not pd.isna(record[seconds]):
                    calls = _calls(float(record[seconds]), gain, state)
                    named = (name + part for part in _CALLS)
                    values.update(zip(named, calls, strict=True))
        record.update({f"{prefix}_{name}": value for name, value in values.items()})


def _state(gain: Bounds) -> Payback:
    _, low, high = gain
    if low is None or high is None or low <= 0 < high:
        return "cannot tell"
    return "pays" if low > 0 else "never"


def _calls(
    seconds: float, gain: Bounds, state: Payback
) -> tuple[float | None, float | None, float | None]:
    """Calls, and the least and the most of them; what is not known is missing."""
    value, low, high = gain
    if low is None or high is None:
        return (seconds / value if value > 0 else None), None, None
    if state == "pays":
        return seconds / value, seconds / high, seconds / low
    return None, (seconds / high if state == "cannot tell" else None), None


def _frame(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    dtypes = {
        "row": "Int64",
        **dtypes_of(("run", *CASE_NAMES, *_KEPT)),
        "base": "Int64",
        "fastest_eager": "Int64",
    }
    for prefix in BASES:
        dtypes.update({f"{prefix}_{name}": "float64" for name in _AGAINST})
        dtypes[f"{prefix}_state"] = "string"
    return frame_of(records, dtypes)
