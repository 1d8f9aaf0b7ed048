"""Which cases a run or a listing is about: grid, overrides, plug-ins and environments together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points

from rnnbench.cases import Case, builtin_implementations
from rnnbench.errors import UserError
from rnnbench.grids import OPTION_PREFIX, Grid, Value
from rnnbench.measuring.capabilities import plugin_names

__all__ = ["PLUGIN_GROUP", "check_baseline", "plan_cases"]

PLUGIN_GROUP = "rnnbench.implementations"
"""Entry points of this group are modules that register implementations."""


def plan_cases(
    grid: Grid,
    overrides: Mapping[str, Iterable[Value]],
    *,
    plugins: Sequence[str],
    environments: Mapping[str, str],
    cores: int,
    prefix: str = OPTION_PREFIX,
) -> tuple[Grid, list[Case], list[str]]:
    """The grid as it is run, its cases, and the names that plug-ins register.

    Implementations of plug-ins join every product, unless the implementations were chosen by name.

    Raises:
        UserError: a value is wrong, or a plug-in does not import.
    """
    names: list[str] = []
    # Only a worker can import plug-ins, and starting one takes seconds.
    if plugins or entry_points(group=PLUGIN_GROUP):
        names = plugin_names(plugins, environments)
    if "implementation" not in overrides:
        grid = grid.with_implementations(names)
    grid = grid.override(overrides, prefix=prefix)
    return grid, grid.cases(tuple(environments), names, cores), names


def check_baseline(
    baseline: str, plugins: Sequence[str] = (), *, prefix: str = OPTION_PREFIX
) -> None:
    """Refuse a baseline that neither rnnbench nor one of the ``plugins`` registers.

    Raises:
        UserError: there is no such implementation.
    """
    known = [*builtin_implementations(), *plugins]
    if baseline not in known:
        raise UserError(
            f"{prefix}baseline {baseline!r} is no implementation; known: {', '.join(known)}"
        )
