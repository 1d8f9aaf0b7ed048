"""What `rnnbench streaming` is to measure, checked before anything starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rnnbench.cases import Case, builtin_implementations
from rnnbench.cores import usable_cores
from rnnbench.errors import UserError
from rnnbench.grids.axes import did_you_mean

__all__ = ["Crowd", "Plan", "default_workers", "parse_numbers"]


@dataclass(frozen=True)
class Crowd:
    """Some workers that step at the same time with one implementation: what is compared."""

    implementation: str
    workers: int


@dataclass(frozen=True)
class Plan:
    """Which streams, how many at a time, how long and how often.

    ``case`` is the stream that every worker has, with any implementation in it; ``seconds`` is the
    length of a window, of which each crowd has ``turns`` in each of ``replicates``, in an order
    that comes of ``seed``.

    Raises:
        UserError: it cannot be measured so; names the option.
    """

    case: Case
    implementations: tuple[str, ...]
    workers: tuple[int, ...]
    cores: tuple[int, ...] = field(default_factory=usable_cores)
    oversubscribe: bool = False
    seconds: float = 1.0
    replicates: int = 5
    turns: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        known = builtin_implementations()
        for name in self.implementations:
            if name not in known:
                raise UserError(
                    f"--implementation holds {name!r}, which there is not; "
                    f"{did_you_mean(name, known)}known: {', '.join(known)}"
                )
        if not self.implementations or not self.workers:
            option = "--workers" if self.implementations else "--implementation"
            raise UserError(f"{option} is empty; give at least one")
        if min(self.workers) < 1:
            raise UserError(f"--workers holds {min(self.workers)}; give 1 or more of them")
        missing = sorted(set(self.cores) - set(usable_cores()))
        if missing:
            raise UserError(
                f"--cores names core {missing[0]}, which this process may not use; it may use "
                f"{', '.join(map(str, usable_cores()))}"
            )
        if not self.cores:
            raise UserError("--cores is empty; give at least one, or leave it out for all")
        most = len(self.cores)
        if max(self.workers) > most and not self.oversubscribe:
            raise UserError(
                f"--workers holds {max(self.workers)}, and there "
                f"{'is 1 core' if most == 1 else f'are {most} cores'} to pin them to: give {most} "
                "or fewer, or --oversubscribe to put several on a core"
            )
        if not 0 < self.seconds < float("inf"):
            raise UserError(f"--seconds is {self.seconds:g}; give seconds above 0, such as 1")
        for name in ("replicates", "turns"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; give 1 or more")

    def case_of(self, implementation: str) -> Case:
        """The stream with an implementation in it."""
        return dataclasses.replace(self.case, implementation=implementation)

    def crowds(self) -> Iterator[Crowd]:
        """All that is measured, by implementation."""
        for name in self.implementations:
            for workers in self.workers:
                yield Crowd(name, workers)

    @property
    def most(self) -> int:
        """Workers that the largest crowd has."""
        return max(self.workers)

    @property
    def windows(self) -> int:
        """Windows of a replicate."""
        return self.turns * len(self.implementations) * len(self.workers)

    def columns(self) -> dict[str, Any]:
        """As a result holds it."""
        case = self.case.columns()
        del case["implementation"], case["environment"]
        fields = dataclasses.asdict(self)
        return {**fields, "case": case}


def default_workers(cores: int) -> tuple[int, ...]:
    """1, 2, 4 and so on, and as many as there are cores."""
    doubled = [1 << power for power in range(cores.bit_length()) if 1 << power < cores]
    return (*doubled, cores)


def parse_numbers(text: str, option: str, example: str) -> tuple[int, ...]:
    """Whole numbers between commas, each once, the smallest first.

    Raises:
        UserError: there is something else.
    """
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise UserError(
            f"{option} is {text!r}; give whole numbers with commas between them, such as {example}"
        ) from None
