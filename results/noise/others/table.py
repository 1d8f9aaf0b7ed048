"""The outcome as a Markdown table: a row for each rule of each tool."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from others.outcome import CHANGES, CaseOutcome, Outcome, Session
from others.plan import AGAIN
from rnnbench.numbers import format_share
from rnnbench.regressions.machine_noise import Share

_NOT_COMPARED = ("failing", "mended", "not measured", "missing", "added")


def to_markdown(outcome: Outcome, rules: Mapping[str, Mapping[str, str]]) -> str:
    """The table with what must be known beside it; ``rules`` are by tool, in their words."""
    planted = [side for side in _sides(outcome) if side != AGAIN]
    heading = [
        "tool and rule",
        "false alarms",
        *(f"{side} found" for side in planted),
        "measured, s",
        "in all, s",
    ]
    rows = []
    for tool, of_tool in rules.items():
        sessions = [session for session in outcome.sessions if session.tool == tool]
        if not sessions:
            continue
        cases = [case for session in sessions for case in session.cases]
        for rule, words in of_tool.items():
            rows.append(
                [
                    f"{tool} {sessions[0].version}, {words}",
                    false_alarms(cases, rule),
                    *(found(cases, rule, side) for side in planted),
                    f"{_measured(cases):.1f}",
                    f"{_in_all(sessions):.1f}",
                ]
            )
    marks = ["---", *["---:"] * (len(heading) - 1)]
    lines = ["| " + " | ".join(cells) + " |" for cells in (heading, marks, *rows)]
    return "\n".join([*lines, "", *_beside(outcome)])


def false_alarms(cases: Iterable[CaseOutcome], rule: str) -> str:
    """Unchanged cases that were called changed, and how many of these slower."""
    verdicts = _verdicts(cases, rule, AGAIN)
    share = Share(sum(verdict in CHANGES for verdict in verdicts), len(verdicts))
    slower = verdicts.count("slower")
    return _cell(share) + (f", {slower} slower" if share.found else "")


def found(cases: Iterable[CaseOutcome], rule: str, side: str) -> str:
    """Slowed cases that were called slower."""
    verdicts = _verdicts(cases, rule, side)
    return _cell(Share(verdicts.count("slower"), len(verdicts)))


def _verdicts(cases: Iterable[CaseOutcome], rule: str, side: str) -> list[str]:
    said = [case.verdicts[rule][side] for case in cases if side in case.verdicts.get(rule, {})]
    return [verdict for verdict in said if verdict not in _NOT_COMPARED]


def _cell(share: Share) -> str:
    if not share.of:
        return "none"
    low, high = (100 * end for end in share.interval)
    return f"{share.found}/{share.of} {100 * share.value:.1f} % [{low:.1f}, {high:.1f}]"


def _measured(cases: Iterable[CaseOutcome]) -> float:
    return statistics.median(seconds for case in cases for seconds in case.measured.values())


def _in_all(sessions: Sequence[Session]) -> float:
    """Seconds of the whole session for each case and side, starting of processes included."""
    measured = sum(len(case.measured) for session in sessions for case in session.cases)
    return sum(session.wall for session in sessions) / measured


def _sides(outcome: Outcome) -> list[str]:
    return list(
        dict.fromkeys(
            side
            for session in outcome.sessions
            for case in session.cases
            for of_rule in case.verdicts.values()
            for side in of_rule
        )
    )


def _beside(outcome: Outcome) -> list[str]:
    settings, machine = outcome.settings, outcome.machine
    said = (
        "False alarms are unchanged cases that were called slower or faster, found are slowed "
        f"cases that were called slower. {settings['seconds']:g} s were asked of each tool for "
        "each case and side. “Measured” is what it took, the middle over cases and sides, from its "
        "own files, and “in all” its whole time with the starting of processes, divided by cases "
        "and sides. In brackets are 95 % intervals (Clopper and Pearson), as if cases were "
        "independent."
    )
    where = (
        f"Measured from {min(s.started_at for s in outcome.sessions)} on, PyTorch "
        f"{machine['torch']}, Python {machine['python']}, {machine['cpu']} "
        f"({machine['cores']} cores), everything on core {settings['core']}; "
        f"other programs used {_others(outcome)}."
    )
    return [said, "", where]


def _others(outcome: Outcome) -> str:
    """The share of the machine that others used while each tool measured."""
    tools: dict[str, list[tuple[float, float]]] = {}
    for session in outcome.sessions:
        share = session.load.get("others_share")
        if isinstance(share, int | float):
            tools.setdefault(session.tool, []).append((share, session.wall))
    if not tools:
        return "an unknown share of the processor"
    means = (
        (tool, sum(share * wall for share, wall in seen) / sum(wall for _, wall in seen))
        for tool, seen in tools.items()
    )
    listed = ", ".join(f"{format_share(mean)} ({tool})" for tool, mean in means)
    return f"these shares of the processor while each measured: {listed}"
