"""A study of a machine's noise, as sentences and as a table."""

from __future__ import annotations

import math

import pandas as pd

from rnnbench.numbers import format_share
from rnnbench.regressions.machine_noise import Share
from rnnbench.regressions.noise import NoiseStudy, SizeClass, size_classes
from rnnbench.report.content import Cell, Table
from rnnbench.report.tables._columns import Column, assemble

__all__ = ["per_cent", "sentences", "to_table"]


def sentences(found: NoiseStudy) -> list[str]:
    """What the study says of all cases together."""
    every = size_classes(found)[-1]
    run = found.unchanged.sides.base.run
    session = found.session()
    said = [
        f"Of {every.false_alarms.of} unchanged cases {every.false_alarms.found} were called slower "
        f"or faster ({per_cent(every.false_alarms)}) and {every.same.found} the same within "
        f"± {format_share(found.unchanged.margin)}; {every.covered.found} of {every.covered.of} "
        "intervals of 95 % hold 1.",
    ]
    for share, power in sorted(every.power.items()):
        said.append(
            f"Of {power.of} cases with {format_share(share)} more time, {power.found} were called "
            f"slower ({per_cent(power)}); {found.alone[share].found} would have been if each were "
            "the only slower one."
        )
    others = run.load.get("others_share")
    count = len(run.sessions)
    sides = f"{session.replicates} processes" + (f" in {count} sessions" if count > 1 else "")
    busy = ""
    if isinstance(others, int | float) and 0 <= others < 1e6:
        busy = f"; other programs used {format_share(others)} of the processor"
    said.append(
        f"Each side had {sides} and {session.seconds:g} s a case, so a pair of cases took "
        f"{2 * session.seconds:g} s{busy}. In brackets are 95 % intervals of the shares (Clopper "
        "and Pearson), as if the cases were independent; those of one run share their processes, "
        "so that the truth may lie further off."
    )
    return said


def to_table(found: NoiseStudy) -> Table:
    """A row for each size of call: shares of verdicts."""
    classes = size_classes(found)
    columns = [
        Column("time of a call", [Cell(c.name) for c in classes]),
        Column("cases", [Cell(str(c.cases), float(c.cases)) for c in classes], "right"),
        Column("false alarms", [_cell(c.false_alarms) for c in classes], "right"),
        Column("called the same", [_cell(c.same) for c in classes], "right"),
        Column("intervals hold 1", [_cell(c.covered) for c in classes], "right"),
        *(
            Column(
                f"{format_share(share)} found", [_cell(c.power[share]) for c in classes], "right"
            )
            for share in sorted(found.planted)
        ),
        Column(
            "interval, half width",
            [
                Cell("none" if math.isnan(c.widest) else f"± {format_share(c.widest)}")
                for c in classes
            ],
            "right",
        ),
    ]
    described = [
        "The last row is all cases. False alarms and what was found are after the adjustment for "
        "many cases; how many intervals hold 1, and how wide they are, is before it."
    ]
    return assemble(
        "noise",
        "Verdicts on code that did not change, and on slowed code",
        described,
        columns,
        _data(classes),
    )


def _data(classes: list[SizeClass]) -> pd.DataFrame:
    records = []
    for c in classes:
        shares = {"false_alarms": c.false_alarms, "same": c.same, "covered": c.covered}
        shares |= {f"found_{share:g}": power for share, power in c.power.items()}
        record: dict[str, object] = {"size": c.name, "cases": c.cases, "half_width": c.widest}
        for name, share in shares.items():
            record |= {name: share.found, f"{name}_of": share.of}
        records.append(record)
    return pd.DataFrame(records)


def _cell(share: Share) -> Cell:
    if not share.of:
        return Cell("none")
    return Cell(f"{share.found}/{share.of} {per_cent(share)}", share.value)


def per_cent(share: Share) -> str:
    """A share with its interval."""
    low, high = (100 * end for end in share.interval)
    return f"{100 * share.value:.1f} % [{low:.1f}, {high:.1f}]"
