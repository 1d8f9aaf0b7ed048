"""Ratios to the baseline and winners of all settings, computed once for all tables."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from rnnbench.report._processes import ratios_of
from rnnbench.report.groups import groups
from rnnbench.report.ratios import Ratio
from rnnbench.report.winners import Winners, winners_of
from rnnbench.results import Results

__all__ = ["Against", "against_baseline", "winners_by_setting"]

Setting = tuple[Hashable, ...]


@dataclass(frozen=True)
class Against:
    """By row the row of its baseline, and the ratio to it; a baseline has no ratio to itself."""

    base: Mapping[int, int]
    ratio: Mapping[int, Ratio]


_AGAINST: WeakKeyDictionary[Results, dict[str, Against]] = WeakKeyDictionary()
_WINNERS: WeakKeyDictionary[Results, dict[Setting, Winners]] = WeakKeyDictionary()


def against_baseline(results: Results, baseline: str) -> Against:
    """Every measured row over the baseline of its setting and run.

    That is the baseline in the row's own environment, or in the first that has it. Rows of a
    setting without one are in neither mapping.
    """
    known = _AGAINST.setdefault(results, {})
    if baseline not in known:
        base = _bases(results, baseline)
        pairs = [(of, row) for row, of in base.items() if of != row]
        ratios = ratios_of(results, pairs)
        known[baseline] = Against(
            base, {row: ratio for (_, row), ratio in zip(pairs, ratios, strict=True)}
        )
    return known[baseline]


def _bases(results: Results, baseline: str) -> dict[int, int]:
    frame = results.measured
    implementations = dict(zip(frame.index, frame["implementation"], strict=True))
    environments = dict(zip(frame.index, frame["environment"], strict=True))
    base: dict[int, int] = {}
    for rows in groups(frame).values():
        found = [row for row in rows if implementations[row] == baseline]
        own: dict[str, int] = {}
        for row in found:
            own.setdefault(environments[row], row)
        if found:
            base.update((row, own.get(environments[row], found[0])) for row in rows)
    return base


def winners_by_setting(results: Results) -> dict[Setting, Winners]:
    """The winners among the measured competitors of each setting of each run."""
    if results not in _WINNERS:
        _WINNERS[results] = {
            key: winners_of(results, rows) for key, rows in groups(results.measured).items()
        }
    return _WINNERS[results]
