"""The limits: those that apply to a file are said, and no others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rnnbench.cases import Case
from rnnbench.report.limits import limits
from rnnbench.results import read
from tests import synthetic
from tests.synthetic import Planted, document, write

QUICK = Path(__file__).parents[2] / "results" / "cpu-quick" / "quick.json.gz"
CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=5)


def changed(**changes):
    return dataclasses.replace(CASE, **changes)


def said_of(tmp_path, planted, **options):
    return limits(read(write(tmp_path / "made.json", document(planted, **options))))


def has(said, part):
    return any(part in sentence for sentence in said)


ON_GPU = changed(device="cuda", seq_len=1024, batch=64, input_size=16)


@pytest.mark.parametrize(
    ("part", "applies", "not_here"),
    [
        ("loading and preparing data is not timed", CASE, ON_GPU),
        ("no transfer is in any time", ON_GPU, CASE),
        ("the largest input here holds 4 MiB", ON_GPU, CASE),
        ("cost of launching", ON_GPU, CASE),
        ("TF32 is not on record", ON_GPU, CASE),
        ("In bfloat16 rounding hides", changed(dtype="bfloat16"), CASE),
    ],
)
def test_a_limit_is_said_where_it_applies_alone(part, applies, not_here, tmp_path):
    assert has(said_of(tmp_path, [Planted(applies, 1e-3)]), part)
    assert not has(said_of(tmp_path, [Planted(not_here, 1e-3)]), part)


@pytest.mark.parametrize(
    ("tf32", "part"),
    [
        ({"matmul": False, "cudnn": False}, "TF32 was off"),
        ({"matmul": True, "cudnn": False}, "TF32 was on"),
        ("unheard of", "TF32 is not on record"),
    ],
)
def test_tf32_is_said_as_it_is_recorded(tf32, part, tmp_path):
    environments = {"default": synthetic.environment(tf32=tf32, devices=synthetic.GPU)}
    said = said_of(tmp_path, [Planted(ON_GPU, 1e-3)], environments=environments)
    assert sum("TF32 " in sentence for sentence in said) == 1
    assert has(said, part)
    assert has(said, "one machine (Synthetic CPU with Synthetic GPU)")


def test_compilation_has_its_own(tmp_path):
    compiled = Planted(changed(implementation="compiled_loop"), 1e-3, compile_cold=9.0)
    said = said_of(tmp_path, [compiled])
    assert has(said, "taken once") and has(said, "made for one shape")
    scripted = dataclasses.replace(compiled, compiler="torchscript")
    assert not has(said_of(tmp_path, [scripted]), "made for one shape")
    assert not has(said_of(tmp_path, [Planted(CASE, 1e-3)]), "taken once")


def test_one_process_has_no_interval_and_no_chance_is_given(tmp_path):
    alone = said_of(tmp_path, [Planted(CASE, 1e-3)], replicates=1)
    assert has(alone, "The one case was timed in one process alone")
    assert not has(alone, "95 %") and not has(alone, "Intervals hold")
    several = said_of(tmp_path, [Planted(CASE, 1e-3)])
    assert not has(several, "one process alone") and has(several, "Intervals hold")


def test_how_many_comparisons_may_be_wrong_by_chance(tmp_path):
    planted = [
        Planted(changed(implementation=name, batch=batch), 1e-3)
        for name in ("nn_rnn", "python_loop", "hoisted_loop")
        for batch in range(1, 31)
    ]
    said = said_of(tmp_path, planted, blocks=1, rounds=2)
    assert has(said, "of the 60 comparisons with a best one here about 3 may be")
    assert has(said, "(30 shapes)")


def test_separate_runs_and_machines(tmp_path):
    first = write(tmp_path / "a.json", document([Planted(CASE, 1e-3)]))
    other = {"default": synthetic.environment(cpu={"model": "<b>Other\u202e"})}
    second = write(tmp_path / "b.json", document([Planted(CASE, 1e-3)], environments=other))
    said = limits(read([first, second]))
    assert has(said, "not paired")
    assert has(said, "from 2 machines (<b>Other\\u202e and Synthetic CPU)")
    assert not has(limits(read(first)), "not paired")


def test_nothing_measured(tmp_path):
    said = said_of(tmp_path, [], not_measured=[(CASE, "failed", "why")])
    assert said == ["Nothing was measured, so there is no number that could be misread."]


def test_sentences_are_well_formed(tmp_path):
    for said in (limits(read(QUICK)), said_of(tmp_path, [Planted(ON_GPU, 1e-3)])):
        assert len(set(said)) == len(said)
        for sentence in said:
            assert sentence.endswith(".") and sentence == " ".join(sentence.split())
            assert not any(word in sentence for word in (" nan", "None", "<NA>"))


def test_intervals_of_a_run_in_stages_are_not_called_what_they_are_not(tmp_path):
    made = document([Planted(CASE, 1e-3), Planted(changed(implementation="scan"), 2e-3)])
    plain = limits(read(write(tmp_path / "plain.json", made)))
    assert has(plain, "in 95 % of all runs") and not has(plain, "stages")
    made["rnnbench"]["stages"] = {"planned": 3, "run": 2}
    file = write(tmp_path / "staged.json", made)
    staged = limits(read(file))
    assert has(staged, "staged was measured in up to 3 stages")
    assert has(staged, "in 85% of all runs at least, and not in 95 %")
    assert not has(staged, "Each interval holds the truth in 95 %")
    both = limits(read([file, tmp_path / "plain.json"]))
    assert has(both, "Each interval holds the truth in 95 %") and has(both, "up to 3 stages")
