"""Numbers for people: the unit that suits, and as many digits as the interval supports."""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = [
    "NO_INTERVAL",
    "column_unit",
    "format_bytes",
    "format_count",
    "format_in_unit",
    "format_interval",
    "format_rate",
    "format_rate_within",
    "format_ratio",
    "format_seconds",
    "format_share",
    "time_unit",
]

NO_INTERVAL = "[no replicates]"
"""Stands where an interval would: one process alone cannot say how processes differ."""

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_THOUSANDS = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"))
_MOST_DIGITS = 4
_WIDEST = 1e5
"""From this many units on, a column takes the next larger unit."""


def format_seconds(value: float, low: float | None = None, high: float | None = None) -> str:
    """A time in the unit that suits it, with the digits that its interval supports."""
    scale, name = time_unit(value)
    return f"{value / scale:.{_time_digits(scale, low, high)}f} {name}"


def format_interval(value: float, low: float | None, high: float | None) -> str:
    """The interval in the unit of its value; says so where there is none."""
    if low is None or high is None:
        return NO_INTERVAL
    scale, _ = time_unit(value)
    digits = _time_digits(scale, low, high)
    return f"[{low / scale:.{digits}f}, {high / scale:.{digits}f}]"


def format_ratio(value: float, low: float | None, high: float | None) -> tuple[str, str]:
    """A ratio and its interval, as two texts."""
    if low is None or high is None:
        return f"{value:.2f}", NO_INTERVAL
    digits = _digits((high - low) / 2)
    return f"{value:.{digits}f}", f"[{low:.{digits}f}, {high:.{digits}f}]"


def format_rate(per_second: float) -> str:
    """A rate with three digits and the letter of its thousands."""
    for scale, name in _THOUSANDS:
        if per_second >= scale:
            return f"{per_second / scale:.3g}{name}"
    return f"{per_second:.3g}"


def format_rate_within(per_second: float, low: float | None, high: float | None) -> str:
    """A rate with the letter of its thousands and the digits that its interval supports."""
    if low is None or high is None:
        return format_rate(per_second)
    scale, name = next((x for x in _THOUSANDS if per_second >= x[0]), (1.0, ""))
    return f"{per_second / scale:.{min(2, _digits((high - low) / 2 / scale))}f}{name}"


def format_bytes(size: float) -> str:
    """A size in binary multiples with three digits."""
    for power, name in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if size >= 1024**power:
            return f"{size / 1024**power:.3g} {name}"
    return f"{size:.0f} B"


def format_share(share: float) -> str:
    """A share as per cent, with a decimal below ten."""
    per_cent = 100 * share
    return f"{per_cent:.1f} %" if abs(per_cent) < 10 else f"{per_cent:.0f} %"


def format_count(number: float) -> str:
    """A whole number with its thousands set apart."""
    return f"{number:,.0f}"


def column_unit(seconds: Iterable[float]) -> tuple[float, str]:
    """One unit for a column of times: its seconds and its name.

    That of the smallest time, or the next larger one where the largest would have six digits.
    """
    times = [abs(time) for time in seconds if time and math.isfinite(time)]
    if not times:
        return _UNITS[0]
    scale, name = time_unit(min(times))
    for larger in reversed(_UNITS):
        if larger[0] > scale and max(times) / scale >= _WIDEST:
            scale, name = larger
    return scale, name


def format_in_unit(
    value: float, low: float | None, high: float | None, scale: float
) -> tuple[str, str]:
    """A number and its interval in a unit that the column's heading names, as two texts.

    Without an interval three digits are given, and it is said that there is none. Numbers and ends
    of intervals may be 0 or negative, as those of a fit are.
    """
    if low is None or high is None:
        return _three_digits(value / scale), NO_INTERVAL
    digits = _digits((high - low) / 2 / scale, most=6)
    texts = [_no_minus_zero(f"{x / scale:.{digits}f}") for x in (value, low, high)]
    return texts[0], f"[{texts[1]}, {texts[2]}]"


def time_unit(seconds: float) -> tuple[float, str]:
    """The largest unit that is not above a time: its seconds and its name."""
    return next((unit for unit in _UNITS if seconds >= unit[0]), _UNITS[-1])


def _time_digits(scale: float, low: float | None, high: float | None) -> int:
    return 1 if low is None or high is None else min(3, _digits((high - low) / 2 / scale))


def _three_digits(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return "0"
    return f"{value:.{max(0, min(6, 2 - math.floor(math.log10(abs(value)))))}f}"


def _no_minus_zero(text: str) -> str:
    return text.removeprefix("-") if float(text) == 0 else text


def _digits(half_width: float, most: int = _MOST_DIGITS) -> int:
    """Decimals up to the second significant one of the interval's half width; 0 to ``most``."""
    if half_width <= 0:
        return most
    return max(0, min(most, 1 - math.floor(math.log10(half_width))))
