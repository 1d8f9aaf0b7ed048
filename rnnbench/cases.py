"""Case: one thing that is timed, frozen and validated; standard library only."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.errors import UserError
from rnnbench.lengths import is_list, why_wrong
from rnnbench.schema import (
    AUTOCAST,
    CASE_COLUMNS,
    CELLS,
    DTYPES,
    GATES,
    INITIAL_STATES,
    LAYOUTS,
    LENGTHS,
    PASSES,
    STATES,
    VARIANTS,
)

__all__ = [
    "DEFAULT_ENVIRONMENT",
    "Case",
    "builtin_implementations",
    "builtin_workloads",
    "common_ground",
]

DEFAULT_ENVIRONMENT = "default"

_PACKAGE = Path(__file__).parent
_NAMES = {
    # An id joins its parts with "-", and the environment, after "@", is its last.
    "implementation": (re.compile(r"[A-Za-z_][A-Za-z0-9_.+]*"), "_ . +"),
    "workload": (re.compile(r"[A-Za-z_][A-Za-z0-9_.+]*"), "_ . +"),
    "environment": (re.compile(r"[A-Za-z_][A-Za-z0-9_.+-]*"), "_ . + -"),
}
_DEVICE = re.compile(r"[a-z]+(:\d+)?")


def _module_names(room: str) -> tuple[str, ...]:
    files = (_PACKAGE / room).glob("[a-z]*.py")
    return tuple(sorted(file.stem for file in files))


def builtin_implementations() -> tuple[str, ...]:
    """Names of the implementations that come with rnnbench, read off their files, not imported.

    ``reference`` is the oracle and is never timed, so it is not among them.
    """
    return tuple(name for name in _module_names("implementations") if name != "reference")


def builtin_workloads() -> tuple[str, ...]:
    """Names of the workloads that come with rnnbench, each followed by its variants.

    Read off their files, not imported.
    """
    return tuple(
        name
        for family in _module_names("workloads")
        for name in (family, *(f"{family}.{variant}" for variant in VARIANTS.get(family, ())))
    )


@dataclass(frozen=True, order=True)
class Case:
    """One thing that is timed: implementation × cell × workload × pass × shape × where it runs.

    Sizes follow PyTorch's letters: ``seq_len`` T, ``batch`` B, ``input_size`` I, ``hidden_size`` H,
    ``num_layers`` L. ``pass_`` is the column ``pass``, which is no Python name. The order of cases
    is the order in which they run: cases that share weights and compiled code come together.

    Raises:
        UserError: a value is not of its column's type, not a known word, or not positive.
    """

    cell: str = "rnn_tanh"
    workload: str = "layer"
    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1
    num_layers: int = 1
    bidirectional: bool = False
    bias: bool = True
    dropout: float = 0.0
    initial_state: str = "given"
    hidden_size: int = 128
    input_size: int = 64
    batch: int = 32
    seq_len: int = 20
    lengths: str = "full"
    layout: str = "time_major"
    seed: int = 0
    pass_: str = "forward"
    implementation: str = "nn_rnn"
    environment: str = DEFAULT_ENVIRONMENT

    def __post_init__(self) -> None:
        for column in CASE_COLUMNS:
            value = getattr(self, _field(column.name))
            if type(value) is not column.type:
                raise UserError(
                    f"column {column.name!r} is {value!r}; it must be of type "
                    f"{column.type.__name__}"
                )
        for name in ("seq_len", "batch", "input_size", "hidden_size", "num_layers", "threads"):
            if getattr(self, name) < 1:
                raise UserError(f"column {name!r} is {getattr(self, name)}; it must be 1 or more")
        if self.seed < 0:
            raise UserError(f"column 'seed' is {self.seed}; it must be 0 or more")
        if not 0 <= self.dropout < 1:
            raise UserError(f"column 'dropout' is {self.dropout}; it must be 0 or more and below 1")
        for name, known in (
            ("pass", PASSES),
            ("layout", LAYOUTS),
            ("initial_state", INITIAL_STATES),
            ("dtype", DTYPES),
            ("cell", CELLS),
        ):
            value = getattr(self, _field(name))
            if value not in known:
                raise UserError(
                    f"column {name!r} is {value!r}; it must be one of {', '.join(known)}"
                )
        if self.lengths not in LENGTHS and not is_list(self.lengths):
            raise UserError(
                f"column 'lengths' is {self.lengths!r}; it must be one of {', '.join(LENGTHS)}, or "
                "a length for each sequence, such as 20+13+7"
            )
        if wrong := why_wrong(self.lengths, self.seq_len, self.batch):
            raise UserError(f"column 'lengths' is {self.lengths!r}: {wrong}")
        for name, (pattern, signs) in _NAMES.items():
            if not pattern.fullmatch(getattr(self, name)):
                raise UserError(
                    f"column {name!r} is {getattr(self, name)!r}; use letters, digits and {signs}, "
                    "beginning with a letter"
                )
        if not _DEVICE.fullmatch(self.device):
            raise UserError(
                f"column 'device' is {self.device!r}; give a torch device such as cpu or cuda:0"
            )

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> Case:
        """Make a case from the columns of a result file or of the protocol.

        Raises:
            UserError: a column is missing, unknown, or has a wrong value.
        """
        known = {column.name for column in CASE_COLUMNS}
        unknown = sorted(set(columns) - known)
        missing = sorted(known - set(columns))
        if unknown or missing:
            raise UserError(
                f"a case has the wrong columns: unknown {unknown or 'none'}, "
                f"missing {missing or 'none'}"
            )
        return cls(**{_field(name): value for name, value in columns.items()})

    def columns(self) -> dict[str, Any]:
        """The case as columns of a result, in the order of the schema."""
        return {column.name: getattr(self, _field(column.name)) for column in CASE_COLUMNS}

    @property
    def id(self) -> str:
        """A short, unique, readable name; for people and pytest, never to be parsed."""
        parts = [
            self.implementation,
            self.cell,
            self.pass_,
            f"T{self.seq_len}",
            f"B{self.batch}",
            f"I{self.input_size}",
            f"H{self.hidden_size}",
            f"L{self.num_layers}" + ("-bidirectional" if self.bidirectional else ""),
            self.layout,
            self.dtype,
            self.device,
            f"t{self.threads}",
        ]
        if self.workload != "layer":
            parts.insert(1, self.workload)
        if not self.bias:
            parts.append("no_bias")
        if self.dropout:
            parts.append(f"dropout{self.dropout:g}")
        if self.initial_state != "given":
            parts.append(f"{self.initial_state}_state")
        if self.lengths != "full":
            parts.append(self.lengths)
        if self.seed:
            parts.append(f"s{self.seed}")
        where = "" if self.environment == DEFAULT_ENVIRONMENT else f"@{self.environment}"
        return "-".join(parts) + where

    @property
    def group(self) -> Case:
        """The competitors' common ground: equal for cases that are compared with each other.

        Those are implementations and environments; the variants of a workload, which stand behind a
        dot in its name; and, where a batch's lengths differ, the ways to lay it out.
        """
        workload, layout = common_ground(self.workload, self.layout, self.lengths)
        return dataclasses.replace(
            self, implementation="any", environment="any", workload=workload, layout=layout
        )

    @property
    def ground(self) -> Case:
        """What a worker holds at one time: equal for groups that differ in the pass alone."""
        return dataclasses.replace(self.group, pass_=PASSES[0])

    @property
    def setting(self) -> Case:
        """What passes of one model share: equal for cases with the same weights and inputs."""
        return dataclasses.replace(self, implementation="any", environment="any", pass_=PASSES[0])

    @property
    def family(self) -> str:
        """The workload without its variant."""
        return _family(self.workload)

    @property
    def batch_first(self) -> bool:
        """Whether input and output are (B, T, features) rather than (T, B, features)."""
        return self.layout.startswith("batch_first")

    @property
    def gates(self) -> int:
        """Rows of a weight for each unit of the state."""
        return GATES[self.cell]

    @property
    def states(self) -> tuple[str, ...]:
        """Names of what a step hands to the next, its output first: h, and c of an LSTM."""
        return STATES[self.cell]

    @property
    def autocast(self) -> bool:
        """Whether the forward pass runs under torch.autocast."""
        return self.dtype.startswith(AUTOCAST)

    @property
    def computed_dtype(self) -> str:
        """The dtype of the matrix products: under autocast the one that it casts to."""
        return self.dtype.removeprefix(AUTOCAST)

    @property
    def stored_dtype(self) -> str:
        """The dtype of weights, inputs and gradients."""
        return "float32" if self.autocast else self.dtype

    @property
    def directions(self) -> int:
        """2 for a bidirectional layer, else 1."""
        return 2 if self.bidirectional else 1


def common_ground(workload: str, layout: str, lengths: str) -> tuple[str, str]:
    """Workload and layout by which `Case.group` names those that are compared with each other."""
    return _family(workload), layout if lengths == "full" else LAYOUTS[0]


def _family(workload: str) -> str:
    return workload.partition(".")[0]


def _field(column: str) -> str:
    return "pass_" if column == "pass" else column
