"""Which rows belong side by side, and what they are called: labels say only what differs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from rnnbench.schema import CASE_COLUMNS

__all__ = [
    "CASE_NAMES",
    "COMPETITOR",
    "SHAPE",
    "competitor_labels",
    "groups",
    "setting_text",
    "varying",
]

CASE_NAMES = tuple(column.name for column in CASE_COLUMNS)
"""Names of the columns of a case."""

COMPETITOR = ("implementation", "environment")
"""Columns in which competitors differ: all others are the setting that they share."""

SHAPE = ("seq_len", "batch", "input_size", "hidden_size", "num_layers", "bidirectional")
"""Columns that say how large the layer and its input are."""

_LETTERS = {
    "seq_len": "T",
    "batch": "B",
    "input_size": "I",
    "hidden_size": "H",
    "num_layers": "L",
}

_USUAL = {"initial_state": "given", "lengths": "full"}
_USUAL_WORDS = {"initial_state": "{} initial state", "lengths": "lengths {}"}
"""What is said of these columns only where they hold something else."""


def groups(
    frame: pd.DataFrame,
    apart: Iterable[str] = COMPETITOR,
    *,
    across_runs: bool = False,
) -> dict[tuple[Hashable, ...], list[int]]:
    """Rows by what they share: all columns of a case but those of ``apart``.

    Rows of different runs are together only with ``across_runs``. The keys hold the shared values
    in the order of `CASE_NAMES`, the run first where it counts; rows keep the frame's order.
    """
    aside = set(apart)
    shared = [name for name in CASE_NAMES if name not in aside]
    names = shared if across_runs else ["run", *shared]
    found: dict[tuple[Hashable, ...], list[int]] = {}
    keys = zip(*(frame[name].tolist() for name in names), strict=True)
    for row, key in zip(frame.index.tolist(), keys, strict=True):
        found.setdefault(key, []).append(row)
    return found


def varying(frame: pd.DataFrame, names: Iterable[str] = CASE_NAMES) -> list[str]:
    """Columns that hold more than one value."""
    return [name for name in names if frame[name].nunique(dropna=False) > 1]


def competitor_labels(frame: pd.DataFrame) -> pd.Series:
    """A name for each row: its implementation, then the environment and run where they differ."""
    labels = frame["implementation"].astype("string")
    if frame["environment"].nunique() > 1:
        labels = labels + " @ " + frame["environment"].astype("string")
    if frame["run"].nunique() > 1:
        labels = labels + " (" + frame["run"].astype("string") + ")"
    return labels


def setting_text(values: Mapping[str, Any], names: Sequence[str] = CASE_NAMES) -> str:
    """A setting in words, such as ``forward, T=10 B=32 I=64 H=128 L=1, time_major, cpu``.

    Only ``names`` are said, in the order of the schema; sizes come with PyTorch's letters.
    """
    words: list[str] = []
    sizes: list[str] = []
    for name in CASE_NAMES:
        if name not in names or name not in values:
            continue
        value = values[name]
        if name in _LETTERS:
            sizes.append(f"{_LETTERS[name]}={value}")
        elif name == "bidirectional":
            sizes += ["bidirectional"] if value else []
        elif name == "bias":
            words += [] if value else ["no bias"]
        elif name == "dropout":
            words += [f"dropout {value:g}"] if value else []
        elif name in _USUAL:
            words += [] if value == _USUAL[name] else [_USUAL_WORDS[name].format(value)]
        elif name == "threads":
            words.append("1 thread" if value == 1 else f"{value} threads")
        elif name == "seed":
            words.append(f"seed {value}")
        else:
            words.append(str(value))
    shape = " ".join(sizes)
    # The sizes stand where the shape's first column does: after implementation, cell and pass.
    first = sum(name in names and name in values for name in CASE_NAMES[:4])
    return ", ".join([*words[:first], *([shape] if shape else []), *words[first:]])
