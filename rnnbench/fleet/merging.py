"""Results of any machines as one file: read and written one at a time, environments kept apart.

Each file is read twice: first for what it holds, then to copy its benchmarks. So the memory that is
needed is that of one file and of an index of the cases, however many files there are; and where one
case is in many files, that of its rounds.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.fleet.streaming import Streamed, json_pieces
from rnnbench.regressions.joining import (
    SAME_CODE,
    benchmark_stats,
    joined_id,
    joined_load,
    path_of,
    replicates_numbered_on,
    sessions_of,
    summed,
    turns_of,
    with_changes,
)
from rnnbench.regressions.machines import Difference, differences
from rnnbench.report.escaping import clean
from rnnbench.report.outputs import check_output_file, staged_file
from rnnbench.results import Run, described_run
from rnnbench.schema import SCHEMA_VERSION
from rnnbench.validation import read_document

__all__ = ["Merged", "merge_results"]

_LISTED = 3
_CORES = "cores used"
_NAMED = ("name", "fullname", "param")

Sessions = Callable[[Path, Mapping[str, Any]], list[dict[str, Any]]]
"""The sessions of a file and its document, as `sessions_of` gives them."""

Missing = tuple[Case, str, str]
"""A case that no file holds, its status and the reason."""


@dataclass(frozen=True)
class Merged:
    """What a merge wrote; ``environments`` are the names in the result and what each one is of."""

    files: int
    benchmarks: int
    not_measured: int
    repeated: int
    environments: Mapping[str, str]


def merge_results(
    files: Sequence[Path],
    output: Path,
    *,
    replicates: bool = False,
    grid: Mapping[str, Any] | None = None,
    sessions: Sessions | None = None,
    missing: Sequence[Missing] = (),
    extra: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Merged:
    """Write the cases of all files as one result; packed with gzip where its name ends so.

    Environments of one name that are of equal machines, builds and settings are one; others get a
    number behind their name. A case that two files hold is refused, or with ``replicates`` the
    processes of the later file are further replicates of it. ``sessions`` of the result says which
    replicates were measured at one time, on which node: only those are compared with each other.
    ``grid`` is that of the result, without one that of the files; ``sessions`` tells those of a
    file, ``missing`` what no file holds, ``notes`` come before the files' own, and ``extra`` is
    added to the result's ``rnnbench``.

    Raises:
        UserError: a file is no valid result, they are of different versions of rnnbench, hold the
            same case or run twice, or the output cannot be written.
    """
    check_output_file(output, [str(file) for file in files])
    plan = _Plan(replicates, notes)
    for file in files:
        plan.take(file, sessions)
    plan.lack(missing)
    plan.check()
    with (
        staged_file(output) as staged,
        tempfile.TemporaryFile(dir=output.absolute().parent) as spool,
    ):
        copy = _Copy(plan, spool)
        document = {
            **plan.top,
            "benchmarks": Streamed(copy.benchmarks),
            "rnnbench": {**plan.described(grid, files), **(extra or {})},
        }
        for piece in json_pieces(document):
            staged.write(piece)
    return plan.merged()


@dataclass
class _Part:
    """What is kept of one file: its place among the replicates and turns, and its names."""

    file: Path
    names: Mapping[str, str]
    replicates: int
    turns: int


@dataclass(frozen=True)
class _Kind:
    """An environment of the result, by the run and description that it was first met in."""

    name: str
    run: Run
    described: Mapping[str, Any]
    cores: int | None

    def differences(self, run: Run, described: Mapping[str, Any]) -> list[Difference]:
        """What keeps another environment from being this one; none where they are equal."""
        there = _comparable(self.described), _comparable(described)
        found = [
            entry
            for entry in differences((self.run, there[0]), (run, there[1]))
            # Which cores a job was given is no matter, but how many are.
            if entry.name != _CORES
        ]
        found += [
            Difference(key, str(self.described.get(key)), str(described.get(key)))
            for key in SAME_CODE
            if self.described.get(key) != described.get(key)
        ]
        cores = _count_of_cores(run)
        if None not in (self.cores, cores) and self.cores != cores:
            found.append(Difference("number of cores", str(self.cores), str(cores)))
        return found


def _comparable(described: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without the numbers of the GPUs that a job was given: of equal ones it is no matter which."""
    variables = described.get("variables")
    if not isinstance(variables, Mapping):
        return described
    name = "CUDA_VISIBLE_DEVICES"
    given = str(variables.get(name, ""))
    counted = {name: len(given.split(","))} if given else {}
    others = {key: value for key, value in variables.items() if key != name}
    return {**described, "variables": {**others, **counted}}


def _count_of_cores(run: Run) -> int | None:
    cores = run.options.get("cores")
    return len(cores) if isinstance(cores, list) else None


@dataclass
class _Plan:
    """What the first reading found; grows with the number of cases, not with their rounds."""

    again: bool
    notes: Sequence[str] = ()
    parts: list[_Part] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    kinds: dict[str, list[_Kind]] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    processes: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    measured: dict[Case, list[int]] = field(default_factory=dict)
    missing: dict[Case, tuple[int, str, str]] = field(default_factory=dict)
    sessions: list[dict[str, Any]] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    repeated: int = 0
    lost: dict[int, list[str]] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    stages: dict[str, int] = field(default_factory=dict)
    top: dict[str, Any] = field(default_factory=dict)
    _replicates: int = 0
    _turns: int = 0
    _places: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def take(self, file: Path, sessions: Sessions | None) -> None:
        """Read one file for what it holds."""
        document = read_document(file)
        run = described_run(str(file), str(file), document)
        if self.runs and run.version != self.runs[0].version:
            raise UserError(
                f"{self.runs[0].path} was measured by rnnbench {self.runs[0].version} and {file} "
                f"by {run.version}; merge results of one version, and compare the others"
            )
        number = len(self.parts)
        names = {name: self._name(name, run) for name in run.environments}
        found = sessions(file, document) if sessions else sessions_of(document)
        place = self._place(document, run, names, found)
        part = _Part(file, names, *place)
        self.parts.append(part)
        # Its environments are described by their kinds; a thousand descriptions would be large.
        self.runs.append(dataclasses.replace(run, environments={}, grid=_short(run.grid)))
        for benchmark in document["benchmarks"]:
            self._meet(_case(benchmark["extra_info"]["rnnbench"]["case"], names), number)
        for entry in document["rnnbench"]["not_measured"]:
            self._miss(_case(entry["case"], names), number, entry)
        self._keep_top(document)
        for name, count in document["rnnbench"].get("stages", {}).items():
            self.stages[name] = max(count, self.stages.get(name, 0))

    def lack(self, missing: Sequence[Missing]) -> None:
        """Take over what no file holds."""
        for case, status, reason in missing:
            if case not in self.measured:
                self.missing.setdefault(case, (-1, status, reason))

    def check(self) -> None:
        """Refuse what was met twice, all of it in one sentence."""
        if self.twice:
            more = len(self.twice) - _LISTED
            raise UserError(
                f"{'; '.join(self.twice[:_LISTED])}{f'; and {more:,} more' if more > 0 else ''}: "
                "each case is taken once; leave one of the files out, or keep the processes of "
                "both with --duplicates replicates"
            )

    def merged(self) -> Merged:
        """The counts of what was written."""
        return Merged(
            files=len(self.parts),
            benchmarks=len(self.measured),
            not_measured=len(self.missing),
            repeated=self.repeated,
            environments={
                kind.name: self.why.get(kind.name, "")
                for kinds in self.kinds.values()
                for kind in kinds
            },
        )

    def described(self, grid: Mapping[str, Any] | None, files: Sequence[Path]) -> dict[str, Any]:
        """The result's ``rnnbench``."""
        first = self.runs[0]
        options, notes = self._options()
        told = [*self.notes, *(note for run in self.runs for note in run.notes)]
        return {
            "schema": SCHEMA_VERSION,
            "version": first.version,
            "run_id": joined_id(self.runs),
            "grid": {**(grid or self._grid()), "cases": len(self.measured) + len(self.missing)},
            "options": options,
            "environments": {
                kind.name: {**kind.described, **summed("processes", self.processes[kind.name])}
                for kinds in self.kinds.values()
                for kind in kinds
            },
            "load": joined_load([run.load for run in self.runs]),
            "sessions": self.sessions,
            **({"stages": self.stages} if self.stages else {}),
            # Written after the benchmarks, of which some notes tell.
            "notes": Streamed(lambda: self._all_notes([*told, *notes])),
            "not_measured": Streamed(self._not_measured),
        }

    def _name(self, name: str, run: Run) -> str:
        described = run.environments[name]
        kinds = self.kinds.setdefault(name, [])
        found: list[Difference] = []
        for kind in kinds:
            found = kind.differences(run, described)
            if not found:
                self.processes[kind.name].append(_processes(described))
                return kind.name
        taken = {kind.name for others in self.kinds.values() for kind in others}
        number, final = 2, name
        while final in taken:
            final = f"{name}-{number}"
            number += 1
        if found:
            listed = "; ".join(
                f"{clean(d.name)}: {clean(d.base, 80)} and {clean(d.new, 80)}" for d in found
            )
            self.why[final] = f"{kinds[-1].name} and {final} differ in {listed}"
        kinds.append(_Kind(final, run, described, _count_of_cores(run)))
        self.processes[final] = [_processes(described)]
        return final

    def _place(
        self,
        document: Mapping[str, Any],
        run: Run,
        names: Mapping[str, str],
        found: Sequence[Mapping[str, Any]],
    ) -> tuple[int, int]:
        """Where a file's replicates and turns begin; files of one run begin at one place."""
        replicates, turns = found[-1]["replicates"][1], turns_of(document)
        earlier = self._places.get(run.run_id) if run.run_id else None
        if earlier is not None and earlier[2] == replicates:
            return earlier[0], earlier[1]
        begin = self._replicates, self._turns
        node = document.get("machine_info", {}).get("node")
        for session in found:
            low, high = session["replicates"]
            self.sessions.append(
                {
                    "node": node,
                    **session,
                    "environments": sorted(set(names.values())),
                    "replicates": [begin[0] + low, begin[0] + high],
                }
            )
        self._replicates += replicates
        self._turns += turns
        if run.run_id:
            self._places[run.run_id] = (*begin, replicates)
        return begin

    def _meet(self, case: Case, number: int) -> None:
        places = self.measured.setdefault(case, [])
        before = places[0] if places else self.missing.get(case, (None,))[0]
        if places and self._same_run(places, number):
            raise UserError(
                f"{self.parts[places[-1]].file} and {self.parts[number].file} hold {case.id} of "
                "the same run, whose rounds would count twice; give one of them"
            )
        places.append(number)
        if case in self.missing:
            self._lose(case, *self.missing.pop(case))
        if before is not None:
            self._repeat(case, before, number)

    def _miss(self, case: Case, number: int, entry: Mapping[str, Any]) -> None:
        reason = (number, str(entry["status"]), str(entry["reason"]))
        if case in self.measured:
            self._lose(case, *reason)
            self._repeat(case, self.measured[case][0], number)
        elif case in self.missing:
            self._repeat(case, self.missing[case][0], number)
        else:
            self.missing[case] = reason

    def _same_run(self, places: Sequence[int], number: int) -> bool:
        ours = self.runs[number].run_id
        return bool(ours) and any(self.runs[place].run_id == ours for place in places)

    def _repeat(self, case: Case, before: int, number: int) -> None:
        self.repeated += 1
        if not self.again:
            self.twice.append(
                f"{self.parts[before].file} and {self.parts[number].file} both hold {case.id}"
            )

    def _lose(self, case: Case, number: int, status: str, reason: str) -> None:
        self.lost.setdefault(number, []).append(f"{case.id} ({status}: {reason})")

    def _not_measured(self) -> Iterator[str]:
        for case, (_, status, reason) in self.missing.items():
            yield json.dumps({"case": case.columns(), "status": status, "reason": reason})

    def _keep_top(self, document: Mapping[str, Any]) -> None:
        mine = {k: v for k, v in document.items() if k not in ("benchmarks", "rnnbench")}
        if not self.top:
            self.top = mine
            return
        self.top["datetime"] = max(str(self.top.get("datetime")), str(mine.get("datetime")))
        machine, other = (
            table if isinstance(table, dict) else {}
            for table in (self.top.get("machine_info"), mine.get("machine_info"))
        )
        if machine.get("node") != other.get("node"):
            self.top["machine_info"] = {**machine, "node": "several"}

    def _grid(self) -> Mapping[str, Any]:
        first = self.runs[0].grid
        if all(run.grid.get("name") == first.get("name") for run in self.runs):
            return first
        names = dict.fromkeys(str(run.grid.get("name")) for run in self.runs)
        listed = ", ".join([*names][:_LISTED]) + (" and others" if len(names) > _LISTED else "")
        return {"name": "merged", "description": f"The cases of several results: {listed}."}

    def _options(self) -> tuple[dict[str, Any], list[str]]:
        """What all were run with, and a note on each option in which they differ."""
        options, notes = dict(self.runs[0].options), []
        for name in list(options):
            found = [run.options.get(name) for run in self.runs]
            if any(value != found[0] for value in found):
                del options[name]
                if name not in ("cores", "replicates_run"):
                    values = list(dict.fromkeys(json.dumps(value) for value in found))
                    more = " and others" if len(values) > _LISTED else ""
                    notes.append(
                        f"the merged results were not all run with the same {name}: "
                        f"{', '.join(values[:_LISTED])}{more}"
                    )
        return options, notes

    def _all_notes(self, told: Sequence[str]) -> Iterator[str]:
        return map(json.dumps, dict.fromkeys([*told, *self._own_notes()]))

    def _own_notes(self) -> Iterator[str]:
        for name, why in self.why.items():
            yield f"{name} is kept apart: {why}"
        if self.changed:
            more = len(self.changed) - _LISTED
            yield (
                f"not the same ran in all of the merged results for "
                f"{', '.join(self.changed[:_LISTED])}{f' and {more:,} more' if more > 0 else ''}: "
                "what is described is the first"
            )
        for number, cases in self.lost.items():
            more = len(cases) - _LISTED
            yield (
                f"{self.parts[number].file.name} could not measure {', '.join(cases[:_LISTED])}"
                f"{f' and {more:,} more' if more > 0 else ''}: the times are those of the others"
            )


def _processes(described: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"processes": described.get("processes")}


def _short(grid: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without the products, which for a shard are as many as its cases."""
    return {key: value for key, value in grid.items() if key not in ("products", "selected")}


def _case(columns: Mapping[str, Any], names: Mapping[str, str]) -> Case:
    case = Case.from_columns(columns)
    final = names[case.environment]
    return case if final == case.environment else dataclasses.replace(case, environment=final)


@dataclass
class _Copy:
    """The second reading: benchmarks go straight to the result, those of several files wait."""

    plan: _Plan
    spool: IO[bytes]
    waiting: dict[Case, list[tuple[int, int]]] = field(default_factory=dict)

    def benchmarks(self) -> Iterator[str]:
        """Every benchmark in JSON: those that one file has, then those that several have."""
        for part in self.plan.parts:
            document = read_document(part.file)
            for benchmark in document["benchmarks"]:
                case = _case(benchmark["extra_info"]["rnnbench"]["case"], part.names)
                moved = _moved(benchmark, case, part)
                text = json.dumps(moved, allow_nan=False)
                if len(self.plan.measured[case]) == 1:
                    yield text
                else:
                    self._keep(case, text)
        for places in self.waiting.values():
            yield "".join(json_pieces(self._joined(places)))

    def _keep(self, case: Case, text: str) -> None:
        data = text.encode()
        self.waiting.setdefault(case, []).append((self.spool.seek(0, 2), len(data)))
        self.spool.write(data)

    def _parts(self, places: Sequence[tuple[int, int]]) -> Iterator[dict[str, Any]]:
        for start, length in places:
            self.spool.seek(start)
            yield json.loads(self.spool.read(length))

    def _joined(self, places: Sequence[tuple[int, int]]) -> dict[str, Any]:
        """One case from what the files have of it; its rounds are read again when written."""
        first: dict[str, Any] = {}
        data = array("d")
        stopped, counted, paths = "", [], []
        for part in self._parts(places):
            ours = part["extra_info"]["rnnbench"]
            first = first or part
            data.extend(part["stats"]["data"])
            stopped = ours["stopped"]
            counted.append({"recompilations": ours["ran"].get("recompilations")})
            paths.append(path_of(part))
        ours = first["extra_info"]["rnnbench"]
        ran = {**ours["ran"], **summed("recompilations", counted)}
        if any(path != paths[0] for path in paths):
            self.plan.changed.append(Case.from_columns(ours["case"]).id)
        calls = ours["iterations"]
        changes = {
            "blocks": Streamed(lambda: self._blocks(places, calls)),
            "stopped": stopped,
            "ran": ran,
        }
        stats = {
            **benchmark_stats(data),
            "data": Streamed(lambda: self._data(places)),
            "iterations": calls,
        }
        return {**with_changes(first, changes), "stats": stats}

    def _blocks(self, places: Sequence[tuple[int, int]], calls: int) -> Iterator[str]:
        end = 0
        for part in self._parts(places):
            ours = part["extra_info"]["rnnbench"]
            # How often a round calls is measured anew by each run; the file says it once for all.
            other = {} if ours["iterations"] == calls else {"iterations": ours["iterations"]}
            for block in ours["blocks"]:
                rounds = [end + place for place in block["rounds"]]
                yield json.dumps({**other, **block, "rounds": rounds}, allow_nan=False)
            end += len(part["stats"]["data"])

    def _data(self, places: Sequence[tuple[int, int]]) -> Iterator[str]:
        for part in self._parts(places):
            yield json.dumps(part["stats"]["data"], allow_nan=False)[1:-1]


def _moved(benchmark: Mapping[str, Any], case: Case, part: _Part) -> dict[str, Any]:
    """A benchmark at its place in the result, under its environment's name there."""
    moved = replicates_numbered_on(benchmark, part.replicates, part.turns)
    old = Case.from_columns(benchmark["extra_info"]["rnnbench"]["case"])
    if old == case:
        return moved
    moved = with_changes(moved, {"case": case.columns()})
    for key in _NAMED:
        if isinstance(moved.get(key), str):
            moved[key] = moved[key].replace(old.id, case.id)
    params = moved.get("params")
    if isinstance(params, Mapping):
        moved["params"] = {
            key: value.replace(old.id, case.id) if isinstance(value, str) else value
            for key, value in params.items()
        }
    return moved
