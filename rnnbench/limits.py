"""Limits of a machine as they are measured and kept; standard library only.

A `Ceiling` is what a device can do at best with a data type and a number of threads. `Limits` are
the ceilings of a machine with one PyTorch, kept by a fingerprint of both: what was measured
elsewhere is never used, and `known_limits` says so. `rnnbench machine` measures them,
`rnnbench.bounds` makes the limit of a case of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rnnbench.cases import Case
from rnnbench.errors import UserError

__all__ = [
    "CALLS",
    "Ceiling",
    "Launches",
    "Least",
    "Limits",
    "Product",
    "ceilings_in",
    "facts_of",
    "fingerprint",
    "has_limit",
    "kept_limits",
    "known_limits",
    "launches_in",
    "read_limits",
    "why_not_of",
]

CALLS = ("python", "cpp", "product")
"""Calls that compute next to nothing: an operator from Python, the same from C++, and a product of
(1, 1) and (1, 1) from Python."""

_SCHEMA = 2
_SHORTEST, _LONGEST = 1e-15, 1e12
_LARGEST = 2**31
_MOST_STEPS = 10**6

_INDIFFERENT = (
    "CUDA_VISIBLE_DEVICES",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "TORCHINDUCTOR_COMPILE_THREADS",
)
"""Variables that no limit depends on: threads are set for each case."""

_UNKNOWN = "unknown"
_PYTORCH = ("PyTorch", "PyTorch's commit")


@dataclass(frozen=True, order=True)
class Product:
    """A matrix product of (m, k) and (k, n)."""

    m: int
    k: int
    n: int

    @property
    def flops(self) -> int:
        """A multiplication and an addition count as two."""
        return 2 * self.m * self.k * self.n


@dataclass(frozen=True)
class Least:
    """The least seconds that a call took, and between which values the least of all may lie."""

    seconds: float
    low: float
    high: float

    @classmethod
    def of_processes(cls, bests: Iterable[float]) -> Least:
        """The least of what each of some fresh processes reached at best.

        All that disturbs makes a call longer, so the quickest says what is possible. Processes
        differ for their whole life (where their memory lies), and a luckier one may come: the
        interval reaches up to the middle one of them, and by the same factor to the other side.
        """
        ordered = sorted(bests)
        count = len(ordered)
        middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
        return cls(ordered[0], ordered[0] ** 2 / middle, middle)

    @classmethod
    def from_json(cls, value: Any) -> Least:
        """From a part of a file.

        Raises:
            ValueError: it is none.
        """
        found = cls(*(_seconds(value, name) for name in ("seconds", "low", "high")))
        if not found.low <= found.seconds <= found.high:
            raise ValueError("the least lies outside of its interval")
        return found

    def as_json(self) -> dict[str, float]:
        """As a file holds it."""
        return {"seconds": self.seconds, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Ceiling:
    """What a device can do at best with a dtype and a number of threads.

    ``products`` are calls from Python, by shape; ``moves`` by bytes read and written, without what
    the call of an operator costs; ``calls`` by the names of `CALLS`.
    """

    device: str
    dtype: str
    threads: int
    products: Mapping[Product, Least]
    moves: Mapping[int, Least]
    calls: Mapping[str, Least]

    @classmethod
    def from_json(cls, value: Any) -> Ceiling:
        """From a part of a file.

        Raises:
            ValueError: it is none, or has not all that a limit follows from.
        """
        products = {
            Product(*_shape(_item(entry, "shape"))): Least.from_json(entry)
            for entry in _list(value, "products")
        }
        moves = {_size(entry, "bytes"): Least.from_json(entry) for entry in _list(value, "moves")}
        calls = {name: Least.from_json(_item(_item(value, "calls"), name)) for name in CALLS}
        if not products or not moves:
            raise ValueError("nothing was measured")
        names = (_item(value, "device"), _item(value, "dtype"))
        if not all(isinstance(name, str) for name in names):
            raise ValueError("no device or dtype")
        return cls(*names, _size(value, "threads"), products, moves, calls)

    def as_json(self) -> dict[str, Any]:
        """As a file holds it, with its best rates beside it."""
        return {
            "device": self.device,
            "dtype": self.dtype,
            "threads": self.threads,
            "flops_per_second": self.flops_per_second,
            "bytes_per_second": self.bytes_per_second,
            "products": [
                {"shape": [p.m, p.k, p.n], **least.as_json()} for p, least in self.products.items()
            ],
            "moves": [{"bytes": size, **least.as_json()} for size, least in self.moves.items()],
            "calls": {name: least.as_json() for name, least in self.calls.items()},
        }

    @property
    def flops_per_second(self) -> float:
        """The best rate of any product."""
        return self._rates[0]

    @property
    def bytes_per_second(self) -> float:
        """The rate of the largest amount, which no cache holds."""
        size = max(self.moves)
        return size / self.moves[size].seconds

    @cached_property
    def _rates(self) -> tuple[float, float, float]:
        """The best rate of any product; then of what these may take at least, and at most."""
        pairs = self.products.items()
        return (
            max(product.flops / least.seconds for product, least in pairs),
            max(product.flops / least.low for product, least in pairs),
            max(product.flops / least.high for product, least in pairs),
        )

    def product(self, product: Product) -> Least:
        """The least seconds of a product alone: without the call, and never above the best rate.

        Where the shape was not measured, its operations at the best rate.
        """
        ideal = Least(*(product.flops / rate for rate in self._rates))
        measured = self.products.get(product)
        if measured is None:
            return ideal
        call = self.calls["product"]
        return Least(
            max(measured.seconds - call.seconds, ideal.seconds),
            max(measured.low - call.high, ideal.low),
            max(measured.high - call.low, ideal.high),
        )

    def moving(self, size: int) -> Least:
        """The least seconds in which so many bytes move.

        At the better rate of the next amounts below and above it, since what is called again and
        again lies in a cache that holds it. Below the least amount, at the best rate of any.
        """
        below = max((n for n in self.moves if n <= size), default=None)
        above = min((n for n in self.moves if n >= size), default=None)
        near = self.moves if below is None else [n for n in (below, above) if n is not None]
        known = [(n, self.moves[n]) for n in near]
        return Least(
            min(size * least.seconds / n for n, least in known),
            min(size * least.low / n for n, least in known),
            min(size * least.high / n for n, least in known),
        )

    @cached_property
    def step(self) -> Least:
        """The least seconds of a step that waits for the one before: the cheapest operator call."""
        return min(
            (self.calls["python"], self.calls["cpp"]), key=lambda least: (least.seconds, least.low)
        )


@dataclass(frozen=True)
class Launches:
    """What a device asks of the processor beside it, or the ``reason`` why that is not known.

    ``times`` has ``launch`` (until a kernel is queued), ``synchronisation`` (of an idle device) and
    ``step`` (a kernel of many that wait for each other, from the launch until it is done).
    """

    device: str
    times: Mapping[str, Least] = field(default_factory=dict)
    reason: str = ""

    NAMES = ("launch", "synchronisation", "step")

    @classmethod
    def from_json(cls, value: Any) -> Launches:
        """From a part of a file.

        Raises:
            ValueError: it is none.
        """
        device, reason = _item(value, "device"), _item(value, "reason")
        if not isinstance(device, str):
            raise ValueError("no device")
        if isinstance(reason, str) and reason:
            return cls(device, reason=reason)
        return cls(device, {name: Least.from_json(_item(value, name)) for name in cls.NAMES})

    def as_json(self) -> dict[str, Any]:
        """As a file holds it."""
        if self.reason:
            return {"device": self.device, "reason": self.reason}
        return {"device": self.device, **{n: least.as_json() for n, least in self.times.items()}}


@dataclass(frozen=True)
class Limits:
    """What was measured on a machine with one PyTorch; ``facts`` say which, as `facts_of` does.

    ``seconds`` is how long it took, ``processes`` in how many fresh ones.
    """

    facts: Mapping[str, str]
    ceilings: Sequence[Ceiling]
    launches: Sequence[Launches] = ()
    measured_at: str = ""
    seconds: float = 0.0
    processes: int = 1

    @property
    def key(self) -> str:
        """The fingerprint of machine and PyTorch."""
        return fingerprint(self.facts)

    def document(self) -> bytes:
        """As a file."""
        content = {
            "rnnbench_limits": _SCHEMA,
            "key": self.key,
            "facts": dict(self.facts),
            "measured_at": self.measured_at,
            "seconds": self.seconds,
            "processes": self.processes,
            "limits": [ceiling.as_json() for ceiling in self.ceilings],
            "launches": [launches.as_json() for launches in self.launches],
        }
        return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def read_limits(path: Path) -> Limits:
    """Limits from a file.

    Raises:
        UserError: it cannot be read, or is no such file.
    """
    try:
        content = json.loads(path.read_bytes())
        if content["rnnbench_limits"] != _SCHEMA:
            raise ValueError
        facts = content["facts"]
        if not isinstance(facts, dict) or not all(isinstance(text, str) for text in facts.values()):
            raise ValueError
        return Limits(
            facts,
            tuple(map(Ceiling.from_json, content["limits"])),
            tuple(map(Launches.from_json, content["launches"])),
            str(content["measured_at"]),
            float(content["seconds"]),
            int(content["processes"]),
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        raise UserError(
            f"{path}: holds no limits of a machine that this rnnbench reads; "
            "`rnnbench machine --output FILE` writes such a file"
        ) from None


def ceilings_in(environment: Mapping[str, Any]) -> list[Ceiling]:
    """The ceilings that a result file gives for an environment, those that are none left out."""
    return _readable(environment.get("limits"), Ceiling.from_json)


def launches_in(environment: Mapping[str, Any]) -> list[Launches]:
    """The same for its devices."""
    return _readable(environment.get("launches"), Launches.from_json)


def facts_of(environment: Mapping[str, Any]) -> dict[str, str]:
    """What limits depend on, of an environment as a worker describes it: machine and PyTorch."""
    variables = _item(environment, "variables")
    told = variables if isinstance(variables, Mapping) else {}
    cpu, devices = _item(environment, "cpu"), _item(environment, "devices")
    facts = {
        "processor": _item(cpu, "model"),
        "processor's family": _item(cpu, "family"),
        "architecture": _item(cpu, "machine"),
        "logical processors": _item(cpu, "count"),
        "CPU features": _item(cpu, "flags"),
        "CPU capability": _item(environment, "cpu_capability"),
        "CPU quota": _item(_item(environment, "container"), "cpu_max"),
        "devices": {
            kind: [_item(device, "name") or device for device in _list(described, "devices")]
            for kind, described in sorted(devices.items(), key=str)
            if isinstance(described, Mapping) and isinstance(described.get("devices"), list)
        }
        if isinstance(devices, Mapping)
        else None,
        "variables": {name: told[name] for name in sorted(told) if name not in _INDIFFERENT},
        "PyTorch": _item(environment, "torch"),
        "PyTorch's commit": _item(environment, "torch_git"),
    }
    return {name: _text(value) for name, value in facts.items()}


def fingerprint(facts: Mapping[str, str]) -> str:
    """A short name for a machine with a PyTorch."""
    text = json.dumps(dict(facts), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def kept_limits(key: str = "") -> Path:
    """Where the limits of a fingerprint are kept; without one, the folder."""
    import platformdirs

    folder = platformdirs.user_data_path("rnnbench") / "limits"
    return folder / f"{key}.json" if key else folder


def why_not_of(limits: Limits, facts: Mapping[str, str]) -> str:
    """Of what else limits are, in a clause; empty where they are of this machine and PyTorch."""
    differ = _differing(limits, facts)
    machine = [name for name in differ if name not in _PYTORCH]
    parts = [f"another machine (other: {', '.join(machine)})"] if machine else []
    if len(machine) < len(differ):
        then, now = limits.facts.get(_PYTORCH[0]), facts.get(_PYTORCH[0])
        versions = f"another PyTorch ({then} and {now})"
        parts.append(versions if then != now else "another build of PyTorch")
    return " and ".join(parts)


def _differing(limits: Limits, facts: Mapping[str, str]) -> list[str]:
    """Facts that differ; one that a side does not tell is none: older files know less."""
    pairs = ((name, limits.facts.get(name, _UNKNOWN), fact) for name, fact in facts.items())
    return [name for name, then, now in pairs if _UNKNOWN not in (then, now) and then != now]


def has_limit(case: Case) -> bool:
    """Whether a limit is known for such cases: the products of others are not written down.

    Nor is one for sizes that no machine computes, over whose steps nobody need go.
    """
    usual = case.seq_len <= _MOST_STEPS and case.batch <= _MOST_STEPS
    return case.device == "cpu" and case.workload == "layer" and not case.autocast and usual


def known_limits(
    environment: Mapping[str, Any], cases: Iterable[Case], folder: Path | None = None
) -> dict[str, Any]:
    """What a result file says of an environment's limits: those that are kept, or why none are.

    ``limits`` and ``launches`` are as a file of limits has them, for this machine and this PyTorch
    alone. ``no_limits`` says in one sentence what there is no limit of, where there should be one.
    """
    wanted = sorted({(case.dtype, case.threads) for case in cases if has_limit(case)})
    if not wanted:
        return {}
    facts = facts_of(environment)
    place = kept_limits() if folder is None else folder
    file = place / f"{fingerprint(facts)}.json"
    try:
        found = read_limits(file) if file.is_file() else None
    except UserError as error:
        return {"no_limits": f"no share of a limit is known: {error}"}
    if found is None:
        return {"no_limits": f"no share of a limit is known: {_why_none(place, facts)}"}
    measured = [(ceiling.dtype, ceiling.threads) for ceiling in found.ceilings]
    told: dict[str, Any] = {
        "limits": [ceiling.as_json() for ceiling in found.ceilings],
        "launches": [one.as_json() for one in found.launches if not one.reason],
    }
    missing = [setting for setting in wanted if setting not in measured]
    if missing:
        told["no_limits"] = (
            f"no share of a limit is known for {_settings(missing)}: `rnnbench machine` measured "
            f"{_settings(measured)} here; give it the grid and axes of this run"
        )
    return told


def _why_none(folder: Path, facts: Mapping[str, str]) -> str:
    """Why nothing that is kept is of this machine and PyTorch; the nearest of it is named."""
    others = []
    for file in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            others.append(read_limits(file))
        except UserError:
            continue
    if not others:
        return "this machine's limits were not measured; `rnnbench machine` does that"
    nearest = min(others, key=lambda one: len(_differing(one, facts)))
    return (
        f"the limits that are kept are of {why_not_of(nearest, facts)}; `rnnbench machine` "
        "measures those of this one"
    )


def _settings(settings: Iterable[tuple[str, int]]) -> str:
    words = [f"{dtype} with {n} thread{'' if n == 1 else 's'}" for dtype, n in settings]
    return ", ".join(words) or "nothing"


# What stands in a file may be of any type.


def _readable(values: Any, read: Callable[[Any], Any]) -> list[Any]:
    found = []
    for value in values if isinstance(values, list) else ():
        try:
            found.append(read(value))
        except ValueError:
            continue
    return found


def _item(table: Any, key: str) -> Any:
    return table.get(key) if isinstance(table, Mapping) else None


def _list(table: Any, key: str) -> list[Any]:
    value = _item(table, key)
    if not isinstance(value, list):
        raise ValueError(f"no list of {key}")
    return value


def _seconds(table: Any, key: str) -> float:
    value = _item(table, key)
    if type(value) not in (int, float) or not _SHORTEST <= value <= _LONGEST:
        raise ValueError(f"no seconds as {key}")
    return float(value)


def _size(table: Any, key: str) -> int:
    return _whole(_item(table, key))


def _whole(value: Any) -> int:
    if type(value) is not int or not 1 <= value < _LARGEST:
        raise ValueError("no size")
    return int(value)


def _shape(value: Any) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError("no shape of a product")
    m, k, n = map(_whole, value)
    return m, k, n


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_text(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    return _UNKNOWN if value is None else str(value)
