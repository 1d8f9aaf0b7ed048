"""Which versions of PyTorch were released between two, as the package index tells them."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from packaging.version import InvalidVersion, Version

from rnnbench.errors import UserError
from rnnbench.regressions._making import COMMON
from rnnbench.regressions._uv import Uv, UvFailed, find_uv

__all__ = ["released_between"]

_NONE_LEFT = re.compile(r"no solution found|unsatisfiable|no version|there (is|are) no", re.I)
"""How uv words that no version is in a range, as opposed to an index that does not answer."""


def released_between(one: str, other: str, uv: Uv | None = None) -> list[str]:
    """All releases from one version to the other, both included, in the order of the two.

    Those that this Python cannot install, and those that were withdrawn, are not among them.

    Raises:
        UserError: one is no version, both are the same, or the index cannot be asked.
    """
    first, last = _version(one, "--good"), _version(other, "--bad")
    if first == last:
        raise UserError(f"--good and --bad are both {one}; give two versions")
    low, high = min(first, last), max(first, last)
    found = [str(high)]
    uv = find_uv() if uv is None else uv
    with tempfile.TemporaryDirectory() as folder:
        while below := _newest(uv, f"torch>{low},<{found[-1]}", Path(folder)):
            found.append(below)
    found.append(str(low))
    return found if first == high else found[::-1]


def _newest(uv: Uv, requirement: str, folder: Path) -> str | None:
    try:
        return Version(uv.resolve(requirement, COMMON, folder).torch).public
    except UvFailed as failed:
        if _NONE_LEFT.search(str(failed)):
            return None
        raise UserError(
            f"the releases between the two cannot be listed ({failed}); name them with --through"
        ) from None


def _version(text: str, option: str) -> Version:
    try:
        return Version(Version(text).public)
    except InvalidVersion:
        raise UserError(
            f"{option} {text!r} is no version of PyTorch; give one such as 2.8.0, or name the "
            "environments between with --through"
        ) from None
