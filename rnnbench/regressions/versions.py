"""Measures environments against each other in one run, and makes of it what a reader wants."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rnnbench.cases import builtin_implementations
from rnnbench.errors import UserError
from rnnbench.grids import OPTION_PREFIX
from rnnbench.regressions.environments import Environment
from rnnbench.regressions.processes import run_through
from rnnbench.regressions.suites import suites_command

__all__ = [
    "RESULT",
    "baseline_among",
    "environment_arguments",
    "implementations_of",
    "measure",
    "prepare_output",
    "refuse_earlier",
]

RESULT = "versions.json"
_COMPLETED = (0, 1)  # 1: a case failed, and the result says which and why
_SUITES_REFUSED = 4


def prepare_output(folder: str | os.PathLike[str], *, resume: bool) -> Path:
    """Where the result of a run goes; the folder is made when there is something to measure.

    Raises:
        UserError: it cannot be made or written, or holds the result of another run.
    """
    from rnnbench.report.outputs import check_output_folder

    path = check_output_folder(folder)
    if not resume:
        refuse_earlier(path, RESULT)
    return path / RESULT


def refuse_earlier(folder: Path, *names: str) -> None:
    """Refuse to write over the result of an earlier run.

    Raises:
        UserError: one of these files is in the folder.
    """
    for name in names:
        if (folder / name).exists():
            raise UserError(
                f"--output {folder}: holds the result of an earlier run, {name}; give another "
                "folder, or --resume to complete that run"
            )


def environment_arguments(environments: Sequence[Environment]) -> list[str]:
    """What tells `pytest suites` of the environments."""
    return [f"{OPTION_PREFIX}python={entry.name}={entry.python}" for entry in environments]


def measure(result: Path, arguments: Sequence[str], *, resume: bool) -> None:
    """Run the suites into a result file, in sight of the user.

    With ``resume`` it goes on from the journal that lies beside the result, if there is one.

    Raises:
        UserError: the run did not come to its end, or an environment broke meanwhile.
        Interrupted: a signal asked for the end; the journal keeps what was measured.
    """
    journal = result.with_name(f"{result.name}.journal")
    result.parent.mkdir(exist_ok=True)
    going_on = [f"{OPTION_PREFIX}resume"] if resume and journal.exists() else []
    status = run_through(suites_command(result, [*arguments, *going_on]))
    if status in _COMPLETED and result.exists():
        _refuse_if_broken(result)
        return
    if status == _SUITES_REFUSED:
        raise UserError("nothing was measured, for the reason that stands above")
    raise UserError(
        f"the run ended with status {status}; what it said stands above, and the same command with "
        "--resume goes on from what was measured"
    )


def _refuse_if_broken(result: Path) -> None:
    """No complete result: the cases of an environment that broke can still be measured."""
    environments = json.loads(result.read_bytes())["rnnbench"]["environments"]
    for name, described in environments.items():
        if "broken" in described:
            raise UserError(
                f"the environment {name!r} broke in the middle of the run: {described['broken']}. "
                f"{result} holds what was measured; mend it, and give the same command with "
                "--resume for the rest"
            )


def implementations_of(plugins: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Names of the implementations that plug-ins register, asked of a process that has a torch.

    ``arguments`` are those of `rnnbench list`.

    Raises:
        UserError: a plug-in does not import, or none of them registers anything.
    """
    command = [sys.executable, "-m", "rnnbench", "list", "--json", *arguments]
    command += [f"--plugin={plugin}" for plugin in plugins]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        lines = answer.stderr.strip().splitlines() or [f"status {answer.returncode}"]
        raise UserError(lines[-1].removeprefix("rnnbench: "))
    met = {entry["case"]["implementation"] for entry in json.loads(answer.stdout)}
    names = sorted(met - set(builtin_implementations()))
    if not names:
        raise UserError(
            f"{' and '.join(plugins)} registered no implementation of their own; README shows a "
            "plug-in under `Add a cell of your own`"
        )
    return names


def baseline_among(implementations: str | None, baseline: str) -> str:
    """The baseline, or what takes its place where the implementations were chosen without it."""
    chosen = [] if implementations is None else implementations.split(",")
    if not chosen or baseline in chosen or "all" in chosen:
        return baseline
    return chosen[0].strip()
