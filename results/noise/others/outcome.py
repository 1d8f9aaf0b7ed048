"""What was found, as a small file: medians and decisions of each tool, no rounds."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rnnbench.errors import UserError

FORMAT = 1

CHANGES = ("slower", "faster")
"""The verdicts that say that something has changed."""


@dataclass(frozen=True)
class CaseOutcome:
    """One case as one tool saw it.

    ``times`` are typical seconds of a call and ``measured`` the seconds of measuring, by side.
    ``verdicts`` are by rule and by side that was compared with the base.
    """

    case: str
    times: Mapping[str, float]
    measured: Mapping[str, float]
    verdicts: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Session:
    """What one tool found in one batch; ``wall`` is how long that took in all, in seconds.

    ``load`` is who else used the machine meanwhile, as a result of rnnbench has it.
    """

    tool: str
    version: str
    batch: int
    started_at: str
    wall: float
    load: Mapping[str, Any]
    cases: Sequence[CaseOutcome]


@dataclass(frozen=True)
class Outcome:
    """All sessions of a measurement; ``settings`` is what was asked, ``machine`` what it ran on."""

    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    sessions: Sequence[Session] = field(default_factory=tuple)

    def has(self, tool: str, batch: int) -> bool:
        """Whether that session has been measured."""
        return any((s.tool, s.batch) == (tool, batch) for s in self.sessions)

    def with_session(self, session: Session) -> Outcome:
        """The same and one session more."""
        return replace(self, sessions=(*self.sessions, session))


def load(path: Path) -> Outcome | None:
    """What the file holds; None where there is no file.

    Raises:
        UserError: it cannot be read or is nothing that `save` wrote.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); give another file") from None
    try:
        if document["format"] != FORMAT:
            raise ValueError("another format")
        return Outcome(
            settings=document["settings"],
            machine=document["machine"],
            sessions=tuple(_session(entry) for entry in document["sessions"]),
        )
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: holds no outcome of this comparison; give another file") from None


def save(outcome: Outcome, path: Path) -> None:
    """Write the file, as a whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    text = json.dumps({"format": FORMAT, **asdict(outcome)}, indent=1) + "\n"
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise UserError(
            f"--output {path}: cannot be written ({error.strerror}); give another file"
        ) from None


def _session(entry: Mapping[str, Any]) -> Session:
    cases = tuple(CaseOutcome(**case) for case in entry["cases"])
    return Session(**{**entry, "cases": cases})
