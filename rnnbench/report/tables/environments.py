"""In what it ran: a column for each environment of each file, and what differs between them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import pandas as pd

from rnnbench.limits import launches_in
from rnnbench.numbers import format_bytes, format_count, format_seconds, format_share
from rnnbench.report.content import Cell, Table
from rnnbench.report.escaping import clean
from rnnbench.report.tables._columns import Column, assemble
from rnnbench.results import Results, Run

__all__ = ["environments"]

_Environment: TypeAlias = Mapping[str, Any]
_Fact: TypeAlias = Callable[[Run, _Environment], Any]

_BESIDE = 4  # environments that stand beside each other; more are rows
_UNKNOWN = "unknown"


def environments(results: Results) -> Table | None:
    """What the files say of each environment; None where there is none.

    Up to four environments are columns and the facts rows; more environments are rows. ``data``: a
    row for each environment of each run with run, environment and the facts as texts.
    """
    places = [
        (label, name, run, environment)
        for label, run in results.runs.items()
        for name, environment in run.environments.items()
    ]
    if not places:
        return None
    facts = {
        fact: [clean(_text(read(run, environment))) for _, _, run, environment in places]
        for fact, read in _FACTS.items()
    }
    # What no environment says is no news.
    facts = {fact: texts for fact, texts in facts.items() if set(texts) != {_UNKNOWN}}
    labels = [
        clean(name if len(results.runs) == 1 else f"{run}: {name}") for run, name, *_ in places
    ]
    data = pd.DataFrame(
        {
            "run": [run for run, *_ in places],
            "environment": [name for _, name, *_ in places],
            **facts,
        }
    )
    if len(places) > _BESIDE:
        columns = [Column("environment", [Cell(label) for label in labels])]
        columns += [
            Column(fact, [Cell(text) for text in texts], choices=True, once=True)
            for fact, texts in facts.items()
        ]
        sentences = ["What differs between the environments has a column."]
        return assemble("environments", "In what it ran", sentences, columns, data)
    columns = [Column("what", [Cell(fact) for fact in facts])]
    columns += [
        Column(label, [Cell(texts[place]) for texts in facts.values()])
        for place, label in enumerate(labels)
    ]
    if len(places) > 1:
        same = ["same" if len(set(texts)) == 1 else "differs" for texts in facts.values()]
        columns.append(Column("difference", [Cell(word) for word in same]))
    return assemble("environments", "In what it ran", [], columns, data)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, str | int | float) and value != "" else _UNKNOWN


def _item(table: Any, *keys: str) -> Any:
    """What stands at a path of keys; None where a part of it is missing or of another type."""
    for key in keys:
        table = table.get(key) if isinstance(table, Mapping) else None
    return table


def _own(*keys: str) -> _Fact:
    return lambda run, environment: _item(environment, *keys)


def _share(*keys: str) -> _Fact:
    def read(run: Run, environment: _Environment) -> str | None:
        value = _item(run.load, *keys)
        known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6
        return format_share(value) if known else None

    return read


def _devices(run: Run, environment: _Environment) -> str | None:
    names = []
    for kind, described in _pairs(environment.get("devices")):
        listed = _item(described, "devices")
        for device in listed if isinstance(listed, list) else []:
            name = device if isinstance(device, str) else _item(device, "name")
            names.append(f"{kind}: {name}" if isinstance(name, str) else str(kind))
    return ", ".join(names) or None


def _of_devices(*keys: str) -> _Fact:
    def read(run: Run, environment: _Environment) -> str | None:
        found = []
        for _, described in _pairs(environment.get("devices")):
            value = _item(described, keys[0])
            for part in value if isinstance(value, list) else [value]:
                part = _item(part, *keys[1:]) if len(keys) > 1 else part
                if isinstance(part, str | int) and str(part) not in found:
                    found.append(str(part))
        return ", ".join(found) or None

    return read


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, Mapping) else []


def _variables(run: Run, environment: _Environment) -> str:
    pairs = _pairs(environment.get("variables"))
    return ", ".join(f"{name}={value}" for name, value in sorted(pairs, key=str)) or "none set"


def _container(run: Run, environment: _Environment) -> str | None:
    pairs = _pairs(environment.get("container"))
    if not pairs:
        return None
    return ", ".join(str(name) for name, value in pairs if value is True) or "none found"


def _launches(run: Run, environment: _Environment) -> str | None:
    told = [
        f"{one.device}: {format_seconds(one.times['launch'].seconds)}, synchronisation "
        f"{format_seconds(one.times['synchronisation'].seconds)}"
        for one in launches_in(environment)
        if not one.reason
    ]
    return "; ".join(told) or None


def _planted(run: Run, environment: _Environment) -> str | None:
    share = environment.get("planted")
    return format_share(share) if isinstance(share, float) and 0 < share <= 1 else None


def _memory(run: Run, environment: _Environment) -> str | None:
    size = environment.get("memory")
    return format_bytes(size) if type(size) is int and 0 < size < 2**63 else None


def _duration(run: Run, environment: _Environment) -> str | None:
    seconds = run.load.get("seconds")
    if not isinstance(seconds, int | float) or not 0 <= seconds < 1e9:
        return None
    return f"{format_count(seconds)} s"


def _cores(run: Run, environment: _Environment) -> str | None:
    cores = run.options.get("cores")
    return ", ".join(map(str, cores)) or None if isinstance(cores, list) else None


def _stages(run: Run, environment: _Environment) -> str | None:
    return f"{len(run.sessions)} of {run.stages}" if run.stages > 1 else None


_FACTS: Mapping[str, _Fact] = {
    "torch": _own("torch"),
    "Python": _own("python"),
    "system": _own("system"),
    "CPU": _own("cpu", "model"),
    "logical processors": _own("cpu", "count"),
    "CPU capability": _own("cpu_capability"),
    "CPU governor": _own("cpu", "governor"),
    "virtual machine": _own("cpu", "virtual"),
    "memory": _memory,
    "container": _container,
    "GPU": _devices,
    "CUDA or HIP": _of_devices("toolkit"),
    "cuDNN": _of_devices("cudnn"),
    "launch of a kernel": _launches,
    "GPU driver": _of_devices("driver", "driver_version"),
    "variables": _variables,
    "planted slowdown": _planted,
    "cores used": _cores,
    "load by others": _share("others_share"),
    "stolen by the host": _share("stolen_share"),
    "throttled": _share("throttled_share"),
    "grid": lambda run, environment: _item(run.grid, "name"),
    "replicates": lambda run, environment: _item(run.options, "replicates"),
    "stages": _stages,
    "run took": _duration,
    "measured at": lambda run, environment: re.sub(r"\.\d+", "", run.measured_at[:100]),
    "rnnbench": lambda run, environment: run.version,
    "notes": lambda run, environment: " | ".join(run.notes),
}
