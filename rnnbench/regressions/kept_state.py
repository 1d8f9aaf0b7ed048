"""What an output folder says of a measurement of several parts, so that it goes on as it was begun.

The state is a small JSON file beside the results: how many parts have ended, and what was asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnnbench.errors import UserError

__all__ = ["check_ended", "check_same", "read_state"]


def read_state(file: Path, kinds: Mapping[str, type], what: str) -> dict[str, Any] | None:
    """The values that a state file has of these kinds; None where there is no file.

    Raises:
        UserError: it cannot be read, or is no state of ``what``.
    """
    try:
        found = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}; give another --output") from None
    if not isinstance(found, dict) or any(type(found.get(k)) is not kinds[k] for k in kinds):
        raise UserError(f"{file} is no state of {what}; give another --output")
    return {key: found[key] for key in kinds}


def check_same(then: Mapping[str, Any], now: Mapping[str, Any], where: str) -> None:
    """Refuse to go on with other options, by their names, than ``where`` was begun with.

    Raises:
        UserError: some are different.
    """
    different = [
        name for name in sorted(then.keys() | now.keys()) if then.get(name) != now.get(name)
    ]
    if different:
        raise UserError(
            f"--resume: {where} was begun with other options; different: {', '.join(different)}. "
            "Give the same ones, or another --output to start anew"
        )


def check_ended(file: Path, part: str) -> None:
    """Refuse to go on without the result of a part that had ended.

    Raises:
        UserError: it is not there.
    """
    if not file.exists():
        raise UserError(
            f"--resume: {file} is missing, the result of a {part} that had ended; restore it, or "
            "give another --output to start anew"
        )
