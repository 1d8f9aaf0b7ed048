"""Makes a fleet of a grid: its shards, their grids and canaries, and what every node must run."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import rnnbench
from rnnbench.cases import DEFAULT_ENVIRONMENT, Case
from rnnbench.errors import UserError
from rnnbench.fleet.canaries import canary_grid, choose_canaries
from rnnbench.fleet.costs import Budget, case_cost, start_cost
from rnnbench.fleet.dealing import Shard, deal
from rnnbench.fleet.folder import Folder, KindOfNode, Plan, ShardPlan
from rnnbench.fleet.identity import digest_of_file, digest_of_package
from rnnbench.grids import Grid
from rnnbench.regressions.stages import grid_of
from rnnbench.report.outputs import check_output_folder

__all__ = [
    "Request",
    "begin_fleet",
    "choose_executor",
    "environment_arguments",
    "kinds_of",
    "parse_pairs",
]

_RESTORED = ("CUDA_VISIBLE_DEVICES",)
"""Variables that submitit's local executor sets, which would hide the GPUs of this machine."""


@dataclass(frozen=True)
class Request:
    """What the user asked for, checked: cases without environment, arguments of `pytest suites`."""

    grid: Grid
    cases: Sequence[Case]
    shards: int
    budget: Budget
    kinds: Sequence[KindOfNode]
    executor: str
    arguments: Sequence[str]
    plugins: Sequence[str] = ()
    measured: Mapping[Case, float] | None = None


def begin_fleet(path: Path, request: Request) -> Folder:
    """Deal the cases, and write the folder; nothing is submitted yet.

    Raises:
        UserError: the folder cannot be used or holds a fleet, or a kind of node has no case.
    """
    check_output_folder(path)
    folder = Folder(path)
    dealt = list(_dealt(request))
    plan = Plan(
        executor=request.executor,
        grid=request.grid.as_dict(),
        arguments=list(request.arguments),
        kinds=list(request.kinds),
        shards=[
            ShardPlan(
                number,
                kind.name,
                len(shard.cases),
                shard.cost + start_cost(shard.cases, request.budget),
            )
            for number, (kind, shard) in enumerate(dealt)
        ],
        version=rnnbench.__version__,
        code=digest_of_package(),
        plugins={str(file): digest_of_file(file) for file in _plugin_files(request.plugins)},
        variables={name: os.environ.get(name) for name in _RESTORED}
        if request.executor == "local"
        else {},
        made=time.time(),
    )
    folder.begin(plan)
    try:
        for number, (kind, shard) in enumerate(dealt):
            text = grid_of(shard.cases, f"Shard {number} of a fleet, on nodes of {kind.name}.")
            folder.write(folder.grid_of(number), text)
        for kind in request.kinds:
            canaries = choose_canaries(list(_cases_of(request, kind)))
            if canaries:
                folder.write(folder.canaries_of(kind.name), canary_grid(canaries))
    except UserError:
        # Full: with the room that this gives back it can be begun again.
        folder.forget()
        raise
    return folder


def _dealt(request: Request) -> Iterator[tuple[KindOfNode, Shard]]:
    for kind in request.kinds:
        cases = list(_cases_of(request, kind))
        if not cases:
            raise UserError(
                f"--on {kind.name}: the grid has no case for "
                f"{', '.join(kind.devices) or 'any device'}"
            )
        for shard in deal(
            cases, lambda case: case_cost(case, request.budget, request.measured), request.shards
        ):
            yield kind, shard


def _cases_of(request: Request, kind: KindOfNode) -> Iterator[Case]:
    for case in request.cases:
        if not kind.devices or case.device.partition(":")[0] in kind.devices:
            yield case


def choose_executor(*, slurm_asked: bool, local: bool) -> str:
    """Where the shards run: on Slurm where there is one, unless this machine was asked for.

    Raises:
        UserError: Slurm was asked for, and there is none.
    """
    there = shutil.which("sbatch") is not None
    if local:
        if slurm_asked:
            raise UserError("--local and --slurm exclude each other; leave one of them out")
        return "local"
    if slurm_asked and not there:
        raise UserError(
            "--slurm or --on was given, and there is no Slurm here: sbatch is not found; leave "
            "them out to run the shards one after the other on this machine"
        )
    return "slurm" if there else "local"


def kinds_of(slurm: Sequence[str], on: Sequence[str]) -> list[KindOfNode]:
    """The kinds of node that ``--slurm`` and ``--on`` name; without ``--on`` a single one.

    Raises:
        UserError: an option is of another form, or a name is given twice.
    """
    shared = parse_pairs(slurm, "--slurm")
    if not on:
        return [KindOfNode(DEFAULT_ENVIRONMENT, shared)]
    kinds: list[KindOfNode] = []
    for text in on:
        name, colon, asked = text.partition(":")
        name = name.strip()
        if not colon or not name:
            raise UserError(
                f"--on {text!r} is not NAME: key=value,…; give for example "
                "--on 'a100: partition=gpu,gres=gpu:a100:1'"
            )
        if any(kind.name == name for kind in kinds):
            raise UserError(f"--on names {name!r} twice; choose another name")
        # The name becomes that of an environment, so it must be one.
        Case(environment=name)
        pairs = parse_pairs(asked.split(","), "--on")
        devices = pairs.pop("device", "")
        kinds.append(
            KindOfNode(name, {**shared, **pairs}, tuple(d for d in devices.split("+") if d))
        )
    return kinds


def parse_pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Read ``key=value`` texts.

    Raises:
        UserError: one of them is of another form.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.strip().partition("=")
        if not text.strip():
            continue
        if not equals or not key or not value:
            raise UserError(
                f"{option} {text.strip()!r} is not key=value; give for example partition=gpu"
            )
        pairs[key.lstrip("-")] = value
    return pairs


def environment_arguments(kind: KindOfNode) -> list[str]:
    """What tells `pytest suites` the name of its environment, where that is no longer the only."""
    if kind.name == DEFAULT_ENVIRONMENT:
        return []
    return [f"--rnn-python={kind.name}={sys.executable}"]


def _plugin_files(plugins: Sequence[str]) -> Iterator[Path]:
    for text in plugins:
        file = Path(text)
        if not file.is_file():
            raise UserError(f"--plugin {text!r} is not a file; give the path of a plug-in")
        yield file.absolute()
