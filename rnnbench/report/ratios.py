"""The ratio of two rows, and on which footing it stands: by what the two had in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rnnbench.errors import UserError
from rnnbench.report.escaping import clean
from rnnbench.report.groups import CASE_NAMES, COMPETITOR
from rnnbench.results import Results
from rnnbench.statistics import (
    Blocks,
    Verdict,
    compare_blocks,
    student_t_quantile,
    verdict_of,
)

__all__ = [
    "PAIRED",
    "PAIRINGS",
    "Pairing",
    "Ratio",
    "check_baseline",
    "pairing_apart",
    "pairing_of",
    "ratio_of",
    "require_paired",
    "with_nodes",
]

Pairing: TypeAlias = Literal[
    "same process", "took turns", "same run", "other nodes", "other kinds", "separate runs"
]

PAIRINGS: dict[Pairing, str] = {
    "same process": "took turns block by block in the same processes: drift and a slow process "
    "hit both alike",
    "took turns": "took turns block by block, each in processes of its own",
    "same run": "measured in one run, but not in turns: a drift of the machine in between is not "
    "in the interval",
    "other nodes": "measured on other nodes of one kind: the interval is widened by how much such "
    "nodes differ in the same cases, and nothing is said where one of them was slow",
    "other kinds": "measured on different kinds of node: the ratio is that of the machines too",
    "separate runs": "measured in separate runs: how much the machine changed between them is not "
    "in the interval",
}
"""Footings of a ratio from the firmest to the weakest, and what each means."""

Bounds: TypeAlias = tuple[float | None, float | None]

PAIRED: tuple[Pairing, ...] = ("same process", "took turns")
"""Those of which the interval holds all that is known to vary."""


@dataclass(frozen=True)
class Ratio:
    """New time over base time; without an interval below two processes on a side."""

    value: float
    low: float | None
    high: float | None
    verdict: Verdict
    pairing: Pairing
    processes: int

    @property
    def paired(self) -> bool:
        """Whether the two took turns."""
        return self.pairing in PAIRED

    @property
    def tells_apart(self) -> bool:
        """Whether the interval leaves 1 out."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


def pairing_of(results: Results, base: int, new: int) -> Pairing:
    """What two rows have in common."""
    frame = results.frame
    if frame.at[base, "run"] != frame.at[new, "run"]:
        return "separate runs"
    apart = pairing_apart(results, base, new)
    if apart is not None:
        return apart
    setting = [name for name in CASE_NAMES if name not in COMPETITOR]
    differ = any(frame.at[base, name] != frame.at[new, name] for name in setting)
    if differ and results.case_of(base).group != results.case_of(new).group:
        return "same run"
    same = frame.at[base, "environment"] == frame.at[new, "environment"]
    return "same process" if same else "took turns"


def pairing_apart(results: Results, base: int, new: int) -> Pairing | None:
    """What two rows of one file have in common that were never measured at one time, else None.

    A file may be merged from many: only its sessions tell what took turns.
    """
    left, right = results.sessions_at(base), results.sessions_at(new)
    if not left or not right or left & right:
        return None
    frame = results.frame
    if frame.at[base, "environment"] != frame.at[new, "environment"]:
        return "other kinds"
    known = frame.at[base, "environment"] in results.run_of(base).spreads
    return "other nodes" if known else "separate runs"


def with_nodes(
    results: Results, base: int, new: int, pairing: Pairing, bounds: Bounds, level: float
) -> Bounds:
    """The interval of a ratio with what the nodes of both rows add to it; none of a slow node.

    How fast nodes are is independent of the noise on them, so it adds in squares, once for each.
    """
    low, high = bounds
    if pairing not in ("other nodes", "other kinds") or low is None or high is None:
        return bounds
    run = results.run_of(base)
    if run.slow & (results.sessions_at(base) | results.sessions_at(new)):
        return None, None
    if pairing == "other kinds":
        return bounds
    deviation, nodes = run.spreads[str(results.frame.at[base, "environment"])]
    middle, half = math.log(low * high) / 2, math.log(high / low) / 2
    # Of few nodes the deviation itself is hardly known.
    apart = student_t_quantile((1 + level) / 2, nodes - 1) * math.sqrt(2) * deviation
    wide = math.hypot(half, apart)
    return math.exp(middle - wide), math.exp(middle + wide)


def ratio_of(
    results: Results,
    base: int,
    new: int,
    *,
    level: float = 0.95,
    margin: float = 0.02,
    pairing: Pairing | None = None,
    device: bool = False,
) -> Ratio:
    """The time of row ``new`` over that of row ``base``, both measured.

    With ``device`` by the device's own clock, which both rows must have. ``pairing`` saves looking
    it up again where the caller knows it.
    """
    pairing = pairing or pairing_of(results, base, new)
    left, right = (_rounds(results, row, device=device) for row in (base, new))
    shared = sorted(left.keys() & right.keys()) if pairing != "separate runs" else []
    one_process = bool(shared) and (
        pairing == "same process" or _same_environment(results, base, new)
    )
    if shared:
        left = {replicate: left[replicate] for replicate in shared}
        right = {replicate: right[replicate] for replicate in shared}
    compared = compare_blocks(
        list(left.values()),
        list(right.values()),
        margin,
        level=level,
        warmup_rounds=0,
        same_process=one_process,
        took_turns=bool(shared) and pairing == "took turns",
        sessions=results.run_of(base).sessions_of(shared) if shared else None,
    )
    bounds = compared.low, compared.high
    low, high = with_nodes(results, base, new, pairing, bounds, level)
    return Ratio(
        value=compared.ratio,
        low=low,
        high=high,
        verdict=compared.verdict if (low, high) == bounds else verdict_of(low, high, margin),
        pairing=pairing,
        processes=compared.processes,
    )


def check_baseline(results: Results, baseline: str) -> None:
    """Refuse a baseline that no measured case has.

    Raises:
        UserError: the message names those that there are.
    """
    known = sorted(results.measured["implementation"].unique().tolist())
    if known and baseline not in known:
        raise UserError(
            f"--baseline {clean(baseline)}: no measured case is of this implementation; give one "
            f"of {', '.join(clean(name, 60) for name in known)}"
        )


def require_paired(results: Results, rows: Sequence[int], option: str) -> None:
    """Refuse rows that did not take turns where only paired ratios were asked for.

    Raises:
        UserError: two of the rows are from different files.
    """
    labels = results.frame.loc[list(rows), "run"].unique().tolist()
    if len(labels) > 1:
        paths = [results.runs[label].path for label in labels[:2]]
        raise UserError(
            f"{option}: {paths[0]} and {paths[1]} are separate runs, whose cases took no turns; "
            "measure them in one run, or leave the option out"
        )


def _rounds(results: Results, row: int, *, device: bool) -> dict[int, Blocks]:
    samples = results.samples[row]
    if samples is None:
        raise ValueError(f"row {row} was not measured; compare measured rows only")
    found: dict[int, Blocks] = {}
    found.update(samples.by_replicate(device=device))
    return found


def _same_environment(results: Results, base: int, new: int) -> bool:
    frame = results.frame
    return bool(frame.at[base, "environment"] == frame.at[new, "environment"])
