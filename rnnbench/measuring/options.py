"""What a run was asked to do, as one frozen object."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnnbench.cases import DEFAULT_ENVIRONMENT
from rnnbench.cores import usable_cores
from rnnbench.errors import UserError

__all__ = ["Options", "parse_cores", "parse_environments", "parse_planted", "split_plugin"]


@dataclass(frozen=True)
class Options:
    """Options of a run; times in seconds.

    ``seconds`` is the time for the rounds of one case over all of its replicates, ``block_seconds``
    that of one turn, ``case_timeout`` the longest that any one answer about a case may take.
    ``precision`` is the half width of an interval, relative to its middle, at which a group of
    competitors stops before its time is spent. ``cores``: those that blocks run on. ``devices``:
    those that the command line asked for by name, which must be there; a grid's own may be missing.
    ``seed`` is that of the order in which competitors are built and take turns.
    ``plugins``: files for every environment, or ``NAME=FILE`` for that one alone. ``planted``: the
    share by which each call is made longer in an environment, to see whether that is found.
    ``instructions``: count them as well, by Valgrind.
    """

    seconds: float = 1.0
    replicates: int = 3
    precision: float = 0.02
    case_timeout: float = 300.0
    block_seconds: float = 0.05
    baseline: str = "nn_rnn"
    seed: int = 0
    resume: bool = False
    in_process: bool = False
    instructions: bool = False
    cores: tuple[int, ...] = field(default_factory=usable_cores)
    devices: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    planted: Mapping[str, float] = field(default_factory=dict)
    environments: Mapping[str, str] = field(
        default_factory=lambda: {DEFAULT_ENVIRONMENT: sys.executable}
    )

    def __post_init__(self) -> None:
        for name, low in (("seconds", 0.0), ("case_timeout", 0.0), ("block_seconds", 0.0)):
            if not getattr(self, name) > low:
                option = "--rnn-" + name.replace("_", "-")
                raise UserError(f"{option} is {getattr(self, name)}; give seconds above 0")
        if not 0 < self.precision < 1:
            raise UserError(
                f"--rnn-precision is {self.precision}; give a share between 0 and 1, such as 0.02"
            )
        if self.replicates < 1:
            raise UserError(f"--rnn-replicates is {self.replicates}; give 1 or more")
        missing = set(self.cores) - set(usable_cores())
        if missing:
            raise UserError(
                f"--rnn-cores names core {min(missing)}, which this process may not use; it may "
                f"use {', '.join(map(str, usable_cores()))}"
            )
        for plugin in self.plugins:
            split_plugin(plugin, self.environments)
        for name in self.planted:
            if name not in self.environments:
                raise UserError(
                    f"--rnn-planted names the environment {name!r}, which was not given; there "
                    f"{'is' if len(self.environments) == 1 else 'are'} "
                    f"{', '.join(self.environments)}"
                )

    def plugins_of(self, environment: str) -> list[str]:
        """Files of the plug-ins that an environment loads, in the order in which they were given.

        A file that is for one environment is not there in the others, so two states of one file
        can register the same names, each in an environment of its own.
        """
        split = [split_plugin(plugin, self.environments) for plugin in self.plugins]
        return [file for name, file in split if name in (None, environment)]

    def named_plugins(self) -> list[tuple[str, Path]]:
        """Each plug-in and its name in a result: its file's, after ``NAME=`` if that was given."""
        named = []
        for plugin in self.plugins:
            environment, file = split_plugin(plugin, self.environments)
            prefix = "" if environment is None else f"{environment}="
            named.append((prefix + Path(file).name, Path(file)))
        return named

    def cores_for(self, threads: int) -> list[int]:
        """The cores on which every competitor with that many threads takes its turns.

        The last ones: the first core is where systems tend to handle interrupts, and it leaves the
        coordinator one where there is one to spare. All of them when there are fewer than threads.
        """
        return sorted(self.cores)[-threads:]

    def as_dict(self) -> dict[str, Any]:
        """As a result file holds them; without the paths of this machine."""
        return {
            "seconds": self.seconds,
            "replicates": self.replicates,
            "precision": self.precision,
            "case_timeout": self.case_timeout,
            "block_seconds": self.block_seconds,
            "baseline": self.baseline,
            "seed": self.seed,
            "in_process": self.in_process,
            "cores": list(self.cores),
            "plugins": [name for name, _ in self.named_plugins()],
            "planted": dict(self.planted),
            **({"instructions": True} if self.instructions else {}),
        }


def parse_planted(texts: Sequence[str]) -> dict[str, float]:
    """Read ``NAME=SHARE`` options, the share as ``5%`` or ``0.05``.

    Raises:
        UserError: an option is of another form, or its share is not above 0 and at most 1.
    """
    planted = {}
    for text in texts:
        name, _, share = text.partition("=")
        share = share.strip()
        try:
            value = float(share.removesuffix("%")) / (100 if share.endswith("%") else 1)
        except ValueError:
            value = 0.0
        if not name or not 0 < value <= 1:
            raise UserError(
                f"--rnn-planted {text!r} is not NAME=SHARE with a share above 0 and at most 1; "
                "give for example slower=5%"
            )
        planted[name] = value
    return planted


def split_plugin(text: str, environments: Mapping[str, str]) -> tuple[str | None, str]:
    """The environment that a plug-in is for, None for all of them, and its file.

    Raises:
        UserError: it is for an environment that there is none of.
    """
    name, equals, file = text.partition("=")
    if not equals:
        return None, text
    if name in environments:
        return name, file
    # A path may hold a "=" of its own.
    if not name.replace("-", "_").replace(".", "_").isidentifier() or Path(text).exists():
        return None, text
    raise UserError(
        f"plug-in {text!r} is for an environment {name!r}, which was not given; there "
        f"{'is' if len(environments) == 1 else 'are'} {', '.join(environments)}"
    )


def parse_cores(text: str, option: str = "--rnn-cores") -> tuple[int, ...]:
    """Read a list of cores, such as ``2,3``.

    Raises:
        UserError: it is something else.
    """
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise UserError(f"{option} {text!r} is no list of numbers; give for example 2,3") from None


def parse_environments(texts: Sequence[str], option: str = "--rnn-python") -> dict[str, str]:
    """Read ``NAME=PATH`` options; without any, the environment is this Python's own.

    Raises:
        UserError: an option is of another form, a name is given twice, or there is no such program.
    """
    environments: dict[str, str] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise UserError(
                f"{option} {text!r} is not NAME=PATH; give for example old=/opt/old/bin/python"
            )
        if name in environments:
            raise UserError(f"{option} names {name!r} twice; choose another name")
        found = shutil.which(path)
        if found is None:
            raise UserError(
                f"{option} {name}: {path!r} is not a program that can be run; give the path "
                "of a Python"
            )
        environments[name] = found
    return environments or {DEFAULT_ENVIRONMENT: sys.executable}
