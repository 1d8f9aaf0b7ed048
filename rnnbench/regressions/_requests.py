"""What a user asks for with ENV: a version, a requirement or a Python, each maybe with a name."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from rnnbench.cases import Case
from rnnbench.errors import UserError

__all__ = ["OLDEST", "Request", "parse_request", "parse_requirement", "refuse_twins"]

OLDEST = Version("2.1")
"""The oldest PyTorch that workers run with."""

# "torch==2.8.0" has no name before its "==".
_NAMED = re.compile(r"([A-Za-z_][A-Za-z0-9_.+-]*)=(?!=)(.+)", re.DOTALL)
_FORMS = "a version (2.8.0), a requirement (torch==2.8.0) or the path of a Python"


@dataclass(frozen=True)
class Request:
    """An environment as it was asked for: exactly one of ``requirement`` and ``python`` is given.

    ``name`` is None where the user gave none and it follows from the version that a Python has.
    """

    name: str | None
    requirement: str | None = None
    python: str | None = None


def parse_request(text: str) -> Request:
    """Read one ENV argument.

    Raises:
        UserError: it is none of the three forms, or its name cannot be one.
    """
    name, what = None, text
    named = None if Path(text).exists() else _NAMED.fullmatch(text)
    if named is not None:
        name, what = named[1], named[2]
    if not what.strip():
        raise UserError(f"environment {text!r} is empty; give {_FORMS}")
    if name is not None:
        _check_name(name)
    requirement = parse_requirement(what)
    if requirement is not None:
        return Request(name or _name_of(requirement), requirement=requirement)
    return Request(name, python=_found_python(what, text))


def parse_requirement(text: str) -> str | None:
    """A version or a requirement of torch in its one spelling; None where it is neither.

    Raises:
        UserError: it is a requirement, but of no torch that could be measured.
    """
    try:
        return f"torch=={_new_enough(Version(text))}"
    except InvalidVersion:
        pass
    if os.sep in text or Path(text).exists():
        return None
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    if requirement.name.lower() != "torch":
        return None
    if requirement.url or requirement.marker or requirement.extras or not requirement.specifier:
        raise UserError(
            f"environment {text!r}: give a version of torch alone, such as torch==2.8.0; for all "
            "else make the environment yourself and give the path of its Python"
        )
    for specifier in requirement.specifier:
        if specifier.operator == "==" and not specifier.version.endswith(".*"):
            _new_enough(Version(specifier.version))
    return f"torch{requirement.specifier}"


def refuse_twins(names: Sequence[str]) -> None:
    """Refuse environments of one name.

    Raises:
        UserError: two have the same.
    """
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"two environments are called {name!r}; give one of them another name, such as "
                f"again={name.removeprefix('torch-')}"
            )


def _new_enough(version: Version) -> Version:
    if Version(version.base_version) < OLDEST:
        raise UserError(
            f"PyTorch {version} is too old: workers need {OLDEST} or newer; give a newer version"
        )
    return version


def _name_of(requirement: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_.+]+", "-", requirement).strip("-")
    _check_name(name)
    return name


def _check_name(name: str) -> None:
    Case(environment=name)


def _found_python(what: str, text: str) -> str:
    inside = Path(what) / "bin" / "python"
    found = shutil.which(inside if Path(what).is_dir() else what)
    if found is None:
        raise UserError(
            f"environment {text!r}: {what!r} is not a program that can be run; give {_FORMS}"
        )
    # Not resolved: the link in an environment is what makes it that environment.
    return os.path.abspath(found)
