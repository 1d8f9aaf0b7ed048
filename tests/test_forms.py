"""Sizes of the forms: lengths differ, segments are equal, and variants are those of the worker."""

import importlib

import pytest

from rnnbench.cases import Case, builtin_workloads
from rnnbench.forms import (
    batches_of,
    segments_of,
    source_lengths,
    steps_of,
    stop_lengths,
    target_lengths,
    target_steps,
)
from rnnbench.implementations import load_builtin, registered
from rnnbench.schema import PASSES, VARIANTS
from rnnbench.workloads import workload


@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize("seq_len", [1, 2, 12, 100])
def test_lengths_are_of_a_batch_and_within_their_steps(seq_len, batch):
    case = Case(seq_len=seq_len, batch=batch)
    for lengths, most in (
        (source_lengths(case), seq_len),
        (target_lengths(case), target_steps(case)),
        (stop_lengths(case), seq_len),
    ):
        assert len(lengths) == batch
        assert max(lengths) == most
        assert min(lengths) >= max(1, most // 2)


@pytest.mark.parametrize(
    ("seq_len", "segments"), [(1, 1), (2, 2), (7, 1), (9, 3), (10, 2), (12, 4), (100, 4)]
)
def test_segments_are_equal(seq_len, segments):
    assert segments_of(Case(seq_len=seq_len)) == segments


@pytest.mark.parametrize(("batch", "steps"), [(1, 2000), (32, 63), (500, 4), (3000, 1)])
def test_an_epoch_has_a_step_for_each_batch(batch, steps):
    assert batches_of(Case(workload="classifier", batch=batch)) == steps


def test_a_decoder_adds_its_steps():
    assert steps_of(Case(seq_len=10)) == 10
    assert steps_of(Case(seq_len=10, workload="encoder_decoder.greedy")) == 16
    assert steps_of(Case(seq_len=10, workload="streaming")) == 1


def test_the_schema_and_the_workloads_name_the_same_variants():
    families = [name for name in builtin_workloads() if "." not in name]
    for family in families:
        module = importlib.import_module(f"rnnbench.workloads.{family}")
        assert set(getattr(module, "VARIANTS", ())) == set(VARIANTS.get(family, ()))
    assert set(VARIANTS) <= set(families)


@pytest.mark.parametrize("name", builtin_workloads())
def test_each_has_passes_of_the_schema(name):
    passes = workload(name).passes
    assert passes
    assert set(passes) <= set(PASSES)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (dict(dropout=0.2, num_layers=2), "has no dropout"),
        (dict(dtype="autocast_bfloat16"), "under autocast"),
    ],
)
@pytest.mark.parametrize("name", [name for name in builtin_workloads() if name != "layer"])
def test_what_no_form_has_is_refused_with_the_reason(name, columns, words):
    load_builtin()
    case = Case(workload=name, seq_len=4, **columns)
    assert words in workload(name).unsupported(case, registered()["nn_rnn"])


@pytest.mark.parametrize("name", ["one_to_many", "encoder_decoder", "training.tbptt"])
def test_forms_that_hand_states_on_must_be_given_one(name):
    load_builtin()
    case = Case(workload=name, seq_len=4, initial_state="zero")
    assert "hands states on" in workload(name).unsupported(case, registered()["nn_rnn"])
