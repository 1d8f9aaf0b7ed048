"""Verdicts on a family of ratios at once, so that many looks do not make noise a regression.

Whoever compares a hundred unchanged cases at 95 % has about five of them outside their intervals.
Changes are therefore found by the procedure of Benjamini and Hochberg (1995, J. R. Stat. Soc. B
57, 289-300), in the form that needs intervals alone: of m cases, R are changed if R intervals at
the level 1 - rate R / m leave 1 out, for the largest such R. So of the changes that are reported
at most the share ``rate`` is expected to be none, and where nothing changed, one is reported in at
most that share of all comparisons. The intervals that are shown have that level too, as Benjamini
and Yekutieli (2005, J. Am. Stat. Assoc. 100, 71-81) make them for what was selected by looking.

A run in stages looks at a case several times, and measures it again only as long as it does not
like what it sees. Let K be the number of looks that was planned beforehand. The K intervals that a
case would have after 1, 2, … K stages, each at the level 1 - a / K, hold the truth all together
with a probability of at least 1 - a, because the probabilities of missing add up to no more than a
(Bonferroni). The last one that was taken is one of them, whatever the rule that ended it saw: it
is an interval at 1 - a, for every a. So all that is said above holds for the last intervals if
1 - a / K is asked of them wherever it says 1 - a, that is, with rate / K in place of the rate. All
cases stay in the family, those that were decided early with the interval that they had then: of
those alone that were measured again it would not hold, as they were chosen by what they had shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

from rnnbench.statistics import Verdict, verdict_of

__all__ = ["Bounds", "Finding", "Interval", "judge", "level_of_one_more"]

Bounds: TypeAlias = tuple[float, float | None, float | None]
Interval: TypeAlias = Callable[[float], Bounds]
"""The ratio and its ends at a level; ends are None where there are too few processes."""

_POWER = 0.8
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Finding:
    """New over base, with the interval that its verdict rests on.

    ``level`` is that of the interval after the adjustment. ``detectable`` is the share by which the
    new side of this case, and of no other one more, would have to be slower, or faster, to be found
    with a chance of about 80 %: the half width of the interval at the level that one more change
    needs in this family, lengthened by what the normal distribution asks for beyond an even chance.
    None without such an interval.
    ``alone`` are the ratio and the ends of the interval as if there were no other case.
    """

    ratio: float
    low: float | None
    high: float | None
    verdict: Verdict
    level: float
    detectable: float | None
    alone: Bounds


def judge(
    intervals: Sequence[Interval], *, margin: float = 0.02, rate: float = 0.05, looks: int = 1
) -> list[Finding]:
    """Judge ratios together; ``intervals`` give each one's interval at any level.

    A change that was found is ``slower`` or ``faster``, unless its interval lies within the margin:
    then, as where none was found and the interval at ``1 - rate`` lies there, it is the ``same``.
    All else is ``inconclusive``. ``looks`` is how often a case could have been looked at, this time
    included: then each look has its share of the rate.

    Raises:
        ValueError: a margin that is not above 0, a rate that is no probability, or no look.
    """
    if not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"margin is {margin!r}; give a fraction above 0, such as 0.02")
    if not 0 < rate < 1:
        raise ValueError(f"rate is {rate!r}; give a probability between 0 and 1, such as 0.05")
    if looks < 1:
        raise ValueError(f"looks is {looks!r}; give 1 or more")
    rate /= looks
    levels = [1 - rate] * len(intervals)
    alone = [interval(1 - rate) for interval in intervals]
    bounds = list(alone)
    changed = [index for index, found in enumerate(bounds) if _leaves_one_out(found)]
    count = len(intervals)
    # From above: the count falls as the level rises, so the first that holds is the largest.
    while changed and len(changed) < count:
        count = len(changed)
        for index in changed:
            levels[index] = 1 - rate * count / len(intervals)
            bounds[index] = intervals[index](levels[index])
        changed = [index for index in changed if _leaves_one_out(bounds[index])]
    one_more = level_of_one_more(len(changed), len(intervals), rate)
    findings = []
    for index, (found, level) in enumerate(zip(bounds, levels, strict=True)):
        needed = level if index in changed else one_more
        wide = found if needed == level else intervals[index](needed)
        verdict = verdict_of(found[1], found[2], margin)
        findings.append(Finding(*found, verdict, level, _detectable(wide, needed), alone[index]))
    return findings


def level_of_one_more(found: int, cases: int, rate: float) -> float:
    """The level at which an interval must leave 1 out for its case to be found beside others.

    ``found`` of all ``cases`` are found already, and no other one is.
    """
    return 1 - rate * min(found + 1, cases) / max(1, cases)


def _leaves_one_out(bounds: Bounds) -> bool:
    _, low, high = bounds
    return low is not None and high is not None and not low <= 1 <= high


def _detectable(bounds: Bounds, level: float) -> float | None:
    ratio, low, high = bounds
    if low is None or high is None:
        return None
    half = max(math.log(ratio / low), math.log(high / ratio))
    return math.expm1(half * (1 + _NORMAL.inv_cdf(_POWER) / _NORMAL.inv_cdf((1 + level) / 2)))
