"""The axes of a grid as data: options, values, and one check for files and command lines."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.cases import Case, builtin_workloads
from rnnbench.errors import UserError
from rnnbench.lengths import is_list
from rnnbench.schema import CELLS, DTYPES, INITIAL_STATES, LAYOUTS, LENGTHS, PASSES

__all__ = [
    "ALL",
    "AXES",
    "HIDDEN",
    "OPTION_PREFIX",
    "Axis",
    "Place",
    "Value",
    "check_values",
    "did_you_mean",
    "parse_axis",
    "quoted",
]

Value = str | int | float | bool

ALL = "all"
"""For ``implementation`` every one that there is, for ``threads`` the cores that can be used."""

HIDDEN = "hidden"
"""For ``input_size``: equal to the case's hidden size."""

OPTION_PREFIX = "--rnn-"
"""How pytest's options begin; those of ``rnnbench list`` begin with ``--`` alone."""


@dataclass(frozen=True)
class Axis:
    """One axis of a grid: a column of a case, its option and the values that it takes.

    ``words`` may stand where a number does and are resolved when the grid is expanded; ``known``
    are the only values of an axis of names; ``noun`` is what one value is called in a sentence.
    """

    name: str
    option: str
    type: type[str] | type[int] | type[float] | type[bool]
    noun: str
    help: str
    example: tuple[Value, ...]
    words: tuple[str, ...] = ()
    known: Callable[[], Sequence[str]] | None = None
    least: int = 1

    @property
    def default(self) -> Value:
        """What the axis holds where a grid does not say: the default of `Case`."""
        value: Value = _DEFAULTS[self.name]
        return value

    @property
    def takes(self) -> str:
        """The values that are right, in words."""
        if self.type is bool:
            return "true or false"
        if self.type is str:
            return "names"
        if self.type is float:
            return "numbers of 0 or more, below 1"
        numbers = f"whole numbers of {self.least} or more"
        return " or ".join([numbers, *(quoted(word) for word in self.words)])


_DEFAULTS: dict[str, Any] = Case().columns()

AXES: dict[str, Axis] = {
    axis.name: axis
    for axis in (
        Axis(
            "implementation",
            "implementation",
            str,
            "implementation",
            "ways to compute the layer; all for every one",
            ("nn_rnn", "python_loop"),
            # Plug-ins decide which names are known: the grid checks them when it is expanded.
        ),
        Axis(
            "cell",
            "cell",
            str,
            "cell",
            "recurrent cells: " + ", ".join(CELLS),
            CELLS,
            known=lambda: CELLS,
        ),
        Axis(
            "workload",
            "workload",
            str,
            "workload",
            "what is done with the layer: " + ", ".join(builtin_workloads()),
            ("layer", "many_to_one"),
            known=builtin_workloads,
        ),
        Axis(
            "pass",
            "pass",
            str,
            "pass",
            "what is timed: " + ", ".join(PASSES),
            ("forward", "backward"),
            known=lambda: PASSES,
        ),
        Axis("seq_len", "seq-len", int, "size", "T, lengths of the sequence", (10, 100)),
        Axis("batch", "batch", int, "size", "B, batch sizes", (1, 32)),
        Axis(
            "input_size",
            "input",
            int,
            "size",
            "I, widths of the input; hidden for that of the hidden state",
            (64, 256),
            words=(HIDDEN,),
        ),
        Axis("hidden_size", "hidden", int, "size", "H, widths of the hidden state", (128, 256)),
        Axis("num_layers", "layers", int, "number of layers", "L, numbers of layers", (1, 2)),
        Axis(
            "bidirectional",
            "bidirectional",
            bool,
            "value",
            "whether each layer also runs in reverse: true, false",
            (False, True),
        ),
        Axis(
            "bias",
            "bias",
            bool,
            "value",
            "whether each step adds biases: true, false",
            (True, False),
        ),
        Axis(
            "dropout",
            "dropout",
            float,
            "share",
            "shares of the outputs between layers that training drops",
            (0.0, 0.2),
        ),
        Axis(
            "initial_state",
            "initial-state",
            str,
            "initial state",
            "the state to begin with: " + ", ".join(INITIAL_STATES),
            INITIAL_STATES,
            known=lambda: INITIAL_STATES,
        ),
        Axis(
            "lengths",
            "lengths",
            str,
            "distribution of lengths",
            "how the valid lengths of a batch are distributed: "
            + ", ".join(LENGTHS)
            + "; or one for each sequence, such as 20+13+7",
            ("uniform", "uniform_sorted"),
            known=lambda: LENGTHS,
        ),
        Axis(
            "layout",
            "layout",
            str,
            "layout",
            "how the input lies in memory: " + ", ".join(LAYOUTS),
            ("time_major", "batch_first"),
            known=lambda: LAYOUTS,
        ),
        Axis(
            "dtype",
            "dtype",
            str,
            "dtype",
            "data types: " + ", ".join(DTYPES),
            ("float32", "bfloat16"),
            known=lambda: DTYPES,
        ),
        Axis(
            "device", "device", str, "device", "torch devices: cpu, cuda:0, mps, …", ("cpu", "cuda")
        ),
        Axis(
            "threads",
            "threads",
            int,
            "number of threads",
            "threads on the CPU; all for one on each usable core",
            (1, 2),
            words=(ALL,),
        ),
        Axis("seed", "seed", int, "seed", "seeds of weights and inputs", (0, 1), least=0),
    )
}


@dataclass(frozen=True)
class Place:
    """Where values were given: the start of a sentence about them, and how to write them right."""

    subject: str
    example: str

    @classmethod
    def in_file(cls, where: str, axis: Axis) -> Place:
        """The axis of a product of a grid file, such as ``grid "a.toml", product 1``."""
        return cls(f"{where}: axis {quoted(axis.name)}", f"{axis.name} = {quoted(axis.example)}")

    @classmethod
    def option(cls, prefix: str, axis: Axis) -> Place:
        """An option of the command line."""
        example = ",".join(_as_text(value) for value in axis.example)
        return cls(f"{prefix}{axis.option}", f"{prefix}{axis.option} {example}")


def check_values(axis: Axis, values: Iterable[Any], place: Place) -> tuple[Value, ...]:
    """The values of an axis, each once and in their order.

    Raises:
        UserError: there are none, or one is of another type, too small or not known.
    """
    checked = tuple(dict.fromkeys(_check_value(axis, value, place) for value in values))
    if not checked:
        raise UserError(
            f"{place.subject} is empty; give at least one {axis.noun}, such as {place.example}"
        )
    return checked


def _check_value(axis: Axis, value: Any, place: Place) -> Value:
    if isinstance(value, str) and value in axis.words:
        return value
    if axis.type is float and type(value) is int:
        value = float(value)
    if (
        type(value) is not axis.type
        or (type(value) is int and value < axis.least)
        or (type(value) is float and not 0 <= value < 1)
    ):
        raise UserError(
            f"{place.subject} holds {quoted(value)}; it takes {axis.takes}, such as {place.example}"
        )
    checked: Value = value
    own_lengths = axis.name == "lengths" and is_list(str(checked))  # the case checks them
    if axis.known is not None and not own_lengths:
        check_known(str(checked), axis.known(), axis.noun, place)
    if axis.name == "device":
        _check_device(str(checked), place)
    return checked


def check_known(name: str, known: Sequence[str], noun: str, place: Place) -> None:
    """Refuse a name that is not known, with the one that may have been meant.

    Raises:
        UserError: it is not among the known ones.
    """
    if name not in known:
        raise UserError(
            f"{place.subject} holds {quoted(name)}, which is no {noun}; "
            f"{did_you_mean(name, known)}known: {', '.join(known)}"
        )


def _check_device(device: str, place: Place) -> None:
    try:
        Case(device=device)
    except UserError as error:
        raise UserError(
            f"{place.subject} holds {quoted(device)}, which is no torch device; give one such as "
            "cpu or cuda:0"
        ) from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The clause that offers the nearest known name, or nothing where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {quoted(near[0])}? " if near else ""


def quoted(value: Any) -> str:
    """A value as TOML and JSON write it; of what would fill a page both ends, as of a long path."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:30]}…{text[-50:]}"


def parse_axis(axis: str, text: str, *, prefix: str = OPTION_PREFIX) -> tuple[Value, ...]:
    """Read the comma-separated values of an axis's option, such as ``1,32``.

    Raises:
        UserError: a value is missing, of another type, too small or not known.
    """
    found = AXES[axis]
    pieces = [piece.strip() for piece in text.split(",")] if text.strip() else []
    place = Place.option(prefix, found)
    if "" in pieces:
        raise UserError(
            f"{place.subject} {quoted(text)} has nothing between two commas or at an end; write it "
            f"like {place.example}"
        )
    return check_values(found, (_from_text(found, piece) for piece in pieces), place)


def _from_text(axis: Axis, text: str) -> Value:
    if axis.type is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    # Longer numbers are no sizes, and Python refuses to read the very long ones.
    if axis.type is int and re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    if axis.type is float and re.fullmatch(r"[0-9]{0,3}\.?[0-9]{1,18}", text):
        return float(text)
    return text


def _as_text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
