"""Figures of each process, for all rows at once: what fits, crossovers and gains are made of."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from rnnbench.cases import common_ground
from rnnbench.report.groups import CASE_NAMES, COMPETITOR
from rnnbench.report.ratios import Pairing, Ratio, pairing_apart, with_nodes
from rnnbench.results import MEASURED, Results
from rnnbench.statistics import (
    middle_interval,
    own_figures,
    side_figures,
    side_interval,
    verdict_of,
)

__all__ = [
    "Figures",
    "figures_of",
    "median",
    "middles",
    "paired_differences",
    "paired_matrix",
    "ratios_of",
    "shared_matrix",
]

Floats: TypeAlias = NDArray[np.float64]
ByProcess: TypeAlias = dict[int, Floats]
Bounds: TypeAlias = tuple[float, float | None, float | None]

_LOW, _MEDIAN = 0.10, 0.5  # the quantiles of a block's rounds in `compare_blocks` and in estimates
_SETTING = tuple(name for name in CASE_NAMES if name not in COMPETITOR)


class Figures:
    """Blocks of all rows as one number each, and the columns that decide what may be paired.

    Lists by row rather than the frame: looking up one cell of a frame takes longer than all the
    arithmetic on a row.
    """

    def __init__(self, results: Results) -> None:
        frame = results.frame
        self.measured: list[bool] = (frame["status"] == MEASURED).tolist()
        self.columns: dict[str, list[Any]] = {
            name: frame[name].tolist() for name in ("run", *CASE_NAMES)
        }
        self.times: list[float] = frame["time"].tolist()
        self._grounds = _grounds(self.columns)
        self._results = results
        self._blocks: dict[float, list[ByProcess]] = {}

    def of(self, row: int, names: Iterable[str]) -> tuple[Hashable, ...]:
        """Values of some columns of a row."""
        return tuple(self.columns[name][row] for name in names)

    def place(self, row: int) -> tuple[Hashable, ...]:
        """Run and environment: rows that share both have common processes."""
        return self.of(row, ("run", "environment"))

    def pairing(self, base: int, new: int) -> Pairing:
        """What `rnnbench.report.ratios.pairing_of` says."""
        run = self.columns["run"][base]
        if run != self.columns["run"][new]:
            return "separate runs"
        # Looking up a row's sessions takes long, and nearly every file has but one.
        apart = (
            pairing_apart(self._results, base, new)
            if len(self._results.runs[run].sessions) > 1
            else None
        )
        if apart is not None:
            return apart
        if self._grounds[base] != self._grounds[new]:
            return "same run"
        same = self.columns["environment"][base] == self.columns["environment"][new]
        return "same process" if same else "took turns"

    def medians(self, row: int) -> ByProcess:
        """Median of each block's rounds in seconds, by process: what times are made of."""
        return self._quantiles(_MEDIAN)[row]

    def lows(self, row: int) -> ByProcess:
        """10 % quantile of each block's rounds in seconds, by process: what ratios are made of."""
        return self._quantiles(_LOW)[row]

    def _quantiles(self, quantile: float) -> list[ByProcess]:
        if quantile not in self._blocks:
            self._blocks[quantile] = _quantiles(self._results, quantile)
        return self._blocks[quantile]


def _grounds(columns: dict[str, list[Any]]) -> list[tuple[Hashable, ...]]:
    """For each row what it shares with those that it took turns with: `rnnbench.cases.Case.group`.

    Without making a case of each row, which would take most of a report's time.
    """
    common = map(common_ground, columns["workload"], columns["layout"], columns["lengths"])
    families, layouts = zip(*common, strict=True) if columns["run"] else ((), ())
    known = {**columns, "layout": layouts, "workload": families}
    return list(zip(*(known[name] for name in ("run", *_SETTING)), strict=True))


_KNOWN: WeakKeyDictionary[Results, Figures] = WeakKeyDictionary()


def figures_of(results: Results) -> Figures:
    """The figures of some results, computed once as long as the results live."""
    if results not in _KNOWN:
        _KNOWN[results] = Figures(results)
    return _KNOWN[results]


def median(values: Floats) -> float:
    """The median of a few numbers; `numpy.median` takes five times as long for these."""
    ordered = np.sort(values)
    half = len(ordered) // 2
    return float(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)


def shared_matrix(sides: Sequence[ByProcess]) -> Floats:
    """Median over blocks in each process that all sides have; shape (processes, sides)."""
    shared = sorted(set.intersection(*(set(side) for side in sides)))
    table = [[median(side[process]) for side in sides] for process in shared]
    return np.array(table, dtype=np.float64).reshape(len(shared), len(sides))


def paired_differences(base: ByProcess, new: ByProcess, *, logarithms: bool = False) -> Floats:
    """New minus base for each shared process: the median over pairs of blocks that took turns."""
    found = []
    for process in sorted(base.keys() & new.keys()):
        x, y = base[process], new[process]
        common = min(len(x), len(y))
        x, y = x[:common], y[:common]
        found.append(median(np.log(y) - np.log(x) if logarithms else y - x))
    return np.array(found)


def paired_matrix(bases: Sequence[ByProcess], news: Sequence[ByProcess]) -> Floats:
    """`paired_differences` of logarithms in each process that all have; (processes, pairs)."""
    shared = set.intersection(*(set(side) for side in (*bases, *news)))
    columns = [
        paired_differences({p: base[p] for p in shared}, new, logarithms=True)
        for base, new in zip(bases, news, strict=True)
    ]
    return np.stack(columns, axis=1)


def middles(columns: Sequence[Floats], level: float = 0.95) -> list[Bounds]:
    """`middle_interval` of many sets of numbers, each one by process; those as long at once."""
    found: list[Bounds] = [(np.nan, None, None)] * len(columns)
    by_length: dict[int, list[int]] = {}
    for index, values in enumerate(columns):
        by_length.setdefault(len(values), []).append(index)
    for length, indices in by_length.items():
        if length == 0:
            continue
        value, low, high = middle_interval(np.stack([columns[i] for i in indices], axis=1), level)
        lows: list[Any] = [None] * len(indices) if low is None else low.tolist()
        highs: list[Any] = [None] * len(indices) if high is None else high.tolist()
        for index, bounds in zip(
            indices, zip(value.tolist(), lows, highs, strict=True), strict=True
        ):
            found[index] = bounds
    return found


def ratios_of(
    results: Results,
    pairs: Sequence[tuple[int, int]],
    *,
    level: float = 0.95,
    margin: float = 0.02,
) -> list[Ratio]:
    """What `ratio_of` says of many pairs (base, new) of measured rows, in a tenth of its time."""
    figures = figures_of(results)
    bounds: list[tuple[Bounds, int]] = [((np.nan, None, None), 0)] * len(pairs)
    together: list[int] = []
    shifts: list[Floats] = []
    pairings = [figures.pairing(base, new) for base, new in pairs]
    for index, (base, new) in enumerate(pairs):
        left, right = figures.lows(base), figures.lows(new)
        sessions, took_turns = None, False
        if figures.columns["run"][base] == figures.columns["run"][new]:
            shared = left.keys() & right.keys()
            if shared and figures.place(base) == figures.place(new):
                together.append(index)
                shifts.append(paired_differences(left, right, logarithms=True))
                continue
            if shared:
                left, right = ({p: side[p] for p in sorted(shared)} for side in (left, right))
                run = results.runs[figures.columns["run"][base]]
                sessions = run.sessions_of(left)
                took_turns = pairings[index] == "took turns"
        first, second = ([np.log(times) for times in side.values()] for side in (left, right))
        x, y = side_figures(first, second, sessions) if took_turns else own_figures(first, second)
        bounds[index] = (side_interval(x, y, level, sessions), min(len(x), len(y)))
    for index, shift, found in zip(together, shifts, middles(shifts, level), strict=True):
        bounds[index] = (found, len(shift))
    ratios = []
    for (base, new), pairing, ((value, low, high), processes) in zip(
        pairs, pairings, bounds, strict=True
    ):
        low, high = (None if bound is None else math.exp(bound) for bound in (low, high))
        low, high = with_nodes(results, base, new, pairing, (low, high), level)
        ratios.append(
            Ratio(
                value=math.exp(value),
                low=low,
                high=high,
                verdict=verdict_of(low, high, margin),
                pairing=pairing,
                processes=processes,
            )
        )
    return ratios


def _quantiles(results: Results, quantile: float) -> list[ByProcess]:
    """The quantile of each block of each row; blocks of one length go through numpy together."""
    places: dict[int, list[tuple[int, int, int]]] = {}
    rounds: dict[int, list[Floats]] = {}
    found: list[ByProcess] = []
    for row, samples in enumerate(results.samples):
        counts: dict[int, int] = {}
        for block in samples.blocks if samples else ():  # in the order of their turns
            index = counts.get(block.replicate, 0)
            counts[block.replicate] = index + 1
            places.setdefault(len(block.rounds), []).append((row, block.replicate, index))
            rounds.setdefault(len(block.rounds), []).append(block.rounds)
        found.append({process: np.empty(counts[process]) for process in sorted(counts)})
    for length, blocks in rounds.items():
        values = np.quantile(np.stack(blocks), quantile, axis=1).tolist()
        for (row, process, index), value in zip(places[length], values, strict=True):
            found[row][process][index] = value
    return found
