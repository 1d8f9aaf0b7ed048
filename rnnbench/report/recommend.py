"""Which implementation to use for a shape: the fastest at the nearest shapes that were measured.

Nothing is interpolated: times are those of measured shapes. A wish that no measured shapes enclose
is refused with the command that measures it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.grids.axes import AXES, Place, check_values
from rnnbench.report._processes import figures_of
from rnnbench.report._remeasure import command_to_measure
from rnnbench.report._shapes import distance_to, encloses, neighbours_of
from rnnbench.report._words import joined, name
from rnnbench.report.economics import economics
from rnnbench.report.groups import groups
from rnnbench.report.ratios import Ratio
from rnnbench.report.recommendation import (
    SIZES,
    Candidate,
    Compilation,
    Neighbour,
    Recommendation,
)
from rnnbench.report.snippets import needs, snippet
from rnnbench.report.winners import winners_of
from rnnbench.results import Results

__all__ = ["SIZES", "Candidate", "Compilation", "Neighbour", "Recommendation", "recommend"]

_SETTING: Mapping[str, Sequence[Any]] = {
    "workload": ("layer",),
    "cell": ("rnn_tanh",),
    "num_layers": (1,),
    "bidirectional": (False,),
    "bias": (True,),
    "dropout": (0.0,),
    "initial_state": ("given",),
    "lengths": ("full",),
    "device": ("cpu",),
    "dtype": ("float32",),
    "layout": ("time_major",),
    "pass": ("training_step", "forward_backward", "forward", "inference", "backward"),
    "threads": (1,),
    "seed": (0,),
}
"""What else must be chosen, in this order, and what is taken first where nobody chose."""

_SILENT = ("workload", "seed")
"""Choices that no option makes."""


def recommend(
    results: Results,
    *,
    batch: int,
    seq_len: int,
    hidden_size: int,
    input_size: int | None = None,
    device: str | None = None,
    pass_: str | None = None,
    layout: str | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    cell: str | None = None,
    num_layers: int | None = None,
    bidirectional: bool | None = None,
    bias: bool | None = None,
    dropout: float | None = None,
    initial_state: str | None = None,
    lengths: str | None = None,
) -> Recommendation:
    """Find the fastest implementations for a shape among those that were measured.

    What is left out is chosen: an ``input_size`` is the nearest to ``hidden_size`` that was
    measured at a shape; of everything else the value that `Case` begins with where it was
    measured, of passes a training step, then forward and backward. `Recommendation.assumed` says
    where there was a choice.

    A shape is near by the logarithms of its sizes. If the wish was not measured, the answer holds
    the measured shapes around it, of each run by itself: those with no other measured shape
    between them and the wish.

    Raises:
        UserError: the wish lies outside what was measured, in one of its sizes or because its sizes
            were never measured together (outside the convex hull of the logarithms), or its device,
            pass or other setting was not measured; the message has the command that measures it.
    """
    given = {
        "device": device,
        "pass": pass_,
        "layout": layout,
        "dtype": dtype,
        "threads": threads,
        "cell": cell,
        "num_layers": num_layers,
        "bidirectional": bidirectional,
        "bias": bias,
        "dropout": dropout,
        "initial_state": initial_state,
        "lengths": lengths,
    }
    wish = {
        "seq_len": seq_len,
        "batch": batch,
        "input_size": input_size,
        "hidden_size": hidden_size,
    }
    sizes = {axis: value for axis, value in wish.items() if value is not None}
    chosen = {column: value for column, value in given.items() if value is not None}
    _check({**sizes, **chosen})
    columns = figures_of(results).columns
    rows = results.measured.index.tolist()
    if not rows:
        raise UserError(
            "nothing in these files was measured, so nothing can be recommended; measure it: "
            + command_to_measure(results, sizes, chosen)
        )
    rows, setting, assumed = _choose(results, rows, sizes, chosen)
    around = _around(results, rows, sizes)
    if not around:
        raise UserError(_refusal(results, rows, sizes, setting))
    widths = sorted({columns["input_size"][row] for row in rows})
    if input_size is None and len(widths) > 1:
        assumed = {**assumed, "input_size": tuple(widths)}
    nearest = around[0]
    best = nearest.candidates[0]
    case = results.case_of(best.row)
    names = _plugin_files(results.run_of(best.row).options.get("plugins"), case.environment)
    return Recommendation(
        wish=sizes,
        setting=setting,
        assumed=assumed,
        neighbours=tuple(around),
        snippet=snippet(_wished(case, sizes), names),
        command=command_to_measure(results, sizes, setting, rows) if nearest.distance else None,
    )


def _check(values: Mapping[str, Any]) -> None:
    for column, value in values.items():
        check_values(AXES[column], [value], Place.option("--", AXES[column]))


def _choose(
    results: Results, rows: list[int], sizes: Mapping[str, int], chosen: Mapping[str, Any]
) -> tuple[list[int], dict[str, Any], dict[str, tuple[Any, ...]]]:
    """Rows of one setting: as given, and where nobody chose, as `_SETTING` says."""
    columns = figures_of(results).columns
    for column, value in chosen.items():
        found = [row for row in rows if columns[column][row] == value]
        if not found:
            known = sorted({columns[column][row] for row in rows})
            raise UserError(
                f"--{AXES[column].option} {_text(value)} was not measured"
                f"{_beside(chosen, column)}, only {joined([_text(x) for x in known])}; measure it: "
                + command_to_measure(results, sizes, chosen, rows)
            )
        rows = found
    setting: dict[str, Any] = {}
    assumed: dict[str, tuple[Any, ...]] = {}
    for column, preferred in _SETTING.items():
        known = sorted({columns[column][row] for row in rows})
        setting[column] = next((value for value in preferred if value in known), known[0])
        if len(known) > 1 and column not in _SILENT:
            assumed[column] = tuple(known)
        rows = [row for row in rows if columns[column][row] == setting[column]]
    return rows, setting, assumed


def _beside(chosen: Mapping[str, Any], column: str) -> str:
    """What else was asked for before a column, to say with what it was not measured."""
    before = list(chosen)[: list(chosen).index(column)]
    if not before:
        return ""
    return f" with {joined([f'--{AXES[x].option} {_text(chosen[x])}' for x in before])}"


def _around(results: Results, rows: Sequence[int], sizes: Mapping[str, int]) -> list[Neighbour]:
    """The measured shapes around a wish, of each run that encloses it; the nearest first."""
    columns = figures_of(results).columns
    axes = tuple(sizes)
    wish = tuple(sizes.values())
    by_run: dict[str, dict[tuple[int, ...], list[int]]] = {}
    for row in rows:
        shapes = by_run.setdefault(columns["run"][row], {})
        shapes.setdefault(tuple(columns[axis][row] for axis in axes), []).append(row)
    found = [
        (distance_to(wish, shape), run, _of_one_width(results, shapes[shape], sizes))
        for run, shapes in by_run.items()
        if encloses(list(shapes), wish)
        for shape in neighbours_of(list(shapes), wish)
    ]
    found.sort(key=lambda entry: entry[0])
    if not found:
        return []
    costs = _compilations(results)
    return [_neighbour(results, members, run, sizes, costs) for _, run, members in found]


def _of_one_width(results: Results, rows: Sequence[int], sizes: Mapping[str, int]) -> list[int]:
    """Rows of one input size: the nearest to the hidden size, where none was asked for."""
    columns = figures_of(results).columns
    hidden = math.log(sizes["hidden_size"])
    widths = {columns["input_size"][row] for row in rows}
    width = min(widths, key=lambda width: (abs(math.log(width) - hidden), width))
    return [row for row in rows if columns["input_size"][row] == width]


def _compilations(results: Results) -> dict[int, Compilation]:
    return {
        record["row"]: Compilation(
            cold=_known(record["compile_cold"]),
            warm=_known(record["compile_warm"]),
            against=None if record["fastest_eager"] is None else int(record["fastest_eager"]),
            state=_known(record["eager_state"]),
            calls=_known(record["eager_calls"]),
            calls_low=_known(record["eager_calls_low"]),
            calls_high=_known(record["eager_calls_high"]),
        )
        for record in _records(results)
    }


def _records(results: Results) -> list[dict[Any, Any]]:
    costs = economics(results).astype(object)
    records: list[dict[Any, Any]] = costs.where(costs.notna(), None).to_dict("records")
    return records


def _known(value: Any) -> Any:
    return None if value is None or value != value else value


def _neighbour(
    results: Results,
    rows: Sequence[int],
    run: str,
    sizes: Mapping[str, int],
    costs: Mapping[int, Compilation],
) -> Neighbour:
    columns = figures_of(results).columns
    winners = winners_of(results, rows)
    measured = {axis: int(columns[axis][rows[0]]) for axis in SIZES}
    factors = {axis: measured[axis] / value for axis, value in sizes.items()}
    alike = {winners.best, *winners.tied}
    return Neighbour(
        run=run,
        sizes=measured,
        factors=factors,
        distance=math.hypot(*(math.log(factor) for factor in factors.values())),
        winners=winners,
        candidates=tuple(
            _candidate(results, standing.row, standing.ratio, costs)
            for standing in winners.standings
            if standing.row in alike
        ),
        not_measured=_missing(results, rows[0]),
    )


def _candidate(
    results: Results, row: int, ratio: Ratio | None, costs: Mapping[int, Compilation]
) -> Candidate:
    frame = results.frame
    implementation = str(frame.at[row, "implementation"])
    return Candidate(
        row=row,
        implementation=implementation,
        environment=str(frame.at[row, "environment"]),
        time=float(frame.at[row, "time"]),
        low=_known(float(frame.at[row, "time_low"])),
        high=_known(float(frame.at[row, "time_high"])),
        ratio=ratio,
        compilation=costs.get(row),
        needs=needs(implementation),
    )


def _missing(results: Results, row: int) -> tuple[tuple[str, str], ...]:
    """Implementations that could not be measured where a row was, with their statuses."""
    frame = results.frame
    alike = [members for members in groups(frame).values() if row in members]
    rows = [other for other in alike[0] if results.samples[other] is None]
    return tuple(
        (str(frame.at[other, "implementation"]), str(frame.at[other, "status"])) for other in rows
    )


def _wished(case: Case, sizes: Mapping[str, int]) -> Case:
    return Case.from_columns({**case.columns(), **sizes})


def _plugin_files(given: Any, environment: str) -> list[str]:
    """Names of the plug-ins that an environment had loaded; a file may hold anything there."""
    names = [x for x in given if isinstance(x, str)] if isinstance(given, list) else []
    own = f"{environment}="
    return [x.removeprefix(own) for x in names if "=" not in x or x.startswith(own)]


def _refusal(
    results: Results, rows: Sequence[int], sizes: Mapping[str, int], setting: Mapping[str, Any]
) -> str:
    """Why a wish cannot be answered, and how to measure it."""
    columns = figures_of(results).columns
    outside = []
    for axis, value in sizes.items():
        known = sorted({columns[axis][row] for row in rows})
        if not known[0] <= value <= known[-1]:
            reach = f"{known[0]} to {known[-1]}" if known[1:] else f"{known[0]} alone"
            outside.append(f"--{AXES[axis].option} {value} (measured: {reach})")
    what = f"{setting['pass']} on {setting['device']}"
    if outside:
        verb = "lies" if len(outside) == 1 else "lie"
        start = f"{joined(outside)} {verb} outside what was measured of {name(what)}"
    else:
        wished = " ".join(f"--{AXES[axis].option} {value}" for axis, value in sizes.items())
        start = (
            f"each size of {wished} lies within what was measured of {name(what)}, but no measured "
            "shapes enclose them together"
        )
    return f"{start}, and nothing is extrapolated; measure it: " + command_to_measure(
        results, sizes, setting, rows
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else name(value)
