"""The fastest of some rows, and which others cannot be told from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from rnnbench.report._processes import figures_of, ratios_of
from rnnbench.report.ratios import Ratio
from rnnbench.results import Results

__all__ = ["Standing", "Winners", "winners_of"]


@dataclass(frozen=True)
class Standing:
    """One row and its time over that of the best; the best itself has no ratio."""

    row: int
    ratio: Ratio | None

    @property
    def behind(self) -> bool:
        """Whether the row is told apart from the best as slower."""
        return self.ratio is not None and self.ratio.low is not None and self.ratio.low > 1


@dataclass(frozen=True)
class Winners:
    """The best of some rows; ``tied`` are those that the intervals cannot tell from it.

    ``standings`` has all measured rows from the fastest to the slowest, the best first. A row
    without an interval is tied: nothing can be told of it.
    """

    best: int
    tied: tuple[int, ...]
    standings: tuple[Standing, ...]

    @property
    def reason(self) -> str | None:
        """Why no winner is named, as words that follow "no winner:"; None where one is."""
        ratios = [standing.ratio for standing in self.standings if standing.ratio is not None]
        if not ratios:
            return "nothing else was measured"
        if any(ratio.low is None for ratio in ratios):
            return "too few processes to tell the fastest from the others"
        if self.tied:
            return "the intervals cannot tell the fastest from the others"
        if not all(ratio.paired for ratio in ratios):
            return "not all of them took turns with the fastest"
        return None

    @property
    def named(self) -> int | None:
        """The row that is the fastest beyond doubt, or None; `reason` says why none is."""
        return self.best if self.reason is None else None


_KNOWN: WeakKeyDictionary[Results, dict[tuple[tuple[int, ...], float], Winners]] = (
    WeakKeyDictionary()
)
"""Tables, pictures and sentences of one report ask for the same rows."""


def winners_of(results: Results, rows: Sequence[int], level: float = 0.95) -> Winners:
    """Find the fastest of some rows; those that were not measured are left out.

    Rows are ordered by their ratios to one of them rather than by their times: what slows a whole
    process, or the machine for a while, is in each time but cancels in the ratio of two that took
    turns. The first to be compared with is the row of the least time; where another has a smaller
    ratio, all are compared with that one, until none is faster than the one compared with.

    Naming a single winner errs in at most 1 - ``level`` of all cases: it must be told apart from
    every other, at that level each (an intersection-union test, which needs no correction for the
    number of competitors). A false name takes the named one to be told apart from the true best,
    or from a second one just as fast: for two rows that tie, one comparison that errs at most that
    often. More competitors ask for more comparisons that all err the same way, so that a false
    name becomes rarer. The set of the best and its ties is another matter: it misses the true best
    when a single comparison errs, of which there is one for each competitor, so among many it
    holds the true best less often than ``level`` says.

    Raises:
        ValueError: none of the rows was measured.
    """
    known = _KNOWN.setdefault(results, {})
    key = (tuple(rows), level)
    if key not in known:
        known[key] = _find(results, key[0], level)
    return known[key]


def _find(results: Results, rows: Sequence[int], level: float) -> Winners:
    figures = figures_of(results)
    measured = [row for row in rows if figures.measured[row]]
    if not measured:
        raise ValueError("none of the rows was measured; give at least one that was")
    best = min(measured, key=lambda row: figures.times[row])
    met: set[int] = set()
    while True:
        met.add(best)
        others = [row for row in measured if row != best]
        ratios = ratios_of(results, [(best, row) for row in others], level=level)
        standings = sorted(
            (Standing(row, ratio) for row, ratio in zip(others, ratios, strict=True)),
            key=lambda standing: standing.ratio.value if standing.ratio else 1.0,
        )
        first = standings[0] if standings else None
        # Medians of ratios need not agree on an order, so that the search could go in circles.
        if first is None or first.ratio is None or first.ratio.value >= 1 or first.row in met:
            break
        best = first.row
    return Winners(
        best=best,
        tied=tuple(standing.row for standing in standings if not standing.behind),
        standings=(Standing(best, None), *standings),
    )
