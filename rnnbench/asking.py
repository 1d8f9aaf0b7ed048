"""What `pytest suites` would refuse, told before environments are made, by a command's own names.

A command that has the suites measure in another process learns there what was asked wrongly; by
then it may have downloaded gigabytes for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.axis_options import AXIS_PREFIX, axis_overrides
from rnnbench.choosing import chosen_cases
from rnnbench.errors import UserError
from rnnbench.grids import OPTION_PREFIX, load_grid

__all__ = ["check_asked"]


def check_asked(
    grid: str,
    axes: Mapping[str, str | None],
    options: Mapping[str, Any],
    *,
    cores: str | None = None,
    baseline: str,
    plugins: Sequence[str] = (),
    lock: bool = True,
) -> None:
    """Refuse what the suites would refuse.

    ``axes`` are as a command of `axis_options` gets them, ``options`` fields of `Options`, None
    where one was not given. ``lock`` is whether another run that measures is a reason. Nothing is
    started, and no environment need be there yet: what only one of them or a plug-in tells is left
    to the suites.

    Raises:
        UserError: there is no such grid or implementation, a value is out of its range, or
            another run is measuring.
    """
    from importlib.metadata import entry_points

    from rnnbench.measuring.lock import MachineLock
    from rnnbench.measuring.options import Options, parse_cores
    from rnnbench.measuring.planning import PLUGIN_GROUP, check_baseline

    loaded = load_grid(grid)
    given = {name: value for name, value in options.items() if value is not None}
    if cores:
        given["cores"] = parse_cores(cores, f"{AXIS_PREFIX}cores")
    try:
        Options(**{**loaded.options, **given})
    except UserError as error:
        raise UserError(str(error).replace(OPTION_PREFIX, AXIS_PREFIX)) from None
    if plugins or entry_points(group=PLUGIN_GROUP):
        # Which implementations they register only a process with a torch could say.
        loaded.override(axis_overrides(axes), prefix=AXIS_PREFIX)
    else:
        chosen_cases(grid, axes)
        check_baseline(baseline, prefix=AXIS_PREFIX)
    if lock:  # whoever measures takes it again
        MachineLock("rnnbench", option="--no-lock").release()
