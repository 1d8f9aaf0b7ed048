"""The study of instruction counts: what is planted is 1 %, and the table says what was counted."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from rnnbench import implementations
from rnnbench.cases import Case

FOLDER = Path(__file__).parents[2] / "results" / "instructions"


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "study", raising=False)
    import study

    yield study
    sys.modules.pop("study")


def test_the_planted_loop_computes_one_step_of_a_hundred_twice(monkeypatch):
    monkeypatch.setattr(implementations, "_registry", {})
    calls = []

    def counting(case):
        def step(x_t, h, *weights):
            calls.append(1)
            return h + x_t.sum()

        return step

    monkeypatch.setattr(implementations, "one_step", counting)
    runpy.run_path(str(FOLDER / "planted.py"))
    case = Case(seq_len=200, batch=1, input_size=1, hidden_size=1)
    x, h, weights = torch.ones(200, 1, 1), torch.zeros(1, 1, 1), [torch.zeros(1, 1)] * 4
    outputs = {}
    for name, expected in (("plain", 200), ("planted", 202)):
        calls.clear()
        layer = implementations.registered()[name].build(case, weights)
        outputs[name], _ = layer(x, h)
        assert len(calls) == expected
    assert torch.equal(outputs["plain"], outputs["planted"])


def run(plain, planted):
    sides = {"plain": plain, "planted": planted}
    return {
        "start_seconds": 20.0,
        **{
            name: {"instructions": n, "counts": [n - 500, n, n + 1000], "seconds": 3.0}
            for name, n in sides.items()
        },
    }


def test_the_table_says_what_was_counted(study, tmp_path):
    runs = [run(1_000_000 + 100 * (i % 2), 1_010_000) for i in range(study.PROCESSES)]
    runs[20] = run(1_006_000, 1_004_000)
    repeated, several = tmp_path / "repeat.json", tmp_path / "many.json"
    repeated.write_text(json.dumps({"runs": runs}))
    several.write_text(json.dumps({"seconds": 321.4, "cases": dict.fromkeys("abc")}))
    rows = dict(
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in study.table(repeated, several).splitlines()[2:]
    )
    assert rows["10 processes, each with each: median difference"] == "0.010 %"
    assert rows["the largest"] == "0.010 %"
    assert rows["unchanged code: called changed beyond 0.5 %"] == "1 of 20"
    assert rows["1 % of the steps twice: found"] == "19 of 20"
    assert rows["calls of one process: furthest from its middle one"] == "0.100 %"
    assert rows["3 cases of the quick grid, seconds"] == "321"
