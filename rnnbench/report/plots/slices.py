"""Which rows a picture shows when a file has more than fit: the slice that tells most."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from rnnbench.report.groups import CASE_NAMES, setting_text
from rnnbench.report.plots.style import clean

__all__ = ["SIZES", "Rows", "Slice", "along", "crossed", "devices_along", "fullest"]

SIZES = ("seq_len", "batch", "hidden_size")
"""Sizes that pictures have as an axis."""

_PASSES = ("forward_backward", "training_step", "inference", "forward", "backward")
_ALWAYS = (
    "pass",
    "seq_len",
    "batch",
    "input_size",
    "hidden_size",
    "num_layers",
    "layout",
    "dtype",
    "device",
    "threads",
)
_MOST_LINES = 14
_FULL = 0.6


class Rows:
    """Measured rows as lists by column: looking up single cells of a frame is slow."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.index: list[int] = frame.index.tolist()
        self.columns: dict[str, list[Any]] = {
            name: frame[name].tolist() for name in ("run", *CASE_NAMES)
        }
        self.varying = {name for name, values in self.columns.items() if len(set(values)) > 1}

        self._counts = {name: Counter(values) for name, values in self.columns.items()}
        self._middles = {
            n: math.log(sorted(v)[len(v) // 2]) for n, v in self.columns.items() if n in SIZES and v
        }

    def typical(self, fixed: Mapping[str, Any]) -> tuple[float, ...]:
        """How much a slice is what people ask for: larger is more."""
        named = fixed.get("pass")
        common = sum(self._counts[name][value] for name, value in fixed.items())
        away = sum(abs(math.log(fixed[n]) - m) for n, m in self._middles.items() if n in fixed)
        return -_PASSES.index(named) if named in _PASSES else -len(_PASSES), common, -away

    def words(self, fixed: Mapping[str, Any], leave: Sequence[str] = ()) -> str:
        """A slice in words: what always counts, and what differs within the files."""
        names = [n for n in fixed if n not in leave and (n in _ALWAYS or n in self.varying)]
        values = {name: _plain(fixed[name]) for name in names}
        text = setting_text(values, names)
        return text + (f", {values['run']}" if "run" in values else "")


@dataclass(frozen=True)
class Slice:
    """Places in `Rows` that share ``fixed``, the values of all columns but those set apart."""

    places: tuple[int, ...]
    fixed: Mapping[str, Any]
    others: int  # slices that were not chosen


def along(rows: Rows, axis: str) -> Slice | None:
    """Rows along a size: most sizes, then most rows; None where no size has a second."""

    def score(places: Sequence[int]) -> tuple[int, ...]:
        kept = _lines(rows, places, axis)
        return len({rows.columns[axis][p] for p in kept}), len(kept)

    found = _best(rows, ("implementation", "pass", axis), score, least=2)
    return found and Slice(
        _fewer(rows, _lines(rows, found.places, axis)), found.fixed, found.others
    )


def crossed(rows: Rows, *, passes: bool) -> tuple[Slice, str, str] | None:
    """Rows over two axes that vary, and which: two sizes, or else a size beside the passes.

    With ``passes`` all passes are in the slice, otherwise that with most cells.
    """
    pairs: list[tuple[str, str]] = [*combinations(SIZES, 2), *((n, "pass") for n in SIZES)]
    found: list[tuple[tuple[int, ...], Slice, str, str]] = []
    for x, y in pairs:
        columns = rows.columns[x], rows.columns[y]

        def score(
            places: Sequence[int], columns: tuple[list[Any], list[Any]] = columns
        ) -> tuple[int, ...]:
            cells = {(columns[0][p], columns[1][p]) for p in places}
            both = min(len({c[0] for c in cells}), len({c[1] for c in cells}))
            whole = len({c[0] for c in cells}) * len({c[1] for c in cells})
            # Holes say nothing: two sizes that were not crossed are better shown along each.
            full = both > 1 and len(cells) > 3 and len(cells) >= _FULL * whole
            return (len(cells) if full else 0), len(places)

        apart = {"implementation", x, y} | ({"pass"} if passes else set())
        best = _best(rows, tuple(sorted(apart)), score, least=4)
        if best:
            sizes = "pass" not in (x, y)
            found.append(((sizes, *score(best.places)), best, x, y))
    if not found:
        return None
    _, best, x, y = max(found, key=lambda one: one[0])
    x, y = (y, x) if x == "seq_len" and y != "pass" else (x, y)
    return Slice(_fewer(rows, best.places), best.fixed, best.others), x, y


def fullest(rows: Rows, apart: Sequence[str], wanted: set[str], most: int) -> list[Slice]:
    """Slices with the most implementations that have all of the wanted passes, in file order."""
    passes, names = rows.columns["pass"], rows.columns["implementation"]

    def score(places: Sequence[int]) -> tuple[int, ...]:
        have: dict[str, set[str]] = {}
        for place in places:
            have.setdefault(names[place], set()).add(passes[place])
        return (sum(wanted <= mine for mine in have.values()),)

    scored = [(score(s.places)[0], -i, s) for i, s in enumerate(_slices(rows, apart))]
    best = sorted((entry for entry in scored if entry[0]), key=lambda e: e[:2], reverse=True)
    return [entry[2] for entry in sorted(best[:most], key=lambda e: -e[1])]


def devices_along(rows: Rows, axis: str, telling: set[int]) -> Slice | None:
    """Rows of two devices and more along a size, each device in one run and environment.

    Of slices with as many points that with most ``telling`` rows; of several runs of one device
    the fullest counts.
    """
    places_of = ("run", "environment", "threads")

    def points(places: Sequence[int]) -> list[int]:
        by_device: dict[str, Counter[tuple[Hashable, ...]]] = {}
        for place in places:
            mine = by_device.setdefault(rows.columns["device"][place], Counter())
            mine[where[place]] += 1
        chosen = {device: counts.most_common(1)[0][0] for device, counts in by_device.items()}
        kept = [p for p in places if chosen[rows.columns["device"][p]] == where[p]]
        have: dict[str, set[str]] = {}
        for place in kept:
            name = rows.columns["implementation"][place]
            have.setdefault(name, set()).add(rows.columns["device"][place])
        return [p for p in kept if len(have[rows.columns["implementation"][p]]) > 1]

    where = list(zip(*(rows.columns[name] for name in places_of), strict=True))
    best: tuple[tuple[float, ...], Slice, list[int]] | None = None
    for found in _slices(rows, ("implementation", "device", axis, *places_of)):
        if len({rows.columns["device"][p] for p in found.places}) < 2:
            continue
        kept = points(found.places)
        told = sum(rows.index[p] in telling for p in kept)
        sizes = len({rows.columns[axis][p] for p in kept})
        score = (sizes, len(kept), told, *rows.typical(found.fixed))
        if sizes > 1 and (best is None or score > best[0]):
            best = score, found, kept
    if best is None:
        return None
    names = rows.columns["implementation"]
    most = [n for n, _ in Counter(names[p] for p in best[2]).most_common(6)]
    kept = [p for p in best[2] if names[p] in most]
    return Slice(tuple(kept), best[1].fixed, best[1].others)


def _slices(rows: Rows, apart: Sequence[str]) -> list[Slice]:
    shared = [name for name in ("run", *CASE_NAMES) if name not in apart]
    found: dict[tuple[Hashable, ...], list[int]] = {}
    keys = zip(*(rows.columns[name] for name in shared), strict=True)
    for place, key in enumerate(keys):
        found.setdefault(key, []).append(place)
    others = len(found) - 1
    return [
        Slice(tuple(places), dict(zip(shared, key, strict=True)), others)
        for key, places in found.items()
    ]


def _best(rows: Rows, apart: Sequence[str], score: Any, *, least: int) -> Slice | None:
    """The slice of the highest score.

    Where several have it: the pass that people ask for, then the values that are most common, then
    sizes from the middle of those that were measured.
    """
    best: tuple[tuple[float, ...], Slice] | None = None
    for found in _slices(rows, apart):
        value = score(found.places)
        if value[0] < least:
            continue
        value = (*value, *rows.typical(found.fixed))
        if best is None or value > best[0]:
            best = value, found
    return best and best[1]


def _lines(rows: Rows, places: Sequence[int], axis: str) -> list[int]:
    """Those of implementations that have two sizes and more: one point is no line."""
    names, sizes = rows.columns["implementation"], rows.columns[axis]
    have: dict[str, set[int]] = {}
    for place in places:
        have.setdefault(names[place], set()).add(sizes[place])
    return [place for place in places if len(have[names[place]]) > 1]


def _fewer(rows: Rows, places: Sequence[int]) -> tuple[int, ...]:
    """At most so many implementations as a panel has room for: those with most rows."""
    names = rows.columns["implementation"]
    most = {n for n, _ in Counter(names[p] for p in places).most_common(_MOST_LINES)}
    return tuple(place for place in places if names[place] in most)


def _plain(value: Any) -> Any:
    return clean(value, 40) if isinstance(value, str) else value
