"""Checks a result file against the schema: every problem one sentence with its file and field."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.schema import MOST_STAGES, NOT_MEASURED, SCHEMA_VERSION

__all__ = ["STOPPED", "Examination", "examine", "read_document", "validate"]

STOPPED = ("precise", "time spent")
"""Why the measuring of a case ended: its interval was narrow enough, or its time was over."""

_GZIP = b"\x1f\x8b"

_LARGEST = 1e300
"""Numbers beyond mean nothing, and comparing with them must not overflow."""

_SHORTEST, _LONGEST = 1e-15, 1e12
"""Seconds: no clock tells less, no run takes more, and ratios of these stay finite."""

_MOST = 2**63
"""Whole numbers beyond have no place in a table."""

_DEEPEST = 100
"""Levels of lists and objects; far more than a result has, far less than Python can walk."""


@dataclass(frozen=True)
class Examination:
    """What was found in a file: its problems, and how much is in it where there are none."""

    problems: tuple[str, ...]
    benchmarks: int = 0
    not_measured: int = 0


def validate(path: str | os.PathLike[str]) -> list[str]:
    """The problems of a result file, one sentence each; none where it is valid."""
    return list(examine(path).problems)


def examine(path: str | os.PathLike[str]) -> Examination:
    """Check a result file; never raises for what the file holds."""
    try:
        return _examine(os.fspath(path))[1]
    except UserError as error:
        return Examination((str(error),))


def read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a valid result file, in the newest schema.

    Raises:
        UserError: it cannot be read or is not valid; the message names the file and the first
            field that is wrong.
    """
    document, found = _examine(os.fspath(path))
    if found.problems:
        more = len(found.problems) - 1
        others = f" (and {more:,} more; `rnnbench validate` lists them)" if more else ""
        raise UserError(found.problems[0] + others)
    checked: dict[str, Any] = document
    return checked


def _examine(file: str) -> tuple[Any, Examination]:
    document, constants = _read(Path(file), file)
    check = _Check(file)
    for place, constant in constants:
        check.problem(place, f"is {constant}, which JSON does not have; a number must be finite")
    document = upgraded(document)
    benchmarks, not_measured = _check_document(check, document)
    return document, Examination(tuple(check.problems), benchmarks, not_measured)


Upgrade: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]

_SINCE_2: Mapping[str, Any] = {
    "bias": True,
    "dropout": 0.0,
    "initial_state": "given",
    "lengths": "full",
}
"""Columns of a case that version 1 did not have, and what all of its cases were."""


def _from_1(document: dict[str, Any]) -> dict[str, Any]:
    entries = [*_items(document, "benchmarks"), *_items(document["rnnbench"], "not_measured")]
    for entry in entries:
        extra = entry.get("extra_info")
        holder = extra.get("rnnbench") if isinstance(extra, dict) else entry
        case = holder.get("case") if isinstance(holder, dict) else None
        if isinstance(holder, dict) and isinstance(case, dict):
            holder["case"] = {**_SINCE_2, **case}
    return document


def _items(holder: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = holder.get(key)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


UPGRADES: dict[int, Upgrade] = {1: _from_1}
"""By schema version, what makes a document of that version one of the next."""


def upgraded(document: Any) -> Any:
    """A document of an older schema as the newest would have it; others unchanged."""
    while isinstance(document, dict) and isinstance(document.get("rnnbench"), dict):
        schema = document["rnnbench"].get("schema")
        if type(schema) is not int or schema not in UPGRADES:
            break
        document = UPGRADES[schema](document)
        document["rnnbench"]["schema"] = schema + 1
    return document


@dataclass
class _Constant:
    """Stands for a NaN or an infinity where the parser met one."""

    name: str


def _read(path: Path, file: str) -> tuple[Any, list[tuple[str, str]]]:
    try:
        text = path.read_bytes()
        if text.startswith(_GZIP):
            text = gzip.decompress(text)
    except FileNotFoundError:
        raise UserError(f"{file}: there is no such file; give the path of a result file") from None
    except (EOFError, zlib.error):
        raise UserError(
            f"{file}: is compressed, but broken or cut off; compress the result again"
        ) from None
    except (OSError, ValueError) as error:
        # ValueError: a null character in the path. OSError also: no gzip after its first bytes.
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{file}: cannot be read: {reason}; give the path of a result file"
        ) from None
    if not text.strip():
        raise UserError(f"{file}: the file is empty; run the benchmarks again to write it")
    met: list[_Constant] = []

    def note(name: str) -> _Constant:
        met.append(_Constant(name))
        return met[-1]

    try:
        decoded = text.decode(json.detect_encoding(text), "surrogatepass")
        document = json.loads(decoded, parse_constant=note)
        if _is_deep(document):
            raise RecursionError
        if _has_halves(decoded):
            document = _whole_text(document)
        return document, list(_constants(document, "")) if met else []
    except RecursionError:
        raise UserError(f"{file}: is nested too deeply to be a result file") from None
    except ValueError as error:
        # No JSON, no text, or a number of more digits than Python reads.
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{file}: is no JSON, or was cut off: {reason}; run the benchmarks again to write it"
        ) from None


def _is_deep(document: Any) -> bool:
    """Whether walking a document could exhaust Python's stack."""
    level: list[Any] = [[document]]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for container in level:
            items = container.values() if isinstance(container, dict) else container
            # Most of a file is lists of numbers, which are passed over at once.
            if not _CONTAINERS.isdisjoint(map(type, items)):
                inner += [item for item in items if type(item) in _CONTAINERS]
        if not inner:
            return False
        level = inner
    return True


_CONTAINERS = frozenset((dict, list))


def _has_halves(text: str) -> bool:
    """Whether a JSON text may hold halves of surrogate pairs, as characters or as escapes."""
    return "\\ud" in text or "\\uD" in text or (not text.isascii() and bool(_HALF.search(text)))


_HALF = re.compile("[\ud800-\udfff]")


def _whole_text(value: Any) -> Any:
    """The same with a replacement character for each half of a pair: no file can hold those."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole_text(item) for item in value]
    if isinstance(value, dict):
        return {_whole_text(key): _whole_text(item) for key, item in value.items()}
    return value


def _constants(value: Any, place: str) -> list[tuple[str, str]]:
    if isinstance(value, _Constant):
        return [(place, value.name)]
    if isinstance(value, dict):
        inner = [(_join(place, key), item) for key, item in value.items()]
    elif isinstance(value, list):
        inner = [(f"{place}[{index}]", item) for index, item in enumerate(value)]
    else:
        return []
    return [found for name, item in inner for found in _constants(item, name)]


def _overflows(value: Any, place: str) -> Iterator[str]:
    """Places of numbers such as 1e999, which the parser reads as infinite without a word."""
    if isinstance(value, float) and math.isinf(value):
        yield place
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _overflows(item, _join(place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _overflows(item, f"{place}[{index}]")


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _shown(value: Any) -> str:
    """A value in a sentence: its JSON, in ASCII, and cut where it is long."""
    return _cut(json.dumps(value, default=lambda other: getattr(other, "name", "?")), 60)


def _visible(place: str) -> str:
    """A place in a sentence: keys are the file's own, and may hold what moves a cursor."""
    if not place.isprintable():
        place = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in place)
    return _cut(place)


def _cut(text: str, length: int = 300) -> str:
    return text if len(text) <= length else text[:length] + "…"


@dataclass(frozen=True)
class _Kind:
    """What a field must be: in words, and as a test."""

    what: str
    holds: Callable[[Any], bool]
    limits: str = ""
    all_hold: Callable[[list[Any]], bool] | None = None
    """The same for a list, quicker than one by one; may say no where all are right."""

    def wanted(self, value: Any) -> str:
        """What it must be, with its limits where a number may have passed them."""
        passed = type(value) is int or (type(value) is float and not 1 <= value < _LONGEST)
        return f"{self.what}, {self.limits}" if self.limits and passed and value > 0 else self.what


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_LARGEST < value < _LARGEST


_OBJECT = _Kind("an object", lambda value: isinstance(value, dict))
_LIST = _Kind("a list", lambda value: isinstance(value, list))
_TEXT = _Kind(
    "text that says something", lambda value: isinstance(value, str) and value.strip() != ""
)
_NUMBERS = frozenset((int, float))

_COUNT = _Kind(
    "a whole number of 0 or more",
    lambda value: type(value) is int and 0 <= value < _MOST,
    limits="below 2**63",
)
_POSITIVE = _Kind(
    "a whole number of 1 or more",
    lambda value: type(value) is int and 1 <= value < _MOST,
    limits="below 2**63",
)
_STAGES = _Kind(
    f"a whole number from 1 to {MOST_STAGES}",
    lambda value: type(value) is int and 1 <= value <= MOST_STAGES,
)
_NUMBER = _Kind("a finite number", _is_number)
_MARK = _Kind("true: its seconds are no times", lambda value: value is True)
_ERROR = _Kind("a finite number of 0 or more", lambda value: _is_number(value) and value >= 0)
_TIME = _Kind(
    "finite seconds above 0",
    lambda value: type(value) in (int, float) and _SHORTEST <= value <= _LONGEST,
    limits="from 1e-15 to 1e12",
    all_hold=lambda values: (
        _NUMBERS.issuperset(map(type, values))
        and (not values or (min(values) >= _SHORTEST and max(values) <= _LONGEST))
    ),
)


def _one_of(words: Sequence[str]) -> _Kind:
    return _Kind(f"one of {', '.join(words)}", lambda value: value in words)


class _Check:
    """Collects problems, and reads fields of the kind that they must be."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[str] = []

    def problem(self, place: str, what: str) -> None:
        self.problems.append(f"{self.file}: {_visible(place)} {what}")

    def value(self, value: Any, place: str, kind: _Kind) -> Any:
        """The value; None, and a problem, where it is of another kind."""
        if kind.holds(value):
            return value
        # What the JSON must not hold has been told of already.
        if not isinstance(value, _Constant):
            self.problem(place, f"is {_shown(value)}; it must be {kind.wanted(value)}")
        return None

    def field(self, table: Mapping[str, Any], place: str, key: str, kind: _Kind) -> Any:
        """The value of a field; None, and a problem, where it is missing or of another kind."""
        if key in table:
            if kind.holds(table[key]):
                return table[key]
            return self.value(table[key], _join(place, key), kind)
        self.problem(_join(place, key), f"is missing; it must be {kind.what}")
        return None

    def entries(
        self, table: Mapping[str, Any], place: str, key: str, kind: _Kind
    ) -> list[Any] | None:
        """A list of which every entry is of a kind; told of is the first that is not."""
        values = self.field(table, place, key, _LIST)
        if values is None:
            return None
        fine = kind.all_hold is not None and kind.all_hold(values)
        wrong = [] if fine else [i for i, value in enumerate(values) if not kind.holds(value)]
        first = values[wrong[0]] if wrong else None
        if wrong and not isinstance(first, _Constant):
            more = f" ({len(wrong) - 1} more are not)" if len(wrong) > 1 else ""
            self.problem(
                f"{_join(place, key)}[{wrong[0]}]",
                f"is {_shown(first)}; it must be {kind.wanted(first)}{more}",
            )
        checked: list[Any] = values
        return checked

    def numbers(self, table: Mapping[str, Any], place: str, key: str, kind: _Kind) -> None:
        """An object of which every value is of a kind."""
        values = self.field(table, place, key, _OBJECT)
        for name, value in (values or {}).items():
            if not kind.holds(value):
                self.value(value, _join(_join(place, key), name), kind)


class _Cases:
    """The cases that were met in a file: each once, each in an environment that is described."""

    def __init__(self, check: _Check, environments: Mapping[str, Any]) -> None:
        self._check = check
        self._environments = environments
        self._places: dict[Case, str] = {}

    def meet(self, table: Mapping[str, Any], place: str) -> None:
        columns = self._check.field(table, place, "case", _OBJECT)
        if columns is None:
            return
        place = _join(place, "case")
        try:
            case = Case.from_columns(columns)
        except UserError as error:
            self._check.problem(place, f"is no case: {_cut(str(error))}")
            return
        for name, value in columns.items():
            if type(value) is int and value >= _MOST:
                self._check.value(value, f"{place}.{name}", _POSITIVE)
                return
        if case.environment not in self._environments:
            self._check.problem(
                f"{place}.environment",
                f"is {_shown(case.environment)}, which rnnbench.environments does not describe",
            )
        if case in self._places:
            self._check.problem(
                place, f"is the same case as {self._places[case]}; each stands once"
            )
        self._places.setdefault(case, place)


def _check_document(check: _Check, document: Any) -> tuple[int, int]:
    """Check all; returns the numbers of benchmarks and of cases that were not measured."""
    top = check.value(document, "the document", _OBJECT)
    if top is None:
        return 0, 0
    if "rnnbench" not in top:
        check.problem("rnnbench", "is missing; this file was not written by `pytest suites`")
        return 0, 0
    ours = check.field(top, "", "rnnbench", _OBJECT)
    if ours is None:
        return 0, 0
    schema = check.field(ours, "rnnbench", "schema", _POSITIVE)
    if schema is not None and schema > SCHEMA_VERSION:
        check.problem(
            "rnnbench.schema",
            f"is {_shown(schema)}, and this rnnbench reads schemas up to {SCHEMA_VERSION}; "
            "upgrade rnnbench",
        )
        return 0, 0
    for key in ("grid", "options", "load"):
        check.field(ours, "rnnbench", key, _OBJECT)
    for key in ("grid", "options", "load", "environments"):
        for place in _overflows(ours.get(key), f"rnnbench.{key}"):
            check.problem(place, "is a number beyond all that can be read; it must be finite")
    environments = check.field(ours, "rnnbench", "environments", _OBJECT) or {}
    for name, description in environments.items():
        check.value(description, f"rnnbench.environments.{name}", _OBJECT)
    _check_stages(check, ours)
    replicates = _check_sessions(check, ours)
    cases = _Cases(check, environments)
    benchmarks = check.field(top, "", "benchmarks", _LIST) or []
    for index, benchmark in enumerate(benchmarks):
        _check_benchmark(check, benchmark, f"benchmarks[{index}]", cases, replicates)
    not_measured = check.field(ours, "rnnbench", "not_measured", _LIST) or []
    for index, entry in enumerate(not_measured):
        _check_not_measured(check, entry, f"rnnbench.not_measured[{index}]", cases)
    if "profiles" in ours:
        _check_profiles(check, ours, _Cases(check, environments))
    return len(benchmarks), len(not_measured)


def _check_stages(check: _Check, ours: Mapping[str, Any]) -> None:
    """Check how many looks a run had at its cases; without stages it was one."""
    if "stages" not in ours:
        return
    stages = check.field(ours, "rnnbench", "stages", _OBJECT)
    if stages is None:
        return
    planned, run = (
        check.field(stages, "rnnbench.stages", key, _STAGES) for key in ("planned", "run")
    )
    if planned is not None and run is not None and run > planned:
        check.problem("rnnbench.stages.run", f"is {run}, but {planned} were planned")


def _check_sessions(check: _Check, ours: Mapping[str, Any]) -> _Kind:
    """Check that sessions lie side by side; returns what a replicate must be."""
    if "sessions" not in ours:
        return _COUNT
    sessions = check.field(ours, "rnnbench", "sessions", _LIST)
    if not sessions:
        return _COUNT
    end = 0
    for index, session in enumerate(sessions):
        place = f"rnnbench.sessions[{index}]"
        if check.value(session, place, _OBJECT) is None:
            return _COUNT
        span = check.field(session, place, "replicates", _RANGE)
        if span is None:
            return _COUNT
        if span[0] != end:
            check.problem(
                f"{place}.replicates", f"is {span}, but the replicates before it end at {end}"
            )
        end = span[1]
    return _Kind(
        f"a replicate of one of the sessions, below {end}",
        lambda value: _COUNT.holds(value) and value < end,
    )


def _check_profiles(check: _Check, ours: Mapping[str, Any], cases: _Cases) -> None:
    """Check profiles: each of another case, marked as profiled, with parts that are seconds."""
    for index, entry in enumerate(check.field(ours, "rnnbench", "profiles", _LIST) or []):
        place = f"rnnbench.profiles[{index}]"
        if check.value(entry, place, _OBJECT) is None:
            continue
        cases.meet(entry, place)
        check.field(entry, place, "profiled", _MARK)
        compiled = entry.get("compiled")
        if isinstance(compiled, Mapping):
            _check_phases(check, compiled.get("phases"), f"{place}.compiled.phases")
        if entry.get("compile_growth") is not None:
            _check_growth(check, entry, place)
        operators = check.field(entry, place, "operators", _OBJECT)
        if operators is None:
            continue
        place = f"{place}.operators"
        for key in ("seconds", "plain"):
            check.field(operators, place, key, _TIME)
        check.field(operators, place, "steps", _POSITIVE)
        check.numbers(operators, place, "parts", _NUMBER)


def _check_phases(check: _Check, phases: Any, place: str) -> None:
    """Check seconds of a compilation's phases, null where the version does not tell them."""
    if phases is None or check.value(phases, place, _OBJECT) is None:
        return
    for name, seconds in phases.items():
        check.value(seconds, _join(place, name), _ERROR)


def _check_growth(check: _Check, profile: Mapping[str, Any], place: str) -> None:
    """Check seconds of compilations by length, of which there are as many."""
    growth = check.field(profile, place, "compile_growth", _OBJECT)
    if growth is None:
        return
    place = _join(place, "compile_growth")
    lengths = check.entries(growth, place, "lengths", _POSITIVE)
    seconds = check.entries(growth, place, "seconds", _TIME)
    for index, phases in enumerate(check.field(growth, place, "phases", _LIST) or []):
        _check_phases(check, phases, f"{place}.phases[{index}]")
    if lengths is not None and seconds is not None and len(lengths) != len(seconds):
        check.problem(
            f"{place}.seconds", f"has {len(seconds)} entries, but there are {len(lengths)} lengths"
        )


def _check_not_measured(check: _Check, entry: Any, place: str, cases: _Cases) -> None:
    if check.value(entry, place, _OBJECT) is None:
        return
    cases.meet(entry, place)
    check.field(entry, place, "status", _one_of(NOT_MEASURED))
    check.field(entry, place, "reason", _TEXT)


def _check_benchmark(
    check: _Check, benchmark: Any, place: str, cases: _Cases, replicate: _Kind
) -> None:
    if check.value(benchmark, place, _OBJECT) is None:
        return
    stats = check.field(benchmark, place, "stats", _OBJECT)
    extra = check.field(benchmark, place, "extra_info", _OBJECT)
    rounds = None if stats is None else _check_stats(check, stats, f"{place}.stats")
    if extra is None:
        return
    place = f"{place}.extra_info"
    ours = check.field(extra, place, "rnnbench", _OBJECT)
    if ours is None:
        return
    place = f"{place}.rnnbench"
    cases.meet(ours, place)
    _check_verification(check, ours, place)
    check.field(ours, place, "ran", _OBJECT)
    check.field(ours, place, "compile", _OBJECT_OR_NULL)
    check.field(ours, place, "clock", _CLOCK)
    check.field(ours, place, "stopped", _one_of(STOPPED))
    iterations = check.field(ours, place, "iterations", _POSITIVE)
    in_stats = (stats or {}).get("iterations", iterations)
    if iterations is not None and in_stats != iterations:
        check.problem(f"{place}.iterations", f"is {iterations}, but stats has {_shown(in_stats)}")
    check.numbers(ours, place, "work", _COUNT)
    for key in ("flops", "bytes", "tokens", "valid_tokens"):
        if isinstance(ours.get("work"), dict) and key not in ours["work"]:
            check.problem(f"{place}.work.{key}", f"is missing; it must be {_COUNT.what}")
    blocks = check.field(ours, place, "blocks", _LIST)
    if blocks is not None:
        _check_blocks(check, blocks, f"{place}.blocks", rounds, replicate)


_OBJECT_OR_NULL = _Kind(
    "an object, or null where nothing is compiled",
    lambda value: value is None or isinstance(value, dict),
)
_CLOCK = _Kind(
    "the clock's name, or an object of such names",
    lambda value: bool(value) and isinstance(value, (str, dict)),
)
_RANGE = _Kind(
    "two whole numbers [from, to), the first the smaller",
    lambda value: (
        isinstance(value, list)
        and len(value) == 2
        and _COUNT.holds(value[0])
        and _COUNT.holds(value[1])
        and value[0] < value[1]
    ),
)


def _check_stats(check: _Check, stats: Mapping[str, Any], place: str) -> int | None:
    """Check pytest-benchmark's own statistics; returns the number of rounds."""
    data = check.entries(stats, place, "data", _TIME)
    if data is None:
        return None
    if not data:
        check.problem(f"{place}.data", "is empty; a case without rounds stands in not_measured")
    rounds = check.field(stats, place, "rounds", _COUNT)
    if rounds is not None and rounds != len(data):
        check.problem(f"{place}.rounds", f"is {rounds}, but data holds {len(data)}")
    return len(data)


def _check_verification(check: _Check, ours: Mapping[str, Any], place: str) -> None:
    verification = check.field(ours, place, "verification", _OBJECT)
    if verification is None:
        return
    place = f"{place}.verification"
    check.field(verification, place, "oracle", _TEXT)
    check.numbers(verification, place, "tolerance", _ERROR)
    check.numbers(verification, place, "error", _ERROR)


def _check_blocks(
    check: _Check, blocks: list[Any], place: str, rounds: int | None, replicate: _Kind
) -> None:
    """Check that blocks are whole and lie side by side on all rounds, in their order."""
    end: int | None = 0
    for index, block in enumerate(blocks):
        here = f"{place}[{index}]"
        span = None
        if check.value(block, here, _OBJECT) is not None:
            span = _check_block(check, block, here, replicate)
        if span is not None and end is not None and span[0] != end:
            check.problem(
                f"{here}.rounds",
                f"is {span}, but the rounds before it end at {end}; blocks follow each other "
                "without a gap or an overlap",
            )
        # After a block that cannot be read, only the ones behind it can be compared.
        end = None if span is None else span[1]
    if rounds is not None and end is not None and end != rounds:
        check.problem(place, f"cover {end} rounds, but stats.data holds {rounds}")


def _check_block(
    check: _Check, block: Mapping[str, Any], place: str, replicate: _Kind
) -> list[int] | None:
    check.field(block, place, "replicate", replicate)
    check.field(block, place, "turn", _COUNT)
    check.field(block, place, "start", _NUMBER)
    check.entries(block, place, "cores", _COUNT)
    check.entries(block, place, "warmup", _TIME)
    span: list[int] | None = check.field(block, place, "rounds", _RANGE)
    if "device_rounds" in block:
        device = check.entries(block, place, "device_rounds", _TIME)
        if device is not None and span is not None and len(device) != span[1] - span[0]:
            check.problem(
                f"{place}.device_rounds",
                f"holds {len(device)} times for {span[1] - span[0]} rounds; give one for each",
            )
    if "parts" in block:
        _check_parts(check, block, place, span)
    return span


def _check_parts(
    check: _Check, block: Mapping[str, Any], place: str, span: list[int] | None
) -> None:
    """Check that each part of a call has a time for each round; a part may take no time."""
    parts = check.field(block, place, "parts", _OBJECT)
    for name in parts or ():
        here = f"{place}.parts"
        times = check.entries(parts, here, name, _ERROR)
        if times is not None and span is not None and len(times) != span[1] - span[0]:
            check.problem(
                f"{here}.{name}",
                f"holds {len(times)} times for {span[1] - span[0]} rounds; give one for each",
            )
