"""Sentences of the verdict: which implementation is the fastest, how often, and by how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from rnnbench.report._processes import figures_of
from rnnbench.report._words import counted, joined, name, ratio, share_of
from rnnbench.report.groups import SHAPE, groups, setting_text, varying
from rnnbench.report.winners import Standing, Winners, winners_of
from rnnbench.results import Results
from rnnbench.schema import PASSES

__all__ = ["Names", "fastest"]

_LISTED = 3  # names in a sentence; those that follow are counted
_SETTING_LENGTH = 120


class Names:
    """What rows are called in sentences; no more is said than tells them apart."""

    def __init__(self, results: Results) -> None:
        self.columns = figures_of(results).columns
        frame = results.measured
        self._environments = frame["environment"].nunique() > 1
        self._varying = set(varying(frame)) | {"pass", *SHAPE[:4]}
        self._runs = frame["run"].nunique() > 1

    def competitor(self, row: int) -> str:
        called = name(self.columns["implementation"][row])
        if self._environments:
            called += f" @ {name(self.columns['environment'][row])}"
        return called

    def setting(self, row: int) -> str:
        columns = self.columns
        said = self._varying - {"implementation", "environment"}
        text = name(
            setting_text({key: columns[key][row] for key in said}, tuple(said)), _SETTING_LENGTH
        )
        return f"{text}, {name(columns['run'][row])}" if self._runs else text


def fastest(results: Results, baseline: str) -> list[str]:
    """One to three sentences; "fastest" only where `winners_of` names a winner."""
    measured = results.measured
    if measured.empty:
        return ["Nothing has a time, so nothing can be called the fastest."]
    contests = [winners_of(results, rows) for rows in groups(measured).values() if len(rows) > 1]
    names = Names(results)
    if not contests:
        return [_no_contest(measured)]
    named = [contest for contest in contests if contest.named is not None]
    if not named:
        return [_no_winner(contests, names)]
    return [
        _winners(contests, named, names),
        *_leads(named, names, baseline, only=len(contests) == 1),
        *_by_pass(contests, names),
    ]


def _no_contest(measured: pd.DataFrame) -> str:
    implementations = measured["implementation"].unique().tolist()
    cases = counted(len(measured), "case")
    if len(implementations) == 1 and measured["environment"].nunique() == 1:
        alone = name(implementations[0])
        return f"Only {alone} was measured ({cases}), so there is nothing to compare it with"
    return (
        f"No two implementations were measured in the same setting ({cases}), so none can be "
        "called the fastest"
    )


def _no_winner(contests: Sequence[Winners], names: Names) -> str:
    reason = _reason(contests)
    if len(contests) == 1:
        contest = contests[0]
        alike = [names.competitor(row) for row in (contest.best, *contest.tied)]
        who = f" ({_listed(alike)})" if len(alike) > 1 else ""
        return (
            "In the one setting with several implementations, none can be called the fastest: "
            f"{reason}{who}"
        )
    least = Counter(names.competitor(contest.best) for contest in contests).most_common(1)[0]
    return (
        f"In none of {len(contests):,} settings can one implementation be called the fastest: "
        f"{reason}; the least time is that of {least[0]} in {least[1]:,} of them, which does not "
        "settle it"
    )


def _winners(contests: Sequence[Winners], named: Sequence[Winners], names: Names) -> str:
    if len(contests) == 1:
        where = names.setting(named[0].best)
        return (
            f"{names.competitor(named[0].best)} is the fastest in the one setting with several "
            f"implementations ({where})"
        )
    wins = Counter(names.competitor(contest.best) for contest in named).most_common()
    (first, most), *others = wins
    text = f"{first} is the fastest in {share_of(most, len(contests), 'setting')}"
    for other, count in others[: _LISTED - 1]:
        text += f", {other} in {count:,}"
    rest = others[_LISTED - 1 :]
    if rest:
        text += (
            f", and {counted(len(rest), 'other')} in {sum(count for _, count in rest):,} together"
        )
    undecided = [contest for contest in contests if contest.named is None]
    if undecided:
        where = "the other one" if len(undecided) == 1 else f"the other {len(undecided):,}"
        text += f"; in {where} no winner is named: {_reason(undecided)}"
    return text


def _reason(contests: Sequence[Winners]) -> str:
    """Why no winner is named; the commonest reason where there are several."""
    reasons = Counter(contest.reason or "" for contest in contests).most_common()
    return ("mostly, " if len(reasons) > 1 else "") + reasons[0][0]


@dataclass(frozen=True)
class _Lead:
    """How many times as fast a winner is as something else."""

    winner: int
    over: Standing

    @property
    def value(self) -> float:
        assert self.over.ratio is not None
        return self.over.ratio.value

    @property
    def text(self) -> str:
        assert self.over.ratio is not None
        return ratio(self.value, self.over.ratio.low, self.over.ratio.high)


def _leads(named: Sequence[Winners], names: Names, baseline: str, *, only: bool) -> list[str]:
    """The typical and the largest lead of a named winner over the baseline, or over the next."""
    columns = names.columns
    over_base: list[_Lead] = []
    over_next: list[_Lead] = []
    for contest in named:
        best = contest.best
        environment = columns["environment"][best]
        over_next.append(_Lead(best, contest.standings[1]))
        over_base += [
            _Lead(best, standing)
            for standing in contest.standings[1:]
            if columns["implementation"][standing.row] == baseline
            and columns["environment"][standing.row] == environment
        ][:1]
    if over_base:
        leads, than, start = (
            over_base,
            name(baseline),
            "Where another implementation is the fastest",
        )
    else:
        leads, than, start = over_next, "the next", "Where one implementation is the fastest"
    leads = sorted(leads, key=lambda lead: lead.value)
    largest = leads[-1]
    if only:
        return [f"It is {largest.text} times as fast as {than}"]
    where = f"{names.competitor(largest.winner)}: {names.setting(largest.winner)}"
    if len(leads) == 1:
        return [f"{start}, in 1 setting, it is {largest.text} times as fast as {than} ({where})"]
    # The lower middle one, so that it is a measured setting with an interval of its own.
    middle = leads[(len(leads) - 1) // 2]
    return [
        f"{start}, it is {middle.text} times as fast as {than} in the middle one of "
        f"{counted(len(leads), 'setting')}, and {largest.text} times at most ({where})"
    ]


def _by_pass(contests: Sequence[Winners], names: Names) -> list[str]:
    """Which implementation wins most often in each pass, if that is not the same in all."""
    passes: dict[str, Counter[str]] = {}
    for contest in contests:
        wins = passes.setdefault(names.columns["pass"][contest.best], Counter())
        if contest.named is not None:
            wins[names.competitor(contest.named)] += 1
    leaders: dict[tuple[str, ...], list[str]] = {}
    for pass_ in sorted(passes, key=PASSES.index):
        wins = passes[pass_]
        most = max(wins.values(), default=0)
        leaders.setdefault(tuple(sorted(x for x in wins if wins[x] == most)), []).append(pass_)
    if len([who for who in leaders if who]) < 2:
        return []
    clauses = [f"{_listed(who)} in {joined(where)}" for who, where in leaders.items() if who]
    text = f"By pass, the most frequent winner is {'; '.join(clauses)}"
    if () in leaders:
        text += f"; in {joined(leaders[()])} no winner is named"
    return [text]


def _listed(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    if len(names) <= _LISTED + 1:
        return joined(names)
    return f"{', '.join(names[:_LISTED])} and {counted(len(names) - _LISTED, 'other')}"
