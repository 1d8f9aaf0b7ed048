"""Makes the environments that are not cached: asks uv, says what is to come, installs, renames."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from packaging.version import InvalidVersion, Version

from rnnbench.errors import UserError
from rnnbench.regressions._cache import Cache, Cached, human_size
from rnnbench.regressions._probe import Probed, probe
from rnnbench.regressions._requests import OLDEST
from rnnbench.regressions._uv import Resolved, Uv, UvFailed, find_uv, python_of

__all__ = ["COMMON", "broken", "cached_or_made", "usable_torch"]

COMMON = (
    # 1.26 is the only line that both PyTorch 2.1 and the newest import; later Pythons need numpy 2.
    'numpy==1.26.4; python_version < "3.13"',
    'numpy==2.3.5; python_version >= "3.13"',
    "setuptools==80.9.0",  # torch.compile of older versions builds with it
    "filelock==3.16.1",
    "fsspec==2024.10.0",
    "jinja2==3.1.6",
    "markupsafe==3.0.3",
    "mpmath==1.3.0",
    "networkx==3.4.2",
    "typing-extensions==4.15.0",
)
"""What every environment has besides torch, in the same versions. What torch itself pins (triton,
sympy, CUDA's libraries) belongs to its version and is left to it."""

_SIZES = "a build of torch takes 0.2 GB (for CPUs alone) to 6.5 GB (with CUDA's libraries)"


def cached_or_made(
    requirements: Sequence[str], say: Callable[[str], None], cache: Cache
) -> dict[str, Cached]:
    """The environment of each requirement; those that are not there are made.

    Raises:
        UserError: one is broken or cannot be made.
        Interrupted: a signal asked for the end.
    """
    places = {requirement: cache.place(requirement, COMMON) for requirement in requirements}
    made: dict[str, Cached] = {}
    for requirement, place in places.items():
        found = cache.read(place)
        if found is None:
            continue
        why = broken(found)
        if why is not None:
            raise UserError(
                f"the cached environment of {requirement} in {place} is broken: {why}; "
                f"`rnnbench versions --clean {requirement}` removes it, and the next run makes it "
                "anew"
            )
        made[requirement] = found
    missing = [requirement for requirement in requirements if requirement not in made]
    if missing:
        uv = find_uv()
        waits = "another rnnbench is making environments; waiting until it has finished"
        with cache.locked(lambda: say(waits)), cache.unfinished() as folder:
            resolved = {name: _resolve(uv, name, folder, at) for at, name in enumerate(missing)}
            _check_room(uv, resolved, cache, folder, say)
            for requirement, found_by_uv in resolved.items():
                target = places[requirement]
                made[requirement] = _make(uv, requirement, found_by_uv, cache, folder, target, say)
    return made


def _resolve(uv: Uv, requirement: str, parent: Path, number: int) -> Resolved:
    folder = parent / f"resolve-{number}"
    folder.mkdir()
    try:
        resolved = uv.resolve(requirement, COMMON, folder)
    except UvFailed as failed:
        raise UserError(_no_such_version(uv, requirement, str(failed), folder)) from None
    if resolved.yanked is not None:
        raise UserError(
            f"{requirement} was yanked, that is, withdrawn by its authors ({resolved.yanked}); "
            f"give another version{_nearest(uv, requirement, folder)}"
        )
    if Version(resolved.torch) < OLDEST:
        raise UserError(
            f"{requirement} gives PyTorch {resolved.torch}, which is too old: workers need "
            f"{OLDEST} or newer"
        )
    return resolved


def _no_such_version(uv: Uv, requirement: str, said: str, folder: Path) -> str:
    if "no version of torch" not in said and "no wheels" not in said:
        return f"uv finds no way to install {requirement}: {said}"
    where = f"for Python {platform.python_version()}" if "no wheels" in said else "known to uv"
    near = _nearest(uv, requirement, folder)
    nightly = ""
    if ".dev" in requirement:
        nightly = "; nightly builds are in an index of their own, which UV_INDEX can name"
    return f"there is no {requirement} {where}{near}{nightly}"


def _nearest(uv: Uv, requirement: str, folder: Path) -> str:
    version = requirement.removeprefix("torch==")
    if version == requirement or "," in version or "*" in version:
        return ""
    near = uv.neighbours(version, folder)
    if not near:
        return ""
    return f"; the nearest {'are' if len(near) > 1 else 'is'} {' and '.join(near)}"


def _check_room(
    uv: Uv, resolved: dict[str, Resolved], cache: Cache, folder: Path, say: Callable[[str], None]
) -> None:
    """Say what is to be downloaded, and refuse where it cannot even be stored as it arrives."""
    for requirement, found in resolved.items():
        say(f"{requirement}: {_download_in_words(found)}")
    # Unpacked it takes more, but how much no index tells; so this refuses only what cannot be.
    downloads = [found.download.size for found in resolved.values() if found.download.exact]
    least = sum(size for size in downloads if size is not None)
    for place in dict.fromkeys((cache.folder, uv.cache(folder) or cache.folder)):
        existing = next((x for x in (place, *place.parents) if x.exists()), None)
        if existing is None:
            continue
        free = shutil.disk_usage(existing).free
        if free < least:
            raise UserError(
                f"the disk of {place} has {human_size(free)} free, and {human_size(least)} are to "
                "be downloaded, which take more when unpacked; free some, for example by "
                "`rnnbench versions --clean` and `uv cache clean`"
            )


def _download_in_words(found: Resolved) -> str:
    download = found.download
    if download.packages == 0:
        return "nothing to download, uv has all of it in its cache"
    packages = f"{download.packages} package{'' if download.packages == 1 else 's'} to download"
    if download.size is None:
        return f"{packages}; the index does not tell their size: {_SIZES}"
    most = "" if download.exact else "at most "
    return f"{packages}, {most}{human_size(download.size)}"


def _make(
    uv: Uv,
    requirement: str,
    resolved: Resolved,
    cache: Cache,
    folder: Path,
    target: Path,
    say: Callable[[str], None],
) -> Cached:
    say(f"{requirement}: making the environment")
    new = folder / target.name
    try:
        uv.venv(new)
        uv.install(resolved.lock, new, lambda line: say(f"  {line}"))
        packages = _packages(uv, new, folder)
        found = probe(str(python_of(new)))
        torch = usable_torch(found, f"the new environment of {requirement}")
        facts = {"torch": torch, "python": found.python, "packages": packages}
        return cache.complete(new, target, {"requirement": requirement, **facts})
    except UvFailed as failed:
        said = str(failed)
        if "No space left" in said or "os error 28" in said:
            raise UserError(
                f"the disk became full while uv installed {requirement}; nothing of it was kept; "
                "free some space, for example by `rnnbench versions --clean` and `uv cache clean`"
            ) from None
        raise UserError(
            f"uv could not install {requirement}: {said}; nothing of it was kept"
        ) from None
    except OSError as error:
        raise UserError(
            f"the environment of {requirement} could not be made: {error.strerror}; nothing of it "
            "was kept"
        ) from None


def _packages(uv: Uv, environment: Path, folder: Path) -> dict[str, str]:
    python = str(python_of(environment))
    out, _ = uv.ask(["pip", "list", "--format", "json", "--python", python], folder)
    return {package["name"]: package["version"] for package in json.loads(out)}


def usable_torch(found: Probed, what: str) -> str:
    """The version of torch that a Python answered.

    Raises:
        UserError: there is none, or it or the Python is too old.
    """
    if found.python is None:
        raise UserError(f"{what}: {found.why}; give the path of a Python that runs")
    if found.torch is None:
        raise UserError(
            f"{what} has no torch that can be imported ({found.why}); install one there, or give a "
            "version such as 2.8.0 to have an environment made"
        )
    if Version(found.python) < Version("3.10"):
        raise UserError(f"{what} is Python {found.python}; workers need 3.10 or newer")
    try:
        # A build of one's own may be called anything.
        old = Version(Version(found.torch).base_version) < OLDEST
    except InvalidVersion:
        old = False
    if old:
        raise UserError(f"{what} has PyTorch {found.torch}; workers need {OLDEST} or newer")
    return found.torch


def broken(found: Cached) -> str | None:
    """Why a cached environment does not start; None where it does."""
    answer = probe(str(found.executable))
    return None if answer.torch is not None else answer.why
