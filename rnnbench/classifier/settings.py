"""What one training of the classifier is, for both sides of the pipe; standard library only."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rnnbench.cases import Case, builtin_implementations
from rnnbench.errors import UserError

__all__ = [
    "ADVICE",
    "CLASSES",
    "DATA",
    "LARGEST_SEED",
    "LAYOUTS",
    "METRICS",
    "PARTS",
    "PLAIN",
    "Advice",
    "Settings",
]

CLASSES = 2

LAYOUTS = ("time_major", "batch_first")

DATA = ("prepared", "per_sample")
"""``prepared``: tensors made and moved to the device once, batches by index; ``per_sample``: a
dataset that makes the tensors of one sample when asked, behind a DataLoader."""

METRICS = ("epoch", "step")
"""When loss and accuracy are read: once at the end of an epoch, or by ``.item()`` in every step."""

PARTS = ("data", "copy", "forward", "loss", "backward", "optimizer", "metrics")
"""Parts of an epoch, in the order of a step: what its seconds are split into."""

LARGEST_SEED = 999_999


@dataclass(frozen=True)
class Advice:
    """A piece of usual advice, or its opposite: a name, what it stands for, what it changes."""

    name: str
    meaning: str
    changes: Mapping[str, Any]


PLAIN: Mapping[str, Any] = {
    "data": "prepared",
    "metrics": "epoch",
    "layout": "time_major",
    "implementation": "nn_rnn",
    "compile": False,
}
"""What variants of the training change: tensors made once, metrics read once an epoch, nn_rnn."""

ADVICE = (
    Advice(
        "per_sample",
        "a dataset that makes each sample's tensors, and a DataLoader",
        {"data": "per_sample"},
    ),
    Advice(
        "item_every_step",
        "loss and accuracy read by .item() in every step",
        {"metrics": "step"},
    ),
    Advice("batch_first", "batches of shape (B, T, 1)", {"layout": "batch_first"}),
    Advice("compiled_model", "torch.compile of the whole model", {"compile": True}),
)


@dataclass(frozen=True)
class Settings:
    """The course's settings unless given; ``held_out`` counts sequences that are never trained on.

    Raises:
        UserError: a value cannot be trained with; names the option.
    """

    seq_len: int = 10
    samples: int = 2000
    held_out: int = 2000
    batch: int = 32
    hidden: int = 32
    learning_rate: float = 1e-3
    seed: int = 0
    implementation: str = "nn_rnn"
    compile: bool = False
    layout: str = "time_major"
    data: str = "prepared"
    metrics: str = "epoch"
    device: str = "cpu"
    threads: int = 1

    def __post_init__(self) -> None:
        for name, least in (
            ("seq_len", "a sequence has at least one step"),
            ("samples", "an empty dataset teaches nothing"),
            ("held_out", "an empty dataset tells nothing"),
            ("batch", "a step needs at least one sequence"),
            ("hidden", "a state has at least one feature"),
            ("threads", "at least one computes"),
        ):
            if getattr(self, name) < 1:
                option = "--" + name.replace("_", "-")
                raise UserError(f"{option} is {getattr(self, name)}; {least}: give 1 or more")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UserError(
                f"--learning-rate is {self.learning_rate}; give a number above 0, such as 1e-3"
            )
        if not 0 <= self.seed <= LARGEST_SEED:
            raise UserError(f"--seed is {self.seed}; give 0 to {LARGEST_SEED}")
        for name, known in (
            ("implementation", builtin_implementations()),
            ("layout", LAYOUTS),
            ("data", DATA),
            ("metrics", METRICS),
        ):
            value = getattr(self, name)
            if value not in known:
                raise UserError(
                    f"--{name} is {value!r}, which there is not; known: {', '.join(known)}"
                )
        self.case(self.batch)  # refuses a device that is none

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> Settings:
        """Settings as they come over the pipe."""
        return cls(**columns)

    def columns(self) -> dict[str, Any]:
        """As a result holds them."""
        return dataclasses.asdict(self)

    @property
    def batch_first(self) -> bool:
        """Whether a batch is (B, T, 1) rather than (T, B, 1)."""
        return self.layout == "batch_first"

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Sizes that batches of an epoch have: the last one is smaller where it does not divide."""
        full = min(self.batch, self.samples)
        rest = self.samples % full
        return (full, rest) if rest else (full,)

    def case(self, batch: int) -> Case:
        """The layer with so many sequences, as the registry of implementations knows it."""
        return Case(
            workload="classifier",
            pass_="training_step",
            implementation=self.implementation,
            input_size=1,
            hidden_size=self.hidden,
            batch=batch,
            seq_len=self.seq_len,
            layout=self.layout,
            device=self.device,
            threads=self.threads,
            seed=self.seed,
        )
