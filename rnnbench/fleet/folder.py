"""The folder of a fleet: its plan, and for each shard what has happened to it so far.

All that is known of a fleet is in its folder, which every node sees: a coordinator may end at any
moment, and another one goes on. What happens to a shard is a line in a file that is only ever
appended to, so neither a job nor a coordinator can lose what another one wrote.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rnnbench.errors import UserError
from rnnbench.measuring.journal import journal_path
from rnnbench.report.outputs import write_file

__all__ = ["STRIKES", "Folder", "History", "KindOfNode", "Plan", "ShardPlan"]

STRIKES = 3
"""Attempts in a row in which a shard finishes no further case, before it is given up."""

_FORMAT = 1
_OUTCOMES = frozenset(("done", "given up", "cancelled"))
_FINISHED = b'{"type": "finished"'


@dataclass(frozen=True)
class KindOfNode:
    """Nodes that should be equal, by name, and what Slurm is asked for to get one.

    ``devices`` are those whose cases are measured there; none stands for all of them.
    """

    name: str
    asked: Mapping[str, str] = field(default_factory=dict)
    devices: Sequence[str] = ()


@dataclass(frozen=True)
class ShardPlan:
    """One job: its number, its kind of node, how many cases it has and what they will cost."""

    number: int
    kind: str
    cases: int
    cost: float


@dataclass(frozen=True)
class Plan:
    """What a fleet was asked to do; it does not change after its first moment.

    ``arguments`` are those of `pytest suites` beside the grid; ``executor`` is ``slurm`` or
    ``local``; ``code`` is the hash of rnnbench, ``plugins`` are hashes by path.
    """

    executor: str
    grid: Mapping[str, Any]
    arguments: Sequence[str]
    kinds: Sequence[KindOfNode]
    shards: Sequence[ShardPlan]
    version: str
    code: str
    plugins: Mapping[str, str]
    variables: Mapping[str, str | None]
    made: float

    def kind(self, name: str) -> KindOfNode:
        """The kind of node of that name."""
        return next(kind for kind in self.kinds if kind.name == name)


@dataclass(frozen=True)
class History:
    """What has happened to a shard, from the lines of its file."""

    events: tuple[Mapping[str, Any], ...] = ()

    @property
    def last(self) -> str:
        """The last event; empty before the first."""
        return str(self.events[-1]["event"]) if self.events else ""

    @property
    def attempts(self) -> int:
        """How often a job has started on it."""
        return sum(event["event"] == "started" for event in self.events)

    @property
    def job(self) -> str:
        """The job that was submitted for it last."""
        jobs = [str(event["job"]) for event in self.events if event["event"] == "submitted"]
        return jobs[-1] if jobs else ""

    @property
    def nodes(self) -> list[str]:
        """Where it ran, each node once."""
        started = [event for event in self.events if event["event"] == "started"]
        return list(dict.fromkeys(str(event["node"]) for event in started))

    @property
    def reason(self) -> str:
        """Why the last attempt that ended did so, where it did not come to its end."""
        reasons = [str(event["reason"]) for event in self.events if event.get("reason")]
        return reasons[-1] if reasons else ""

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.outcome != ""

    @property
    def outcome(self) -> str:
        """How it ended: done, given up or cancelled; empty where it has not.

        A job that is cancelled writes its own end after that word.
        """
        found = ""
        for event in self.events:
            name = str(event["event"])
            if name in _OUTCOMES and found != "done":
                found = name
            elif name == "resumed" and found != "done":
                found = ""
        return found

    @property
    def strikes(self) -> int:
        """Attempts in a row, up to now, that ended without finishing a case."""
        count, before = 0, 0
        for event in self.events:
            if event["event"] == "started":
                before = event["finished"]
            elif event["event"] == "ended":
                count = 0 if event["finished"] > before else count + 1
            elif event["event"] in ("resumed", "cancelled"):
                count = 0
        return count


class Folder:
    """Paths of a fleet's folder, and its files read and written."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.result = self.path / "result.json"
        self.jobs = self.path / "jobs"
        self.lock = self.path / "lock"
        self._plan: Plan | None = None

    @property
    def plan_file(self) -> Path:
        """The file whose being there makes the folder a fleet's."""
        return self.path / "fleet.json"

    @property
    def plan(self) -> Plan:
        """The plan.

        Raises:
            UserError: the folder holds no fleet, or its plan cannot be read.
        """
        if self._plan is None:
            self._plan = self._read_plan()
        return self._plan

    def begin(self, plan: Plan) -> None:
        """Make the folder this fleet's; of two that begin at once, one is refused.

        Raises:
            UserError: the folder holds a fleet, or cannot be written.
        """
        text = json.dumps({"format": _FORMAT, **asdict(plan)}, allow_nan=False)
        try:
            self.path.mkdir(exist_ok=True)
            staged = self.path / f".fleet-{os.getpid()}-{time.monotonic_ns()}"
            staged.write_text(text)
            try:
                # A link is made as a whole or not at all, also where many nodes see the folder.
                os.link(staged, self.plan_file)
            finally:
                staged.unlink()
        except FileExistsError:
            raise UserError(
                f"--output {self.path}: holds a fleet already; `rnnbench fleet --status "
                f"{self.path}` shows it, --resume goes on with it, or give another folder"
            ) from None
        except OSError as error:
            raise UserError(f"--output {self.path}: cannot be written: {error.strerror}") from None
        self._plan = plan

    def forget(self) -> None:
        """Remove a fleet of which no job was ever submitted, so that it can be begun again."""
        if any(self.history(shard.number).events for shard in self.plan.shards):
            return
        for made in (self.path / "shards", self.jobs):
            shutil.rmtree(made, ignore_errors=True)
        for kind in self.plan.kinds:
            self.canaries_of(kind.name).unlink(missing_ok=True)
        self.lock.unlink(missing_ok=True)
        self.plan_file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()  # where nothing else is in it

    def shard(self, number: int) -> Path:
        """The folder of a shard."""
        return self.path / "shards" / f"{number:04}"

    def grid_of(self, number: int) -> Path:
        """The grid of a shard: just its cases."""
        return self.shard(number) / "grid.toml"

    def lock_of(self, number: int) -> Path:
        """What the job that measures a shard holds."""
        return self.shard(number) / "lock"

    def canaries_of(self, kind: str) -> Path:
        """The grid of the cases that every shard of a kind measures."""
        return self.path / f"canaries-{kind}.toml"

    def result_of(self, number: int) -> Path:
        """The result of a shard."""
        return self.shard(number) / "result.json"

    def salvaged_of(self, number: int) -> Path:
        """What was kept of a shard that has no result."""
        return self.shard(number) / "salvaged.json"

    def canary_results(self, number: int) -> list[Path]:
        """What a shard's jobs measured of the canaries."""
        return sorted(self.shard(number).glob("canaries-*.json"))

    def finished(self, number: int) -> int:
        """How many of a shard's cases its journal has whole."""
        try:
            with journal_path(self.result_of(number)).open("rb") as lines:
                return sum(line.startswith(_FINISHED) and line.endswith(b"\n") for line in lines)
        except FileNotFoundError:
            return 0

    def note(self, number: int, event: str, **facts: Any) -> None:
        """Add a line to what has happened to a shard."""
        record = {"event": event, "time": time.time(), **facts}
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        path = self._events(number)
        with self.usable(path):
            _append(path, line)

    def history(self, number: int) -> History:
        """What has happened to a shard; a line that was cut is as if it were not there."""
        try:
            lines = self._events(number).read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return History()
        events = []
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and "event" in event:
                events.append(event)
        return History(tuple(events))

    def write(self, path: Path, text: str) -> None:
        """Write a file of the folder as a whole.

        Raises:
            UserError: it cannot be written.
        """
        with self.usable(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, text.encode())

    @contextlib.contextmanager
    def usable(self, path: Path) -> Iterator[None]:
        """What is done with a file of the folder, which may be full, gone or another's.

        Raises:
            UserError: it could not be done.
        """
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{path}: cannot be written: {error.strerror or error}; what was measured is kept, "
                f"and `rnnbench fleet --resume {self.path}` goes on from it"
            ) from None

    def _events(self, number: int) -> Path:
        return self.shard(number) / "events.jsonl"

    def _read_plan(self) -> Plan:
        try:
            found = json.loads(self.plan_file.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"{self.path} holds no fleet; give the folder that `rnnbench fleet --output` wrote"
            ) from None
        except (OSError, ValueError) as error:
            raise UserError(f"{self.plan_file} cannot be read: {error}") from None
        if not isinstance(found, dict) or found.pop("format", None) != _FORMAT:
            raise UserError(f"{self.plan_file} is no plan of a fleet that this rnnbench can read")
        kinds = [
            KindOfNode(kind["name"], kind["asked"], tuple(kind["devices"]))
            for kind in found.pop("kinds")
        ]
        shards = [ShardPlan(**shard) for shard in found.pop("shards")]
        return Plan(**found, kinds=kinds, shards=shards)


def _append(path: Path, line: bytes) -> None:
    """Add a line to a file, after the end of one that was cut when its writer met a full disk."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)
