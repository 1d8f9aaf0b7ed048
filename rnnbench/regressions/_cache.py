"""The folder of cached environments: whole ones with a marker, and what was never finished."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from rnnbench.errors import UserError
from rnnbench.regressions._uv import python_of

__all__ = ["Cache", "Cached", "human_size", "size_of"]

_MARKER = "rnnbench-environment.json"
_UNFINISHED = ".unfinished-"
_LOCK = ".lock"
_SCHEMA = 1


@dataclass(frozen=True)
class Cached:
    """An environment in the cache, as its marker describes it; ``size`` in bytes."""

    folder: Path
    requirement: str
    torch: str
    python: str
    packages: Mapping[str, str]
    made: float
    size: int

    @property
    def executable(self) -> Path:
        """Its Python."""
        return python_of(self.folder)


class Cache:
    """Environments by what was asked for. A folder with its final name is whole: it is made under
    another name and renamed when all is in it, and a marker is the last file that it gets.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or platformdirs.user_cache_path("rnnbench") / "environments"

    def place(self, requirement: str, common: Sequence[str]) -> Path:
        """Where the environment of a requirement lies, whether it is there or not.

        One for each Python and each list of common packages; and for each backend that uv is told
        to install, which decides what a version of torch is.
        """
        facts = [
            requirement,
            platform.python_implementation(),
            platform.python_version(),
            sys.platform,
            platform.machine(),
            os.environ.get("UV_TORCH_BACKEND", ""),
            *common,
        ]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]
        said = re.sub(r"[^A-Za-z0-9.+]+", "-", requirement).strip("-")
        return self.folder / f"{said}-python-{platform.python_version()}-{digest}"

    def read(self, folder: Path) -> Cached | None:
        """What the marker of a folder says; None where there is no environment of ours."""
        try:
            told = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
            return Cached(
                folder,
                str(told["requirement"]),
                str(told["torch"]),
                str(told["python"]),
                {str(name): str(version) for name, version in told["packages"].items()},
                float(told["made"]),
                int(told["size"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def all(self) -> list[Cached]:
        """Every environment, by name."""
        folders = sorted(self.folder.glob("[!.]*"))
        return [found for folder in folders if (found := self.read(folder)) is not None]

    @contextlib.contextmanager
    def locked(self, waits: Callable[[], None] = lambda: None) -> Iterator[None]:
        """One process at a time makes or removes; ``waits`` is called if another one does.

        Under the lock, what is unfinished is nobody's, and is removed.

        Raises:
            UserError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / _LOCK).open("w")
        except OSError as error:
            raise UserError(
                f"the cache of environments {self.folder} cannot be written: {error.strerror}; "
                "mend its rights, or set XDG_CACHE_HOME to another folder"
            ) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waits()
                fcntl.flock(lock, fcntl.LOCK_EX)
            for orphan in self.folder.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(orphan, ignore_errors=True)
            yield

    @contextlib.contextmanager
    def unfinished(self) -> Iterator[Path]:
        """A folder to work in, on the same file system, that is gone afterwards."""
        folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def complete(self, made: Path, target: Path, facts: Mapping[str, Any]) -> Cached:
        """Give a folder that is whole its marker and its name."""
        told = {"schema": _SCHEMA, **facts, "made": time.time(), "size": size_of(made)}
        (made / _MARKER).write_text(json.dumps(told, indent=1), encoding="utf-8")
        if target.exists():  # without a marker: not one of ours any more
            self._discard(target)
        os.replace(made, target)
        found = self.read(target)
        assert found is not None
        return found

    def remove(self, folders: Sequence[Path]) -> None:
        """Remove environments: out of sight at once, so that half of one is never used."""
        with self.locked():
            for folder in folders:
                self._discard(folder)

    def _discard(self, folder: Path) -> None:
        with self.unfinished() as bin_, contextlib.suppress(FileNotFoundError):
            os.replace(folder, bin_ / folder.name)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, as they say themselves."""
    total = 0
    for parent, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, file)).st_size
    return total


def human_size(size: float) -> str:
    """Bytes in words."""
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
