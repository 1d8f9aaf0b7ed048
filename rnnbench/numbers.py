"""Numbers for people: the unit that suits, and as many digits as the interval supports."""

from __future__ import annotations

import math

__all__ = [
    "NO_INTERVAL",
    "format_bytes",
    "format_interval",
    "format_rate",
    "format_ratio",
    "format_seconds",
    "format_share",
    "time_unit",
]

NO_INTERVAL = "[no replicates]"
"""Stands where an interval would: one process alone cannot say how processes differ."""

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_MOST_DIGITS = 4


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
    for scale, name in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if per_second >= scale:
            return f"{per_second / scale:.3g}{name}"
    return f"{per_second:.3g}"


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


def time_unit(seconds: float) -> tuple[float, str]:
    """The largest unit that is not above a time: its seconds and its name."""
    return next((unit for unit in _UNITS if seconds >= unit[0]), _UNITS[-1])


def _time_digits(scale: float, low: float | None, high: float | None) -> int:
    return 1 if low is None or high is None else min(3, _digits((high - low) / 2 / scale))


def _digits(half_width: float) -> int:
    """Decimals up to the second significant one of the interval's half width; between 0 and 4."""
    if half_width <= 0:
        return _MOST_DIGITS
    return max(0, min(_MOST_DIGITS, 1 - math.floor(math.log10(half_width))))
