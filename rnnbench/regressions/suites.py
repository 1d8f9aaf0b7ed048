"""Where the suites are, and the command that runs them as a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import rnnbench
from rnnbench.errors import UserError

__all__ = ["suites_command", "suites_folder"]

_ONE_OF_THEM = "test_layer.py"


def suites_folder() -> Path:
    """The folder of the suites: that of the source tree, else the one inside the package.

    Raises:
        UserError: rnnbench was installed without them.
    """
    package = Path(rnnbench.__file__).resolve().parent
    beside = package.parent / "suites"
    # Beside an installed package may lie some other project's folder of that name.
    if (package.parent / "pyproject.toml").is_file() and (beside / _ONE_OF_THEM).is_file():
        return beside
    if (package / "suites" / _ONE_OF_THEM).is_file():
        return package / "suites"
    raise UserError(f"the suites are missing in {package}; install rnnbench anew")


def suites_command(result: Path, arguments: Sequence[str]) -> list[str]:
    """The command that measures the suites into a result file.

    The settings of a project around the user's folder do not apply: its own options for its own
    tests, such as coverage, would be measured too.
    """
    suites = suites_folder()
    return [
        *(sys.executable, "-m", "pytest", str(suites)),
        *("-c", os.devnull, f"--rootdir={suites.parent}", "--import-mode=importlib", "-q"),
        *("-p", "no:cacheprovider", "-p", "rnnbench.measuring.plugin"),
        f"--benchmark-json={result}",
        *arguments,
    ]
