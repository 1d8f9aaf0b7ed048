"""Device against device: which rows differ in it alone, and how much faster the new one is."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import pandas as pd

from rnnbench.report._processes import Figures, figures_of, ratios_of
from rnnbench.report._records import DTYPES, dtypes_of, frame_of
from rnnbench.report.groups import CASE_NAMES
from rnnbench.results import Results

__all__ = ["FASTEST", "SIDES", "devices", "speedups", "speedups_of"]

FASTEST = "fastest"
"""Implementation of the rows that compare the fastest of one device with the fastest of another."""

SIDES = ("run", "environment", "device", "implementation", "threads")
"""Columns that are there twice, for the base and for the new device: ``run_base``, ``run_new``."""

_SHARED = tuple(name for name in CASE_NAMES if name not in ("device", "environment"))
_SHAPES = tuple(name for name in _SHARED if name not in ("implementation", "threads"))


_KNOWN: WeakKeyDictionary[Results, pd.DataFrame] = WeakKeyDictionary()


def speedups_of(results: Results) -> pd.DataFrame:
    """`speedups` with its defaults, computed once as long as the results live: only to be read."""
    if results not in _KNOWN:
        _KNOWN[results] = speedups(results)
    return _KNOWN[results]


def devices(results: Results) -> tuple[str, ...]:
    """Kinds of devices that something was measured on, such as ``cpu`` and ``cuda``; CPU first."""
    kinds = {str(device).partition(":")[0] for device in results.measured["device"].unique()}
    return tuple(sorted(kinds, key=lambda kind: (kind != "cpu", kind)))


def speedups(
    results: Results,
    base_device: str = "cpu",
    new_device: str | None = None,
    *,
    level: float = 0.95,
) -> pd.DataFrame:
    """Compare measured rows that differ in nothing but the device.

    A device is given as a kind (``cuda``) or by number (``cuda:1``); without ``new_device`` it is
    each that is not of the base's kind. A row of the new device is compared with that of the base
    device in its own run and environment; where there is none, with those of its run's other
    environments, and where there is none either, with those of all other runs. Threads are those
    of the CPU, which also launches a GPU's kernels, so rows of as many threads are compared.

    Besides, for each shape the fastest row of the base device is compared with the fastest of the
    new one, over implementations and threads: rows whose ``implementation`` is `FASTEST` and whose
    ``threads`` are missing. Picking the fastest by its measured time favours the lucky, on both
    sides alike.

    Columns: ``row_base``, ``row_new``, the columns of the case that both share, each of `SIDES`
    with ``_base`` and ``_new``, ``speedup`` (time_base / time_new: above 1 the new device is
    faster), ``speedup_low``, ``speedup_high``, ``pairing`` (see `rnnbench.report.ratios`),
    ``processes``, ``time_base`` and ``time_new`` in seconds, ``device_time_new`` by the device's
    own clock, and ``device_share``, that over ``time_new``: where it is small, the device waits for
    the CPU to launch its work. Inputs live on the device that computes, so no transfer is in these
    times.
    """
    figures = figures_of(results)
    pairs = _pairs(figures, base_device, new_device, _SHARED)
    alike = [(base, new, figures.of(new, _SHARED)) for base, new in pairs]
    fastest = [
        (base, new, (FASTEST, *values))
        for base, new, values in _fastest(figures, base_device, new_device)
    ]
    ratios = ratios_of(results, [(new, base) for base, new, _ in (*alike, *fastest)], level=level)
    device_times = results.frame["device_time"].tolist()
    records = []
    for (base, new, key), ratio in zip((*alike, *fastest), ratios, strict=True):
        names = ("implementation", *_SHAPES) if key[0] == FASTEST else _SHARED
        time_new = figures.times[new]
        records.append(
            {
                "row_base": base,
                "row_new": new,
                **dict(zip(names, key, strict=True)),
                **_both_sides(figures, base, new),
                "speedup": ratio.value,
                "speedup_low": ratio.low,
                "speedup_high": ratio.high,
                "pairing": ratio.pairing,
                "processes": ratio.processes,
                "time_base": figures.times[base],
                "time_new": time_new,
                "device_time_new": device_times[new],
                "device_share": device_times[new] / time_new,
            }
        )
    return _frame(records)


def _pairs(
    figures: Figures, base_device: str, new_device: str | None, shared: Sequence[str]
) -> list[tuple[int, int]]:
    """Rows (base, new) that share the values of some columns, from as near places as there are."""
    bases: dict[tuple[Hashable, ...], list[int]] = {}
    news: list[int] = []
    for row, measured in enumerate(figures.measured):
        if not measured:
            continue
        device = str(figures.columns["device"][row])
        if _is(device, base_device):
            bases.setdefault(figures.of(row, shared), []).append(row)
        elif _is(device, new_device) if new_device else not _is(device, _kind(base_device)):
            news.append(row)
    found = []
    for new in news:
        candidates = bases.get(figures.of(new, shared), [])
        run = figures.columns["run"][new]
        same_run = [row for row in candidates if figures.columns["run"][row] == run]
        same_place = [row for row in same_run if figures.place(row) == figures.place(new)]
        found += [(base, new) for base in same_place or same_run or candidates]
    return found


def _fastest(
    figures: Figures, base_device: str, new_device: str | None
) -> list[tuple[int, int, tuple[Hashable, ...]]]:
    """For each shape the fastest rows of two devices, each of one run and environment."""

    def where(row: int) -> tuple[Hashable, ...]:
        return (*figures.place(row), figures.columns["device"][row])

    best: dict[tuple[Hashable, ...], tuple[int, int]] = {}
    for base, new in _pairs(figures, base_device, new_device, _SHAPES):
        key = (figures.of(new, _SHAPES), where(base), where(new))
        known = best.get(key, (base, new))
        best[key] = (
            min(known[0], base, key=lambda row: figures.times[row]),
            min(known[1], new, key=lambda row: figures.times[row]),
        )
    return [(base, new, figures.of(new, _SHAPES)) for base, new in best.values()]


def _kind(device: str) -> str:
    return device.partition(":")[0]


def _is(device: str, wanted: str) -> bool:
    return device == wanted or _kind(device) == wanted


def _both_sides(figures: Figures, base: int, new: int) -> dict[str, Any]:
    return {
        f"{name}_{side}": figures.columns[name][row]
        for name in SIDES
        for side, row in (("base", base), ("new", new))
    }


def _frame(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    dtypes = {
        "row_base": "Int64",
        "row_new": "Int64",
        **dtypes_of(_SHARED),
        **{f"{name}_{side}": DTYPES[name] for name in SIDES for side in ("base", "new")},
        "speedup": "float64",
        "speedup_low": "float64",
        "speedup_high": "float64",
        "pairing": "string",
        "processes": "Int64",
        "time_base": "float64",
        "time_new": "float64",
        "device_time_new": "float64",
        "device_share": "float64",
    }
    return frame_of(records, dtypes)
