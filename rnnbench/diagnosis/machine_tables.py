"""The limits of a machine as tables."""

from __future__ import annotations

import pandas as pd

from rnnbench.limits import CALLS, Launches, Least, Limits
from rnnbench.numbers import format_bytes, format_interval, format_rate, format_seconds
from rnnbench.report.content import Align, Cell, Table, TableColumn

__all__ = ["launches_table", "limits_table"]

_RIGHT: Align = "right"


def limits_table(limits: Limits) -> Table:
    """The limits, one row for each dtype and number of threads.

    ``data``: dtype, threads, flops_per_second, shapes, bytes_per_second, cached_bytes_per_second
    and the ``cached_bytes`` at which that was reached, and each of `rnnbench.limits.CALLS` in
    seconds as call_…, call_…_low and call_…_high.
    """
    rows, records = [], []
    for ceiling in limits.ceilings:
        size, cached = max(ceiling.moves.items(), key=lambda move: move[0] / move[1].seconds)
        calls = {name: ceiling.calls[name] for name in CALLS}
        rows.append(
            [
                Cell(ceiling.dtype),
                Cell(str(ceiling.threads)),
                Cell(f"{format_rate(ceiling.flops_per_second)}FLOP/s"),
                Cell(str(len(ceiling.products))),
                Cell(f"{format_rate(ceiling.bytes_per_second)}B/s"),
                Cell(f"{format_rate(size / cached.seconds)}B/s at {format_bytes(size)}"),
                *(_time_cell(least) for least in calls.values()),
            ]
        )
        records.append(
            {
                "dtype": ceiling.dtype,
                "threads": ceiling.threads,
                "flops_per_second": ceiling.flops_per_second,
                "shapes": len(ceiling.products),
                "bytes_per_second": ceiling.bytes_per_second,
                "cached_bytes_per_second": size / cached.seconds,
                "cached_bytes": size,
                **{
                    column: value
                    for name, least in calls.items()
                    for column, value in _ends(f"call_{name}", least)
                },
            }
        )
    headings = (
        "threads",
        "products at best",
        "shapes",
        "memory",
        "caches at best",
        "operator call, Python",
        "operator call, C++",
        "product call, Python",
    )
    processor, version = (limits.facts.get(name) for name in ("processor", "PyTorch"))
    return Table(
        "machine_limits",
        f"Limits of this machine: {processor}, PyTorch {version}",
        "The quickest of many blocks of calls, because all that disturbs makes a block longer; "
        f"intervals are over {limits.processes} fresh processes. An operator's call changes the "
        "sign of one number in place; from C++ it is one of a list.",
        [TableColumn("dtype"), *(TableColumn(heading, _RIGHT) for heading in headings)],
        rows,
        pd.DataFrame(records),
    )


def launches_table(limits: Limits) -> Table:
    """What each device asks of the processor, or why that was not measured.

    ``data``: device, launch, synchronisation and step (seconds), each with _low and _high, and
    reason.
    """
    rows, records = [], []
    for one in limits.launches:
        missing = Cell("not measured")
        rows.append(
            [
                Cell(one.device),
                *(
                    missing if one.reason else _time_cell(one.times[name])
                    for name in Launches.NAMES
                ),
                Cell(one.reason or "measured"),
            ]
        )
        records.append(
            {
                "device": one.device,
                **{
                    column: value
                    for name, least in one.times.items()
                    for column, value in _ends(name, least)
                },
                "reason": one.reason,
            }
        )
    return Table(
        "machine_launches",
        "What a device asks of the processor beside it",
        "Launch: until a kernel is queued. Synchronisation: of an idle device. Step: one of many "
        "kernels that wait for each other, until it is done.",
        [
            TableColumn("device"),
            *(TableColumn(name, _RIGHT) for name in Launches.NAMES),
            TableColumn("status"),
        ],
        rows,
        pd.DataFrame(records),
    )


def _ends(name: str, least: Least) -> list[tuple[str, float]]:
    return [(name, least.seconds), (f"{name}_low", least.low), (f"{name}_high", least.high)]


def _time_cell(least: Least) -> Cell:
    ends = (least.seconds, least.low, least.high)
    return Cell(f"{format_seconds(*ends)} {format_interval(*ends)}", least.seconds)
