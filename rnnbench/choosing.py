"""Which cases a command is about: a grid, changed by the options of its axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rnnbench.axis_options import AXIS_PREFIX, axis_overrides
from rnnbench.grids import load_grid

if TYPE_CHECKING:
    from rnnbench.cases import Case
    from rnnbench.grids import Grid

__all__ = ["chosen_cases"]


def chosen_cases(
    grid: str,
    axes: Mapping[str, str | None],
    plugins: Sequence[str] = (),
    python: Sequence[str] = (),
) -> tuple[Grid, list[Case], dict[str, str]]:
    """The grid as it was changed, its cases, and the Python of each environment.

    Raises:
        UserError: there is no such grid or environment, or a value is not one of its axis.
    """
    from rnnbench.cores import usable_cores
    from rnnbench.measuring.options import parse_environments
    from rnnbench.measuring.planning import plan_cases

    environments = parse_environments(python, "--python")
    chosen, cases, _ = plan_cases(
        load_grid(grid),
        axis_overrides(axes),
        plugins=plugins,
        environments=environments,
        cores=len(usable_cores()),
        prefix=AXIS_PREFIX,
    )
    return chosen, cases, environments
