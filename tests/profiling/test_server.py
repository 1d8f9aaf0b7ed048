"""What a process that profiles answers: about an epoch, it is about one of its steps."""

import dataclasses

import pytest

from rnnbench.cases import Case
from rnnbench.profiling import lengths
from rnnbench.profiling.server import ProfileServer
from rnnbench.worker.clocks import clock_for

EPOCH = Case(
    workload="classifier",
    pass_="training_step",
    seq_len=5,
    batch=200,
    input_size=1,
    hidden_size=4,
)


@pytest.fixture
def ask(tmp_path):
    """Ask a server in this process; returns what it answers."""
    server = ProfileServer()

    def ask(op, **fields):
        answer = server.handle({"op": op, **fields})
        assert "result" in answer, answer
        return answer["result"]

    ask("hello", plugins=[], cache=str(tmp_path), devices=[], in_process=True)
    return ask


def test_of_an_epoch_one_step_is_profiled(ask):
    asked = {"case": EPOCH.columns(), "cores": []}
    ask("prepare", case=EPOCH.columns(), all_cores=[])
    found = ask("operators", **asked, calls=2, spans=False)
    counts = {row["name"]: row["calls"] for row in found["operators"]}
    assert counts["aten::rnn_tanh"] == 1
    assert found["steps"] == EPOCH.seq_len
    described = ask("describe", case=EPOCH.columns())
    assert described["operators"]["aten::rnn_tanh"] == 1
    told = ask("memory", **asked)
    assert told["allocations"] > 0
    assert told["peak"] == described["peak_bytes"]


class Calls:
    """What is ready to be profiled; counts how often it was called."""

    def __init__(self):
        self.count = 0

    def context(self):
        import contextlib

        return contextlib.nullcontext()

    def prepare(self):
        return None

    def run(self, prepared):
        self.count += 1
        return sum(range(2000))


class Ready:
    """A bench that has something ready, and fails where anything else is asked for."""

    def __init__(self):
        self.calls = Calls()
        self.prepared = []

    def prepare(self, case):
        self.prepared.append(case)
        return {"iterations": 1_000_000}

    def ready(self, case):
        assert self.prepared == [case]
        return self.calls, None, clock_for("cpu")


def test_the_cost_of_a_step_is_told_from_what_is_profiled():
    cases = [dataclasses.replace(EPOCH, seq_len=n) for n in (2, 4, 8)]
    benches = [Ready() for _ in cases]
    waiting = iter(benches)
    turns = lengths.seconds_at(cases, lambda: next(waiting), turns=2, seconds=0.001)
    assert [len(turn) for turn in turns] == [3, 3]
    assert all(seconds > 0 for turn in turns for seconds in turn)
    for bench, case in zip(benches, cases, strict=True):
        assert bench.prepared == [case]
        assert bench.calls.count > 4
