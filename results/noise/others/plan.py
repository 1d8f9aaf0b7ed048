"""What is measured: cases, sides, batches, and the order in which the tools take their turns."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import rnnbench
from others.work import CASES_VARIABLE, SHARE_VARIABLE
from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.grids import load_grid

PASSES = ("inference", "forward_backward")
"""Those in which a call needs no preparation, which not every tool leaves out of its time."""

BASE, AGAIN = "base", "again"


@dataclass(frozen=True)
class Side:
    """One version of the code: its name, and by which share each of its calls takes longer."""

    name: str
    share: float


@dataclass(frozen=True)
class Batch:
    """Cases that a tool measures before the next one has its turn.

    ``seconds`` are those of measuring a case on a side; ``folder`` takes what a tool leaves.
    """

    cases: tuple[Case, ...]
    sides: tuple[Side, ...]
    seconds: float
    core: int
    folder: Path

    @property
    def changed(self) -> tuple[Side, ...]:
        """Every side but the base, which each is compared with."""
        return self.sides[1:]

    def variables(self, side: Side | None = None) -> dict[str, str]:
        """The environment of the processes that time a side."""
        file = self.folder / "cases.json"
        file.write_text(json.dumps([case.columns() for case in self.cases]), encoding="utf-8")
        return {
            **os.environ,
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
            "PYTHONPATH": os.pathsep.join(import_folders()),
            CASES_VARIABLE: str(file),
            SHARE_VARIABLE: str(side.share if side else 0.0),
        }


def import_folders() -> list[str]:
    """Where a process finds this package and rnnbench, before what it is given already."""
    here = Path(__file__).resolve().parent.parent
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return [str(here), str(Path(rnnbench.__file__).resolve().parent.parent), *given]


def sides_of(planted: Sequence[float]) -> tuple[Side, ...]:
    """The base, the same once more, and one for each planted share."""
    slowed = (Side(f"{100 * share:g} %", share) for share in sorted(set(planted)))
    return (Side(BASE, 0.0), Side(AGAIN, 0.0), *slowed)


def shapes_of(
    grid: str, implementations: Sequence[str], passes: Sequence[str], most: int | None
) -> list[list[Case]]:
    """The cases of a grid on one thread of a processor, a list for each shape.

    Raises:
        UserError: the grid has no such case, or a pass is not one that every tool can time.
    """
    wrong = sorted(set(passes) - set(PASSES))
    if wrong:
        raise UserError(
            f"--pass {wrong[0]!r} cannot be timed by every tool; use {', '.join(PASSES)}"
        )
    axes: dict[str, Sequence[str | int | bool]] = {
        "implementation": implementations,
        "pass": passes,
        "threads": [1],
        "device": ["cpu"],
    }
    shapes: dict[Case, list[Case]] = {}
    for case in load_grid(grid).override(axes, prefix="--").cases():
        shapes.setdefault(case.setting, []).append(case)
    return list(shapes.values())[:most]


def dealt(shapes: Sequence[Sequence[Case]], batches: int) -> list[tuple[Case, ...]]:
    """The shapes dealt out to batches, so that each batch has shapes of all kinds.

    Raises:
        UserError: there are fewer shapes than batches.
    """
    if not 1 <= batches <= len(shapes):
        raise UserError(
            f"--batches is {batches}, and there are {len(shapes)} shapes to deal out; give 1 to "
            f"{len(shapes)}"
        )
    return [tuple(case for shape in shapes[b::batches] for case in shape) for b in range(batches)]


def order_of(tools: Sequence[str], batch: int) -> list[str]:
    """The order of the tools in a batch: every second one backwards, so that no tool is always
    first or last, and rotated from pair to pair.
    """
    turned = batch // 2 % len(tools) if tools else 0
    order = [*tools[turned:], *tools[:turned]]
    return order[::-1] if batch % 2 else order


def python(*arguments: str | Path) -> list[str]:
    """The command that runs this Python with arguments."""
    return [sys.executable, *map(str, arguments)]
