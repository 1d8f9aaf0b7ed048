"""One run: its cases in groups, its team, journal and result; what pytest's items ask for."""

from __future__ import annotations

import hashlib
import platform
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnbench import __version__
from rnnbench.bounds import Bound, bound_of
from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.limits import Ceiling, ceilings_in, known_limits
from rnnbench.measuring import load
from rnnbench.measuring.engine import CaseRun, Engine
from rnnbench.measuring.instructions import Counter
from rnnbench.measuring.journal import Journal, by_type, journal_path, read_journal
from rnnbench.measuring.options import Options
from rnnbench.measuring.progress import Progress
from rnnbench.measuring.scratch import Scratch
from rnnbench.measuring.team import Team
from rnnbench.measuring.workers import CaseProblem, WorkerLost
from rnnbench.schema import SCHEMA_VERSION

__all__ = ["Run"]


class Run:
    """Measures the groups of the selected cases when one of their items first asks."""

    def __init__(
        self,
        options: Options,
        grid: dict[str, Any],
        cases: Sequence[Case],
        json_path: Path | None,
        progress: Progress,
    ) -> None:
        self.options = options
        self.grid = grid
        self.runs = {case: CaseRun(case) for case in cases}
        groups: dict[Case, list[CaseRun]] = {}
        self._group_of: dict[Case, list[CaseRun]] = {}
        for run in self.runs.values():
            group = groups.setdefault(run.case.group, [])
            group.append(run)
            self._group_of[run.case] = group
        self.notes: list[str] = [
            f"a slowdown of {share:.1%} was planted in the environment {name}"
            for name, share in options.planted.items()
        ]
        # Files that are split from one result know by it that their cases took turns.
        self._id = uuid.uuid4().hex
        self._json_path = json_path
        self._progress = progress
        self._finished: set[Case] = set()
        self._reported: set[Case] = set()
        self._journal = Journal(None)
        self._team: Team | None = None
        self._engine: Engine | None = None
        self._load_start: load.Load | None = None
        self._load_end: load.Load | None = None
        self._resumed_turns = 0
        self._resumed_replicates = 0
        self._earlier: list[dict[str, Any]] = []
        self._counters: dict[str, Counter] = {}
        self._counting_cache: Scratch | None = None
        self._limits: dict[str, dict[str, Any]] | None = None
        self._ceilings: dict[str, list[Ceiling]] = {}

    def start(self) -> None:
        """Start workers and the journal; with ``resume``, take over what the journal holds.

        Raises:
            UserError: the workers do not start, or the journal belongs to another run.
        """
        records = self._read_earlier()
        self._team = Team(self.options, self._resumed_replicates)
        try:
            self._team.start_first()
            identity = self._identity()
            if records:
                self._refuse_if_different(records[0]["identity"], identity)
                self._take_over(records)
                self._id = records[0].get("run_id", self._id)
            self._open_journal(identity, fresh=not records)
            if len(self._finished) < len(self.runs):
                self._team.start_rest(list(self.runs))
        except BaseException:
            self._team.close()
            raise
        if self._team.note:
            self.notes.append(self._team.note)
        self._engine = Engine(self.options, self._team, self._journal, self._show)
        self._engine.continue_after(self._resumed_turns)
        self._load_start = load.sample(self._cpu_seconds())

    def result(self, case: Case, *, time_it: bool = True) -> CaseRun:
        """The case's result; its whole group is measured the first time one of it is asked for."""
        run = self.runs[case]
        if case not in self._finished:
            assert self._engine is not None
            group = [x for x in self._group_of[case] if x.case not in self._finished]
            self._progress.start()
            try:
                self._engine.measure(group, time_them=time_it)
            finally:
                self._progress.stop()
            self._finished.update(other.case for other in group)
            self._load_end = load.sample(self._cpu_seconds())
        self._reported.add(case)
        if self.options.instructions and time_it and run.measured and not run.instructions:
            run.instructions = self._counted(case)
            self._journal.append(
                {
                    "type": "instructions",
                    "case": case.columns(),
                    "instructions": run.instructions,
                }
            )
        return run

    def _counted(self, case: Case) -> dict[str, Any]:
        """The instructions of a case, or why there are none; nobody has the turn meanwhile."""
        name = case.environment
        try:
            if name not in self._counters:
                self._counting_cache = self._counting_cache or Scratch()
                self._counters[name] = Counter(
                    name,
                    self.options.environments[name],
                    self._counting_cache.folder,
                    plugins=self.options.plugins_of(name),
                    timeout=self.options.case_timeout,
                )
            return self._counters[name].counted(case)
        except WorkerLost as lost:
            self._counters.pop(name).close()
            return {"reason": lost.reason}
        except CaseProblem as problem:
            return {"reason": problem.reason}
        except UserError as error:  # its environment has broken since the run began
            return {"reason": str(error)}

    def _cpu_seconds(self) -> float:
        assert self._team is not None
        return self._team.cpu_seconds() + sum(one.cpu for one in self._counters.values())

    def reported(self) -> list[CaseRun]:
        """Cases whose items have run, in the order of the grid."""
        return [run for case, run in self.runs.items() if case in self._reported]

    def close(self) -> None:
        """End the workers and close the journal."""
        while self._counters:
            self._counters.popitem()[1].close()
        if self._counting_cache is not None:
            self._counting_cache.remove()
        if self._team is not None:
            self._team.close()
        kept = {case for case in self._finished if not self.runs[case].unfinished}
        if self._reported and kept >= set(self.runs):
            self._journal.append({"type": "end"})
        self._journal.close()

    def document(self) -> dict[str, Any]:
        """The top-level ``rnnbench`` of the result file."""
        assert self._team is not None
        return {
            "schema": SCHEMA_VERSION,
            "version": __version__,
            "run_id": self._id,
            "grid": self.grid,
            "options": {**self.options.as_dict(), "replicates_run": self._team.slots},
            "environments": {
                name: {**described, **self.limits().get(name, {})}
                for name, described in self._team.environments().items()
            },
            "load": self.load(),
            "notes": self.all_notes(),
            "not_measured": [
                {"case": run.case.columns(), "status": run.status, "reason": run.reason}
                for run in self.reported()
                if not run.measured
            ],
        }

    def all_notes(self) -> list[str]:
        """What a reader of the result must know, also of what was lost while it was measured."""
        broken = {} if self._team is None else self._team.broken
        return [
            *self.notes,
            *(() if self._engine is None else self._engine.notes),
            *(
                f"the environment {name!r} broke in the middle of the run ({reason}); its other "
                "cases are not measured; mend it, and --rnn-resume goes on with them"
                for name, reason in broken.items()
            ),
        ]

    def limits(self) -> dict[str, dict[str, Any]]:
        """What is known of the machine's limits, by environment, as a result holds it.

        Looked up once, when the run asks first: a file that changes while it runs changes nothing.
        """
        assert self._team is not None
        if self._limits is None:
            self._limits = {
                name: known_limits(described, [c for c in self.runs if c.environment == name])
                for name, described in self._team.environments().items()
            }
            self._ceilings = {name: ceilings_in(told) for name, told in self._limits.items()}
        return self._limits

    def bound(self, case: Case) -> Bound | None:
        """The limit of a case, where it is known."""
        self.limits()
        bounds = (bound_of(case, one) for one in self._ceilings.get(case.environment, ()))
        return next((bound for bound in bounds if bound is not None), None)

    def load(self) -> dict[str, Any]:
        """The run's accounts: what the machine did, and how much of the time was measuring."""
        if self._load_start is None or self._load_end is None or self._team is None:
            return {}
        accounts = load.between(self._load_start, self._load_end, len(self.options.cores))
        assert self._engine is not None
        accounts["timed_share"] = self._engine.timed_seconds / accounts["seconds"]
        accounts["waiting_cpu_share"] = self._team.waiting_cpu_share()
        accounts["resumed_cases"] = sum(run.resumed for run in self.runs.values())
        return accounts

    def _show(self, stage: str, run: CaseRun) -> None:
        group = self._group_of[run.case]
        budget = self.options.seconds * len(group)
        part = min(1.0, sum(x.spent() for x in group) / budget) * len(group)
        words = {"verify": "verifying", "time": "timing"}
        self._progress.update(
            len(self._finished) + part, len(self.runs), f"{words[stage]} {run.case.id}"
        )

    def _read_earlier(self) -> list[dict[str, Any]]:
        if not self.options.resume:
            return []
        if self._json_path is None:
            raise UserError(
                "--rnn-resume needs --benchmark-json: the journal lies beside that file"
            )
        records, cut = read_journal(journal_path(self._json_path))
        if cut:
            self.notes.append(
                f"the last line of {journal_path(self._json_path).name} was cut, as when a run is "
                "killed while it writes; the line was dropped and its block is measured again"
            )
        if not records:
            self.notes.append(
                f"there was nothing to resume in {journal_path(self._json_path).name}: this run "
                "started anew"
            )
        blocks = by_type(records, "block")
        self._resumed_turns = 1 + max((block["turn"] for block in blocks), default=-1)
        self._resumed_replicates = 1 + max((block["replicate"] for block in blocks), default=-1)
        return records

    def _identity(self) -> dict[str, Any]:
        """What must be equal for blocks of two runs to belong together."""
        assert self._team is not None
        environments = {}
        for name, described in self._team.environments().items():
            environments[name] = {
                "torch": described["torch"],
                "torch_git": described["torch_git"],
                "torch_build": described["torch_build"],
                "cpu_capability": described["cpu_capability"],
                "variables": described["variables"],
                "python": described["python"],
                "system": described["system"],
                "cpu": described["cpu"],
                "devices": _names_only(described["devices"]),
            }
        ids = "\n".join(sorted(case.id for case in self.runs))
        return {
            "rnnbench": __version__,
            "cases": hashlib.sha256(ids.encode()).hexdigest(),
            "options": {
                key: value for key, value in self.options.as_dict().items() if key != "plugins"
            },
            "plugins": {
                name: hashlib.sha256(file.read_bytes()).hexdigest()
                for name, file in self.options.named_plugins()
            },
            "environments": environments,
        }

    def _refuse_if_different(self, then: dict[str, Any], now: dict[str, Any]) -> None:
        different = _differences(then, now)
        if different:
            raise UserError(
                "--rnn-resume: the journal is of another run; different are "
                f"{', '.join(different)}. Give the same options on the same machine, or run "
                "without --rnn-resume to start anew"
            )

    def _take_over(self, records: Sequence[dict[str, Any]]) -> None:
        for block in by_type(records, "block"):
            fields = {key: value for key, value in block.items() if key not in ("type", "case")}
            self.runs[Case.from_columns(block["case"])].blocks.append(fields)
        for record in by_type(records, "finished"):
            run = self.runs[Case.from_columns(record["case"])]
            for name in ("status", "reason", "stopped", "prepared", "ran", "warm_compile"):
                setattr(run, name, record[name])
            if not run.measured:
                run.blocks.clear()
            run.resumed = True
            self._finished.add(run.case)

        for record in by_type(records, "instructions"):
            run = self.runs[Case.from_columns(record["case"])]
            run.instructions = record["instructions"]

    def _open_journal(self, identity: dict[str, Any], *, fresh: bool) -> None:
        if self._json_path is None:
            return
        path = journal_path(self._json_path)
        if fresh and path.exists():
            kept = _set_aside(path)
            if kept is not None:
                self.notes.append(
                    f"the journal of an unfinished run was kept as {kept.name}; --rnn-resume "
                    "would have gone on with it"
                )
        self._journal = Journal(path)
        self._journal.append(
            {
                "type": "run" if fresh else "resumed",
                "identity": identity,
                "run_id": self._id,
                "time": time.time(),
                # A run may go on on another node of the same kind.
                "node": platform.node(),
                "first_replicate": self._resumed_replicates,
            }
        )


def _names_only(devices: dict[str, Any]) -> dict[str, Any]:
    """Devices without their clocks and temperatures, which change from minute to minute."""
    return {
        kind: {key: value for key, value in found.items() if key != "driver"}
        for kind, found in devices.items()
    }


def _differences(then: Any, now: Any, name: str = "") -> list[str]:
    """Names of the entries that differ, dotted."""
    if isinstance(then, dict) and isinstance(now, dict):
        found = []
        for key in sorted(set(then) | set(now)):
            inner = f"{name}.{key}" if name else str(key)
            found += _differences(then.get(key), now.get(key), inner)
        return found
    return [] if then == now else [name]


def _set_aside(path: Path) -> Path | None:
    """Move an unfinished run's journal out of the way; a finished one is no longer needed."""
    data = path.read_bytes()
    if not data or data.rstrip().endswith(b'{"type": "end"}'):
        path.unlink()
        return None
    number = 1
    while (kept := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    path.rename(kept)
    return kept
