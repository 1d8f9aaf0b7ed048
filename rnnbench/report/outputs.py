"""Where a report or a table goes: checked before any work, then replaced as a whole or not."""

from __future__ import annotations

import gzip
import io
import json
import os
import secrets
import signal
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any

from rnnbench.errors import UserError

__all__ = [
    "STAGED",
    "check_output_file",
    "check_output_folder",
    "staged_file",
    "staged_name",
    "undisturbed",
    "write_document",
    "write_file",
]

STAGED = ".rnnbench-staged-"
"""How the names of what is not finished begin."""

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def check_output_folder(path: str | os.PathLike[str], option: str = "--output") -> Path:
    """The folder as a path: it is there and can be written to, or can be made.

    Raises:
        UserError: it is a file, its parent is missing, or nothing may be written there.
    """
    folder = _path(path, option)
    kind = _kind(folder, option)
    if kind is None:
        _check_parent(folder, option)
    elif not stat.S_ISDIR(kind):
        raise UserError(f"{option} {_said(folder)}: is a file; give a folder")
    elif not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{option} {_said(folder)}: is not writable; give another folder")
    return folder


def check_output_file(
    path: str | os.PathLike[str], inputs: Iterable[str] = (), option: str = "--output"
) -> Path:
    """The file as a path: it can be made or replaced, and is none of the inputs.

    Raises:
        UserError: it is a folder or a device, an input, or nothing may be written there.
    """
    file = _path(path, option)
    kind = _kind(file, option)
    if kind is not None and stat.S_ISDIR(kind):
        raise UserError(f"{option} {_said(file)}: is a folder; give the path of a file")
    if kind is not None and not stat.S_ISREG(kind):
        raise UserError(f"{option} {_said(file)}: is no regular file; give the path of a file")
    if kind is not None and any(_same(file, given) for given in inputs):
        raise UserError(
            f"{option} {_said(file)}: is one of the files to read; give another path, so that the "
            "measured result is kept"
        )
    _check_parent(file, option)
    return file


def write_file(path: Path, content: bytes) -> None:
    """Write a file as a whole: what was there before stays until the new one is complete.

    Raises:
        UserError: it cannot be written.
    """
    staged = path.with_name(staged_name())
    try:
        with undisturbed():
            try:
                staged.write_bytes(content)
                os.replace(staged, path)
            finally:
                with suppress(FileNotFoundError):
                    staged.unlink()
    except OSError as error:
        raise UserError(f"{_said(path)}: cannot be written: {error.strerror or error}") from None


def write_document(path: Path, document: Any) -> None:
    """Write a document as JSON, as `write_file` does.

    Raises:
        UserError: it cannot be written.
    """
    write_file(path, json.dumps(document, allow_nan=False).encode())


@contextmanager
def staged_file(path: Path) -> Iterator[IO[str]]:
    """A file to write piece by piece; it takes its name when all is written, or never had it.

    It is packed with gzip where its name ends in ``.gz``.

    Raises:
        UserError: it cannot be written.
    """
    staged = path.with_name(staged_name())
    try:
        try:
            with staged.open("wb") as raw:
                if path.suffix == ".gz":
                    # Without name and time: the same content is the same file.
                    with (
                        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
                        io.TextIOWrapper(packed, encoding="utf-8") as text,
                    ):
                        yield text
                else:
                    with io.TextIOWrapper(raw, encoding="utf-8") as text:
                        yield text
            with undisturbed():
                os.replace(staged, path)
        finally:
            with suppress(FileNotFoundError):
                staged.unlink()
    except OSError as error:
        raise UserError(f"{_said(path)}: cannot be written: {error.strerror or error}") from None


def staged_name() -> str:
    """A name that no other program has chosen."""
    return STAGED + secrets.token_hex(8)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let a signal to end wait until what was begun is done or undone; only short work goes here.

    A mask would not do: a signal for the process then reaches another of its threads, and Python
    raises it here all the same. Drawing is undisturbed too: matplotlib loses a KeyboardInterrupt
    that meets one of its weak references, and has NumPy turn others into a TypeError.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    met: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        met.append(number)

    # One that is ignored, as under nohup, stays so; one that C code handles cannot be restored.
    before = {
        number: handler
        for number in _SIGNALS
        if (handler := signal.getsignal(number)) not in (None, signal.SIG_IGN)
    }
    try:
        for number in before:
            signal.signal(number, note)
        yield
    finally:
        # SIGINT comes back last: its handler raises, and one more of it would skip the others.
        for number, handler in reversed(before.items()):
            signal.signal(number, handler)
        for number in dict.fromkeys(met):
            signal.raise_signal(number)


def _path(path: str | os.PathLike[str], option: str) -> Path:
    # An empty path would be this folder.
    if not os.fspath(path).strip():
        raise UserError(f"{option} is empty; give a path")
    return Path(path)


def _kind(path: Path, option: str) -> int | None:
    """The mode of what is at a path, links followed; None where there is nothing."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise UserError(
                f"{option} {_said(path)}: is a link to nothing; give another path"
            ) from None
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{option} {_said(path)}: cannot be used: {reason}") from None


def _check_parent(path: Path, option: str) -> None:
    parent = path.parent
    if not parent.is_dir():
        missing = "is no folder" if os.path.lexists(parent) else "does not exist; make it first"
        raise UserError(f"{option} {_said(path)}: its parent {_said(parent)} {missing}")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(
            f"{option} {_said(path)}: its parent {_said(parent)} is not writable; give another path"
        )


def _same(path: Path, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return False


def _said(path: Path) -> str:
    """A path in a sentence, in letters that can be seen."""
    text = os.fspath(path)
    return text if text.isprintable() else repr(text)
