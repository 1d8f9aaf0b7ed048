"""Frames of cases or rounds as CSV, Parquet, Markdown and JSON, and the first two back again.

CSV: numbers have all their digits; a missing value is an empty cell. A text that is empty, begins
with an apostrophe, or begins with what a spreadsheet takes for a formula (``= + - @``, a tab, a
line break) gets an apostrophe in front, which `read_frame` takes off again: so every text comes
back as it was, an empty one is not a missing one, and no cell is ever run.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from rnnbench import __version__
from rnnbench.errors import UserError
from rnnbench.report.escaping import escape_markdown
from rnnbench.report.outputs import check_output_file, write_file
from rnnbench.results import RESULT_COLUMNS, ROUND_COLUMNS, ResultColumn

__all__ = ["ENDINGS", "check_ending", "frame_bytes", "read_frame", "write_frame"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")
_PARTING = re.compile('[",\r\n]')
_LARGEST_FIELD = 2**31 - 1
_csv_limit = threading.Lock()


def write_frame(
    frame: pd.DataFrame, path: str | os.PathLike[str], inputs: Iterable[str] = ()
) -> None:
    """Write a frame of `rnnbench.load` or `rnnbench.rounds`; the path's ending says as what.

    Columns stand in the order of `RESULT_COLUMNS` or `ROUND_COLUMNS`, whose types and units hold.
    A file that is there is replaced as a whole, unless it is one of ``inputs``.

    Raises:
        UserError: the ending is none of `ENDINGS`, the path cannot be written, or Parquet was
            asked for and pyarrow is not installed.
    """
    check_ending(path)
    file = check_output_file(path, inputs, "output")
    write_file(file, frame_bytes(frame, file.suffix.lower()))


def frame_bytes(frame: pd.DataFrame, ending: str) -> bytes:
    """The frame as a file with one of `ENDINGS`.

    Raises:
        UserError: its columns are neither those of cases nor those of rounds, or pyarrow is
            missing.
    """
    columns = _columns_of(list(frame), "the frame")
    return _WRITERS[ending](frame[[column.name for column in columns]], columns)


def read_frame(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read what `write_frame` wrote as CSV or Parquet: an equal frame, of the same types.

    Raises:
        UserError: the file cannot be read or holds something else; names the file, and the column
            and line of what is wrong.
    """
    file = os.fspath(path)
    ending = Path(file).suffix.lower()
    if ending not in _READERS:
        raise UserError(f"{file}: ends with {ending!r}; only {_listed(_READERS)} can be read back")
    try:
        data = Path(file).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{file}: cannot be read: {reason}") from None
    return _READERS[ending](data, file)


def check_ending(path: str | os.PathLike[str]) -> None:
    """Refuse a path whose ending is none of `ENDINGS`.

    Raises:
        UserError: names the endings.
    """
    ending = Path(path).suffix.lower()
    if ending not in _WRITERS:
        raise UserError(
            f"output {os.fspath(path)!r}: its ending names no format; give {_listed(_WRITERS)}"
        )


def _listed(endings: Iterable[str]) -> str:
    *some, last = endings
    return f"{', '.join(some)} or {last}"


def _columns_of(names: Sequence[str], where: str) -> Sequence[ResultColumn]:
    """The columns of cases or of rounds, whichever these are, in any order."""
    for columns in (RESULT_COLUMNS, ROUND_COLUMNS):
        if sorted(names) == sorted(column.name for column in columns):
            return columns
    known = ROUND_COLUMNS if "seconds" in names else RESULT_COLUMNS
    missing = [column.name for column in known if column.name not in names]
    said = f"column {missing[0]!r} is missing" if missing else "it has other columns as well"
    raise UserError(f"{where}: is no table of rnnbench's cases or rounds: {said}")


# --- CSV


def _as_csv(frame: pd.DataFrame, columns: Sequence[ResultColumn]) -> bytes:
    cells = [_csv_cells(frame[column.name], column) for column in columns]
    header = ",".join(column.name for column in columns)
    lines = map(",".join, zip(*cells, strict=True))
    return "".join(f"{line}\n" for line in (header, *lines)).encode()


def _csv_cells(values: pd.Series[Any], column: ResultColumn) -> list[str]:
    known = zip(values.tolist(), values.isna().tolist(), strict=True)
    if column.type is str:
        return ["" if gone else _quoted(text) for text, gone in known]
    # repr has as many digits as bring the same number back.
    return ["" if gone else repr(number) for number, gone in known]


def _quoted(text: str) -> str:
    """A text as a cell; the csv module would leave a carriage return without quotes."""
    if not text or text.startswith(_FORMULA):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if _PARTING.search(text) else text


_FROM_CSV: dict[type, Callable[[str], Any]] = {
    str: lambda cell: cell.removeprefix("'"),
    int: int,
    float: float,
    bool: lambda cell: {"True": True, "False": False}[cell],
}


def _from_csv(data: bytes, file: str) -> pd.DataFrame:
    found: list[list[Any]] = []
    header: list[str] = []
    line, place = 1, 0
    try:
        with _long_fields():
            rows = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
            header = next(rows, [])
            columns = _columns_of(header, file)
            types = {column.name: column.type for column in columns}
            readers = [_FROM_CSV[types[name]] for name in header]
            found = [[] for _ in header]
            line = rows.line_num + 1
            for row in rows:
                for place, (read, cell) in enumerate(zip(readers, row, strict=True)):
                    found[place].append(read(cell) if cell else None)
                line = rows.line_num + 1
    except (ValueError, KeyError, csv.Error) as error:
        column = header[place] if place < len(header) else "?"
        raise UserError(
            f"{file}: line {line}, column {column}: is none of its values, or the line is broken: "
            f"{error}"
        ) from None
    by_name = dict(zip(header, found, strict=True))
    return _typed_columns(by_name, columns, file)


def _typed_columns(
    values: dict[str, list[Any]], columns: Sequence[ResultColumn], file: str
) -> pd.DataFrame:
    try:
        return pd.DataFrame({c.name: pd.Series(values[c.name], dtype=c.dtype) for c in columns})
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{file}: holds a number that its column cannot: {error}") from None


@contextmanager
def _long_fields() -> Iterator[None]:
    """Read fields of any length: the module's limit holds for the whole program, so it is lent."""
    with _csv_limit:
        before = csv.field_size_limit(_LARGEST_FIELD)
        try:
            yield
        finally:
            csv.field_size_limit(before)


# --- Parquet


def _pyarrow(where: str) -> None:
    try:
        importlib.import_module("pyarrow")
    except ImportError:
        raise UserError(
            f"{where}: Parquet needs pyarrow, which is not installed; "
            "`pip install 'rnnbench[parquet]'`, or choose .csv"
        ) from None


def _as_parquet(frame: pd.DataFrame, _: Sequence[ResultColumn]) -> bytes:
    _pyarrow("output")
    buffer = io.BytesIO()
    frame.to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()


def _from_parquet(data: bytes, file: str) -> pd.DataFrame:
    _pyarrow(file)
    try:
        frame = pd.read_parquet(io.BytesIO(data), engine="pyarrow")
    except (OSError, ValueError, TypeError, NotImplementedError) as error:
        # pyarrow's own exceptions are among these.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{file}: is no Parquet, or was cut off: {reason}") from None
    columns = _columns_of([str(name) for name in frame], file)
    try:
        return pd.DataFrame({c.name: frame[c.name].astype(c.dtype) for c in columns})
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{file}: has a column of another type: {error}") from None


# --- for readers and other programs


def _as_markdown(frame: pd.DataFrame, columns: Sequence[ResultColumn]) -> bytes:
    """A table as GitHub has it; long texts are cut, and a missing value is an empty cell."""
    headings = [f"{c.name} ({c.unit})" if c.unit else c.name for c in columns]
    aligned = ["---" if c.type is str else "---:" for c in columns]
    cells = [_markdown_cells(frame[c.name], c) for c in columns]
    rows = [[escape_markdown(heading) for heading in headings], aligned, *zip(*cells, strict=True)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows).encode()


def _markdown_cells(values: pd.Series[Any], column: ResultColumn) -> list[str]:
    known = zip(values.tolist(), values.isna().tolist(), strict=True)
    if column.type is str:
        return ["" if gone else escape_markdown(text) for text, gone in known]
    if column.type is float:
        return ["" if gone else f"{number:.6g}" for number, gone in known]
    return ["" if gone else str(number) for number, gone in known]


def _as_json(frame: pd.DataFrame, columns: Sequence[ResultColumn]) -> bytes:
    """An object with ``columns``, which says types, units and meanings, and ``rows``, one a line.

    A missing value is null.
    """
    header = {
        "made_by": f"rnnbench {__version__}",
        "columns": [
            {"name": c.name, "type": c.type.__name__, "unit": c.unit, "meaning": c.meaning}
            for c in columns
        ],
    }
    values = [_json_cells(frame[column.name]) for column in columns]
    names = [column.name for column in columns]
    encode = json.JSONEncoder(allow_nan=False).encode
    rows = ",\n".join(
        encode(dict(zip(names, row, strict=True))) for row in zip(*values, strict=True)
    )
    return f'{encode(header)[:-1]}, "rows": [\n{rows}\n]}}\n'.encode()


def _json_cells(values: pd.Series[Any]) -> list[Any]:
    known = zip(values.tolist(), values.isna().tolist(), strict=True)
    return [None if gone else value for value, gone in known]


_Writer: TypeAlias = Callable[[pd.DataFrame, Sequence[ResultColumn]], bytes]

_WRITERS: dict[str, _Writer] = {
    ".csv": _as_csv,
    ".parquet": _as_parquet,
    ".md": _as_markdown,
    ".json": _as_json,
}
_READERS: dict[str, Callable[[bytes, str], pd.DataFrame]] = {
    ".csv": _from_csv,
    ".parquet": _from_parquet,
}

ENDINGS = tuple(_WRITERS)
"""What a path may end with, and so the formats."""
