"""Folders of result files over time, with a truth about what changes in them."""

import dataclasses
import datetime

from tests.regressions.made import case
from tests.synthetic import Noise, Planted, document, environment, write

NOISE = Noise(process=0.008, luck=0.006, drift=0.003, block=0.002, round=0.004)
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def run_file(path, factors, *, day=0, seed=0, environments=None, run_id="", **options):
    """One run: a case for each implementation, its time a millisecond times its factor.

    ``environments`` is by name; with several, ``factors`` is by environment.
    """
    known = environments or {"default": environment()}
    by_environment = factors if environments and len(environments) > 1 else {None: factors}
    planted = [
        Planted(
            case(implementation=implementation, environment=name or next(iter(known))),
            1e-3 * factor,
        )
        for name, of in by_environment.items()
        for implementation, factor in of.items()
    ]
    options = {"noise": NOISE, "replicates": 3, "blocks": 2, "rounds": 3, **options}
    content = document(planted, seed=seed, environments=known, **options)
    content["datetime"] = (START + datetime.timedelta(days=day)).isoformat()
    content["rnnbench"]["run_id"] = run_id
    return write(path, content)


def folder_of(folder, runs=20, *, shapes=None, first=0, described=None):
    """A folder with a run a day; ``shapes`` is a factor of the day by implementation."""
    folder.mkdir(exist_ok=True)
    shapes = shapes or {"nn_rnn": step, "python_loop": steady}
    for day in range(first, first + runs):
        run_file(
            folder / f"day-{day:02d}.json",
            {name: shape(day) for name, shape in shapes.items()},
            day=day,
            seed=day,
            environments={"default": described or environment()},
        )
    return folder


def steady(day):
    return 1.0


def step(day):
    return 1.15 if day >= 12 else 1.0


def spike(day):
    return 1.3 if day == 8 else 1.0


def drift(day):
    return 1.2 ** (day / 20)


def not_measured(case_, **changes):
    return dataclasses.replace(case_, **changes), "failed", "it was <b>broken</b>"
