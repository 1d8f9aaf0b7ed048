"""What is said of a picture: the slice that it shows, and its numbers as on the phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rnnbench.numbers import format_interval, format_ratio, format_seconds, format_share
from rnnbench.report.groups import CASE_NAMES, setting_text
from rnnbench.report.plots.curves import count_text
from rnnbench.report.plots.style import clean
from rnnbench.schema import PASSES

__all__ = [
    "axis",
    "break_even",
    "caption",
    "columns",
    "devices",
    "forest",
    "heatmap",
    "roofline",
    "rounds",
    "settings",
    "short",
    "split",
    "time",
    "winners",
]

_AXES = {"seq_len": "T", "batch": "B", "hidden_size": "H"}
_MOST = 5  # things that a text lists before it counts the rest


def columns() -> list[str]:
    """Columns that tell cases apart, across files too."""
    return ["run", *CASE_NAMES]


def short(name: Any) -> str:
    """A name of a sentence's length."""
    return clean(name, 40)


def axis(column: str) -> str:
    """A column's letter or name."""
    return _AXES.get(column, column)


def settings(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """The setting of each row in words, of the named columns alone."""
    kept = frame[list(names)].astype(object).to_dict("records")
    return [_setting(record, names) for record in kept]


def _setting(record: Mapping[Any, Any], names: Sequence[str]) -> str:
    plain = {n: clean(v, 30) if isinstance(v, str) else v for n, v in record.items()}
    text = setting_text(plain, [name for name in names if name != "run"])
    parts = [text] if text else []
    if "run" in names:
        parts.append(str(plain["run"]))
    return ", ".join(parts)


def caption(where: str, marks: str, ends: pd.Series | None, left: int, of: str) -> str:
    """Which slice it is, what the marks mean, whether there are intervals, and what is left out."""
    parts = [f"Shown: {where}; {marks}."]
    if ends is not None and not ends.notna().any():
        parts.append("There are no intervals: one process alone cannot say how processes differ.")
    elif ends is not None:
        parts.append("Intervals are of 95 %, over processes.")
    if left > 0:
        parts.append(f"{left} other {of if left > 1 else of.removesuffix('s')} not drawn.")
    return " ".join(parts)


def forest(frame: pd.DataFrame, baseline: str) -> str:
    """Who is faster than the baseline how often, and the largest distances."""
    base = short(baseline)
    counts = []
    for name, mine in frame.groupby("implementation", sort=False):
        faster = int((mine["high"] < 1).sum())
        slower = int((mine["low"] > 1).sum())
        middle = float(mine["ratio"].median())
        counts.append(
            (
                middle,
                f"{short(name)} takes {middle:.2f} of its time in the middle, faster in "
                f"{faster} and slower in {slower} of {len(mine)}",
            )
        )
    counts.sort(key=lambda one: one[0])
    many = frame["setting"].nunique()
    head = f"Against {base} in {many} setting{'s' if many > 1 else ''}: "
    return head + _listed([text for _, text in counts], ";") + "."


def time(frame: pd.DataFrame, column: str) -> str:
    """For each pass the fastest at the ends of the axis."""
    parts = []
    for name in _passes(frame):
        mine = frame[frame["pass"] == name]
        ends = [int(mine[column].min()), int(mine[column].max())]
        said = [
            f"at {axis(column)}={size} {_fastest(mine[mine[column] == size])}"
            for size in dict.fromkeys(ends)
        ]
        parts.append(f"{name}: {', '.join(said)}")
    return "Fastest by the middle time. " + _listed(parts, ";") + "."


def devices(frame: pd.DataFrame, column: str, crossings: pd.DataFrame) -> str:
    """For each implementation where the other device overtakes."""
    parts = []
    for record in crossings.astype(object).to_dict("records"):
        name = f"{short(record['implementation'])} on {short(record['device_new'])}"
        if record["state"] != "crosses" or pd.isna(record["size"]):
            parts.append(f"{name}: {record['state']}")
            continue
        low, high = (_end(record[end]) for end in ("size_low", "size_high"))
        side = "from" if record["faster_above"] else "below"
        parts.append(
            f"{name}: faster {side} about {axis(column)}={record['size']:.3g} (interval {low} to "
            f"{high})"
        )
    if not parts:
        parts = [f"{axis(column)} of {frame[column].min()} to {frame[column].max()}"]
    bases = sorted({short(device) for device in frame["device"].tolist()})
    return f"Devices {', '.join(bases)} against each other. " + _listed(parts, ";") + "."


def winners(frame: pd.DataFrame, x: str, y: str) -> str:
    """How many cells each implementation wins, alone and with others."""
    cells = frame.groupby(list(dict.fromkeys(("pass", x, y))), sort=False)
    first: dict[str, int] = {}
    alone: dict[str, int] = {}
    for _, members in cells:
        named = members[members["first"]]
        if named.empty:
            continue
        name = short(named["implementation"].iloc[0])
        first[name] = first.get(name, 0) + 1
        alone[name] = alone.get(name, 0) + int(members["best"].sum() == 1 and len(members) > 1)
    said = [
        f"{name} in {count}, of which {alone[name]} beyond doubt"
        for name, count in sorted(first.items(), key=lambda one: -one[1])
    ]
    many = sum(first.values())
    return f"Fastest of {many} cell{'s' if many > 1 else ''}: " + _listed(said, ";") + "."


def heatmap(frame: pd.DataFrame, x: str, y: str, baseline: str) -> str:
    """For each implementation its smallest and largest ratio, and where they are."""
    parts = []
    for name, mine in frame.groupby("implementation", sort=False):
        ends = [mine["ratio"].idxmin(), mine["ratio"].idxmax()]
        said = []
        for row in dict.fromkeys(ends):
            at = mine.loc[row]
            value = _ratio(at)
            said.append(f"{value} at {axis(x)} {at[x]} and {axis(y)} {at[y]}")
        parts.append(f"{short(name)} {' to '.join(said)}")
    return f"Time over that of {short(baseline)}: " + _listed(parts, ";") + "."


def split(frame: pd.DataFrame) -> str:
    """For each setting the share of forward in the shortest sum, and who that is."""
    parts = []
    for setting, mine in frame.groupby("setting", sort=False):
        table = mine.pivot_table(
            index="implementation", columns="pass", values="time", aggfunc="first", observed=True
        )
        table = table.dropna(subset=["forward", "backward"])
        if table.empty:
            continue
        sums = table["forward"] + table["backward"]
        name = sums.idxmin()
        share = format_share(float(table.loc[name, "forward"] / sums[name]))
        where = f"{setting}: " if setting else ""
        parts.append(
            f"{where}{short(name)} has the shortest sum, {format_seconds(float(sums[name]))}, of "
            f"which forward {share}; {short(sums.idxmax())} the longest, "
            f"{format_seconds(float(sums.max()))}"
        )
    return _listed(parts, ".") + "."


def break_even(frame: pd.DataFrame, baseline: str) -> str:
    """For each compiled implementation its first call and when it has paid."""
    parts = []
    for record in frame.astype(object).to_dict("records"):
        text = f"{short(record['implementation'])} compiles for "
        text += format_seconds(float(record["compile_cold"]))
        if record["state"] == "pays" and not pd.isna(record["calls"]):
            text += f" and has paid after {count_text(record['calls'])} calls"
            if not pd.isna(record["calls_low"]) and not pd.isna(record["calls_high"]):
                text += (
                    f" (interval {count_text(record['calls_low'])} to "
                    f"{count_text(record['calls_high'])})"
                )
        elif record["state"] == "never":
            text += " and never pays"
        else:
            text += "; whether it pays cannot be told"
        parts.append(text)
    return f"Against {short(baseline)}: " + _listed(parts, ";") + "."


def roofline(frame: pd.DataFrame, limits: Mapping[str, float]) -> str:
    """The largest share of the limit that was reached, and by whom."""
    rate = frame["flops_per_second"]
    best = frame.loc[rate.idxmax()]
    text = f"{short(best['implementation'])} reaches the highest rate, {rate.max() / 1e9:.3g} "
    text += "GFLOP/s"
    if "flops_per_second" in limits:
        text += f", {format_share(float(rate.max()) / limits['flops_per_second'])} of the limit"
    return text + "."


def rounds(data: pd.DataFrame, row: pd.Series) -> str:
    """How many rounds, their typical time, and how far processes and rounds differ."""
    kept = data[~data["warmup"].astype(bool)]
    by_process = kept.groupby("replicate")["seconds"].median()
    low, high = (float(kept["seconds"].quantile(share)) for share in (0.05, 0.95))
    value = float(row["time"])
    ends = [None if pd.isna(row[end]) else float(row[end]) for end in ("time_low", "time_high")]
    return (
        f"{len(kept)} rounds of {short(row['implementation'])} in {kept['block'].nunique()} blocks "
        f"and {len(by_process)} process{'es' if len(by_process) > 1 else ''}; a call typically "
        f"takes {format_seconds(value, *ends)} {format_interval(value, *ends)}. Nine in ten rounds "
        f"are between {format_seconds(low)} and {format_seconds(high)}; medians of processes "
        f"between {format_seconds(float(by_process.min()))} and "
        f"{format_seconds(float(by_process.max()))}."
    )


def _fastest(frame: pd.DataFrame) -> str:
    row = frame.loc[frame["time"].idxmin()]
    ends = [None if pd.isna(row[end]) else float(row[end]) for end in ("time_low", "time_high")]
    value = format_seconds(float(row["time"]), *ends)
    slowest = float(frame["time"].max() / row["time"])
    text = f"{short(row['implementation'])} with {value}"
    return text + (f", the slowest taking {slowest:.2f} times as long" if len(frame) > 1 else "")


def _ratio(row: pd.Series) -> str:
    low, high = (None if pd.isna(row[end]) else float(row[end]) for end in ("low", "high"))
    return " ".join(format_ratio(float(row["ratio"]), low, high))


def _end(value: Any) -> str:
    return "open" if pd.isna(value) else f"{value:.3g}"


def _passes(frame: pd.DataFrame) -> list[str]:
    have = set(frame["pass"].tolist())
    return [name for name in PASSES if name in have]


def _listed(parts: Sequence[str], mark: str) -> str:
    """Parts after each other; of many the first and how many more."""
    more = len(parts) - _MOST
    shown = [*parts[:_MOST], *([f"and {more} more"] if more > 0 else [])]
    return f"{mark} ".join(shown)
