"""Result files as one tidy pandas DataFrame: a row per case, measured or not; never imports torch.

`load` is for analysis of one's own, `read` is what the report is built on: the same frame with the
raw rounds and what each file says of its run. All times are seconds and all sizes bytes.
"""

from __future__ import annotations

import gc
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rnnbench.bounds import bound_of
from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.limits import Ceiling, Limits, ceilings_in, facts_of, why_not_of
from rnnbench.schema import CASE_COLUMNS
from rnnbench.statistics import Estimate, estimate_blocks
from rnnbench.validation import read_document

__all__ = [
    "RESULT_COLUMNS",
    "ROUND_COLUMNS",
    "ResultColumn",
    "Results",
    "Run",
    "Samples",
    "described_run",
    "load",
    "read",
    "rounds",
    "typed",
]

Paths: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
_Floats: TypeAlias = NDArray[np.float64]

MEASURED = "measured"

_MOST_INSTRUCTIONS = 2**62
"""Of a call; what a file says beyond it is no count, and no column could hold it."""

_DTYPES = {str: "string", int: "Int64", float: "float64", bool: "boolean"}
"""pandas types: each can say that a value is missing, which for numbers of a case it may be."""


@dataclass(frozen=True)
class ResultColumn:
    """One column of the frame: its name, its type, its unit and its meaning."""

    name: str
    type: type
    unit: str
    meaning: str

    @property
    def dtype(self) -> str:
        """The pandas type."""
        return _DTYPES[self.type]


RESULT_COLUMNS = (
    ResultColumn("run", str, "", "label of the file: its name, made unique"),
    *(ResultColumn(c.name, c.type, c.unit, c.meaning) for c in CASE_COLUMNS),
    ResultColumn("status", str, "", "measured, or why not: the statuses of rnnbench.schema"),
    ResultColumn("reason", str, "", "why it was not measured"),
    ResultColumn("time", float, "s", "typical time of a call: median of rounds, blocks, processes"),
    ResultColumn("time_low", float, "s", "lower end of its 95 % interval; needs two processes"),
    ResultColumn("time_high", float, "s", "upper end of its 95 % interval"),
    ResultColumn("device_time", float, "s", "the same by the device's own clock, where it has one"),
    ResultColumn("device_time_low", float, "s", "lower end of its 95 % interval"),
    ResultColumn("device_time_high", float, "s", "upper end of its 95 % interval"),
    ResultColumn("processes", int, "processes", "fresh processes in which it was timed"),
    ResultColumn("blocks", int, "blocks", "turns that it had"),
    ResultColumn("rounds", int, "rounds", "timed rounds, warm-up left out"),
    ResultColumn("iterations", int, "calls", "calls in a round"),
    ResultColumn("stopped", str, "", "why measuring it ended: precise, or time spent"),
    ResultColumn("clock", str, "", "what timed the rounds"),
    ResultColumn("cases_per_second", float, "1/s", "calls in a second: 1 / time"),
    ResultColumn("tokens_per_second", float, "1/s", "steps of all sequences in a second"),
    ResultColumn("valid_tokens_per_second", float, "1/s", "the same without padding"),
    ResultColumn("flops_per_second", float, "1/s", "achieved: flops / time"),
    ResultColumn("flops_share", float, "", "flops_per_second over the machine's limit, if known"),
    ResultColumn("bytes_share", float, "", "bytes / time over the machine's limit, if known"),
    ResultColumn("limit", float, "s", "least time that this machine could need, if known"),
    ResultColumn("limit_low", float, "s", "lower end of the limit's own interval"),
    ResultColumn("limit_high", float, "s", "upper end of it"),
    ResultColumn("limit_by", str, "", "what bounds it: products, bytes or steps"),
    ResultColumn("limit_share", float, "", "limit / time: 1 is as fast as this machine could be"),
    ResultColumn("limit_share_low", float, "", "lower end, by both intervals"),
    ResultColumn("limit_share_high", float, "", "upper end, by both intervals"),
    ResultColumn(
        "limit_defect", bool, "", "whether the time is below limit_low: the limit is wrong"
    ),
    ResultColumn("flops", int, "", "floating-point operations of a call, a closed form"),
    ResultColumn("flops_recurrent", int, "", "those that must wait for the step before"),
    ResultColumn("bytes", int, "B", "least that must move in a call, a closed form"),
    ResultColumn("parameters", int, "", "entries of all weights"),
    ResultColumn("tokens", int, "", "steps of all sequences, T·B"),
    ResultColumn("valid_tokens", int, "", "the same without padding"),
    ResultColumn("oracle", str, "", "what it was verified against"),
    ResultColumn("error_share", float, "", "largest error relative to its tolerance"),
    ResultColumn("backend", str, "", "what ran, from the profile and not from the name"),
    ResultColumn("launches", int, "", "kernels of a call on a device, inner operators on a CPU"),
    ResultColumn("launches_per_step", float, "", "the same for each time step"),
    ResultColumn("peak_bytes", int, "B", "most that a call had allocated at one time"),
    ResultColumn("instructions", int, "", "instructions of a call, if Valgrind counted them"),
    ResultColumn("graphs", int, "", "graphs that torch.compile made of it"),
    ResultColumn("breaks", int, "", "places where torch.compile gave up a graph"),
    ResultColumn("break_reasons", str, "", "why, separated by ' | '"),
    ResultColumn("recompilations", int, "", "graphs compiled again while its group was timed"),
    ResultColumn("compiler", str, "", "inductor, torchscript or cuda_graph; missing where eager"),
    ResultColumn("compile_cold", float, "s", "until it could first be used, nothing cached"),
    ResultColumn("compile_warm", float, "s", "the same with the cache of the cold one"),
    ResultColumn("compiler_start", float, "s", "starting the compiler, once in a process"),
    ResultColumn("torch", str, "", "PyTorch's version"),
    ResultColumn("python", str, "", "Python's version"),
    ResultColumn("system", str, "", "operating system"),
    ResultColumn("cpu", str, "", "model of the processor"),
    ResultColumn("cpu_count", int, "", "logical processors that the machine has"),
    ResultColumn("gpu", str, "", "model of the GPU that it ran on; missing on a CPU"),
    ResultColumn("cuda", str, "", "CUDA (or HIP) toolkit, where it ran on a GPU"),
    ResultColumn("cudnn", str, "", "cuDNN's version, where it ran on a GPU"),
    ResultColumn("driver", str, "", "GPU driver, where it ran on a GPU"),
    ResultColumn("virtual", bool, "", "whether the machine is a virtual one"),
    ResultColumn("others_share", float, "", "processor time of other programs during the run"),
    ResultColumn("measured_at", str, "", "when the file was written, as it says"),
    ResultColumn("rnnbench", str, "", "version of rnnbench that measured"),
)
"""All columns of `load`, in their order."""

ROUND_COLUMNS = (
    ResultColumn("row", int, "", "row of the case in the frame of `load`"),
    ResultColumn("block", int, "", "block of the case, in the order of its turns"),
    ResultColumn("replicate", int, "", "process in which it was timed"),
    ResultColumn("turn", int, "", "turn of the run"),
    ResultColumn("start", float, "s", "start of the block on the run's monotonic clock"),
    ResultColumn("round", int, "", "round within its block; warm-up rounds come first"),
    ResultColumn("warmup", bool, "", "whether it is a warm-up round, which estimates leave out"),
    ResultColumn("seconds", float, "s", "time of one call"),
    ResultColumn("device_seconds", float, "s", "the same by the device's own clock"),
)
"""All columns of `rounds`, in their order."""


@dataclass(frozen=True)
class Run:
    """What a file says of the run that wrote it; its parts are as design and schema name them.

    Files that were split from one result have the same ``run_id``; it is empty in older files.
    ``stages`` is how often a case could have been looked at before it was decided, as was planned
    beforehand. ``sessions`` are the ranges [from, to) of replicates that were measured at one time;
    none stands for a single one. ``origins`` are the ``run_id`` of each session and its own time,
    empty where they are not known. ``slow`` are the numbers of those on a slow or busy node, from
    1, and ``spreads`` the standard deviation of log-times between nodes that should be equal and
    how many these were, by environment, as canaries told it.
    """

    label: str
    path: str
    version: str
    measured_at: str
    grid: Mapping[str, Any]
    options: Mapping[str, Any]
    environments: Mapping[str, Mapping[str, Any]]
    load: Mapping[str, Any]
    notes: tuple[str, ...]
    run_id: str = ""
    stages: int = 1
    sessions: tuple[tuple[int, int], ...] = ()
    origins: tuple[tuple[str, str], ...] = ()
    slow: frozenset[int] = frozenset()
    spreads: Mapping[str, tuple[float, int]] = field(default_factory=dict)

    def sessions_of(self, replicates: Iterable[int]) -> list[int] | None:
        """The number of the session of each replicate; None where all are of a single one."""
        if len(self.sessions) < 2:
            return None
        starts = [start for start, _ in self.sessions]
        return [bisect_right(starts, replicate) for replicate in replicates]


@dataclass(frozen=True, eq=False)
class Block:
    """The rounds of one turn in seconds, shape (rounds,); ``device`` is empty without a clock.

    So is each of ``parts``, by name: nothing where calls do not time their parts.
    """

    replicate: int
    turn: int
    start: float
    warmup: _Floats
    rounds: _Floats
    device: _Floats
    parts: Mapping[str, _Floats] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Samples:
    """All blocks of a measured case in the order of their turns."""

    blocks: tuple[Block, ...]

    def by_replicate(self, *, device: bool = False) -> dict[int, list[_Floats]]:
        """Rounds by block and replicate, replicates in order; by the wall clock or the device's."""
        found: dict[int, list[_Floats]] = {}
        for block in sorted(self.blocks, key=lambda block: (block.replicate, block.turn)):
            taken = block.device if device else block.rounds
            found.setdefault(block.replicate, []).append(taken)
        return found


@dataclass(frozen=True, eq=False)
class Results:
    """Everything that was read: ``frame`` has the row number as its index, as has ``samples``.

    ``samples[row]`` is None where the case was not measured; ``runs`` is by label.
    ``functions[row]`` are instructions by function, of those that have most of a call's; rows that
    were not counted are not in it.
    """

    frame: pd.DataFrame
    samples: Sequence[Samples | None]
    runs: Mapping[str, Run]
    functions: Mapping[int, Mapping[str, int]] = field(default_factory=dict)

    def run_of(self, row: int) -> Run:
        """The run that a row is from."""
        return self.runs[str(self.frame.at[row, "run"])]

    def case_of(self, row: int) -> Case:
        """The case of a row."""
        values = {column.name: self.frame.at[row, column.name] for column in CASE_COLUMNS}
        return Case.from_columns(
            {column.name: column.type(values[column.name]) for column in CASE_COLUMNS}
        )

    def sessions_at(self, row: int) -> frozenset[int]:
        """The numbers of the sessions that a row was measured in; none where there is only one."""
        run, samples = self.run_of(row), self.samples[row]
        if samples is None or len(run.sessions) < 2:
            return frozenset()
        return frozenset(run.sessions_of(block.replicate for block in samples.blocks) or ())

    @cached_property
    def measured(self) -> pd.DataFrame:
        """The rows that have a time."""
        return self.frame[self.frame["status"] == MEASURED]


def load(paths: Paths) -> pd.DataFrame:
    """Read result files into one frame: a row per case, columns as `RESULT_COLUMNS` lists them.

    Compressed files (gzip) are read as they are.

    Raises:
        UserError: a file is missing, is no valid result, or is given twice.
    """
    return read(paths).frame


def rounds(paths: Paths) -> pd.DataFrame:
    """Read the raw rounds of result files, warm-up included; columns are `ROUND_COLUMNS`.

    ``row`` is the row of the case in the frame that `load` makes of the same files.

    Raises:
        UserError: as `load`.
    """
    return rounds_of(read(paths))


def read(paths: Paths, *, limits: Limits | None = None) -> Results:
    """Read result files with their raw rounds and what they say of their runs.

    ``limits`` stand in for those that files do not hold, where they are of the same machine and
    PyTorch.

    Raises:
        UserError: as `load`; or ``limits`` are of none of the environments.
    """
    files = [os.fspath(path) for path in _listed(paths)]
    if not files:
        raise UserError("no result file was given; name at least one")
    _refuse_twins(files)
    with _without_collection():
        return _read(files, limits)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Reading makes millions of objects and no cycle: the collector would look in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read(files: Sequence[str], limits: Limits | None) -> Results:
    rows: list[dict[str, Any]] = []
    samples: list[Samples | None] = []
    runs: dict[str, Run] = {}
    functions: dict[int, dict[str, int]] = {}
    for file, label in zip(files, _labels(files), strict=True):
        document = read_document(file)
        runs[label] = described_run(label, file, document)
        known = _known_ceilings(runs[label], limits)
        for benchmark in _in_order(document["benchmarks"], tuple(runs[label].environments)):
            measured = _samples(benchmark)
            counted = _functions(benchmark["extra_info"]["rnnbench"].get("instructions"))
            if counted:
                functions[len(samples)] = counted
            samples.append(measured)
            rows.append(_measured_row(benchmark, measured, runs[label], known))
        for missing in document["rnnbench"]["not_measured"]:
            samples.append(None)
            rows.append(_missing_row(missing, runs[label]))
    if limits is not None:
        _refuse_foreign(limits, runs)
    return Results(typed(rows, RESULT_COLUMNS), samples, runs, functions)


def _in_order(
    benchmarks: Sequence[Mapping[str, Any]], environments: Sequence[str]
) -> list[Mapping[str, Any]]:
    """As they are, but each case in the order its environments were given: 2.8.0 before 2.13.0."""
    places: dict[tuple[Any, ...], list[int]] = {}
    for index, benchmark in enumerate(benchmarks):
        case = benchmark["extra_info"]["rnnbench"]["case"]
        own = tuple(value for name, value in case.items() if name != "environment")
        places.setdefault(own, []).append(index)

    def given(index: int) -> int:
        return environments.index(
            benchmarks[index]["extra_info"]["rnnbench"]["case"]["environment"]
        )

    ordered = list(benchmarks)
    for same in places.values():
        for place, index in zip(same, sorted(same, key=given), strict=True):
            ordered[place] = benchmarks[index]
    return ordered


def rounds_of(results: Results, rows: Iterable[int] | None = None) -> pd.DataFrame:
    """The raw rounds of some rows, or of all; columns are `ROUND_COLUMNS`."""
    wanted = range(len(results.samples)) if rows is None else rows
    parts = [
        (row, index, block)
        for row in wanted
        for index, block in enumerate(_blocks(results.samples[row]))
    ]
    sizes = [len(block.warmup) + len(block.rounds) for _, _, block in parts]

    def repeated(values: Iterable[Any]) -> Any:
        return np.repeat(np.array(list(values)), sizes) if parts else []

    def joined(pieces: Iterable[NDArray[Any]]) -> Any:
        return np.concatenate([*pieces, np.empty(0)])

    columns = {
        "row": repeated(row for row, _, _ in parts),
        "block": repeated(index for _, index, _ in parts),
        "replicate": repeated(block.replicate for _, _, block in parts),
        "turn": repeated(block.turn for _, _, block in parts),
        "start": repeated(block.start for _, _, block in parts),
        "round": joined(np.arange(size) for size in sizes),
        "warmup": joined(
            np.arange(size) < len(block.warmup)
            for size, (_, _, block) in zip(sizes, parts, strict=True)
        ).astype(bool),
        "seconds": joined(np.concatenate((b.warmup, b.rounds)) for _, _, b in parts),
        "device_seconds": joined(
            np.concatenate((np.full(len(b.warmup), np.nan), _device_or_nan(b))) for _, _, b in parts
        ),
    }
    return pd.DataFrame(columns).astype({column.name: column.dtype for column in ROUND_COLUMNS})


def typed(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[ResultColumn] = RESULT_COLUMNS
) -> pd.DataFrame:
    """Rows as a frame with these columns, in this order and of their types."""
    return pd.DataFrame(
        {
            column.name: pd.Series([row.get(column.name) for row in rows], dtype=column.dtype)
            for column in columns
        }
    )


def _listed(paths: Paths) -> list[str | os.PathLike[str]]:
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def _refuse_twins(files: Sequence[str]) -> None:
    met: dict[Path, str] = {}
    for file in files:
        try:
            real = Path(file).resolve()
        except (OSError, ValueError):
            continue  # reading it says what is wrong with it
        if real in met:
            raise UserError(f"{file}: is the same file as {met[real]}; give each file once")
        met[real] = file


def _labels(files: Sequence[str]) -> list[str]:
    """A short name for each file: its own without the endings, numbered where two are alike."""
    names = [_unicode(Path(file).name) for file in files]
    stems = [name.removesuffix(".gz").removesuffix(".json") or name for name in names]
    labels = []
    for index, stem in enumerate(stems):
        alike = stems[:index].count(stem)
        label = f"{stem} ({alike + 1})" if alike else stem
        while label in labels:
            label += "'"
        labels.append(label)
    return labels


def _unicode(path: str) -> str:
    """A path as text that any file can hold: of bytes that are no letters, Python keeps halves."""
    return path.encode("utf-8", "replace").decode("utf-8")


def described_run(label: str, path: str, document: Mapping[str, Any]) -> Run:
    """What a valid document says of its run."""
    ours = document["rnnbench"]
    return Run(
        label=label,
        path=_unicode(path),
        version=_text(ours.get("version")) or "",
        measured_at=_text(document.get("datetime")) or "",
        grid=ours["grid"],
        options=ours["options"],
        environments=ours["environments"],
        load=ours["load"],
        notes=tuple(str(note) for note in _items(ours.get("notes"))),
        run_id=_text(ours.get("run_id")) or "",
        stages=ours["stages"]["planned"] if "stages" in ours else 1,
        sessions=tuple(tuple(entry["replicates"]) for entry in ours.get("sessions", ())),
        origins=tuple(
            (_text(entry.get("run_id")) or "", _text(entry.get("measured_at")) or "")
            for entry in ours.get("sessions", ())
        ),
        slow=frozenset(
            number
            for number, entry in enumerate(ours.get("sessions", ()), start=1)
            if entry.get("slow") is True
        ),
        spreads={
            str(_item(entry, "kind")): (deviation, even)
            for entry in _items(ours.get("spreads"))
            if (deviation := _number(_item(entry, "deviation"))) is not None
            and (even := _whole(_item(entry, "even"))) is not None
            and 0 <= deviation < 100
            and even > 1
        },
    )


def _samples(benchmark: Mapping[str, Any]) -> Samples:
    times = np.array(benchmark["stats"]["data"], dtype=np.float64)
    entries = benchmark["extra_info"]["rnnbench"]["blocks"]
    blocks = [
        Block(
            replicate=entry["replicate"],
            turn=entry["turn"],
            start=entry["start"],
            warmup=warmup,
            rounds=times[slice(*entry["rounds"])],
            device=device,
            parts={
                name: np.array(times, dtype=np.float64)
                for name, times in entry.get("parts", {}).items()
            },
        )
        for entry, warmup, device in zip(
            entries,
            _parts([entry["warmup"] for entry in entries]),
            _parts([entry.get("device_rounds", ()) for entry in entries]),
            strict=True,
        )
    ]
    return Samples(tuple(sorted(blocks, key=lambda block: block.turn)))


def _parts(lists: Sequence[Sequence[float]]) -> list[_Floats]:
    """Lists as views of one array: a file has a hundred thousand blocks."""
    whole = np.array(list(chain.from_iterable(lists)), dtype=np.float64)
    ends = list(accumulate(map(len, lists)))
    return [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _blocks(samples: Samples | None) -> tuple[Block, ...]:
    return () if samples is None else samples.blocks


def _device_or_nan(block: Block) -> _Floats:
    return block.device if len(block.device) else np.full(len(block.rounds), np.nan)


def _measured_row(
    benchmark: Mapping[str, Any], samples: Samples, run: Run, known: _Ceilings
) -> dict[str, Any]:
    ours = benchmark["extra_info"]["rnnbench"]
    estimate = estimate_blocks(list(samples.by_replicate().values()))
    ceiling = _ceiling(ours["case"], known)
    row = {
        **_common(ours["case"], run),
        "status": MEASURED,
        "time": estimate.value,
        "time_low": estimate.low,
        "time_high": estimate.high,
        "processes": estimate.processes,
        "blocks": estimate.blocks,
        "rounds": benchmark["stats"]["rounds"],
        "iterations": ours["iterations"],
        "stopped": ours["stopped"],
        "clock": _text(_item(ours["clock"], "rounds")),
        **_device_times(samples),
        **_rates(ours["work"], estimate.value),
        **_verification(ours["verification"]),
        **_ran(ours["ran"]),
        **_compile(ours["compile"]),
        "instructions": _instructions(ours.get("instructions")),
        **_limit(ours["case"], estimate, ceiling),
    }
    limits = _limits(run.environments[ours["case"]["environment"]], ours["case"], ceiling)
    for share, rate, limit in (
        ("flops_share", row["flops_per_second"], limits.get("flops_per_second")),
        ("bytes_share", ours["work"]["bytes"] / estimate.value, limits.get("bytes_per_second")),
    ):
        row[share] = rate / limit if limit else None
    return row


def _instructions(counted: Any) -> int | None:
    number = _item(counted, "instructions")
    return number if type(number) is int and 0 < number < _MOST_INSTRUCTIONS else None


def _functions(counted: Any) -> dict[str, int]:
    """Instructions by function; one that a file names twice has those of both."""
    found: dict[str, int] = {}
    for entry in _items(_item(counted, "functions")):
        name, number = _text(_item(entry, "name")), _item(entry, "instructions")
        if name is not None and type(number) is int and 0 < number < _MOST_INSTRUCTIONS:
            found[name] = found.get(name, 0) + number
    return found


def _missing_row(entry: Mapping[str, Any], run: Run) -> dict[str, Any]:
    return {**_common(entry["case"], run), "status": entry["status"], "reason": entry["reason"]}


def _common(case: Mapping[str, Any], run: Run) -> dict[str, Any]:
    environment = run.environments[case["environment"]]
    return {
        "run": run.label,
        **case,
        **_machine(environment, case["device"]),
        "others_share": _number(run.load.get("others_share")),
        "measured_at": run.measured_at or None,
        "rnnbench": run.version or None,
    }


def _machine(environment: Mapping[str, Any], device: str) -> dict[str, Any]:
    cpu = environment.get("cpu")
    kind, _, number = device.partition(":")
    described = _item(environment.get("devices"), kind)
    index = int(number[:9] or 0)  # Python reads no number of thousands of digits
    gpus = _items(_item(described, "devices"))
    drivers = _items(_item(described, "driver"))
    gpu = gpus[index] if index < len(gpus) else None
    driver = drivers[index] if index < len(drivers) else None
    return {
        "torch": _text(environment.get("torch")),
        "python": _text(environment.get("python")),
        "system": _text(environment.get("system")),
        "cpu": _text(_item(cpu, "model")),
        "cpu_count": _whole(_item(cpu, "count")),
        "gpu": _text(gpu if isinstance(gpu, str) else _item(gpu, "name")),
        "cuda": _text(_item(described, "toolkit") or _item(described, "hip")),
        "cudnn": _text(_item(described, "cudnn")),
        "driver": _text(_item(driver, "driver_version")),
        "virtual": _flag(_item(cpu, "virtual")),
    }


def _device_times(samples: Samples) -> dict[str, Any]:
    timed = {
        replicate: [block for block in blocks if len(block)]
        for replicate, blocks in samples.by_replicate(device=True).items()
    }
    processes = [blocks for blocks in timed.values() if blocks]
    if not processes:
        return {}
    estimate = estimate_blocks(processes)
    return {
        "device_time": estimate.value,
        "device_time_low": estimate.low,
        "device_time_high": estimate.high,
    }


def _rates(work: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    return {
        **{
            name: _whole(work.get(name))
            for name in (
                "flops",
                "flops_recurrent",
                "bytes",
                "parameters",
                "tokens",
                "valid_tokens",
            )
        },
        "cases_per_second": 1 / seconds,
        "tokens_per_second": work["tokens"] / seconds,
        "valid_tokens_per_second": work["valid_tokens"] / seconds,
        "flops_per_second": work["flops"] / seconds,
    }


def _verification(verification: Mapping[str, Any]) -> dict[str, Any]:
    errors, tolerances = verification["error"], verification["tolerance"]
    shares = [error / tolerances[name] for name, error in errors.items() if tolerances.get(name)]
    return {"oracle": verification["oracle"], "error_share": _number(max(shares, default=None))}


def _ran(ran: Mapping[str, Any]) -> dict[str, Any]:
    reasons: Any = ran.get("breaks")
    known = isinstance(reasons, Mapping)
    counted = {str(k): _whole(v) or 0 for k, v in (reasons if known else {}).items()}
    return {
        "backend": _text(ran.get("backend")),
        "launches": _whole(ran.get("launches")),
        "launches_per_step": _number(ran.get("launches_per_step")),
        "peak_bytes": _whole(ran.get("peak_bytes")),
        "graphs": _whole(ran.get("graphs")),
        "breaks": _whole(sum(counted.values())) if known else None,
        "break_reasons": " | ".join(counted) or None,
        "recompilations": _whole(ran.get("recompilations")),
    }


def _compile(compiled: Mapping[str, Any] | None) -> dict[str, Any]:
    cold, warm = _item(compiled, "cold"), _item(compiled, "warm")
    either = cold or warm
    return {
        "compiler": _text(_item(either, "compiler")),
        "compile_cold": _seconds(_item(cold, "seconds")),
        "compile_warm": _seconds(_item(warm, "seconds")),
        "compiler_start": _seconds(_item(either, "compiler_start")),
    }


_Ceilings: TypeAlias = Mapping[tuple[str, str, str, int], Ceiling]
"""By environment, device, dtype and threads."""


def _known_ceilings(run: Run, limits: Limits | None) -> _Ceilings:
    """What the machine can do at best, as the file says; else as ``limits`` of its kind say."""
    found = {}
    for name, environment in run.environments.items():
        ceilings: Sequence[Ceiling] = ceilings_in(environment)
        if not ceilings and limits is not None and not why_not_of(limits, facts_of(environment)):
            ceilings = limits.ceilings
        for one in ceilings:
            found[name, one.device, one.dtype, one.threads] = one
    return found


def _refuse_foreign(limits: Limits, runs: Mapping[str, Run]) -> None:
    """Refuse limits that are of no machine and PyTorch of any file."""
    reasons = [
        (run, why_not_of(limits, facts_of(environment)))
        for run in runs.values()
        for environment in run.environments.values()
    ]
    if reasons and all(reason for _, reason in reasons):
        run, reason = reasons[0]
        raise UserError(
            f"{run.path}: its limits must be measured where it was, and these are of {reason}; "
            "measure them there with `rnnbench machine`"
        )


def _ceiling(case: Mapping[str, Any], known: _Ceilings) -> Ceiling | None:
    return known.get((case["environment"], case["device"], case["dtype"], case["threads"]))


def _limit(case: Mapping[str, Any], estimate: Estimate, ceiling: Ceiling | None) -> dict[str, Any]:
    """The limit of a case and the share of it that its time is, where a ceiling is known."""
    bound = None if ceiling is None else bound_of(Case.from_columns(case), ceiling)
    if bound is None:
        return {}
    least = bound.least
    low, high = (
        end if end is not None else estimate.value for end in (estimate.low, estimate.high)
    )
    return {
        "limit": least.seconds,
        "limit_low": least.low,
        "limit_high": least.high,
        "limit_by": bound.by,
        "limit_share": least.seconds / estimate.value,
        "limit_share_low": least.low / high,
        "limit_share_high": least.high / low,
        "limit_defect": bound.is_beaten_by(estimate.value),
    }


def _limits(
    environment: Mapping[str, Any], case: Mapping[str, Any], ceiling: Ceiling | None
) -> dict[str, float]:
    """The machine's best rates for a case, where its environment has them, else of its ceiling.

    ``limits`` is a list of objects with ``device``, ``dtype``, ``threads`` and, measured there,
    ``flops_per_second`` and ``bytes_per_second``; `rnnbench.limits.Ceiling` has the rest of them.
    """
    for entry in _items(environment.get("limits")):
        same = all(_item(entry, key) == case[key] for key in ("device", "dtype", "threads"))
        if same:
            numbers = {
                key: _number(_item(entry, key)) for key in ("flops_per_second", "bytes_per_second")
            }
            return {key: value for key, value in numbers.items() if value and value > 0}
    if ceiling is None:
        return {}
    return {
        "flops_per_second": ceiling.flops_per_second,
        "bytes_per_second": ceiling.bytes_per_second,
    }


# A file's free parts are described by no schema: what is of another type than expected is missing.


def _item(table: Any, key: str) -> Any:
    return table.get(key) if isinstance(table, Mapping) else None


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 else None


def _seconds(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and 0 <= number <= 1e12 else None


def _whole(value: Any) -> int | None:
    # Int64 holds no more.
    return value if type(value) is int and abs(value) < 2**63 else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
