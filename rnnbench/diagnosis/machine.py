"""Limits of a machine: measured once, kept by what the machine is, and held against results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rnnbench.bounds import Bound, bound_of, products_of
from rnnbench.cases import Case
from rnnbench.diagnosis.profiler import Profiler
from rnnbench.errors import UserError
from rnnbench.numbers import column_unit, format_bytes, format_count, format_rate, format_seconds
from rnnbench.regressions.machines import machine_key
from rnnbench.report.content import Align, Cell, Table, TableColumn
from rnnbench.results import Results
from rnnbench.schema import CASE_COLUMNS

__all__ = [
    "Limits",
    "Share",
    "defects",
    "kept_limits",
    "limits_table",
    "measure",
    "read_limits",
    "shapes_of",
    "shares_of",
    "shares_table",
]

_RIGHT: Align = "right"
_SCHEMA = 1
_LONGEST = 0.2
_MOST_SECONDS = 90.0
"""For all products, bandwidths and calls together; starting takes the rest of two minutes."""

_OTHERS = 12
"""What is measured beside products, for each dtype and number of threads."""


@dataclass(frozen=True)
class Limits:
    """What was measured on a machine; ``entries`` as in `rnnbench.profiling.limits`."""

    key: str
    cpu: str
    torch: str
    entries: Sequence[Mapping[str, Any]]

    def of(self, case: Case) -> Mapping[str, Any] | None:
        """The entry for a case's device, dtype and threads, or None."""
        wanted = {"device": case.device, "dtype": case.dtype, "threads": case.threads}
        for entry in self.entries:
            if all(entry[name] == value for name, value in wanted.items()):
                return entry
        return None

    def document(self) -> bytes:
        """As a file."""
        content = {
            "rnnbench_limits": _SCHEMA,
            "key": self.key,
            "cpu": self.cpu,
            "torch": self.torch,
            "limits": list(self.entries),
        }
        return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def kept_limits(key: str) -> Path:
    """Where the limits of a machine are kept."""
    import platformdirs

    return platformdirs.user_data_path("rnnbench") / "limits" / f"{key}.json"


def read_limits(path: Path) -> Limits:
    """Limits from a file.

    Raises:
        UserError: it cannot be read, or is no such file.
    """
    try:
        content = json.loads(path.read_bytes())
        if content["rnnbench_limits"] != _SCHEMA:
            raise ValueError
        return Limits(content["key"], content["cpu"], content["torch"], content["limits"])
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, LookupError, TypeError):
        raise UserError(
            f"{path}: holds no limits of a machine; `rnnbench machine --output FILE` writes such a "
            "file"
        ) from None


def shapes_of(cases: Iterable[Case]) -> dict[tuple[str, int], list[tuple[int, int, int]]]:
    """Shapes of the products of those cases that run on a CPU, by dtype and threads."""
    found: dict[tuple[str, int], set[tuple[int, int, int]]] = {}
    for case in cases:
        products = products_of(case)
        if case.device == "cpu" and not case.autocast and products is not None:
            shapes = found.setdefault((case.dtype, case.threads), set())
            shapes.update((product.m, product.k, product.n) for product in products)
    return {key: sorted(shapes) for key, shapes in sorted(found.items())}


def measure(
    profiler: Profiler,
    shapes: Mapping[tuple[str, int], Sequence[tuple[int, int, int]]],
    show: Callable[[int, str], None],
) -> Limits:
    """Measure this machine, each dtype and number of threads with the shapes that it needs."""
    count = sum(len(wanted) + _OTHERS for wanted in shapes.values())
    seconds = min(_LONGEST, _MOST_SECONDS / max(1, count))
    entries = []
    for number, ((dtype, threads), wanted) in enumerate(shapes.items()):
        show(number, f"{dtype}, {threads} threads, {len(wanted)} shapes")
        entries.append(profiler.limits(wanted, dtype, threads, seconds=seconds))
    environment = profiler.environment
    return Limits(
        machine_key(environment), environment["cpu"]["model"], environment["torch"], entries
    )


def limits_table(limits: Limits) -> Table:
    """The limits, one row for each dtype and number of threads."""
    rows = []
    for entry in limits.entries:
        memory = entry["bandwidth"][-1]
        cached = max(entry["bandwidth"], key=lambda one: float(one["bytes_per_second"]))
        rows.append(
            [
                Cell(entry["dtype"]),
                Cell(str(entry["threads"])),
                Cell(f"{format_rate(entry['flops_per_second'])}FLOP/s"),
                Cell(str(len(entry["products"]))),
                Cell(f"{format_rate(memory['bytes_per_second'])}B/s"),
                Cell(
                    f"{format_rate(cached['bytes_per_second'])}B/s at "
                    f"{format_bytes(cached['bytes'])}"
                ),
                Cell(format_seconds(entry["call_from_python"])),
                Cell(format_seconds(entry["call_from_cpp"])),
            ]
        )
    headings = (
        "threads",
        "products at best",
        "shapes",
        "memory",
        "caches at best",
        "operator call, Python",
        "operator call, C++",
    )
    return Table(
        "machine_limits",
        f"Limits of this machine: {limits.cpu}, PyTorch {limits.torch}",
        "The quickest of many blocks of calls, because all that disturbs makes a block longer.",
        [TableColumn("dtype"), *(TableColumn(heading, _RIGHT) for heading in headings)],
        rows,
        pd.DataFrame(
            [
                {name: value for name, value in entry.items() if not isinstance(value, list)}
                for entry in limits.entries
            ]
        ),
    )


@dataclass(frozen=True)
class Share:
    """A measured case beside its bound."""

    case: Case
    seconds: float
    bound: Bound

    @property
    def share(self) -> float:
        """The bound over the time: 1 is as fast as this machine could be."""
        return self.bound.seconds / self.seconds

    @property
    def is_defect(self) -> bool:
        """Whether the case is faster than its bound, and that by more than the bound's interval."""
        return self.seconds < self.bound.interval[0]


def shares_of(results: Results, limits: Limits) -> list[Share]:
    """Each measured case that has a bound, in the order of the results.

    Raises:
        UserError: a result is of another machine than the limits.
    """
    found = []
    names = [column.name for column in CASE_COLUMNS]
    for row in results.measured[["run", *names, "time"]].to_dict("records"):
        environment = results.runs[row["run"]].environments[row["environment"]]
        key = machine_key(environment)
        if key != limits.key:
            raise UserError(
                f"{results.runs[row['run']].path}: was measured on another machine than the limits "
                f"({key} and {limits.key}); measure limits there with `rnnbench machine`"
            )
        case = Case.from_columns({name: _plain(row[name]) for name in names})
        entry = limits.of(case)
        bound = None if entry is None else bound_of(case, entry)
        if bound is not None:
            found.append(Share(case, float(row["time"]), bound))
    return found


def _plain(value: Any) -> Any:
    """A number of numpy as Python's own, which a case insists on."""
    return value.item() if hasattr(value, "item") else value


def shares_table(shares: Sequence[Share]) -> Table:
    """Every case's time, its bound, what bounds it, and the share of the bound that it reached."""
    scale, unit = column_unit(share.seconds for share in shares)
    rows = [
        [
            Cell(one.case.id),
            Cell(f"{one.seconds / scale:.4g}", one.seconds),
            Cell(f"{one.bound.seconds / scale:.4g}", one.bound.seconds),
            Cell(one.bound.by),
            Cell(f"{100 * one.share:.0f} %", one.share),
        ]
        for one in shares
    ]
    return Table(
        "machine_shares",
        "Share of the machine's limit",
        "The limit is the largest of three times: the matrix products at the rate measured for "
        "their shapes, the bytes that must move, and T calls of an operator.",
        [
            TableColumn("case"),
            TableColumn(f"time, {unit}", _RIGHT),
            TableColumn(f"limit, {unit}", _RIGHT),
            TableColumn("bound by", choices=True),
            TableColumn("share of limit", _RIGHT),
        ],
        rows,
        pd.DataFrame(
            [
                {
                    **one.case.columns(),
                    "seconds": one.seconds,
                    "limit": one.bound.seconds,
                    "bound_by": one.bound.by,
                    "share": one.share,
                }
                for one in shares
            ]
        ),
    )


def defects(shares: Sequence[Share]) -> Iterator[str]:
    """What is faster than its limit: the limit is wrong there."""
    wrong = [one for one in shares if one.is_defect]
    if wrong:
        worst = max(wrong, key=lambda one: one.share)
        yield (
            f"{format_count(len(wrong))} of {format_count(len(shares))} cases are faster than "
            f"their limit, so the limit is wrong there; most so {worst.case.id}, by "
            f"{100 * (worst.share - 1):.0f} %."
        )
