"""What differs between two machines, or two states of one, so that times cannot be compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from rnnbench.results import Run

__all__ = ["Difference", "differences", "machine_key", "most_times"]

_Fact: TypeAlias = Callable[[Run, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Difference:
    """A fact that two sides do not share, as texts."""

    name: str
    base: str
    new: str


def differences(
    base: tuple[Run, Mapping[str, Any]], new: tuple[Run, Mapping[str, Any]]
) -> list[Difference]:
    """Facts about machine and settings that differ; PyTorch and Python are what is compared.

    A fact that one side does not tell is no difference: older files know less.
    """
    found = []
    for name, fact in _FACTS.items():
        left, right = fact(*base), fact(*new)
        if left is not None and right is not None and left != right:
            found.append(Difference(name, _text(left), _text(right)))
    return found


def machine_key(environment: Mapping[str, Any]) -> str:
    """A short name for a machine as an environment describes it, by what its speed depends on."""
    facts = [
        _at(environment, "cpu", "model"),
        # Virtual machines call generations of a processor by one name.
        _at(environment, "cpu", "family"),
        _at(environment, "cpu", "count"),
        _at(environment, "cpu", "machine"),
        _at(environment, "cpu_capability"),
        _gpus(environment),
    ]
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def most_times(runs: Iterable[Run]) -> int:
    """How often one machine was measured: the most that any of the runs' machines was."""
    times: dict[str, set[str]] = {}
    for run in runs:
        for key in {machine_key(described) for described in run.environments.values()}:
            times.setdefault(key, set()).add(run.measured_at)
    return max(map(len, times.values()), default=0)


def _at(table: Any, *keys: str) -> Any:
    for key in keys:
        table = table.get(key) if isinstance(table, Mapping) else None
    return table


def _environment(*keys: str) -> _Fact:
    return lambda run, environment: _at(environment, *keys)


def _option(name: str) -> _Fact:
    return lambda run, environment: run.options.get(name)


def _gpus(environment: Mapping[str, Any]) -> list[str] | None:
    devices = _at(environment, "devices")
    if not isinstance(devices, Mapping):
        return None
    names = []
    for kind, described in sorted(devices.items(), key=str):
        listed = _at(described, "devices")
        for device in listed if isinstance(listed, list) else []:
            name = device if isinstance(device, str) else _at(device, "name")
            names.append(f"{kind}: {name}")
    return names


def _drivers(run: Run, environment: Mapping[str, Any]) -> list[str] | None:
    devices = _at(environment, "devices")
    if not isinstance(devices, Mapping):
        return None
    found = []
    for described in devices.values():
        listed = _at(described, "driver")
        for driver in listed if isinstance(listed, list) else []:
            found += [str(_at(driver, name)) for name in ("driver_version", "power.limit")]
    return found or None


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, Mapping):
        pairs = sorted(value.items(), key=str)
        return ", ".join(f"{key}={item}" for key, item in pairs) or "none"
    return str(value)


_FACTS: Mapping[str, _Fact] = {
    "processor": _environment("cpu", "model"),
    "processor's family": _environment("cpu", "family"),
    "architecture": _environment("cpu", "machine"),
    "logical processors": _environment("cpu", "count"),
    "CPU features": _environment("cpu", "flags"),
    "CPU capability": _environment("cpu_capability"),
    "CPU governor": _environment("cpu", "governor"),
    "simultaneous multithreading": _environment("cpu", "smt"),
    "CPU quota": _environment("container", "cpu_max"),
    "GPU": lambda run, environment: _gpus(environment),
    "GPU driver and power limit": _drivers,
    "TF32": _environment("tf32"),
    "variables": _environment("variables"),
    "cores used": _option("cores"),
    "seconds of a block": _option("block_seconds"),
}
