"""What code a node would run, as hashes: nodes of one fleet must run the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import rnnbench
from rnnbench.errors import UserError
from rnnbench.regressions.suites import suites_folder

__all__ = ["check_code", "digest_of_file", "digest_of_package"]

_CODE = (".py", ".toml")


def digest_of_package() -> str:
    """One hash of all of rnnbench's own code, its grids and its suites."""
    digest = hashlib.sha256()
    package = Path(rnnbench.__file__).resolve().parent
    for folder in (package, suites_folder()):
        for file in sorted(_files(folder)):
            digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()


def digest_of_file(file: Path) -> str:
    """The hash of a plug-in; of one that is not there, a word that no hash is."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return "missing"


def check_code(version: str, digest: str, plugins: Mapping[str, str]) -> None:
    """Refuse to measure with other code than the fleet was planned with.

    ``plugins`` are hashes by the path of the file.

    Raises:
        UserError: rnnbench or a plug-in is another one here; the message names both.
    """
    here = digest_of_package()
    if here != digest:
        raise UserError(
            f"this node has rnnbench {rnnbench.__version__} (code {here[:12]}), and the fleet was "
            f"planned with rnnbench {version} (code {digest[:12]}); install the same on all nodes"
        )
    for path, planned in plugins.items():
        found = digest_of_file(Path(path))
        if found != planned:
            raise UserError(
                f"the plug-in {Path(path).name} is {found[:12]} on this node, and the fleet was "
                f"planned with {planned[:12]}; give all nodes the same file"
            )


def _files(folder: Path) -> Iterable[Path]:
    return (
        file
        for file in folder.rglob("*")
        # An installed package may hold the suites too, which are read from where they are used.
        if file.suffix in _CODE and "suites" not in file.relative_to(folder).parts[:1]
    )
