"""Instructions as a part of a report: both channels side by side, environment by environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnbench.regressions.compare import compare
from rnnbench.regressions.instructions import (
    MARGIN,
    instruction_changes,
    instruction_tables,
    said_of_instructions,
)
from rnnbench.regressions.sides import against_first
from rnnbench.report.content import Section, Table
from rnnbench.report.escaping import clean
from rnnbench.results import Results

__all__ = ["report_sections"]


def report_sections(results: Results, margin: float = MARGIN) -> Sequence[Section]:
    """The section of environments that took turns in one run; none where nothing was counted.

    In each file the first environment that was counted is the base of the others.
    """
    sentences: list[str] = []
    tables: list[Table] = []
    counted = results.frame[results.frame["instructions"].notna()]
    for sides in against_first(results, counted):
        comparison = compare(sides, across_machines=True)
        found = instruction_changes(comparison, margin)
        if not found:
            continue
        names = [clean(side.environment, 60) for side in (sides.base, sides.new)]
        sentences += [
            f"{names[1]} against {names[0]}: {said}" for said in said_of_instructions(found, margin)
        ]
        tables += [
            replace(
                table,
                name=f"{table.name.removeprefix('compare_')}_{len(tables) + number}",
                title=f"{table.title} ({names[1]} against {names[0]})",
            )
            for number, table in enumerate(instruction_tables(comparison, found), start=1)
        ]
    if not tables:
        return ()
    return (Section("instructions", "Instructions beside times", sentences, tables),)
