"""What `rnnbench profile` prints: parts, operators, memory and gradients as tables, and remarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from rnnbench.diagnosis.profiles import Profile
from rnnbench.numbers import column_unit, format_bytes, format_count, format_seconds, format_share
from rnnbench.report.content import Align, Cell, Table, TableColumn

__all__ = [
    "compiled_table",
    "functions_table",
    "gradients_table",
    "growth_table",
    "instructions_table",
    "memory_table",
    "operators_table",
    "parts_table",
    "remarks",
    "steps_table",
]

_RIGHT: Align = "right"
_PARTS = {
    "matrix_product": "matrix product",
    "elementwise": "elementwise",
    "copy": "copy",
    "overhead": "framework overhead",
}
_PHASES = {
    "tracing": "tracing",
    "autograd": "autograd",
    "lowering": "lowering",
    "code_generation": "code generation",
    "compiling": "C++ or Triton",
}
_MOST_OPERATORS = 12
_WARNED_SLOWDOWN = 1.5
_WARNED_COVER = 0.01


def parts_table(profiles: Sequence[Profile]) -> Table:
    """For each case what its profiled call's time was spent on."""
    done = _profiled(profiles)
    scale, unit = column_unit(p.operators["seconds"] for p in done)
    headings = [
        "case",
        *_PARTS.values(),
        "sum",
        f"profiled call, {unit}",
        "without profiler",
        "launches per step",
    ]
    rows = []
    for profile in done:
        found = profile.operators
        rows.append(
            [
                Cell(profile.case.id),
                *(Cell(format_share(found["parts"][p] / found["seconds"])) for p in _PARTS),
                Cell(f"{100 * profile.covered:.1f} %"),
                Cell(f"{found['seconds'] / scale:.3g}", found["seconds"]),
                Cell(f"{found['plain'] / scale:.3g}", found["plain"]),
                Cell(f"{found['launches_per_step']:.4g}"),
            ]
        )
    return Table(
        "profile_parts",
        "What a call's time is spent on",
        "Shares of one profiled call, the one in the middle of several. Profiling itself costs "
        "time with each operator and that lies in the overhead, so compare the call's seconds "
        "with those without the profiler. None of them is a measured time.",
        [TableColumn(headings[0]), *(TableColumn(h, _RIGHT) for h in headings[1:])],
        rows,
        pd.DataFrame(
            [
                {
                    **p.case.columns(),
                    **p.operators["parts"],
                    "profiled_seconds": p.operators["seconds"],
                    "plain_seconds": p.operators["plain"],
                }
                for p in done
            ]
        ),
    )


def operators_table(profile: Profile, most: int = _MOST_OPERATORS) -> Table:
    """Operators and kernels of one case, those with the most time of their own first."""
    found = [
        *(("operator", row) for row in profile.operators["operators"]),
        *(("kernel", row) for row in profile.operators["kernels"]),
    ]
    scale, unit = column_unit([profile.operators["seconds"]])
    rows = [
        [
            Cell(row["name"]),
            Cell(_PARTS[row["part"]]),
            Cell(format_count(row["calls"])),
            Cell(f"{row['calls_per_step']:.4g}"),
            Cell(f"{row['own'] / scale:.3f}", row["own"]),
            Cell(f"{row['seconds'] / scale:.3f}", row["seconds"]),
            Cell(format_share(row["own"] / profile.operators["seconds"])),
        ]
        for _, row in found[:most]
    ]
    rest = len(found) - len(rows)
    between = profile.operators["between"]
    rows.append(
        [
            Cell("between operators"),
            Cell(_PARTS["overhead"]),
            Cell(""),
            Cell(""),
            Cell(f"{between / scale:.3f}", between),
            Cell(""),
            Cell(format_share(between / profile.operators["seconds"])),
        ]
    )
    more = f" {rest} more are in the file that --json writes." if rest else ""
    return Table(
        "profile_operators",
        f"Operators: {profile.case.id}",
        "Own time is without what an operator calls; what runs between operators is Python for the "
        f"most part.{more}",
        [
            TableColumn("operator"),
            TableColumn("part"),
            TableColumn("calls", _RIGHT),
            TableColumn("per step", _RIGHT),
            TableColumn(f"own, {unit}", _RIGHT),
            TableColumn(f"with what it calls, {unit}", _RIGHT),
            TableColumn("share", _RIGHT),
        ],
        rows,
        pd.DataFrame([{"what": what, **row} for what, row in found]),
    )


def steps_table(profiles: Sequence[Profile]) -> Table | None:
    """The fixed cost of a call and the cost of a step; None where no case has them."""
    done = [p for p in _profiled(profiles) if p.steps is not None]
    if not done:
        return None
    rows = []
    for profile in done:
        steps = profile.steps
        assert steps is not None
        rows.append(
            [
                Cell(profile.case.id),
                Cell(", ".join(map(str, steps.lengths))),
                _within(steps.fixed, steps.fixed_range),
                _within(steps.per_step, steps.per_step_range),
                Cell(format_share(steps.deviation)),
            ]
        )
    return Table(
        "profile_steps",
        "Fixed cost of a call, and cost of a step",
        "Seconds of a call as a + b·T, fitted to calls without a profiler that took turns in one "
        "process: the middle over turns and their extremes, which say nothing of other processes. "
        "A negative fixed cost says that steps get dearer with the length. Deviation: what the "
        "length that fits worst misses by.",
        [
            TableColumn("case"),
            TableColumn("lengths"),
            TableColumn("fixed cost a", _RIGHT),
            TableColumn("per step b", _RIGHT),
            TableColumn("deviation", _RIGHT),
        ],
        rows,
        pd.DataFrame([{**p.case.columns(), **p.steps.columns()} for p in done if p.steps]),
    )


def memory_table(profiles: Sequence[Profile]) -> Table | None:
    """What each case keeps for its backward, against what must be kept; None where none is told."""
    done = [p for p in _profiled(profiles) if p.memory]
    if not done:
        return None
    rows = []
    for profile in done:
        found = profile.memory
        must = found["must_keep"]
        rows.append(
            [
                Cell(profile.case.id),
                Cell(format_bytes(found["saved"]), found["saved"]),
                Cell(format_bytes(found["saved_per_step"])),
                Cell("no closed form" if must is None else format_bytes(must)),
                Cell("" if not must else f"{found['saved'] / must:.3f}"),
                Cell("not told" if found["peak"] is None else format_bytes(found["peak"])),
                Cell(
                    "not told"
                    if found["allocations"] is None
                    else f"{found['allocations_per_step']:.4g}"
                ),
            ]
        )
    headings = (
        "kept for backward",
        "per step",
        "must be kept",
        "kept / must",
        "peak of a call",
        "allocations per step",
    )
    return Table(
        "profile_memory",
        "Memory",
        "Kept for backward: storages that a forward pass makes and autograd holds, each once; "
        "inputs and weights, which it points to, are not among them. Must be kept: the closed form "
        "of the cell. Peak and allocations are of one call of the pass.",
        [TableColumn("case"), *(TableColumn(heading, _RIGHT) for heading in headings)],
        rows,
        pd.DataFrame([{**p.case.columns(), **p.memory} for p in done]),
    )


def gradients_table(profiles: Sequence[Profile]) -> Table | None:
    """How gradients change with each step back; None where no case has them."""
    flows = [(p, flow) for p in _profiled(profiles) for flow in p.gradients]
    if not flows:
        return None
    rows = []
    for profile, flow in flows:
        norms, decay = flow["norms"], flow["decay"]
        case = profile.case
        rows.append(
            [
                Cell(
                    f"{case.cell} T{case.seq_len} B{case.batch} I{case.input_size} "
                    f"H{case.hidden_size}"
                ),
                Cell(f"{flow['layer']}{' reverse' if flow['direction'] else ''}"),
                Cell(flow["state"]),
                *(Cell("overflows" if n is None else f"{n:.3g}") for n in (norms[-1], norms[0])),
                Cell("cannot be fitted" if decay is None else f"{decay:.4f}"),
                Cell(_called(decay)),
            ]
        )
    headings = ("at the loss", "T steps away", "factor per step")
    return Table(
        "profile_gradients",
        "Gradient flow through time",
        "Norm of ∂loss/∂state_t for a loss of the last states alone, by the cell's formula in "
        "float64 with the weights that are timed (as torch.nn initialises them); the factor per "
        "step is fitted to the half of the steps that is farther from the loss.",
        [
            TableColumn("cell"),
            TableColumn("layer"),
            TableColumn("state"),
            *(TableColumn(heading, _RIGHT) for heading in headings),
            TableColumn("gradients"),
        ],
        rows,
        pd.DataFrame(
            [
                {**p.case.columns(), **flow, "norms": None, "t": t, "norm": norm}
                for p, flow in flows
                for t, norm in enumerate(flow["norms"])
            ]
        ).drop(columns="norms"),
    )


def compiled_table(profiles: Sequence[Profile]) -> Table | None:
    """What was compiled for each case and in which phases; None where nothing was."""
    done = [p for p in _profiled(profiles) if p.compiled]
    if not done:
        return None
    rows = []
    for profile in done:
        found = profile.compiled
        phases = found["phases"]
        rows.append(
            [
                Cell(profile.case.id),
                *(
                    Cell("not told" if phases is None else f"{phases[phase]:.2f}")
                    for phase in _PHASES
                ),
                Cell(str(found["kernels"])),
                Cell("; ".join(found["breaks"]) or "none"),
                Cell("; ".join(found["recompilations"]) or "none"),
            ]
        )
    return Table(
        "profile_compiled",
        "Compilation",
        "Seconds of each phase, by the compiler's own accounts, of all that preparing the case "
        "compiled: inference, forward and backward. Without the compiler's start.",
        [
            TableColumn("case"),
            *(TableColumn(f"{words}, s", _RIGHT) for words in _PHASES.values()),
            TableColumn("kernels", _RIGHT),
            TableColumn("graph breaks"),
            TableColumn("recompilations"),
        ],
        rows,
        pd.DataFrame([{**p.case.columns(), **(p.compiled["phases"] or {})} for p in done]),
    )


def growth_table(profiles: Sequence[Profile]) -> Table | None:
    """How compilation grows with the length; None where it was not asked for."""
    done = [(p, p.growth) for p in _profiled(profiles) if p.growth is not None]
    if not done:
        return None
    rows = [
        [
            Cell(profile.case.id),
            Cell(", ".join(f"T{n}: {s:.1f}" for n, s in zip(g.lengths, g.seconds, strict=True))),
            Cell(f"{g.exponent:.2f} [{g.interval[0]:.2f}, {g.interval[1]:.2f}]", g.exponent),
            Cell(f"{g.last_exponent:.2f}", g.last_exponent),
        ]
        for profile, g in done
    ]
    return Table(
        "profile_growth",
        "How compilation grows with the length",
        "Seconds until the pass could first be used, cold: each length in a process and with a "
        "cache of its own. Seconds ∝ T^exponent through all lengths, with its interval at 95 %, "
        "which a fixed cost widens too, and between the two longest.",
        [
            TableColumn("case"),
            TableColumn("seconds"),
            TableColumn("exponent", _RIGHT),
            TableColumn("of the two longest", _RIGHT),
        ],
        rows,
        pd.DataFrame(
            [
                {**p.case.columns(), "seq_len": length, "seconds": seconds}
                for p, g in done
                for length, seconds in zip(g.lengths, g.seconds, strict=True)
            ]
        ),
    )


def instructions_table(profiles: Sequence[Profile]) -> Table | None:
    """Instructions of a call; None where no case has them."""
    done = [p for p in _profiled(profiles) if p.instructions]
    if not done:
        return None
    rows = []
    for profile in done:
        found = profile.instructions
        middle, counts = found["instructions"], found["counts"]
        rows.append(
            [
                Cell(profile.case.id),
                Cell(format_count(middle), middle),
                Cell(f"{100 * (max(counts) - min(counts)) / middle:.2f} %"),
                Cell(format_count(middle / profile.operators["steps"])),
                Cell(found["cpu_capability"]),
            ]
        )
    headings = ("instructions of a call", "spread of calls", "per step")
    hidden = sorted({feature for p in done for feature in p.instructions["hidden_features"]})
    return Table(
        "profile_instructions",
        "Instructions",
        "Counted by Callgrind in one thread, the middle of several calls. Instructions are no "
        "time: they leave out caches, how wide a vector is, threads and devices."
        + (
            f" This processor has {' and '.join(hidden)}, which Valgrind has not: where that "
            "matters, other code is counted than is timed."
            if hidden
            else ""
        ),
        [
            TableColumn("case"),
            *(TableColumn(heading, _RIGHT) for heading in headings),
            TableColumn("code for"),
        ],
        rows,
        pd.DataFrame(
            [
                {**p.case.columns(), "call": index, "instructions": number}
                for p in done
                for index, number in enumerate(p.instructions["counts"])
            ]
        ),
    )


def functions_table(profile: Profile, most: int = _MOST_OPERATORS) -> Table:
    """The functions that most instructions of one case are in."""
    found = profile.instructions["functions"]
    whole = profile.instructions["instructions"]
    rows = [
        [
            Cell(row["name"]),
            Cell(format_count(row["instructions"]), row["instructions"]),
            Cell(format_share(row["instructions"] / whole)),
        ]
        for row in found[:most]
    ]
    return Table(
        "profile_functions",
        f"Functions: {profile.case.id}",
        "Instructions in the function itself, without what it calls.",
        [
            TableColumn("function [file]"),
            TableColumn("instructions", _RIGHT),
            TableColumn("share", _RIGHT),
        ],
        rows,
        pd.DataFrame(found),
    )


def remarks(profiles: Sequence[Profile]) -> Iterator[str]:
    """What has no profile and why, and what a reader must know of those that there are."""
    for profile in profiles:
        name = profile.case.id
        if profile.status != "profiled":
            yield f"{name} is {profile.status}: {profile.reason}."
            continue
        for part, reason in profile.missing.items():
            yield f"{name} has no {part.replace('_', ' ')}: {reason}."
        if profile.operators["unknown"]:
            yield (
                f"{name}: it is not known by name what {', '.join(profile.operators['unknown'])} "
                "does, so it counts as framework overhead."
            )
        if profile.slowdown > _WARNED_SLOWDOWN:
            yield (
                f"{name}: profiling made the call {profile.slowdown:.1f} times as long, so the "
                "share of framework overhead is too large."
            )
        if abs(profile.covered - 1) > _WARNED_COVER:
            yield (
                f"{name}: the parts add up to {100 * profile.covered:.1f} % of the call, so the "
                "profiler's record is not complete."
            )
        idle = profile.operators["idle"]
        if idle is not None:
            yield (
                f"{name}: the device had nothing to do for {format_seconds(idle)} of "
                f"{format_seconds(profile.operators['seconds'])}, "
                f"{format_share(idle / profile.operators['seconds'])}, while the host prepared."
            )


def _profiled(profiles: Sequence[Profile]) -> list[Profile]:
    return [profile for profile in profiles if profile.status == "profiled"]


def _within(value: float, extremes: tuple[float, float]) -> Cell:
    scale, unit = column_unit([value])
    low, high = (f"{end / scale:.3g}" for end in extremes)
    return Cell(f"{value / scale:.3g} {unit} [{low}, {high}]", value)


def _called(decay: float | None) -> str:
    if decay is None:
        return "do not get through"
    if decay < 1:
        return "vanish"
    return "stay" if decay == 1 else "explode"
