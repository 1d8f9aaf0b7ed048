"""The command line that measures a shape that a result does not have."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.cases import builtin_implementations
from rnnbench.grids.axes import ALL, AXES, HIDDEN, OPTION_PREFIX
from rnnbench.report._processes import figures_of
from rnnbench.report.reproduce import command_pieces
from rnnbench.results import Results

__all__ = ["command_to_measure"]

_FILE = "wanted.json"


def command_to_measure(
    results: Results,
    sizes: Mapping[str, int],
    setting: Mapping[str, Any],
    rows: Sequence[int] = (),
) -> str:
    """The command for the sizes and the setting of a wish, for a shell in a source tree.

    ``rows`` are those whose implementations compete: they are measured again, with their plug-ins
    and environments as `rnnbench.report.reproduce` names them. Without rows it is all of them. What
    neither sizes nor setting say is as in `Case`; a missing input size is the one measured in
    ``rows`` that is nearest to the hidden size.
    """
    given = {**setting, **sizes, "implementation": _implementations(results, rows)}
    if "input_size" not in given:
        given["input_size"] = _width(results, rows, sizes["hidden_size"])
    pieces = ["pytest suites"]
    for axis in AXES.values():
        value = given.get(axis.name, axis.default)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        pieces.append(f"{OPTION_PREFIX}{axis.option} {shlex.quote(text)}")
    pieces += _others(results, rows)
    return " ".join([*pieces, f"--benchmark-json={_FILE}"])


def _implementations(results: Results, rows: Sequence[int]) -> str:
    column = figures_of(results).columns["implementation"]
    names = sorted({str(column[row]) for row in rows})
    # Names as long as a page can only do harm.
    return ",".join(names) if names and len(",".join(names)) <= 1000 else ALL


def _width(results: Results, rows: Sequence[int], hidden: int) -> int | str:
    column = figures_of(results).columns["input_size"]
    widths = {int(column[row]) for row in rows}
    return min(widths, key=lambda x: (abs(math.log(x / hidden)), x), default=HIDDEN)


def _others(results: Results, rows: Sequence[int]) -> list[str]:
    """Options for plug-ins and environments of some rows, each once."""
    column = figures_of(results).columns["implementation"]
    builtin = set(builtin_implementations())
    foreign = [row for row in rows if column[row] not in builtin]
    environments = {figures_of(results).columns["environment"][row]: row for row in rows}
    wanted = [*foreign[:1], *environments.values()]
    starts = tuple(f"{OPTION_PREFIX}{option} " for option in ("plugin", "python"))
    found = [
        piece
        for pieces in command_pieces(results, wanted)
        for piece in pieces
        if piece.startswith(starts)
    ]
    return list(dict.fromkeys(found))
