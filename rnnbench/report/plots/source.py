"""Results as pictures need them: measured rows, slices of them, and ratios to the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from rnnbench.report._processes import ratios_of
from rnnbench.report.groups import groups
from rnnbench.report.plots.slices import Rows
from rnnbench.results import Results

__all__ = ["Source"]


@dataclass(frozen=True, eq=False)
class Source:
    """The results, with what several pictures need worked out once."""

    results: Results
    baseline: str

    @cached_property
    def rows(self) -> Rows:
        return Rows(self.results.measured)

    def frame(self, places: Sequence[int]) -> pd.DataFrame:
        return self.rows.frame.iloc[list(places)]

    def ratios(self, places: Sequence[int]) -> pd.DataFrame:
        """Ratios of rows to the baseline's row of the same setting, where there is one."""
        frame = self.frame(places)
        pairs: list[tuple[int, int]] = []
        names = dict(zip(frame.index.tolist(), frame["implementation"].tolist(), strict=True))
        for members in groups(frame, ("implementation",)).values():
            base = [row for row in members if names[row] == self.baseline]
            pairs += [(base[0], row) for row in members if base and row != base[0]]
        chosen = frame.loc[[row for _, row in pairs]].copy()
        ratios = ratios_of(self.results, pairs)
        chosen["base"] = [base for base, _ in pairs]
        chosen["ratio"] = [ratio.value for ratio in ratios]
        for end in ("low", "high"):
            ends = [getattr(ratio, end) for ratio in ratios]
            chosen[end] = pd.Series(ends, index=chosen.index, dtype="float64")
        return chosen
