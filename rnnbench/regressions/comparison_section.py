"""Verdicts as parts of a report: each environment of a run against the first one, in a section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnbench.regressions.compare import Comparison, compare
from rnnbench.regressions.comparison_output import sentences, to_table
from rnnbench.regressions.machine_noise import known_noise
from rnnbench.regressions.sides import against_first
from rnnbench.report.content import Section
from rnnbench.report.escaping import clean
from rnnbench.results import Results

__all__ = ["report_sections", "sections_of"]

_UNKNOWN_NOISE = (
    "How often verdicts are wrong on this machine is not known here: run `rnnbench noise` on it "
    "once, and reports state how many unchanged cases were called slower or faster, and how many "
    "planted slowdowns were found."
)


def report_sections(results: Results) -> Sequence[Section]:
    """What a report has of environments that took turns; nothing where a run has a single one."""
    return sections_of(
        [
            compare(sides, noise=known_noise(sides.new.described))
            for sides in against_first(results, results.frame)
            if sides.one_run
        ]
    )


def sections_of(comparisons: Sequence[Comparison]) -> Sequence[Section]:
    """A section for each comparison: what was found, how far to trust it, and every case."""
    several = len({found.sides.base.run.label for found in comparisons}) > 1
    return tuple(
        _section(found, number, several=several) for number, found in enumerate(comparisons, 1)
    )


def _section(found: Comparison, number: int, *, several: bool) -> Section:
    base, new = found.sides.base, found.sides.new
    title = f"{clean(new.environment, 60)} against {clean(base.environment, 60)}"
    if several:
        title += f", {clean(base.run.label, 60)}"
    name = f"compare_{number}"
    said = sentences(found)
    if found.noise is None or found.noise.latest is None:
        said.append(_UNKNOWN_NOISE)
    # The table has the section's title, which then stands once.
    return Section(name, title, said, (replace(to_table(found), name=name, title=title),))
