"""One result of several environments as one file for each, for tools that compare files."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnnbench.report.outputs import write_document
from rnnbench.validation import read_document

__all__ = ["environment_document", "split_result"]

_NAMED = ("name", "fullname", "param", "group")


def split_result(file: Path) -> dict[str, Path]:
    """Write ``STEM-NAME.json`` beside a result for each environment in it; returns their paths.

    Raises:
        UserError: the result is not valid, or a file cannot be written.
    """
    document = read_document(file)
    files = {}
    for name in document["rnnbench"]["environments"]:
        path = file.with_name(f"{file.stem}-{name}.json")
        part = environment_document(document, name)
        write_document(path, part)
        files[name] = path
    return files


def environment_document(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The part of a result that one environment has: its benchmarks, what it could not, itself.

    The environment is left out of the benchmarks' names, so that tools which join by name find the
    same ones in each file; the case still has it. ``run_id`` stays: it tells that the environments
    took turns.
    """
    ours = document["rnnbench"]
    benchmarks = [
        _renamed(benchmark, name)
        for benchmark in document["benchmarks"]
        if benchmark["extra_info"]["rnnbench"]["case"]["environment"] == name
    ]
    part = {key: value for key, value in document.items() if key not in ("benchmarks", "rnnbench")}
    part["benchmarks"] = benchmarks
    part["rnnbench"] = {
        **ours,
        "environments": {name: ours["environments"][name]},
        "not_measured": [
            entry for entry in ours["not_measured"] if entry["case"]["environment"] == name
        ],
    }
    return copy.deepcopy(part)


def _renamed(benchmark: Mapping[str, Any], name: str) -> dict[str, Any]:
    mark = f"@{name}"
    changed: dict[str, Any] = dict(benchmark)
    for key in _NAMED:
        value = changed.get(key)
        if isinstance(value, str):
            changed[key] = _without(value, mark)
    params = changed.get("params")
    if isinstance(params, Mapping):
        changed["params"] = {
            key: _without(value, mark) if isinstance(value, str) else value
            for key, value in params.items()
        }
    return changed


def _without(text: str, mark: str) -> str:
    """Without the mark at its end, which in a test's name stands before the bracket."""
    if text.endswith(f"{mark}]"):
        return text.removesuffix(f"{mark}]") + "]"
    return text.removesuffix(mark)
