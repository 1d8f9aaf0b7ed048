"""Which pictures a report has: the plots of the slices that tell most, with words for each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from rnnbench.report import plots
from rnnbench.report.content import Picture
from rnnbench.report.crossover import FASTEST, crossovers_of
from rnnbench.report.economics import economics
from rnnbench.report.groups import groups
from rnnbench.report.plots import words
from rnnbench.report.plots.curves import limits_of
from rnnbench.report.plots.slices import SIZES, Rows, Slice, along, crossed, devices_along, fullest
from rnnbench.report.plots.source import Source
from rnnbench.report.winners import winners_of
from rnnbench.results import Results, rounds_of

__all__ = ["pictures"]

_SETTINGS = 14  # rows of the overview
_MARKS = 100  # and marks in it, more of which would make it taller than a page
_PANELS = 9  # of the heat map
_PASSES = ("forward_backward", "inference", "training_step", "forward", "backward")
_SPLITS = 4  # panels of the split by pass
_COMPILED = 6  # panels of the break-even curves
_TITLES = {
    "seq_len": "Time against sequence length",
    "batch": "Time against batch size",
    "hidden_size": "Time against hidden size",
}


def pictures(results: Results, baseline: str = "nn_rnn", limit: int = 12) -> list[Picture]:
    """Draw what a report shows of some results: at most ``limit`` pictures, most telling first.

    Each shows one slice, which its caption names, however large the file is; a picture for which
    the results have nothing is left out, so that results without a measured row have none.
    """
    source = Source(results, baseline)
    if not source.rows.index:
        return []
    makers: list[Callable[[], Picture | None]] = [
        lambda: _forest(source),
        *(_bound(_devices, source, axis) for axis in SIZES),
        *(_bound(_time, source, axis) for axis in SIZES),
        lambda: _winners(source),
        lambda: _heatmap(source),
        lambda: _split(source),
        lambda: _break_even(source),
        lambda: _roofline(source),
        *(_bound(_rounds, source, which) for which in ("noisiest", "noisiest_share", "typical")),
    ]
    found: list[Picture] = []
    for make in makers:
        if len(found) >= limit:
            break
        picture = make()
        if picture is not None:
            found.append(picture)
    return found


def _caption(
    where: str, marks: str, ends: pd.Series | None, part: Slice, of: str = "slices"
) -> str:
    return words.caption(where, marks, ends, part.others, of)


def _bound(
    maker: Callable[[Source, str], Picture | None], source: Source, which: str
) -> Callable[[], Picture | None]:
    return lambda: maker(source, which)


def _forest(source: Source) -> Picture | None:
    """All implementations to the baseline, at the settings with most competitors."""
    rows = source.rows
    candidates: list[tuple[int, int, list[int]]] = []
    found = groups(rows.frame, ("implementation",))
    place = {row: at for at, row in enumerate(rows.index)}
    for at, members in enumerate(found.values()):
        places = [place[row] for row in members]
        names = [rows.columns["implementation"][p] for p in places]
        if source.baseline in names and len(places) > 1:
            candidates.append((len(places), at, places))
    if not candidates:
        return None

    def rank(entry: tuple[int, int, list[int]]) -> tuple[int, int, int]:
        return _PASSES.index(rows.columns["pass"][entry[2][0]]), -entry[0], entry[1]

    many = len(set(rows.columns["implementation"])) - 1
    chosen = sorted(candidates, key=rank)[: max(4, min(_SETTINGS, _MARKS // many))]
    ordered = sorted(chosen, key=lambda entry: (rank(entry)[0], entry[1]))
    frame = source.ratios([p for _, _, places in ordered for p in places])
    named = words.columns()
    differ = [n for n in named if n != "implementation" and frame[n].nunique() > 1]
    frame["setting"] = words.settings(frame, differ or ["pass"])
    fixed = {n: frame[n].iloc[0] for n in named if n != "implementation" and n not in differ}
    where = rows.words(fixed)
    title = f"Time over that of {words.short(source.baseline)}"
    left = len(candidates) - len(chosen)
    return Picture(
        "overview",
        title,
        words.caption(
            where,
            f"dots are ratios to {words.short(source.baseline)}, bars their intervals, "
            "the grey band ± 2 %",
            frame["low"],
            left,
            "settings",
        ),
        words.forest(frame, source.baseline),
        plots.ratio_forest(frame, baseline=source.baseline, title=title, note=where),
        frame,
    )


def _time(source: Source, axis: str) -> Picture | None:
    found = along(source.rows, axis)
    if found is None:
        return None
    frame = source.frame(found.places)
    where = source.rows.words(found.fixed)
    return Picture(
        f"time_{axis}",
        _TITLES[axis],
        _caption(where, "bands are intervals", frame["time_low"], found),
        words.time(frame, axis),
        plots.time_against(frame, axis, title=_TITLES[axis], note=where),
        frame,
    )


def _devices(source: Source, axis: str) -> Picture | None:
    if source.rows.frame["device"].nunique() < 2:
        return None
    crossings = crossovers_of(source.results, axis)
    crossings = crossings[crossings["implementation"] != FASTEST]
    crossing = crossings[crossings["state"] == "crosses"]
    found = devices_along(
        source.rows, axis, {row for rows in crossing["rows_new"].tolist() for row in rows}
    )
    if found is None:
        return None
    frame = source.frame(found.places)
    where = source.rows.words(found.fixed)
    mine = set(frame.index.tolist())
    crossings = crossings[[mine >= {*rows} for rows in crossings["rows_new"].tolist()]]
    title = f"{_TITLES[axis]} on each device"
    marks = (
        "bands are intervals, dashed lines the device's own time, grey columns the interval of the "
        "crossover"
    )
    return Picture(
        f"devices_{axis}",
        title,
        _caption(where, marks, frame["time_low"], found),
        words.devices(frame, axis, crossings),
        plots.device_comparison(frame, axis, crossings, title=title, note=where),
        frame,
    )


def _winners(source: Source) -> Picture | None:
    found = crossed(source.rows, passes=True)
    if found is None:
        return None
    part, x, y = found
    frame = source.frame(part.places).copy()
    firsts: set[int] = set()
    best: set[int] = set()
    for members in groups(frame, ("implementation",)).values():
        winners = winners_of(source.results, members)
        firsts.add(winners.best)
        best |= {winners.best, *winners.tied}
    frame["first"] = [row in firsts for row in frame.index.tolist()]
    frame["best"] = [row in best for row in frame.index.tolist()]
    where = source.rows.words(part.fixed)
    title = "Fastest implementation"
    marks = "a pale cell has others that the interval cannot tell from the fastest"
    return Picture(
        "winners",
        title,
        _caption(where, marks, frame["time_low"], part),
        words.winners(frame, x, y),
        plots.winner_map(frame, x, y, title=title, note=where),
        frame,
    )


def _heatmap(source: Source) -> Picture | None:
    found = crossed(source.rows, passes=False)
    if found is None:
        return None
    part, x, y = found
    frame = source.ratios(part.places)
    if frame.empty:
        return None
    middle = frame.groupby("implementation")["ratio"].transform("median")
    frame = frame.assign(middle=middle).sort_values("middle", kind="stable").drop(columns="middle")
    names = list(dict.fromkeys(frame["implementation"].tolist()))
    drawn = frame[frame["implementation"].isin(names[:_PANELS])]
    where = source.rows.words(part.fixed)
    base = words.short(source.baseline)
    marks = f"blue is faster than {base}, orange slower; ≈ 1 marks an interval that holds 1"
    if len(names) > _PANELS:
        marks += f"; the {len(names) - _PANELS} slowest are in the table alone"
    title = f"Time over that of {base}, by {words.axis(x)} and {words.axis(y)}"
    note = f"{where}. Blue is faster, orange slower; ≈ 1: the interval holds 1."
    return Picture(
        "speedups",
        title,
        _caption(where, marks, frame["low"], part),
        words.heatmap(frame, x, y, source.baseline),
        plots.speedup_heatmap(drawn, x, y, title=title, note=note),
        frame,
    )


def _split(source: Source) -> Picture | None:
    found = fullest(source.rows, ("implementation", "pass"), {"forward", "backward"}, _SPLITS)
    if not found:
        return None
    frame = source.frame([p for part in found for p in part.places])
    frame = frame[frame["pass"].isin(["forward", "backward", "forward_backward"])].copy()
    names = [n for n in found[0].fixed if len({part.fixed[n] for part in found}) > 1]
    frame["setting"] = words.settings(frame, names) if names else ""
    shared = {n: v for n, v in found[0].fixed.items() if n not in names}
    where = source.rows.words(shared)
    title = "Forward and backward"
    bars = (
        "full colour is forward, light is backward, Σ their sum, the diamond forward_backward "
        "by itself; passes do not take turns with each other, so that the machine's state may "
        "differ between them"
    )
    return Picture(
        "passes",
        title,
        words.caption(
            where,
            f"{bars}; its bar is the interval",
            frame["time_low"],
            found[0].others + 1 - len(found),
            "settings",
        ),
        words.split(frame),
        plots.pass_split(frame, title=title, note=f"{where}. {bars[0].upper()}{bars[1:]}."),
        frame,
    )


def _break_even(source: Source) -> Picture | None:
    frame = economics(source.results, source.baseline)
    frame = frame[frame["base"].notna() & frame["compile_cold"].notna()]
    # Scripting takes milliseconds and is paid at once; what waits is a compiler.
    slow = frame[frame["compile_cold"] > 0.1]
    frame = slow if len(slow) else frame
    if frame.empty:
        return None
    part = _most_compiled(frame)
    frame = frame.iloc[list(part.places)].iloc[:_COMPILED].copy()
    times = dict(zip(source.rows.index, source.rows.frame["time"].tolist(), strict=True))
    frame["base_implementation"] = source.baseline
    frame["base_time"] = [times[int(row)] for row in frame["base"].tolist()]
    for name in ("calls", "calls_low", "calls_high", "state"):
        frame[name] = frame[f"base_{name}"]
    where = source.rows.words(part.fixed)
    title = f"When compiling has paid for itself against {words.short(source.baseline)}"
    marks = (
        "seconds spent in all, the first call with a cold cache; the line is the break-even point, "
        "the grey column its interval"
    )
    return Picture(
        "break_even",
        title,
        _caption(where, marks, frame["base_gain_low"], part, "settings"),
        words.break_even(frame, source.baseline),
        plots.break_even(frame, title=title, note=where),
        frame,
    )


def _most_compiled(frame: pd.DataFrame) -> Slice:
    """The setting with most compiled ways, and with most of them that pay."""
    pays = (frame["base_state"] == "pays").tolist()
    return max(
        fullest(Rows(frame), ("implementation",), set(), len(frame)),
        key=lambda part: (
            len(part.places),
            sum(bool(pays[p]) for p in part.places),
            -_PASSES.index(part.fixed["pass"]),
        ),
    )


def _roofline(source: Source) -> Picture | None:
    rows = source.rows
    apart = ("implementation", "pass", *SIZES, "input_size", "num_layers", "layout")
    known = rows.frame[rows.frame["flops_share"].notna() | rows.frame["bytes_share"].notna()]
    if known.empty:
        return None
    found = fullest(Rows(known), apart, set(), 10**6)
    part = max(found, key=lambda one: len(one.places))
    frame = known.iloc[list(part.places)]
    where = rows.words(part.fixed)
    title = "Achieved rate below the machine's limits"
    return Picture(
        "roofline",
        title,
        _caption(where, "lines are limits measured on this machine", None, part),
        words.roofline(frame, limits_of(frame)),
        plots.roofline(frame, title=title, note=where),
        frame,
    )


def _rounds(source: Source, which: str) -> Picture | None:
    frame = source.rows.frame
    wide = ((frame["time_high"] - frame["time_low"]) / frame["time"]).to_numpy(dtype=float)
    if np.isnan(wide).all():
        if which != "typical":
            return None
        wide = np.zeros(len(frame))
    order = np.argsort(np.where(np.isnan(wide), -1, wide), kind="stable").tolist()
    at = order[len(order) // 2] if which == "typical" else order[-1]
    if which == "typical" and len(order) == 1 and wide[0] > 0:
        return None  # it is the noisiest already
    row = source.rows.index[at]
    fixed = {n: source.rows.columns[n][at] for n in words.columns()}
    case = f"{words.short(fixed.pop('implementation'))}, {source.rows.words(fixed)}"
    data = rounds_of(source.results, [row])
    kind = "a typical case" if which == "typical" else "the noisiest case"
    share = which == "noisiest_share"
    title = f"{'How the rounds of' if share else 'Every round of'} {kind}" + (
        " are spread" if share else ""
    )
    plot = plots.rounds_distribution if share else plots.rounds_over_time
    said = (
        "thin lines are blocks, thick ones processes"
        if share
        else "colours are processes, thin lines the ends of blocks, dark bars their medians"
    )
    return Picture(
        f"rounds_{which}",
        title,
        words.caption(case, said, None, 0, ""),
        words.rounds(data, frame.iloc[at]),
        plot(data, title=title, note=case),
        data,
    )
