"""The command `merge`: results of any machines as one file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


class Duplicates(StrEnum):
    """What becomes of a case that several files hold."""

    REFUSE = "refuse"
    REPLICATES = "replicates"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(merge)


def merge(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="Result files; those packed with gzip as well."),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The file to write; packed where its name ends in .gz."),
    ],
    duplicates: Annotated[
        Duplicates,
        typer.Option(
            help="A case that several files hold is refused, or their processes are kept as "
            "further replicates of it.",
        ),
    ] = Duplicates.REFUSE,
) -> None:
    """Make one result of several, of one machine or of many.

    Environments of one name that differ in machine, build or settings are kept apart under names of
    their own. Files are read one at a time, so memory does not grow with their number.
    """
    from rnnbench.fleet.merging import merge_results

    merged = merge_results(files, output, replicates=duplicates is Duplicates.REPLICATES)
    typer.echo(
        f"{output}: {merged.benchmarks:,} measured and {merged.not_measured:,} not, of "
        f"{merged.files:,} files"
        + (f", {merged.repeated:,} of them again" if merged.repeated else "")
    )
    for name, why in merged.environments.items():
        typer.echo(f"  {name}" + (f": kept apart, because {why}" if why else ""))
