"""The answer to the question which implementation to use for a shape, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rnnbench.report.ratios import Ratio
from rnnbench.report.snippets import Snippet
from rnnbench.report.winners import Winners

__all__ = ["SIZES", "Candidate", "Compilation", "Neighbour", "Recommendation"]

SIZES = ("seq_len", "batch", "input_size", "hidden_size")
"""The sizes of a wish, in the order of a shape: T, B, I, H."""


@dataclass(frozen=True)
class Compilation:
    """What compiling an implementation took, and after how many calls it has paid.

    Seconds, missing where the file has none. ``state`` is one of `rnnbench.report.economics.STATES`
    and compares with ``against``, the row of least time without compilation, if there is one.
    """

    cold: float | None
    warm: float | None
    against: int | None
    state: str | None
    calls: float | None
    calls_low: float | None
    calls_high: float | None


@dataclass(frozen=True)
class Candidate:
    """An implementation that is the fastest at a shape, or cannot be told from it.

    Times in seconds; ``ratio`` is its time over that of the best one, which itself has none.
    """

    row: int
    implementation: str
    environment: str
    time: float
    low: float | None
    high: float | None
    ratio: Ratio | None
    compilation: Compilation | None
    needs: str


@dataclass(frozen=True)
class Neighbour:
    """A measured shape near the wish: ``sizes`` and ``factors`` (measured over wished) by column.

    ``distance`` is the length of the vector of the factors' natural logarithms. ``candidates`` are
    the best and all that its interval cannot tell from it; ``fastest`` is the implementation that
    may be called so, or None with the reason in ``winners``.
    """

    run: str
    sizes: Mapping[str, int]
    factors: Mapping[str, float]
    distance: float
    winners: Winners
    candidates: tuple[Candidate, ...]
    not_measured: tuple[tuple[str, str], ...]

    @property
    def fastest(self) -> Candidate | None:
        """The candidate that is the fastest beyond doubt."""
        return self.candidates[0] if self.winners.named is not None else None


@dataclass(frozen=True)
class Recommendation:
    """The answer to a wish: the nearest measured shape first, then the others around the wish.

    ``wish`` holds the sizes that were asked for, ``setting`` all other columns as chosen;
    ``assumed`` are those of its columns, and ``input_size``, that nobody chose although several
    were measured, with the values that there are. ``command`` measures the wish itself, and is None
    where that was done.
    """

    wish: Mapping[str, int]
    setting: Mapping[str, Any]
    assumed: Mapping[str, tuple[Any, ...]]
    neighbours: tuple[Neighbour, ...]
    snippet: Snippet
    command: str | None

    @property
    def nearest(self) -> Neighbour:
        """The nearest measured shape."""
        return self.neighbours[0]

    @property
    def exact(self) -> bool:
        """Whether the wish itself was measured."""
        return self.nearest.distance == 0

    @property
    def agreed(self) -> tuple[str, ...]:
        """Implementations that are candidates at every neighbour, in the order of the nearest."""
        others = [{x.implementation for x in n.candidates} for n in self.neighbours]
        found = dict.fromkeys(x.implementation for x in self.nearest.candidates)
        return tuple(name for name in found if all(name in other for other in others))
