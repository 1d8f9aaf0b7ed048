"""Options that several commands have, each said once."""

from __future__ import annotations

from typing import Annotated

import typer

from rnnbench.errors import UserError
from rnnbench.report.commands import Format

__all__ = [
    "Environments",
    "GridName",
    "JsonFile",
    "NoLock",
    "OtherPython",
    "Plugins",
    "TableFormat",
    "Timeout",
    "check_timeout",
]

GridName = Annotated[
    str, typer.Option(metavar="NAME|FILE", help="The grid; `rnnbench grids` lists them.")
]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]FILE.py",
        help="A file with implementations of yours, with NAME= in that environment alone; "
        "repeatable.",
    ),
]
Environments = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=PATH", help="An environment; repeatable."),
]
OtherPython = Annotated[
    str | None,
    typer.Option(
        metavar="PATH", help="Another Python that has a torch; this one.", show_default=False
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        metavar="S", help="Give up what does not answer for so long, compilation included."
    ),
]
JsonFile = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write all numbers there.", show_default=False),
]
TableFormat = Annotated[Format, typer.Option(help="How tables are printed.")]
NoLock = Annotated[bool, typer.Option("--no-lock", help="Measure also while another run does.")]


def check_timeout(seconds: float) -> None:
    """Refuse a ``--timeout`` that is none.

    Raises:
        UserError: it is not above 0.
    """
    if not seconds > 0:
        raise UserError(f"--timeout is {seconds:g}; give seconds above 0")
