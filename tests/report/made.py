"""Results and reports that are small and quick to make, for tests of what is done with them."""

from __future__ import annotations

import dataclasses
from typing import Any

from matplotlib.figure import Figure

from rnnbench.cases import Case
from rnnbench.report.content import Cell, Picture, Report, Section, Table, TableColumn
from rnnbench.results import Results
from tests.synthetic import Planted, document

CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=5)
LOOP = dataclasses.replace(CASE, implementation="python_loop")
SCAN = dataclasses.replace(CASE, implementation="scan")


def content(seed: int = 0, **options: Any) -> dict[str, Any]:
    """A file of two passes, two implementations that were measured and one that was not."""
    planted = []
    for factor, pass_ in ((1, "forward"), (3, "forward_backward")):
        plain, loop = (dataclasses.replace(case, pass_=pass_) for case in (CASE, LOOP))
        planted += [
            Planted(plain, factor * 1e-3),
            Planted(loop, factor * 2e-3, compile_cold=9.0, compile_warm=2.0),
        ]
    missing = [(SCAN, "unsupported", "no scan here")]
    options = {"replicates": 2, "blocks": 2, "rounds": 3, "not_measured": missing, **options}
    return document(planted, seed=seed, **options)


def small_report(results: Results, *, baseline: str = "nn_rnn", title: str | None = None) -> Report:
    """A report with one table of all cases and one picture of nothing."""
    frame = results.frame[["run", "implementation", "status", "time", "reason"]]
    rows = [
        [Cell("none" if value is None or value != value else str(value)) for value in row]
        for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False)
    ]
    table = Table("cases", "All cases", "Made.", [TableColumn(name) for name in frame], rows, frame)
    figure = Figure(figsize=(2, 2))
    figure.text(0.5, 0.5, "drawn")
    picture = Picture("nothing", "Nothing", "A caption.", "A word.", figure, frame)
    return Report(
        title=title or "Made",
        verdict=[f"Ratios are to {baseline}.", "nn_rnn is <fastest>."],
        sections=[Section("all", "All", ["A sentence."], [table], [picture])],
    )
