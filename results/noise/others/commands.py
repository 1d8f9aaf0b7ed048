"""Runs a tool's command and keeps what it says."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from rnnbench.errors import UserError

_LAST_LINES = 15


def said_by(
    command: Sequence[str],
    variables: Mapping[str, str],
    folder: Path,
    allowed: Sequence[int] = (0,),
) -> str:
    """All that a command prints, to both streams.

    Raises:
        UserError: it ends with a status that is not allowed; the message ends with what it said.
    """
    done = subprocess.run(
        command,
        env=dict(variables),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode not in allowed:
        raise failed(command, f"status {done.returncode}", done.stdout)
    return done.stdout


def failed(command: Sequence[str], how: str, said: str) -> UserError:
    """The error of a command that did not do what was asked."""
    last = "\n".join(said.rstrip().splitlines()[-_LAST_LINES:])
    return UserError(f"`{' '.join(command[:4])} …` ended with {how}; its last lines were:\n{last}")
