"""Pieces of sentences: counts with their nouns, lists, and numbers beside their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from rnnbench.numbers import NO_INTERVAL, format_count, format_ratio, format_seconds
from rnnbench.report.render import clean

__all__ = [
    "NAME_LENGTH",
    "all_of",
    "capital",
    "count",
    "counted",
    "joined",
    "name",
    "ratio",
    "seconds_range",
    "sentence_end",
    "share_of",
    "size",
]

NAME_LENGTH = 60
"""Characters of a name from a file that a sentence repeats."""


def name(text: object, longest: int = NAME_LENGTH) -> str:
    """A text of a file, harmless and short enough to stand in a sentence."""
    return clean(str(text), longest) or "(no name)"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun, such as ``1 case`` and ``1,200 cases``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def all_of(number: int, noun: str) -> str:
    """``the one case``, ``both cases`` or ``all 12 cases``."""
    if number == 1:
        return f"the one {noun}"
    return f"both {noun}s" if number == 2 else f"all {number:,} {noun}s"


def share_of(part: int, whole: int, noun: str) -> str:
    """``3 of 12 cases``, or all of them in words."""
    return all_of(whole, noun) if part == whole else f"{part:,} of {counted(whole, noun)}"


def joined(items: Sequence[str], last: str = "and") -> str:
    """``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def capital(text: str) -> str:
    """The text as a sentence begins; a name keeps its letters where they stand further on."""
    return text[:1].upper() + text[1:]


def sentence_end(text: str) -> str:
    """The text with one full stop at its end."""
    return text if text.endswith((".", "…", "!", "?")) else text + "."


def ratio(value: float, low: float | None, high: float | None) -> str:
    """A ratio and its interval, such as ``1.11 [1.09, 1.13]``."""
    number, interval = format_ratio(value, low, high)
    return f"{number} {interval}"


def size(value: float, low: float | None, high: float | None) -> str:
    """A size between measured ones; an end of its interval that is not known is said so."""
    if low is not None and high is not None:
        return ratio(value, low, high)
    ends = ["open" if end is None else _plain(end) for end in (low, high)]
    interval = NO_INTERVAL if low is None and high is None else f"[{', '.join(ends)}]"
    return f"{_plain(value)} {interval}"


def count(number: float) -> str:
    """A number of calls with three digits, such as ``107,000``: more would be no more true."""
    return format_count(float(f"{number:.3g}"))


def seconds_range(values: Sequence[float]) -> str:
    """``0.05 s to 3.9 s``, or the one time that there is."""
    least, most = (_duration(pick(values)) for pick in (min, max))
    return least if least == most else f"{least} to {most}"


def _duration(seconds: float) -> str:
    return format_seconds(seconds) if seconds > 0 else "0 s"


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
