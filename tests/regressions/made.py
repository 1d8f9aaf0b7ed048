"""Result files with two environments, or two files of one, and a truth about them."""

import dataclasses

from rnnbench.cases import Case
from tests.synthetic import Noise, Planted, document, environment, write

QUIET = Noise(process=0.002, luck=0.002, drift=0.002, block=0.001, round=0.002)
OLD, NEW = "old", "new"


def case(**changes):
    values = {
        "implementation": "nn_rnn",
        "cell": "rnn_tanh",
        "workload": "layer",
        "pass_": "inference",
        "seq_len": 10,
        "batch": 32,
        "input_size": 64,
        "hidden_size": 128,
        "num_layers": 1,
        "bidirectional": False,
        "layout": "time_major",
        "dtype": "float32",
        "device": "cpu",
        "threads": 1,
        "seed": 0,
        "environment": OLD,
    }
    return Case(**{**values, **changes})


def planted(ratios, *, environments=(OLD, NEW), seconds=1e-3, **changes):
    """A case for each batch size in `ratios` on both sides; the new one takes that much longer."""
    entries = []
    for batch, ratio in ratios.items():
        for name, factor in zip(environments, (1.0, ratio)):
            entries.append(
                Planted(case(batch=batch, environment=name, **changes), seconds * factor)
            )
    return entries


def two(path, entries, *, run_id="", torch=("2.8.0+cpu", "2.13.0+cpu"), **options):
    """One file with both environments, which took turns."""
    environments = {name: environment(torch=version) for name, version in zip((OLD, NEW), torch)}
    options = {"noise": QUIET, "replicates": 8, "environments": environments, **options}
    content = document(entries, **options)
    content["rnnbench"]["run_id"] = run_id
    return write(path, content)


def one(path, entries, *, described=None, run_id="", **options):
    """One file with one environment."""
    (name,) = {entry.case.environment for entry in entries}
    options = {
        "noise": QUIET,
        "replicates": 8,
        "environments": {name: described or environment()},
        **options,
    }
    content = document(entries, **options)
    content["rnnbench"]["run_id"] = run_id
    return write(path, content)


def only(entries, name):
    return [entry for entry in entries if entry.case.environment == name]


def renamed(entries, name):
    return [
        dataclasses.replace(entry, case=dataclasses.replace(entry.case, environment=name))
        for entry in entries
    ]
