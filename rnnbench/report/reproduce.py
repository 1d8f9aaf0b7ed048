"""The command line that measures one case of a result again, and nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from rnnbench.cases import DEFAULT_ENVIRONMENT, builtin_implementations
from rnnbench.grids import AXES, OPTION_PREFIX
from rnnbench.results import Results

__all__ = ["command_for", "command_pieces"]

_START = "pytest suites"
_END = "--benchmark-json=again.json"


def command_for(results: Results, row: int) -> str:
    """The command for the case of a row, for a shell in a source tree of rnnbench.

    Every axis is given by name, so that the grid's own values do not count; seconds and replicates
    are those of the run. Two things are no part of a result file and are left to the reader: where
    the plug-in of a foreign implementation lies (the command names its file alone), and where the
    Python of a named environment is (the command says PATH, which rnnbench refuses in a sentence).
    """
    return " ".join(piece for column in command_pieces(results, [row]) for piece in column if piece)


def command_pieces(results: Results, rows: Iterable[int]) -> list[list[str]]:
    """The commands of many rows in columns: one list for each piece, with an entry for each row.

    The command of a row is its entries of all lists, those that are not empty, joined by blanks.
    The pieces are already quoted for a shell. Most lists hold few different texts, so that a page
    can carry the commands of 10,000 rows in little space.
    """
    wanted = list(rows)
    frame = results.frame.loc[wanted]
    pieces = [[_START] * len(wanted)]
    for axis in AXES.values():
        option = OPTION_PREFIX + axis.option
        values = frame[axis.name].tolist()
        texts = {value: f"{option} {shlex.quote(_as_text(value))}" for value in set(values)}
        pieces.append([texts[value] for value in values])
    builtin = set(builtin_implementations())
    names, environments, runs = (
        [str(value) for value in frame[column].tolist()]
        for column in ("implementation", "environment", "run")
    )
    plugins = {label: _plugins(run.options) for label, run in results.runs.items()}
    effort = {label: _effort(run.options) for label, run in results.runs.items()}
    pieces.append(
        ["" if name in builtin else plugins[run] for name, run in zip(names, runs, strict=True)]
    )
    pieces.append([_python(name) for name in environments])
    pieces.append([effort[run] for run in runs])
    pieces.append([_END] * len(wanted))
    return pieces


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _python(environment: str) -> str:
    if environment == DEFAULT_ENVIRONMENT:
        return ""
    return f"{OPTION_PREFIX}python {shlex.quote(f'{environment}=PATH')}"


def _plugins(options: Mapping[str, Any]) -> str:
    given = options.get("plugins")
    names = given if isinstance(given, list) else []
    return " ".join(
        f"{OPTION_PREFIX}plugin {_file(name)}" for name in names if isinstance(name, str) and name
    )


def _file(name: str) -> str:
    """A file's name for a shell; one that could deceive the reader's eye is not repeated."""
    if not (name.isascii() and name.isprintable() and len(name) <= 100):
        return "PLUGIN.py"
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def _effort(options: Mapping[str, Any]) -> str:
    """Replicates and seconds as the run had them; a file may hold anything under these names."""
    found: list[str] = []
    replicates, seconds = options.get("replicates"), options.get("seconds")
    if type(replicates) is int and replicates >= 1:
        found.append(f"{OPTION_PREFIX}replicates {replicates}")
    if type(seconds) in (int, float) and _is_time(seconds):
        found.append(f"{OPTION_PREFIX}seconds {seconds:.12g}")
    return " ".join(found)


def _is_time(seconds: Any) -> bool:
    # A whole number of a file may be too large to become a float.
    return bool(0 < seconds < 1e300)
