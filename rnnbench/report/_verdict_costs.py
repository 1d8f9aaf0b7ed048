"""Sentences of the verdict: whether a GPU is worth it, and when a compilation has paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rnnbench.report._verdict_fastest import Names
from rnnbench.report._words import count, counted, name, ratio, seconds_range, share_of, size
from rnnbench.report.crossover import AXES, crossovers
from rnnbench.report.economics import economics
from rnnbench.report.speedups import FASTEST, devices, speedups, speedups_of
from rnnbench.results import Results

__all__ = ["compilation", "gpu"]

_DEVICES = 2  # kinds that are compared in the verdict; the tables have all
_SIGNS = {"batch": ("B", "batch"), "seq_len": ("T", "length"), "hidden_size": ("H", "width")}


def gpu(results: Results) -> list[str]:
    """One sentence: a clause for each kind of device beside the first, or that there is none."""
    kinds = devices(results)
    if not kinds:
        return []
    base, *others = kinds
    if not others:
        versus = "whether a GPU is worth it" if base == "cpu" else "how it compares with a CPU"
        return [f"Only one kind of device was measured ({name(base)}), so nothing says {versus}"]
    names = Names(results)
    found = []
    for kind in others[:_DEVICES]:
        alone = base == "cpu" and len(others) == 1
        pairs = speedups_of(results) if alone else speedups(results, base, kind)
        best = pairs[pairs["implementation"] == FASTEST]
        if best.empty:
            found.append(
                f"{name(base)} and {name(kind)} share no setting, so nothing says which is faster"
            )
            continue
        text = _speedup_text(best.to_dict("records"), name(base), name(kind), names)
        crossing = _crossing_text(results, best) if len(best) > 1 else ""
        found.append(f"{text}; {crossing}" if crossing else text)
    first, *more = found
    return ["; ".join((first, *(text[0].lower() + text[1:] for text in more)))]


def _speedup_text(records: Sequence[Mapping[str, Any]], base: str, kind: str, names: Names) -> str:
    def text(record: Mapping[str, Any]) -> str:
        low, high = (_bound(record[f"speedup_{end}"]) for end in ("low", "high"))
        shown = ratio(record["speedup"], low, high)
        return f"{shown} ({names.setting(int(record['row_new']))})"

    ordered = sorted(records, key=lambda record: float(record["speedup"]))
    lows = [_bound(record["speedup_low"]) for record in records]
    highs = [_bound(record["speedup_high"]) for record in records]
    faster = sum(low is not None and low > 1 for low in lows)
    slower = sum(high is not None and high < 1 for high in highs)
    unknown = len(records) - faster - slower
    said = (
        f"With the best time of each device, {kind} is faster than {base} in {faster:,} of "
        f"{counted(len(records), 'setting')}, slower in {slower:,}, and not told apart in "
        f"{unknown:,}"
    )
    if len(ordered) == 1:
        return f"{said}: the speed-up is {text(ordered[0])}"
    return f"{said}: the speed-ups go from {text(ordered[0])} to {text(ordered[-1])}"


def _crossing_text(results: Results, pairs: pd.DataFrame) -> str:
    """Along each axis the sizes from which on the new device is faster."""
    clauses = []
    for axis in AXES:
        curves = crossovers(results, axis, pairs).to_dict("records")
        if not curves:
            continue
        letter, noun = _SIGNS[axis]
        crossing = [
            curve
            for curve in curves
            if curve["state"] == "crosses"
            and not pd.isna(curve["size"])
            and not pd.isna(curve["faster_above"])
            and bool(curve["faster_above"])
        ]
        crossing.sort(key=lambda curve: float(curve["size"]))
        if not crossing:
            clauses.append(f"along {noun} in none of {counted(len(curves), 'curve')}")
            continue
        ends = [crossing[0], crossing[-1]] if len(crossing) > 1 else crossing
        sizes = [
            f"{letter}={size(end['size'], _bound(end['size_low']), _bound(end['size_high']))}"
            for end in ends
        ]
        clauses.append(
            f"along {noun} in {share_of(len(crossing), len(curves), 'curve')}, at "
            f"{' to '.join(sizes)}"
        )
    if not clauses:
        return ""
    return f"it overtakes within the measured sizes {'; '.join(clauses)}"


def compilation(results: Results, baseline: str) -> list[str]:
    """What compiling took, and after how many calls it has paid; nothing where none compiled."""
    costs = economics(results, baseline)
    cold = costs["compile_cold"].dropna().tolist()
    if not cold:
        return []
    warm = costs["compile_warm"].dropna().tolist()
    text = f"Compiling took {seconds_range(cold)}"
    if warm:
        text += f" with nothing cached and {seconds_range(warm)} with a warm cache"
    records = costs[costs["compile_cold"].notna()].to_dict("records")
    clauses = [
        clause
        for prefix, column, against in (
            ("base", "base", name(baseline)),
            ("eager", "fastest_eager", "the best time without compilation"),
        )
        if (clause := _paid(records, prefix, column, against))
    ]
    return [text + "".join(f"; {clause}" for clause in clauses)]


def _paid(records: Sequence[Mapping[str, Any]], prefix: str, column: str, against: str) -> str:
    compared = [record for record in records if not pd.isna(record[column])]
    if not compared:
        return ""
    states = Counter(str(record[f"{prefix}_state"]) for record in compared)
    text = f"against {against} it pays in {states['pays']:,} of {counted(len(compared), 'case')}"
    paid = [record for record in compared if record[f"{prefix}_state"] == "pays"]
    paid.sort(key=lambda record: float(record[f"{prefix}_calls"]))
    calls = [_calls(record, prefix) for record in ([paid[0], paid[-1]] if paid[1:] else paid)]
    if calls:
        text += f" (after {' to '.join(calls)} calls)"
    return text + f", never in {states['never']:,}, and cannot be told in {states['cannot tell']:,}"


def _calls(record: Mapping[str, Any], prefix: str) -> str:
    value, low, high = (_bound(record[f"{prefix}_calls{end}"]) for end in ("", "_low", "_high"))
    ends = ["open" if end is None else count(end) for end in (low, high)]
    return f"{count(value or 0)} [{', '.join(ends)}]"


def _bound(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
