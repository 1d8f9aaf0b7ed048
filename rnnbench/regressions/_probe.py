"""Asks a Python which version it is and which torch it has, the way a worker would find them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Probed", "clean_variables", "probe"]

_SCRIPT = """
import json, platform, sys
sys.path[:] = [entry for entry in sys.path if entry]
found = {"python": platform.python_version(), "torch": None, "why": None}
try:
    import torch
    found["torch"] = torch.__version__
except Exception as error:
    found["why"] = f"{type(error).__name__}: {error}"
print("\\n" + json.dumps(found))
"""
_TIMEOUT = 180.0
_MIXING = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class Probed:
    """What a Python answered; ``torch`` is None where there is none, and ``why`` says why."""

    python: str | None
    torch: str | None
    why: str | None


def clean_variables() -> dict[str, str]:
    """Environment variables of this process, less those that would mix two Pythons."""
    return {name: value for name, value in os.environ.items() if name not in _MIXING}


def probe(python: str) -> Probed:
    """Start a Python and ask it; a Python that does not start is one without a version."""
    try:
        answer = subprocess.run(
            [python, "-c", _SCRIPT],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env=clean_variables(),
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probed(None, None, f"it does not answer within {_TIMEOUT:g} s")
    except OSError as error:
        return Probed(None, None, f"it does not start: {error.strerror or error}")
    try:
        found = json.loads(answer.stdout.rstrip().rpartition("\n")[2])
    except ValueError:
        found = None
    if answer.returncode or not isinstance(found, Mapping):
        said = (answer.stderr.strip().splitlines() or [f"status {answer.returncode}"])[-1]
        return Probed(None, None, f"it does not start: {said[:200]}")
    why = found.get("why")
    first = str(why).strip().splitlines()[0][:200] if why else None
    return Probed(found.get("python"), found.get("torch"), first)
