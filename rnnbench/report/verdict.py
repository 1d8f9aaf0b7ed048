"""The verdict: what a result says, in a few plain sentences whose numbers carry their intervals."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from rnnbench.numbers import format_share
from rnnbench.report._verdict_costs import compilation, gpu
from rnnbench.report._verdict_fastest import fastest
from rnnbench.report._words import (
    all_of,
    capital,
    counted,
    joined,
    name,
    sentence_end,
    share_of,
)
from rnnbench.results import Results

__all__ = ["verdict"]

_REASON_LENGTH = 120


def verdict(results: Results, baseline: str = "nn_rnn") -> list[str]:
    """Say what the numbers say, each with its interval, in at most eight sentences.

    In this order: what is fastest, whether a GPU is worth it and from which size on, what a
    compilation costs and when it has paid, what was not measured, and how far to trust all this. A
    *setting* is all that competitors share: pass, shape, layout, data type, device and threads.
    "Fastest" is said only where `winners_of` names a winner. Texts of the files are made harmless
    as by `rnnbench.report.render.clean`, but not escaped for any markup.
    """
    if results.frame.empty:
        return ["The result holds no case, so nothing can be said of speed."]
    said = [
        *fastest(results, baseline),
        *gpu(results),
        *compilation(results, baseline),
        _not_measured(results),
        *_trust(results),
    ]
    return [sentence_end(text) for text in said]


def _not_measured(results: Results) -> str:
    frame = results.frame
    missing = frame[frame["status"] != "measured"]
    if missing.empty:
        return f"{capital(all_of(len(frame), 'case'))} could be measured"
    parts = []
    for status, count in Counter(missing["status"].tolist()).most_common():
        reasons = Counter(missing.loc[missing["status"] == status, "reason"].tolist())
        reason, _ = reasons.most_common(1)[0]
        often = "mostly " if len(reasons) > 1 else ""
        words = name(str(status).replace("_", " "))
        parts.append(f"{count:,} {words} ({often}“{name(reason, _REASON_LENGTH)}”)")
    verb = "was" if len(missing) == 1 else "were"
    return f"{len(missing):,} of {counted(len(frame), 'case')} {verb} not measured: " + joined(
        parts
    )


def _trust(results: Results) -> list[str]:
    measured = results.measured
    if measured.empty:
        return []
    return [_evidence(measured), *_cautions(results)]


def _evidence(measured: pd.DataFrame) -> str:
    least, most = int(measured["processes"].min()), int(measured["processes"].max())
    span = (
        counted(most, "process", "processes") if least == most else f"{least} to {most} processes"
    )
    who = "The one case was" if len(measured) == 1 else "Each case was"
    text = f"{who} timed in {span}"
    bounded = measured[measured["time_low"].notna()]
    without = len(measured) - len(bounded)
    if bounded.empty:
        return f"{text}; one process alone cannot say how processes differ, so there is no interval"
    halves = (bounded["time_high"] - bounded["time_low"]) / 2 / bounded["time"]
    text += (
        f"; the 95 % interval of a time is typically ± {format_share(float(halves.median()))} wide"
        if len(bounded) > 1
        else f"; the 95 % interval of its time is ± {format_share(float(halves.iloc[0]))} wide"
    )
    if len(bounded) > 1:
        text += f", at most ± {format_share(float(halves.max()))}"
    if without:
        text += f", and missing for {counted(without, 'case')} of one process"
    spent = int((measured["stopped"] == "time spent").sum())
    if spent:
        text += (
            f"; for {share_of(spent, len(measured), 'case')} the time was spent before the "
            "intervals were as narrow as asked for"
        )
    return text


def _cautions(results: Results) -> list[str]:
    measured = results.measured
    parts = []
    if bool(measured["virtual"].fillna(False).any()):
        parts.append("the machine is a virtual one, whose neighbours cannot be seen")
    if measured["run"].nunique() > 1:
        runs = counted(measured["run"].nunique(), "separate run")
        parts.append(
            f"the numbers are from {runs}, so ratios between them are not paired: how much the "
            "machine changed in between is in no interval"
        )
    wrong = int(measured["limit_defect"].fillna(False).sum())
    if wrong:
        known = int(measured["limit"].notna().sum())
        parts.append(
            f"{share_of(wrong, known, 'case')} {'is' if wrong == 1 else 'are'} faster than the "
            "machine's limit by more than its interval, so that limit is wrong"
        )
    notes = list(dict.fromkeys(note for run in results.runs.values() for note in run.notes))
    busy = [note for note in notes if note.startswith("busy machine")]
    first = [*busy, *(note for note in notes if note not in busy)][:1]
    if first:
        more = f" (and {counted(len(notes) - 1, 'other note')})" if len(notes) > 1 else ""
        parts.append(f"the run noted: {name(first[0], _REASON_LENGTH).rstrip('.')}{more}")
    if not parts:
        return []
    return [f"Read with care: {'; '.join(parts)}"]
