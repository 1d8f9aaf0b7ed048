"""What a shard had measured before it was given up or cancelled, as a result from its journal.

`pytest suites` writes its result at its end; a shard that never came there has its finished groups
in the journal. What they ran on is described by a whole run on an equal node: the shard's canaries,
or where it has none a result of another shard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.measuring.engine import CaseRun, result_of
from rnnbench.measuring.journal import by_type, journal_path, read_journal
from rnnbench.regressions.joining import benchmark_stats
from rnnbench.validation import read_document

__all__ = ["salvaged"]

_NOTE = (
    "made from the journal of a run that did not come to its end: groups that it had finished are "
    "whole, all others are missing"
)
_KEPT = ("status", "reason", "stopped", "prepared", "ran", "warm_compile")


def salvaged(result: Path, models: Sequence[Path]) -> dict[str, Any] | None:
    """The document of a shard without a result, None where nothing of it can be kept.

    ``models`` are results of which the first one that is of an equal node and the same torch tells
    what the journal does not. Cases of a group that was not finished are left out.
    """
    try:
        records, _ = read_journal(journal_path(result))
    except UserError:
        return None  # a foreign or damaged journal: the shard's reason says so
    finished = by_type(records, "finished")
    model = _model(records[0], models) if finished else None
    if model is None:
        return None
    runs = _runs(records, finished)
    ours = model["rnnbench"]
    options = {**records[0]["identity"]["options"], "plugins": ours["options"].get("plugins", [])}
    replicates = 1 + max((block["replicate"] for run in runs for block in run.blocks), default=0)
    load = {"seconds": sum(run.spent() for run in runs)}
    return {
        **model,
        "machine_info": {**model.get("machine_info", {}), "node": records[0].get("node", "")},
        "benchmarks": [_benchmark(run) for run in runs if run.measured and run.blocks],
        "rnnbench": {
            **{key: value for key, value in ours.items() if key != "sessions"},
            "run_id": records[0].get("run_id", ""),
            "options": {**options, "replicates_run": options["replicates"]},
            "environments": {
                name: {**described, "processes": replicates}
                for name, described in ours["environments"].items()
            },
            "load": load,
            "notes": [_NOTE],
            "not_measured": [
                {"case": run.case.columns(), "status": run.status, "reason": run.reason}
                for run in runs
                if not run.measured
            ],
        },
    }


def _model(begun: Mapping[str, Any], files: Sequence[Path]) -> dict[str, Any] | None:
    """The first result whose environments are those in which a journal was begun."""
    wanted = begun.get("identity", {}).get("environments", {})
    for file in files:
        if not file.exists():
            continue
        document = read_document(file)
        there = document["rnnbench"]["environments"]
        if set(there) == set(wanted) and all(
            there[name].get(key) == value
            for name, facts in wanted.items()
            for key, value in facts.items()
            if key != "devices"  # with them drivers, clocks and temperatures are described
        ):
            return document
    return None


def _runs(
    records: Sequence[Mapping[str, Any]], finished: Sequence[Mapping[str, Any]]
) -> list[CaseRun]:
    """Cases that were finished, with their blocks; of those that were not measured no block."""
    runs = {Case.from_columns(record["case"]): record for record in finished}
    made = {case: CaseRun(case) for case in runs}
    for case, record in runs.items():
        for name in _KEPT:
            setattr(made[case], name, record[name])
    for block in by_type(records, "block"):
        run = made.get(Case.from_columns(block["case"]))
        if run is not None and run.measured:
            run.blocks.append({k: v for k, v in block.items() if k not in ("type", "case")})
    return [made[case] for case in sorted(made)]


def _benchmark(run: CaseRun) -> dict[str, Any]:
    """A benchmark as pytest-benchmark would have written it."""
    case = run.case
    data = [seconds for block in run.blocks for seconds in block["rounds"]]
    name = f"test_{case.family}[{case.id}]"
    return {
        "group": case.group.id.removeprefix("any-").removesuffix("@any"),
        "name": name,
        "fullname": f"suites/{name}",
        "params": {},
        "param": case.id,
        "extra_info": {"rnnbench": result_of(run)},
        "options": {},
        "stats": {
            **benchmark_stats(data),
            "data": data,
            "iterations": run.prepared["iterations"],
        },
    }
