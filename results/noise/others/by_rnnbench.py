"""rnnbench: `rnnbench noise`, whose sides take turns block by block in pairs of fresh processes."""

from __future__ import annotations

import dataclasses
import json

from others.commands import failed, said_by
from others.outcome import CaseOutcome
from others.plan import AGAIN, BASE, Batch, python
from rnnbench.cases import DEFAULT_ENVIRONMENT, Case
from rnnbench.regressions.noise import AGAIN as AGAIN_THERE
from rnnbench.regressions.noise import SAME, name_of_planted, study
from rnnbench.results import Results, Samples, read

NAME = "rnnbench"
PACKAGE = "rnnbench"
RULES = {
    "noise": "`rnnbench noise`: “slower or faster where the interval leaves 1 out”, all cases of a "
    "comparison judged together",
}

_AXES = ("cell", "seq_len", "batch", "input_size", "hidden_size", "num_layers", "layout", "dtype")


def measure(batch: Batch) -> list[CaseOutcome]:
    """Run `rnnbench noise` on a grid of these cases, and take its verdicts."""
    grid = batch.folder / "grid.toml"
    grid.write_text(grid_of(batch.cases), encoding="utf-8")
    planted = [side.share for side in batch.sides if side.share]
    implementations = dict.fromkeys(case.implementation for case in batch.cases)
    command = python(
        *("-m", "rnnbench", "noise", "--grid", grid),
        *("--implementation", ",".join(implementations)),
        *("--seconds", str(batch.seconds), "--planted", ",".join(map(str, planted)) or "none"),
        *("--output", batch.folder / "rnnbench", "--no-store"),
    )
    said = said_by(command, batch.variables(), batch.folder)
    outcomes = outcomes_of(read([batch.folder / "rnnbench" / "noise.json"]), planted)
    if {outcome.case for outcome in outcomes} != {case.id for case in batch.cases}:
        raise failed(command, "other cases than were asked for", said)
    return outcomes


def grid_of(cases: tuple[Case, ...]) -> str:
    """A grid file with these cases: a product for each shape and pass, implementations apart."""
    products = dict.fromkeys(
        (case.pass_, *(getattr(case, axis) for axis in _AXES)) for case in cases
    )
    lines = ['description = "The cases of a comparison with other tools."']
    for product in products:
        lines.append("\n[[product]]")
        named = zip(("pass", *_AXES), product, strict=True)
        lines += [f"{axis} = {json.dumps(value)}" for axis, value in named]
    return "\n".join(lines) + "\n"


def outcomes_of(results: Results, planted: list[float]) -> list[CaseOutcome]:
    """What `rnnbench noise` says of each case, from its result file."""
    found = study(results, planted)
    comparisons = {
        AGAIN: found.unchanged,
        **{f"{100 * share:g} %": found.planted[share] for share in planted},
    }
    sides = {
        SAME: BASE,
        AGAIN_THERE: AGAIN,
        **{name_of_planted(share): f"{100 * share:g} %" for share in planted},
    }
    times: dict[str, dict[str, float]] = {}
    measured: dict[str, dict[str, float]] = {}
    for row in results.measured.index:
        side = sides[str(results.frame.at[row, "environment"])]
        case = _name(results, row)
        times.setdefault(case, {})[side] = float(results.frame.at[row, "time"])
        calls = int(results.frame.at[row, "iterations"])
        measured.setdefault(case, {})[side] = calls * _seconds(results.samples[row])
    verdicts: dict[str, dict[str, str]] = {}
    for side, comparison in comparisons.items():
        for compared in comparison.cases:
            said = compared.verdict or compared.state
            verdicts.setdefault(_name(results, compared.row), {})[side] = said
    (rule,) = RULES
    return [
        CaseOutcome(case, times[case], measured[case], {rule: verdicts[case]}) for case in times
    ]


def _name(results: Results, row: int) -> str:
    return dataclasses.replace(results.case_of(row), environment=DEFAULT_ENVIRONMENT).id


def _seconds(samples: Samples | None) -> float:
    blocks = samples.blocks if samples else ()
    return float(sum(block.warmup.sum() + block.rounds.sum() for block in blocks))
