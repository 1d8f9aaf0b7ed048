"""uv as a program: found, asked what an installation would take, and told to install."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.errors import UserError
from rnnbench.regressions._probe import clean_variables
from rnnbench.regressions.processes import run_streamed

__all__ = ["Download", "Resolved", "Uv", "UvFailed", "find_uv", "python_of", "sentence"]

_TIMEOUT = 600.0
_LOCK = "pylock.toml"
_UNCACHED = re.compile(r"Identified uncached distribution: ([A-Za-z0-9._-]+)==")
_WOULD_DOWNLOAD = re.compile(r"^Would download (\d+) packages?$", re.MULTILINE)


@dataclass(frozen=True)
class Download:
    """What is to be downloaded: how many packages, and how many bytes.

    ``size`` is None where the index tells no sizes; ``exact`` is False where it is not known which
    of the packages uv has already, so that the size is the most that it can be.
    """

    packages: int
    size: int | None
    exact: bool


@dataclass(frozen=True)
class Resolved:
    """A requirement with all that it needs, as uv found it.

    ``yanked`` is why torch's authors withdrew this version, None where they did not; ``size`` is
    that of all its packages as they are downloaded, None where the index tells none.
    """

    torch: str
    lock: Path
    download: Download
    size: int | None
    yanked: str | None


class UvFailed(Exception):
    """uv ended with an error; the text is what it said."""


def find_uv() -> Uv:
    """The uv of this machine: on the PATH, else a module of this Python.

    Raises:
        UserError: there is none, or it does not start.
    """
    found = shutil.which("uv")
    if found is not None:
        command: tuple[str, ...] = (found,)
    elif importlib.util.find_spec("uv") is not None:
        command = (sys.executable, "-m", "uv")
    else:
        raise UserError(
            "environments are made by uv, and there is none on the PATH; install it with "
            "`pip install uv`, or give paths of Pythons that have a torch already"
        )
    uv = Uv(command)
    try:
        uv.ask(["--version"], Path.cwd())
    except UvFailed as failed:
        raise UserError(f"uv ({command[0]}) does not start: {failed}; install it anew") from None
    return uv


@dataclass(frozen=True)
class Uv:
    """The command that starts uv. All is run in a given folder, so that the settings of a project
    around the user's own do not change what is installed.
    """

    command: tuple[str, ...]

    def ask(self, arguments: Sequence[str], folder: Path) -> tuple[str, str]:
        """Run it silently; returns what it wrote to standard output and standard error.

        Raises:
            UvFailed: it ended with an error.
        """
        try:
            done = subprocess.run(
                [*self.command, *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env={**clean_variables(), "NO_COLOR": "1", "UV_NO_PROGRESS": "1"},
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UvFailed(f"no answer within {_TIMEOUT:g} s") from None
        except OSError as error:
            raise UvFailed(error.strerror or str(error)) from None
        if done.returncode:
            raise UvFailed(sentence(done.stderr) or f"it ended with status {done.returncode}")
        return done.stdout, done.stderr

    def resolve(self, requirement: str, common: Sequence[str], folder: Path) -> Resolved:
        """Find everything that a requirement needs for this Python, and what is not here yet.

        Raises:
            UvFailed: there is no such version, or no index to ask.
        """
        wanted = folder / "wanted.in"
        pins = folder / "pins.txt"
        lock = folder / _LOCK
        wanted.write_text(requirement + "\n" + "\n".join(_names(common)) + "\n")
        pins.write_text("\n".join(common) + "\n")
        compiling = ("pip", "compile", "--python", sys.executable)
        _, warnings = self.ask(
            [*compiling, "--format", _LOCK, "-c", pins.name, "-o", lock.name, wanted.name],
            folder,
        )
        packages = tomllib.loads(lock.read_text(encoding="utf-8"))["packages"]
        torch = next(package for package in packages if package["name"] == "torch")
        sizes = {package["name"]: _size(package) for package in packages}
        yanked = re.search(r"`?torch==[^`\s]+`? is yanked(?: \(reason: \"(.*?)\"\))?", warnings)
        return Resolved(
            torch=str(torch["version"]),
            lock=lock,
            download=self._download(lock, sizes, folder),
            size=_sum(sizes.values()),
            yanked=None if yanked is None else yanked[1] or "no reason was given",
        )

    def _download(self, lock: Path, sizes: dict[str, int | None], folder: Path) -> Download:
        """What of a lock is not in uv's cache. Its names are in the log alone, so that they are
        believed only if they are as many as uv states.
        """
        empty = folder / "empty"
        self.venv(empty)
        python = ["--python", str(python_of(empty))]
        _, said = self.ask(["pip", "install", "--dry-run", "-v", *python, "-r", lock.name], folder)
        shutil.rmtree(empty)
        stated = _WOULD_DOWNLOAD.search(said)
        count = int(stated[1]) if stated else 0
        names = set(_UNCACHED.findall(said))
        if len(names) == count and names <= sizes.keys():
            return Download(count, _sum(sizes[name] for name in names), exact=True)
        return Download(count, _sum(sizes.values()), exact=False)

    def venv(self, target: Path) -> None:
        """Make an empty environment of the Python that is running.

        Raises:
            UvFailed: it cannot be made.
        """
        given = ["--python", sys.executable, "--relocatable", "--no-project", "--quiet"]
        self.ask(["venv", *given, str(target)], target.parent)

    def install(self, lock: Path, target: Path, say: Callable[[str], None]) -> None:
        """Install what a lock lists into an environment; each line that uv says is passed on.

        Raises:
            UvFailed: it ended with an error.
            Interrupted: a signal asked for the end.
        """
        said: list[str] = []

        def each(line: str) -> None:
            said.append(line)
            if line.strip().startswith(("Download", "Prepared", "Building")):
                say(line.strip())

        variables = {**clean_variables(), "NO_COLOR": "1"}
        python = ["--python", str(python_of(target))]
        arguments = ["--directory", str(lock.parent), "pip", "install", *python, "-r", str(lock)]
        status = run_streamed([*self.command, *arguments], each, variables)
        if status:
            raise UvFailed(sentence("\n".join(said)) or f"it ended with status {status}")

    def neighbours(self, version: str, folder: Path) -> list[str]:
        """The versions of torch before and after one that there is none of, for this Python."""
        compiling = ["pip", "compile", "--python", sys.executable, "--no-deps", "--no-annotate"]
        found = []
        for bound, resolution in (("<", "highest"), (">", "lowest-direct")):
            wanted = folder / "wanted.in"
            wanted.write_text(f"torch{bound}{version}\n")
            try:
                out, _ = self.ask([*compiling, "--resolution", resolution, wanted.name], folder)
            except UvFailed:
                continue
            found += re.findall(r"^torch==(\S+)", out, re.MULTILINE)
        return found

    def cache(self, folder: Path) -> Path | None:
        """Where uv keeps what it has downloaded; None where it does not say."""
        try:
            return Path(self.ask(["cache", "dir"], folder)[0].strip())
        except UvFailed:
            return None


def sentence(said: str) -> str:
    """What an error of uv comes down to: its last cause, without addresses of packages."""
    blocks = re.split(r"\n(?=hint:)|\n\n", said.strip())
    lines = [line.strip() for line in blocks[0].splitlines() if line.strip()]
    start = next(
        (at for at, line in enumerate(lines) if re.match(r"error:|×", line)), max(0, len(lines) - 1)
    )
    text = ""
    for line in lines[start:]:
        head = re.match(r"(?:error:|[Cc]aused? ?b?y?:|×|╰─▶|├─▶)\s*(.*)", line)
        text = head[1] if head else f"{text} {line}"
    text = re.sub(r"\s+", " ", text).strip().rstrip(".")
    return text if len(text) <= 400 else text[:400] + "…"


def _names(pins: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(re.split(r"[=<>;\s]", pin, maxsplit=1)[0] for pin in pins))


def _size(package: dict[str, Any]) -> int | None:
    """Bytes of the file that is downloaded: the wheel for this Python, else the source."""
    files = [*package.get("wheels", []), *filter(None, [package.get("sdist")])]
    size = files[0].get("size") if files else None
    return size if type(size) is int else None


def _sum(sizes: Any) -> int | None:
    known = list(sizes)
    return None if None in known else sum(known)


def python_of(environment: Path) -> Path:
    """The Python of an environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
