"""What the numbers of a result do not say: only those limits that apply to what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from rnnbench.numbers import format_bytes
from rnnbench.report._words import capital, counted, joined, name, share_of
from rnnbench.report.groups import COMPETITOR, groups
from rnnbench.report.speedups import devices
from rnnbench.results import Results

__all__ = ["limits"]

_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
_LISTED = 3
_SIXTEEN_BITS = ("bfloat16", "float16")


def limits(results: Results) -> list[str]:
    """Say in plain sentences what must not be read into the numbers of a result.

    Generated from what it holds: a limit that does not apply is not mentioned. Texts of the files
    are made harmless, but not escaped for any markup.
    """
    measured = results.measured
    if measured.empty:
        return ["Nothing was measured, so there is no number that could be misread."]
    return [
        *_what_is_timed(results, measured),
        *_where(results, measured),
        *_how_sure(results, measured),
        *_compiled(measured),
    ]


def _what_is_timed(results: Results, measured: pd.DataFrame) -> Iterator[str]:
    yield (
        "This is a microbenchmark of one layer that does the same again and again with warm "
        "caches: it says which way of running that layer is faster, not how fast a model trains "
        "or how fast a first call is."
    )
    kinds = devices(results)
    if [kind for kind in kinds if kind != "cpu"]:
        yield (
            "Inputs and weights lie on the device already, and outputs stay there: no transfer is "
            "in any time. A program that moves each batch to the device pays for that on top; the "
            f"largest input here holds {format_bytes(_largest_input(measured))}."
        )
        yield (
            "On a device other than the CPU a round begins and ends with the device idle, so the "
            "cost of launching is in full view; a program that queues its calls may hide part of "
            "it behind the work of the device."
        )
    else:
        yield "Inputs and weights lie in memory already: loading and preparing data is not timed."
    if (measured["valid_tokens"] == measured["tokens"]).fillna(False).all():
        yield "All sequences of a batch are equally long: nothing is padded and nothing is packed."
    shapes = groups(measured, (*COMPETITOR, "pass", "layout", "dtype", "device", "threads", "seed"))
    yield (
        f"Only what was measured has a number ({counted(len(shapes), 'shape')}): between and "
        "beyond these sizes another implementation may be the fastest."
    )


def _where(results: Results, measured: pd.DataFrame) -> Iterator[str]:
    machines = _machines(measured)
    if len(machines) == 1:
        several = measured["run"].nunique() > 1
        origin = "machines that go by one name" if several else "one machine"
        yield f"All of it is from {origin} ({machines[0]}): on another the order may be another."
    else:
        shown = joined(machines[:_LISTED])
        more = len(machines) - _LISTED
        rest = f" and {counted(more, 'other')}" if more > 0 else ""
        yield (
            f"The numbers are from {len(machines):,} machines ({shown}{rest}): a ratio between "
            "machines compares all that differs between them, not the implementations alone."
        )
    if "float32" in measured["dtype"].tolist():
        yield from _tf32(results, measured)
    sixteen = sorted(set(measured["dtype"].tolist()) & set(_SIXTEEN_BITS))
    if sixteen:
        yield (
            f"In {joined(sixteen)} rounding hides small errors, so verification is loose there: a "
            "gradient that is off by 1 % would pass."
        )
    threads = sorted(set(measured["threads"].tolist()))
    if len(threads) == 1:
        yield (
            f"Everything ran with {counted(int(threads[0]), 'thread')} on the CPU; with another "
            "number the order may be another."
        )


def _tf32(results: Results, measured: pd.DataFrame) -> Iterator[str]:
    """What float32 meant on devices that could compute it with fewer bits."""
    rows = measured[(measured["dtype"] == "float32") & (measured["device"] != "cpu")]
    if rows.empty:
        return
    places = set(zip(rows["run"].tolist(), rows["environment"].tolist(), strict=True))
    settings = [
        results.runs[run].environments[environment].get("tf32") for run, environment in places
    ]
    if all(_all_off(setting) for setting in settings):
        yield (
            "float32 means float32: TF32 was off. Programs that allow it run matrix products "
            "faster and less exactly."
        )
    elif any(isinstance(s, Mapping) and True in s.values() for s in settings):
        yield "TF32 was on where float32 was measured, so its products have fewer bits."
    else:
        yield "Whether float32 was computed with TF32 is not on record."


def _all_off(setting: Any) -> bool:
    return isinstance(setting, Mapping) and bool(setting) and not any(setting.values())


def _how_sure(results: Results, measured: pd.DataFrame) -> Iterator[str]:
    if measured["time_low"].notna().any():
        yield (
            "Intervals hold what differed between the fresh processes of a run: not other days, "
            "other machines, or other versions of what is installed."
        )
        comparisons = sum(len(rows) - 1 for rows in groups(measured).values())
        if comparisons and any(run.stages == 1 for run in results.runs.values()):
            expected = (
                ""
                if comparisons < 20
                else f", so of the {comparisons:,} comparisons with a best one here about "
                f"{comparisons / 20:,.0f} may be"
            )
            yield (
                "Each interval holds the truth in 95 % of all runs, for one comparison by itself: "
                f"about one in twenty is wrong by chance{expected}."
            )
        yield from _staged(results)
    alone = int((measured["processes"] < 2).sum())
    if alone:
        who = capital(share_of(alone, len(measured), "case"))
        verb = "was" if alone == 1 else "were"
        yield (
            f"{who} {verb} timed in one process alone, which may be a slow or a fast one for its "
            "whole life: such a number has no interval."
        )
    if measured["run"].nunique() > 1:
        yield (
            "Ratios between files are not paired: the cases took no turns, so how much a machine "
            "changed between the runs is in no interval."
        )
    # Sizes, layouts, passes and devices of one run are measured one after the other.
    if len(groups(measured)) > 1:
        yield (
            "Different settings of a run, such as two sizes or two devices, were measured one "
            "after the other: a drift of the machine in between is in no interval. Only "
            "implementations of the same setting took turns."
        )


def _staged(results: Results) -> Iterator[str]:
    """What looking several times does to an interval: those of a report do not know of it."""
    staged = [run for run in results.runs.values() if run.stages > 1]
    if staged:
        most = max(run.stages for run in staged)
        least = max(0.0, 1 - 0.05 * most)
        labels = joined([name(run.label) for run in staged])
        yield (
            f"{labels} {'was' if len(staged) == 1 else 'were'} "
            f"measured in up to {most} stages, the further ones where a comparison of environments "
            "was inconclusive. That makes intervals of a single look hold the truth less often: in "
            f"{least:.0%} of all runs at least, and not in 95 %. `rnnbench compare` takes it into "
            "account, the other numbers do not. Times of cases that were in more stages are from "
            "more sessions too."
        )


def _compiled(measured: pd.DataFrame) -> Iterator[str]:
    if measured["compile_cold"].notna().any():
        yield (
            "The seconds of a first compilation were taken once, because a second one finds what "
            "the first one cached: they have no interval."
        )
    if (measured["compiler"] == "inductor").any():
        yield (
            "Compiled code is made for one shape: a program whose shapes change compiles again, "
            "which no time here includes."
        )


def _machines(measured: pd.DataFrame) -> list[str]:
    """Processor and GPU of each machine, as far as the files tell them apart."""
    columns = (measured[column].astype(object).tolist() for column in ("run", "cpu", "gpu"))
    found: dict[tuple[str, str], set[str]] = {}
    for run, cpu, gpu in zip(*columns, strict=True):
        processor = "unknown processor" if pd.isna(cpu) else name(cpu)
        cards = found.setdefault((str(run), processor), set())
        if not pd.isna(gpu):
            cards.add(name(gpu))
    return sorted({" with ".join([cpu, *sorted(cards)]) for (_, cpu), cards in found.items()})


def _largest_input(measured: pd.DataFrame) -> float:
    rows = measured[measured["device"] != "cpu"]
    widths = rows["dtype"].map(_BYTES).astype("float64")
    numbers = (rows["tokens"].astype("float64") * rows["input_size"].astype("float64")) * widths
    return float(numbers.max())
