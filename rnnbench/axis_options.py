"""An option for each axis of a grid, for every command that has them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import typer

from rnnbench.grids import AXES, OPTION_PREFIX, parse_axis

__all__ = ["AXIS_PREFIX", "axis_options", "axis_overrides", "suite_arguments"]

AXIS_PREFIX = "--"
"""How the options of axes begin here; those of `pytest suites` begin with another."""

_PARAMETER = "axis_"
_Command = TypeVar("_Command", bound=Callable[..., None])


def axis_options(command: _Command) -> _Command:
    """Give a command that takes ``**axes`` an option for each axis, from the table of axes."""
    options = [
        inspect.Parameter(
            # Not the bare name: ``pass`` is none that Python allows.
            f"{_PARAMETER}{axis.name}",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(
                    AXIS_PREFIX + axis.option,
                    help=axis.help,
                    metavar="VALUE,…",
                    show_default=False,
                ),
            ],
        )
        for axis in AXES.values()
    ]
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    complete = signature.replace(parameters=[*own, *options])
    command.__signature__ = complete  # type: ignore[attr-defined]
    command.__annotations__ = {name: p.annotation for name, p in complete.parameters.items()}
    return command


def axis_overrides(axes: Mapping[str, str | None]) -> dict[str, tuple[Any, ...]]:
    """The values of the axes that were given.

    Raises:
        UserError: a value is not one of its axis.
    """
    return {name: parse_axis(name, text, prefix=AXIS_PREFIX) for name, text in _given(axes).items()}


def suite_arguments(axes: Mapping[str, str | None]) -> list[str]:
    """The same as arguments of `pytest suites`.

    Raises:
        UserError: a value is not one of its axis.
    """
    axis_overrides(axes)
    return [f"{OPTION_PREFIX}{AXES[name].option}={text}" for name, text in _given(axes).items()]


def _given(axes: Mapping[str, str | None]) -> dict[str, str]:
    return {name.removeprefix(_PARAMETER): text for name, text in axes.items() if text is not None}
