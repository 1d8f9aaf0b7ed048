"""Several results of the same code on one machine as one: each becomes a session of the whole."""

from __future__ import annotations

import hashlib
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.regressions.machines import Difference, differences
from rnnbench.report.escaping import clean
from rnnbench.results import Run, described_run
from rnnbench.validation import read_document

__all__ = [
    "SAME_CODE",
    "benchmark_stats",
    "join_results",
    "joined_id",
    "joined_load",
    "path_of",
    "replicates_numbered_on",
    "sessions_of",
    "summed",
    "turns_of",
    "with_changes",
]

SAME_CODE = ("torch", "torch_git", "python", "planted")
"""What must be equal, beside machine and settings, for processes to be replicates."""

_PATH = ("backend", "graphs", "breaks")
_LISTED = 3


def join_results(files: Sequence[Path]) -> dict[str, Any]:
    """Join results: processes of the later ones become further replicates of the same benchmarks.

    Replicates and turns are numbered on, rounds lie behind each other, and pytest-benchmark's
    statistics are those of all of them. ``sessions`` says which replicates were measured at one
    time: only those are compared with each other. What describes a case (its verification, what
    ran, its compilation) is of the first result that has its times, and so are grid and options.

    Raises:
        UserError: a file is no valid result, or they are not of the same code on one machine.
    """
    documents = [read_document(file) for file in files]
    runs = [
        described_run(str(file), str(file), document)
        for file, document in zip(files, documents, strict=True)
    ]
    _check_same(runs)
    parts: dict[Case, list[dict[str, Any]]] = {}
    missing: dict[Case, Mapping[str, Any]] = {}
    sessions: list[dict[str, Any]] = []
    replicates = turns = 0
    for document in documents:
        ours = document["rnnbench"]
        for benchmark in document["benchmarks"]:
            case = Case.from_columns(benchmark["extra_info"]["rnnbench"]["case"])
            parts.setdefault(case, []).append(replicates_numbered_on(benchmark, replicates, turns))
        missing |= {Case.from_columns(entry["case"]): entry for entry in ours["not_measured"]}
        found = sessions_of(document)
        sessions += [
            {**session, "replicates": [replicates + end for end in session["replicates"]]}
            for session in found
        ]
        replicates += found[-1]["replicates"][1]
        turns += turns_of(document)
    first = documents[0]
    notes = [note for run in runs for note in run.notes]
    return {
        **first,
        "datetime": documents[-1].get("datetime"),
        "benchmarks": [_joined(found) for found in parts.values()],
        "rnnbench": {
            **first["rnnbench"],
            "run_id": joined_id(runs),
            "options": {
                **runs[0].options,
                **summed("replicates_run", [run.options for run in runs]),
            },
            "environments": {
                name: {
                    **described,
                    **summed("processes", [run.environments[name] for run in runs]),
                }
                for name, described in runs[0].environments.items()
            },
            "load": joined_load([run.load for run in runs]),
            "sessions": sessions,
            "notes": list(dict.fromkeys([*notes, *_odd_ones(documents, parts)])),
            "not_measured": [entry for case, entry in missing.items() if case not in parts],
        },
    }


def benchmark_stats(data: Sequence[float]) -> dict[str, Any]:
    """The statistics that pytest-benchmark keeps of rounds, as its class `Stats` defines them."""
    ordered = sorted(data)
    total, mean = sum(data), statistics.mean(data)
    stddev = statistics.stdev(data) if len(data) > 1 else 0
    q1, q3 = _quartiles(ordered)
    iqr = q3 - q1
    low, high = q1 - 1.5 * iqr, q3 + 1.5 * iqr
    beyond = sum(not mean - stddev <= value <= mean + stddev for value in data)
    outliers = sum(not low <= value <= high for value in data)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": mean,
        "stddev": stddev,
        "rounds": len(data),
        "median": statistics.median(data),
        "iqr": iqr,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": outliers,
        "stddev_outliers": beyond,
        "outliers": f"{beyond};{outliers}",
        "ld15iqr": ordered[bisect_left(ordered, low)],
        "hd15iqr": ordered[bisect_right(ordered, high) - 1],
        "ops": len(data) / total,
        "total": total,
    }


def _quartiles(ordered: Sequence[float]) -> tuple[float, float]:
    """Medians of both halves; of an odd number between the two ways to deal out the middle."""
    count = len(ordered)
    if count == 1:
        return ordered[0], ordered[0]
    if count % 2 == 0:
        half = count // 2
        return statistics.median(ordered[:half]), statistics.median(ordered[half:])
    n = count // 4
    if count % 4 == 1:
        return (
            0.25 * ordered[n - 1] + 0.75 * ordered[n],
            0.75 * ordered[3 * n] + 0.25 * ordered[3 * n + 1],
        )
    return (
        0.75 * ordered[n] + 0.25 * ordered[n + 1],
        0.25 * ordered[3 * n + 1] + 0.75 * ordered[3 * n + 2],
    )


def _check_same(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        found: list[Difference] = []
        if run.version != first.version:
            found.append(Difference("rnnbench", first.version, run.version))
        names = [", ".join(sorted(each.environments)) for each in (first, run)]
        if names[0] != names[1]:
            found.append(Difference("environments", *names))
        for name in first.environments.keys() & run.environments.keys():
            then, now = first.environments[name], run.environments[name]
            found += differences((first, then), (run, now))
            found += [
                Difference(f"{key} of {name}", str(then.get(key)), str(now.get(key)))
                for key in SAME_CODE
                if then.get(key) != now.get(key)
            ]
        if found:
            listed = "; ".join(
                f"{clean(d.name)}: {clean(d.base, 80)} and {clean(d.new, 80)}"
                for d in dict.fromkeys(found)
            )
            raise UserError(
                f"{first.path} and {run.path} are not of the same code on one machine ({listed}), "
                "so their processes are no replicates of each other; compare the files instead"
            )


def turns_of(document: Mapping[str, Any]) -> int:
    """How many turns a document's blocks are numbered with."""
    return 1 + max((block["turn"] for block in _blocks(document)), default=-1)


def _blocks(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for benchmark in document["benchmarks"]:
        yield from benchmark["extra_info"]["rnnbench"]["blocks"]


def sessions_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The sessions of a document, which are one where it was not joined before."""
    ours = document["rnnbench"]
    if ours.get("sessions"):
        return list(ours["sessions"])
    # A process that died before its first block has a number too.
    started = [found.get("processes") for found in ours["environments"].values()]
    counts = [1, *(count for count in started if type(count) is int)]
    counts += [1 + block["replicate"] for block in _blocks(document)]
    return [
        {
            "run_id": ours.get("run_id", ""),
            "measured_at": document.get("datetime"),
            "replicates": [0, max(counts)],
            "load": ours["load"],
        }
    ]


def replicates_numbered_on(
    benchmark: Mapping[str, Any], replicates: int, turns: int
) -> dict[str, Any]:
    """A benchmark whose replicates and turns begin at these numbers."""
    ours = benchmark["extra_info"]["rnnbench"]
    blocks = [
        {**block, "replicate": block["replicate"] + replicates, "turn": block["turn"] + turns}
        for block in ours["blocks"]
    ]
    return with_changes(benchmark, {"blocks": blocks})


def with_changes(benchmark: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A benchmark with other entries in its ``extra_info.rnnbench``."""
    extra = benchmark["extra_info"]
    return {**benchmark, "extra_info": {**extra, "rnnbench": {**extra["rnnbench"], **changes}}}


def _joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One case from what the results have of it."""
    first = parts[0]
    if len(parts) == 1:
        return first
    ours = [part["extra_info"]["rnnbench"] for part in parts]
    data: list[float] = []
    blocks: list[dict[str, Any]] = []
    for part, own in zip(parts, ours, strict=True):
        # How often a round calls is measured anew by each run; the file says it once for all.
        calls = own["iterations"]
        other = {} if calls == ours[0]["iterations"] else {"iterations": calls}
        blocks += [
            {**other, **block, "rounds": [len(data) + end for end in block["rounds"]]}
            for block in own["blocks"]
        ]
        data += part["stats"]["data"]
    changes = {
        "blocks": blocks,
        "stopped": ours[-1]["stopped"],
        "ran": {**ours[0]["ran"], **summed("recompilations", [own["ran"] for own in ours])},
    }
    stats = {**benchmark_stats(data), "data": data, "iterations": ours[0]["iterations"]}
    return {**with_changes(first, changes), "stats": stats}


def summed(key: str, tables: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """A count of all together, nothing where one of them does not have it."""
    found = [table.get(key) for table in tables]
    counts = [count for count in found if type(count) is int]
    return {key: sum(counts)} if len(counts) == len(found) else {}


def joined_id(runs: Sequence[Run]) -> str:
    """The same for the same runs, so that files split from the whole know each other."""
    ids = [run.run_id for run in runs]
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:32] if all(ids) else ""


def joined_load(loads: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Accounts of all together: what each of them says, shares weighted by their seconds."""

    def numbers(key: str) -> list[float] | None:
        found = [load.get(key) for load in loads]
        known = [x for x in found if isinstance(x, int | float) and not isinstance(x, bool)]
        return known if len(known) == len(loads) else None

    seconds = numbers("seconds")
    if not seconds or sum(seconds) <= 0:
        return {}
    joined: dict[str, Any] = {"seconds": sum(seconds)}
    for key in loads[0]:
        values = numbers(key)
        if key.endswith("_share"):
            joined[key] = values and sum(
                share * each / sum(seconds) for share, each in zip(values, seconds, strict=True)
            )
        elif key == "resumed_cases" and values is not None:
            joined[key] = sum(values)
    return joined


def _odd_ones(
    documents: Sequence[Mapping[str, Any]], parts: Mapping[Case, Sequence[Mapping[str, Any]]]
) -> Iterator[str]:
    """What was otherwise in one of the results: not measured, or by another path."""
    for number, document in enumerate(documents, start=1):
        lost = [
            f"{Case.from_columns(entry['case']).id} ({entry['status']}: {entry['reason']})"
            for entry in document["rnnbench"]["not_measured"]
            if Case.from_columns(entry["case"]) in parts
        ]
        if lost:
            yield (
                f"the {_ordinal(number)} of {len(documents)} joined runs could not measure "
                f"{_listed(lost)}: the times are those of the others"
            )
    changed = [
        case.id
        for case, found in parts.items()
        if any(path_of(part) != path_of(found[0]) for part in found)
    ]
    if changed:
        yield (
            f"not the same ran in all of the {len(documents)} joined runs for {_listed(changed)}: "
            "what is described is the first"
        )


def path_of(part: Mapping[str, Any]) -> list[Any]:
    """What ran, as far as it decides whether two runs took the same path."""
    ran = part["extra_info"]["rnnbench"]["ran"]
    return [ran.get(name) for name in _PATH]


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_LISTED])
    more = len(names) - _LISTED
    return f"{shown} and {more} more" if more > 0 else shown
