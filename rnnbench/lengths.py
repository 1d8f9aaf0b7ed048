"""Lengths of the sequences of a batch: distributions by their words, and lists of one's own.

A column ``lengths`` is ``full`` (every sequence has T steps), a distribution, or a list with a
length for each sequence, joined by ``+``, such as ``20+13+7``. One that ends with ``_sorted`` has
its sequences in the order of their lengths, the longest first, and packing is told so.

With B sequences, k = 0 for the longest to B - 1 for the shortest:

    constant   T: nothing is padded, so it shows what packing costs by itself
    bucketed   T - T k / 4 B, from T down to about three quarters of it: batches made by length
    uniform    T - T k / B, evenly from T down to about 0
    long_tail  T / (k + 1), Zipf's law: a few long ones and many short ones
    one_long   T for one sequence and T / 8 for all others

They are the quantiles of their distribution and not a sample of it, so that the share of valid
tokens does not depend on luck; only their order is drawn, by the case's seed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from rnnbench.schema import SORTED

__all__ = ["is_list", "is_sorted", "lengths_of", "why_wrong"]

_LIST = re.compile(rf"-?\d{{1,9}}(\+-?\d{{1,9}})*({SORTED})?")
_ONE_LONG = 8
"""How many times the length of the others the long one of ``one_long`` has."""

_LENGTH: dict[str, Callable[[int, int, int], int]] = {
    "constant": lambda t, b, k: t,
    "bucketed": lambda t, b, k: t - t * k // (4 * b),
    "uniform": lambda t, b, k: t - t * k // b,
    "long_tail": lambda t, b, k: -(-t // (k + 1)),
    "one_long": lambda t, b, k: -(-t // _ONE_LONG) if k else t,
}
"""Of T, B and k."""


def is_list(word: str) -> bool:
    """Whether these are lengths of one's own, right or wrong, rather than a distribution."""
    return _LIST.fullmatch(word) is not None


def is_sorted(word: str) -> bool:
    """Whether the sequences come in the order of their lengths and packing is told so."""
    return word.endswith(SORTED)


def lengths_of(word: str, seq_len: int, batch: int, seed: int = 0) -> tuple[int, ...]:
    """The length of each sequence of a batch, in their order; see the module."""
    if word == "full":
        return (seq_len,) * batch
    if is_list(word):
        return _listed(word)
    length = _LENGTH[word.removesuffix(SORTED)]
    longest_first = [length(seq_len, batch, k) for k in range(batch)]
    if is_sorted(word):
        return tuple(longest_first)
    drawn = list(longest_first)
    random.Random(seed).shuffle(drawn)
    # Few sequences may come out in order, which would be another thing than what the word says.
    return tuple(drawn[::-1] if drawn == longest_first else drawn)


def why_wrong(word: str, seq_len: int, batch: int) -> str | None:
    """Why a list of one's own is none for a batch, in one clause; None where it is right."""
    if not is_list(word):
        return None
    lengths = _listed(word)
    if len(lengths) != batch:
        return f"it has {len(lengths)} lengths for a batch of {batch}; give one for each sequence"
    for number, length in enumerate(lengths, start=1):
        if length < 1:
            return f"the length of sequence {number} is {length}; it must be 1 or more"
        if length > seq_len:
            return (
                f"the length of sequence {number} is {length}, longer than seq_len {seq_len}; "
                "shorten it, or give a larger seq_len"
            )
    if is_sorted(word) and list(lengths) != sorted(lengths, reverse=True):
        return (
            f"it ends with {SORTED!r} and the longest do not come first; sort them, or leave "
            f"{SORTED!r} out"
        )
    return None


def _listed(word: str) -> tuple[int, ...]:
    return tuple(map(int, word.removesuffix(SORTED).split("+")))
