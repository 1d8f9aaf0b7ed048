"""Environments to compare: made by uv and cached, or a Python that the user has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rnnbench.errors import UserError
from rnnbench.regressions._cache import Cache, Cached, human_size
from rnnbench.regressions._making import COMMON, broken, cached_or_made, usable_torch
from rnnbench.regressions._probe import probe
from rnnbench.regressions._requests import (
    Request,
    parse_request,
    parse_requirement,
    refuse_twins,
)

__all__ = [
    "COMMON",
    "Environment",
    "cached_environments",
    "human_size",
    "prepare_environments",
    "remove_environments",
]


@dataclass(frozen=True)
class Environment:
    """An environment that can be measured: its name, its Python, and the torch that it has."""

    name: str
    python: str
    torch: str


def prepare_environments(
    texts: Sequence[str], say: Callable[[str], None], cache: Cache | None = None
) -> list[Environment]:
    """Make every environment that is asked for and not cached yet; ``say`` gets what goes on.

    All that was asked for is checked before anything is downloaded.

    Raises:
        UserError: there is no such version or Python, it has no torch or one that is too old, uv is
            missing or fails, or the disk is too small.
        Interrupted: a signal asked for the end; nothing half-made is left.
    """
    cache = Cache() if cache is None else cache
    requests = [parse_request(text) for text in texts]
    refuse_twins([request.name for request in requests if request.name is not None])
    own = {
        request: _own(request) for request in dict.fromkeys(requests) if request.python is not None
    }
    names = [request.name or own[request].name for request in requests]
    refuse_twins(names)
    wanted = [request.requirement for request in requests if request.requirement is not None]
    made = cached_or_made(list(dict.fromkeys(wanted)), say, cache)
    environments = []
    for request, name in zip(requests, names, strict=True):
        if request.requirement is None:
            environments.append(own[request])
        else:
            found = made[request.requirement]
            environments.append(Environment(name, str(found.executable), found.torch))
    return environments


def cached_environments(cache: Cache | None = None) -> list[tuple[Cached, str | None]]:
    """Every cached environment, and what is wrong with it, None where it starts."""
    cache = Cache() if cache is None else cache
    return [(found, broken(found)) for found in cache.all()]


def remove_environments(texts: Sequence[str], cache: Cache | None = None) -> list[Cached]:
    """Remove cached environments, by version, requirement or folder; all of them without any.

    Returns those that were removed.

    Raises:
        UserError: none of them is called so.
    """
    cache = Cache() if cache is None else cache
    there = cache.all()
    chosen = [] if texts else there
    for text in texts:
        _, equals, last = text.rpartition("=")
        spellings = {text, parse_requirement(text)}
        if equals and not text.startswith("torch"):  # name=2.8.0, as it was made
            spellings |= {last, parse_requirement(last)}
        found = [x for x in there if {x.folder.name, x.requirement} & spellings]
        if not found:
            known = ", ".join(dict.fromkeys(x.requirement for x in there)) or "there is none"
            raise UserError(f"--clean {text!r}: no cached environment is called so; known: {known}")
        chosen += [x for x in found if x not in chosen]
    if chosen:
        cache.remove([x.folder for x in chosen])
    return chosen


def _own(request: Request) -> Environment:
    """The environment of a Python that is the user's."""
    assert request.python is not None
    found = probe(request.python)
    torch = usable_torch(found, f"the Python {request.python}")
    name = request.name or "torch-" + torch
    return Environment(name, request.python, torch)
