"""What commands share that measure by themselves: lock, folder and Python, a bar, and files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from rnnbench.errors import UserError

__all__ = [
    "Alone",
    "Session",
    "bar",
    "json_bytes",
    "json_file",
    "picture_bytes",
    "picture_file",
    "write_json",
    "write_picture",
]

_PICTURES = (".png", ".svg")


class Alone:
    """The lock and the folder for compiled code, for as long as the command runs.

    ``note`` is what a reader of its result must know.

    Raises:
        UserError: on entering, another run holds the lock.
    """

    def __init__(self, command: str, *, no_lock: bool) -> None:
        self._command = command
        self._insist = not no_lock
        self.note: str | None = None

    def __enter__(self) -> Self:
        from rnnbench.measuring.lock import MachineLock
        from rnnbench.measuring.scratch import Scratch

        self._lock = MachineLock(self._command, insist=self._insist, option="--no-lock")
        self.note = self._lock.note
        self._scratch = Scratch()
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.remove()
        self._lock.release()

    @property
    def folder(self) -> Path:
        """Where processes of this run share what they compile."""
        return self._scratch.folder

    @property
    def notes(self) -> list[str]:
        """The note, if there is one."""
        return [] if self.note is None else [self.note]


class Session(Alone):
    """The same with one Python; ``environment`` is what its processes said that they run in.

    Raises:
        UserError: there is no such Python; on entering, another run holds the lock.
    """

    def __init__(self, command: str, python: str | None, *, no_lock: bool) -> None:
        from rnnbench.cases import DEFAULT_ENVIRONMENT
        from rnnbench.measuring.options import parse_environments

        super().__init__(command, no_lock=no_lock)
        given = [] if python is None else [f"{DEFAULT_ENVIRONMENT}={python}"]
        self.python = parse_environments(given, "--python")[DEFAULT_ENVIRONMENT]
        self.environment: Mapping[str, Any] = {}

    def header(self) -> dict[str, Any]:
        """How the document of a result begins."""
        from rnnbench import __version__

        return {
            "made_by": f"rnnbench {__version__}",
            "environment": self.environment,
            "note": self.note,
        }


@contextmanager
def bar(total: int, noun: str = "cases") -> Iterator[Callable[[float, str], None]]:
    """A progress bar where there is a terminal; hears how many are done and what is."""
    from rnnbench.measuring.progress import make_progress

    progress = make_progress(noun=noun)
    progress.start()
    try:
        yield lambda done, what: progress.update(done, total, what)
    finally:
        progress.stop()


def json_file(path: str | None) -> Path | None:
    """The file of ``--json``, which can be written.

    Raises:
        UserError: it cannot.
    """
    from rnnbench.report.outputs import check_output_file

    return None if path is None else check_output_file(path, option="--json")


def picture_file(path: str | None, option: str = "--plot") -> Path | None:
    """The file of ``--plot`` or another option, which can be written and whose name says as what.

    Raises:
        UserError: it cannot, or its name does not.
    """
    from rnnbench.report.outputs import check_output_file

    if path is None:
        return None
    file = check_output_file(path, option=option)
    if file.suffix.lower() not in _PICTURES:
        raise UserError(
            f"{option} {path}: its ending names no picture; give {' or '.join(_PICTURES)}"
        )
    return file


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """A document as it is written."""
    import json

    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def write_json(file: Path | None, document: Mapping[str, Any]) -> None:
    """Write a document as a whole, if there is a file for it."""
    from rnnbench.report.outputs import write_file

    if file is not None:
        write_file(file, json_bytes(document))


def picture_bytes(file: Path, figure: Any) -> bytes:
    """A figure as the file's name says."""
    from rnnbench.report import plots

    if file.suffix.lower() == ".svg":
        return plots.on_paper(plots.svg_text(figure)).encode()
    return plots.png_bytes(figure)


def write_picture(file: Path, figure: Any) -> None:
    """Write a figure as its file's name says."""
    from rnnbench.report.outputs import write_file

    write_file(file, picture_bytes(file, figure))
