"""The journal: every finished block on disk at once, so that a run that dies loses none.

JSON lines beside the result file. Each line is written by one system call on a file opened for
appending, so a process that is killed leaves whole lines, and at worst one that is cut.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rnnbench.errors import UserError

__all__ = ["Journal", "journal_path", "read_journal"]


def journal_path(json_path: Path) -> Path:
    """Where the journal of a result file lies."""
    return json_path.with_name(json_path.name + ".journal")


_FIRST = b'{"type": "run"'


class Journal:
    """Appends records to a journal; a path of None keeps none."""

    def __init__(self, path: Path | None) -> None:
        self._descriptor = (
            None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        )

    def append(self, *records: Mapping[str, Any]) -> None:
        """Write records, all in one call: either all of them are there afterwards or a cut one."""
        if self._descriptor is not None and records:
            text = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
            remaining = text.encode()
            while remaining:
                remaining = remaining[os.write(self._descriptor, remaining) :]

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def read_journal(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The records of a journal, and whether its last line was cut; a cut last line is removed.

    A run that was killed while it wrote leaves one; what it held was not finished. A run that was
    killed before its first whole line leaves no journal or an empty one: no records.

    Raises:
        UserError: the journal cannot be read, a line in the middle is damaged, or it is none.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return [], False
    except OSError as error:
        raise UserError(f"journal {str(path)!r} cannot be read: {error.strerror}") from error
    records: list[dict[str, Any]] = []
    whole = 0
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        record = _record(line)
        if record is None:
            if whole + len(line) < len(data):
                raise UserError(
                    f"journal {path.name!r} is damaged in line {number}; restore the file, or "
                    "remove it and run without --rnn-resume"
                )
            break
        records.append(record)
        whole += len(line)
    ours = records[0].get("type") == "run" if records else _begins_as_ours(data)
    if not ours:
        raise UserError(
            f"journal {path.name!r} does not begin as a journal of rnnbench does; remove it and "
            "run without --rnn-resume"
        )
    cut = whole < len(data)
    if cut:
        os.truncate(path, whole)
    return records, cut


def _begins_as_ours(data: bytes) -> bool:
    """Whether a first line that was cut, maybe to nothing, is one that a run had begun to write."""
    return _FIRST.startswith(data) or data.startswith(_FIRST)


def _record(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def by_type(records: Iterable[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    """Records of one type, in order."""
    return [record for record in records if record["type"] == kind]
