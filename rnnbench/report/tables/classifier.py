"""The classifier's epochs: what usual advice is worth, and where the time of an epoch goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from rnnbench.classifier.settings import ADVICE
from rnnbench.numbers import column_unit, format_share
from rnnbench.report._processes import ratios_of
from rnnbench.report.content import Cell, Table
from rnnbench.report.groups import CASE_NAMES, COMPETITOR, groups
from rnnbench.report.tables._columns import (
    Column,
    Values,
    assemble,
    competitors,
    constant_setting,
    footing_columns,
    pairings_of,
    ratio_cell,
    ratio_data,
    setting_columns,
    sort_key,
    text_cell,
    time_cell,
    times_of,
    values_of,
    varying_settings,
)
from rnnbench.report.tables.comparison import DEFAULT_BASELINE
from rnnbench.results import Results, Samples
from rnnbench.statistics import Estimate, estimate_blocks

__all__ = ["classifier", "epoch"]

_FAMILY, _SPLIT = "classifier", "classifier.split"
_MEANINGS = {
    "": "tensors made once, metrics read once an epoch",
    "split": "the parts of the epoch timed one by one",
    **{each.name: each.meaning for each in ADVICE},
}
_TIME = ("time", "time_low", "time_high")
_USED = ("run", *CASE_NAMES, *_TIME)


def classifier(results: Results, baseline: str = DEFAULT_BASELINE) -> Table | None:
    """An epoch of each variant and implementation, over the plain epoch of the baseline.

    None where no epoch was measured. ``data``: run, the columns of the case, variant, label, row,
    base (the plain epoch's row, missing where there is none), time, time_low, time_high (seconds),
    ratio, ratio_low, ratio_high, ratio_pairing, verdict.
    """
    values = values_of(results.frame, _USED)
    pairs: list[tuple[int | None, int]] = []
    for rows in groups(_epochs(results), apart=("workload", *COMPETITOR)).values():
        plain = {
            values["environment"][row]: row
            for row in reversed(rows)
            if values["workload"][row] == _FAMILY and values["implementation"][row] == baseline
        }
        first = next(iter(plain.values()), None)
        pairs += [(plain.get(values["environment"][row], first), row) for row in rows]
    if not pairs:
        return None
    varied = [n for n in varying_settings(values, [row for _, row in pairs]) if n != "workload"]
    key = sort_key(values, varied)
    pairs.sort(key=lambda pair: (key(pair[1]), pair[0] != pair[1], pair[1]))
    rows = [row for _, row in pairs]
    known = [(base, row) for base, row in pairs if base is not None and base != row]
    found = dict(zip(known, ratios_of(results, known), strict=True))
    ratios = [found.get((-1 if base is None else base, row)) for base, row in pairs]
    footings, meanings = footing_columns(pairings_of(ratios))
    scale, unit = column_unit(values["time"][row] for row in rows)
    variants = [_variant(values, row) for row in rows]
    columns = [
        *setting_columns(values, rows, varied),
        Column("variant", [Cell(name or "plain") for name in variants], choices=True),
        Column("competitor", [Cell(label) for label in competitors(values, rows)], choices=True),
        Column(f"epoch, {unit}", [time_cell(*times_of(values, r), scale) for r in rows], "right"),
        Column(
            f"time / plain {baseline}",
            [
                Cell("1", 1.0) if base == row else ratio_cell(ratio, "no plain one")
                for (base, row), ratio in zip(pairs, ratios, strict=True)
            ],
            "right",
        ),
        Column("verdict", [text_cell(ratio and ratio.verdict, "") for ratio in ratios]),
        *footings,
    ]
    data = pd.DataFrame(
        {
            **{name: [values[name][row] for row in rows] for name in ("run", *CASE_NAMES)},
            "variant": variants,
            "label": competitors(values, rows),
            "row": rows,
            "base": pd.array([base for base, _ in pairs], dtype="Int64"),
            **{name: [values[name][row] for row in rows] for name in _TIME},
            **ratio_data("ratio", ratios),
            "verdict": pd.Series([ratio and ratio.verdict for ratio in ratios], dtype="string"),
        }
    )
    return assemble(
        "classifier",
        "An epoch of the classifier, and what usual advice is worth",
        [
            constant_setting(values, rows, without=["workload"]),
            "A call is a whole epoch. Below 1, the row is faster than the plain epoch.",
            *_explained(variants),
            *meanings,
        ],
        columns,
        data,
    )


def epoch(results: Results) -> Table | None:
    """Where the time of an epoch goes: seconds and share of each of its parts.

    None where no epoch was split. ``data``: run, the columns of the case, label, row, part, time,
    time_low, time_high (seconds), share (of the whole epoch). The part ``all parts`` is the epoch
    itself, and its share what the parts cover of it.
    """
    values = values_of(results.frame, _USED)
    found = [(row, results.samples[row]) for row in _epochs(results).index.tolist()]
    split = [
        (row, samples)
        for row, samples in found
        if samples is not None and any(block.parts for block in samples.blocks)
    ]
    if not split:
        return None
    varied = [n for n in varying_settings(values, [row for row, _ in split]) if n != "workload"]
    key = sort_key(values, varied)
    split.sort(key=lambda entry: (key(entry[0]), entry[0]))
    lines = [(row, *line) for row, samples in split for line in _lines(values, row, samples)]
    rows = [row for row, *_ in lines]
    times = [time for *_, time, _ in lines]
    scale, unit = column_unit(time.value for time in times if time is not None)
    columns = [
        *setting_columns(values, rows, varied),
        Column("competitor", [Cell(n) for n in competitors(values, rows)], choices=True, once=True),
        Column("part", [Cell(part) for _, part, *_ in lines], choices=True),
        Column(f"time, {unit}", [_estimate_cell(time, scale) for time in times], "right"),
        Column("of the epoch", [Cell(format_share(share), share) for *_, share in lines], "right"),
    ]
    data = pd.DataFrame(
        {
            **{name: [values[name][row] for row in rows] for name in ("run", *CASE_NAMES)},
            "label": competitors(values, rows),
            "row": rows,
            "part": [part for _, part, *_ in lines],
            "time": pd.Series([t and t.value for t in times], dtype="float64"),
            "time_low": pd.Series([t and t.low for t in times], dtype="float64"),
            "time_high": pd.Series([t and t.high for t in times], dtype="float64"),
            "share": [share for *_, share in lines],
        }
    )
    return assemble(
        "epoch",
        "Where the time of an epoch goes",
        [
            constant_setting(values, rows, without=["workload"]),
            "Each part ends where the next begins, with the device idle. The last line is the "
            "whole epoch that was split, with what its parts cover of it; what splitting costs "
            "stands in the table of the classifier.",
        ],
        columns,
        data,
    )


def _epochs(results: Results) -> pd.DataFrame:
    measured = results.measured
    names = zip(measured.index.tolist(), measured["workload"].tolist(), strict=True)
    return measured.loc[[row for row, name in names if name.partition(".")[0] == _FAMILY]]


def _variant(values: Values, row: int) -> str:
    name: str = values["workload"][row].partition(".")[2]
    return name


def _explained(variants: Sequence[str]) -> Iterator[str]:
    """What each variant stands for."""
    met = [name for name in _MEANINGS if name in variants]
    yield "; ".join(f"{name or 'plain'}: {_MEANINGS[name]}" for name in met) + "."


def _lines(
    values: Values, row: int, samples: Samples
) -> Iterator[tuple[str, Estimate | None, float]]:
    """Each part of an epoch with its time and its share, and the whole with what they cover."""
    blocks = [block for block in samples.blocks if block.parts]
    names = list(dict.fromkeys(name for block in blocks for name in block.parts))
    whole = np.concatenate([block.rounds for block in blocks])
    covered = np.zeros(len(whole))
    for name in names:
        times = np.concatenate(
            [block.parts.get(name, np.zeros(len(block.rounds))) for block in blocks]
        )
        covered += times
        yield name, _estimate(samples, name), float(np.median(times / whole))
    time, low, high = times_of(values, row)
    assert time is not None
    processes = len({block.replicate for block in blocks})
    every = Estimate(time, low, high, processes, len(blocks))
    yield "all parts", every, float(np.median(covered / whole))


def _estimate(samples: Samples, part: str) -> Estimate | None:
    """A part's time, or None where the clock did not always see it."""
    by_process: dict[int, list[np.ndarray]] = {}
    for block in samples.blocks:
        if part in block.parts:
            by_process.setdefault(block.replicate, []).append(block.parts[part])
    every = [times for blocks in by_process.values() for times in blocks]
    if min(float(times.min()) for times in every) <= 0:
        return None
    return estimate_blocks(list(by_process.values()))


def _estimate_cell(time: Estimate | None, scale: float) -> Cell:
    if time is None:
        return Cell("too short for the clock")
    return time_cell(time.value, time.low, time.high, scale)
