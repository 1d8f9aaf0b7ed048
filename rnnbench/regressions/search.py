"""Between which two of many versions something changed, by as few measurements as can be."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Answer", "Found", "Step", "most_steps", "search", "shares_of_looks"]

Answer: TypeAlias = Literal["as good", "as bad", "mostly before", "mostly after", "cannot tell"]
"""What a version in between is like. ``mostly before``: it differs from both ends, and most of the
change came before it; so with ``mostly after``. ``cannot tell``: it cannot run what is looked at,
or no measurement told it from either end."""

_LIKELY = 0.9
"""The part of the error rate that is for the looks that suffice where every version tells."""


@dataclass(frozen=True)
class Step:
    """One version that was looked at, its answer and the reason in words."""

    version: str
    answer: Answer
    reason: str


@dataclass(frozen=True)
class Found:
    """The change lies after ``good`` and not after ``bad``; ``untold`` between told nothing.

    ``several`` says that some version differed from both ends, so that this is only the largest
    part of the change.
    """

    good: str
    bad: str
    untold: tuple[str, ...]
    steps: tuple[Step, ...]
    several: bool


def most_steps(versions: int) -> int:
    """How many versions in between are looked at, where every one of them tells something."""
    return max(0, math.ceil(math.log2(max(1, versions - 1))))


def shares_of_looks(versions: int) -> list[float]:
    """The share of the error rate that each look may spend, in the order of the looks.

    The first look is at the ends, and each further one at a version in between. No version is
    looked at twice, so there are never more looks than shares; and what a look may spend is fixed
    by its number, before anything of it is seen. So whatever the answers are, the probabilities of
    error add up to no more than the rate (Bonferroni). Nine tenths of it are for as many looks as
    there are where every version tells something; the others, which come only where versions tell
    nothing, have the rest.
    """
    between = max(0, versions - 2)
    likely = most_steps(versions)
    rest = between - likely
    if not rest:
        return [1 / (1 + likely)] * (1 + likely)
    return [_LIKELY / (1 + likely)] * (1 + likely) + [(1 - _LIKELY) / rest] * rest


def search(versions: Sequence[str], look: Callable[[str], tuple[Answer, str]]) -> Found:
    """Halve the versions until two neighbours are left, or nothing between them tells anything.

    The first version is known to be good and the last to be bad. A version that tells nothing is
    left out, and the nearest to the middle of the others is next.

    Raises:
        ValueError: there are fewer than two versions, or one twice.
    """
    if len(versions) < 2 or len(set(versions)) < len(versions):
        raise ValueError(f"{list(versions)}: give two versions or more, each once")
    low, high = 0, len(versions) - 1
    steps: list[Step] = []
    untold: set[int] = set()
    several = False
    while candidates := [at for at in range(low + 1, high) if at not in untold]:
        at = min(candidates, key=lambda candidate: abs(candidate - (low + high) / 2))
        answer, reason = look(versions[at])
        steps.append(Step(versions[at], answer, reason))
        if answer == "cannot tell":
            untold.add(at)
        elif answer in ("as good", "mostly after"):
            low = at
        else:
            high = at
        several = several or answer.startswith("mostly")
    between = tuple(versions[at] for at in range(low + 1, high))
    return Found(versions[low], versions[high], between, tuple(steps), several)
