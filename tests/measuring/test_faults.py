"""Every planted fault gets its status and no number, and everything beside it is measured."""

import json

import pytest

from rnnbench.measuring.memory import available_memory
from rnnbench.validation import validate

pytestmark = pytest.mark.slow

RIGHT = ["nn_rnn", "python_loop"]
FAULTS = {
    "wrong_activation": ("incorrect", "the oracle says"),
    "wrong_weight_gradient": ("incorrect", "the gradient of weight_hh_l0["),
    "wrong_final_state": ("incorrect", "h_n["),
    "wrong_from_the_third_call": ("incorrect", "output["),
    "wrong_shapes": ("incorrect", "output has shape (2, 2, 8); it must be (3, 2, 8)"),
    "returns_float64": ("incorrect", "output is float64; the case is float32"),
    "raises": ("failed", "ValueError: planted: raised in construction"),
    "hangs": ("timed_out", "no answer within 5 s"),
    "takes_100_gb": ("out_of_memory", "allocate memory"),
    "segfaults": ("crashed", "the worker was ended by SIGSEGV"),
    "segfaults_when_timed": ("crashed", "the worker was ended by SIGSEGV"),
}


@pytest.fixture(scope="module")
def planted(shared_suite, request):
    plugins = request.path.parents[1] / "plugins"
    available = available_memory()
    names = set(FAULTS)
    if available is None or available > 100 * 2**30:
        names.remove("takes_100_gb")  # here it would simply get them
    done = shared_suite(
        plugin=plugins / "faults.py",
        implementation=",".join(sorted([*RIGHT, *names])),
        replicates="2",
        case_timeout="5",
    )
    return done, names


def test_the_run_goes_on_to_its_end(planted):
    done, names = planted
    assert done.status == 1, done.said
    assert f"{len(names)} failed, 2 passed" in done.output
    assert "Traceback" not in done.said
    assert "INTERNALERROR" not in done.said
    assert validate(done.json) == []


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_has_its_status_and_reason(planted, name):
    done, names = planted
    if name not in names:
        pytest.skip("this machine has more than 100 GiB free, or does not say")
    status, reason = done.not_measured()[name]
    assert (status, FAULTS[name][1] in reason) == (FAULTS[name][0], True), reason
    assert f"{status}: {reason}" in done.output
    assert "\n" not in reason


def test_no_fault_has_a_number(planted):
    done, names = planted
    assert done.measured() == RIGHT
    assert set(done.not_measured()) == names
    text = json.dumps(done.document()["benchmarks"])
    assert not [name for name in names if name in text]


def test_the_others_have_theirs_from_every_replicate_that_lived(planted):
    done, _ = planted
    for result in done.results():
        assert len({block["replicate"] for block in result["blocks"]}) >= 2
        assert result["stopped"]


def test_each_lost_worker_was_replaced_by_a_process_of_its_own(planted):
    done, _ = planted
    # Two replicates, and one more for `hangs`, for `segfaults` and for `segfaults_when_timed`.
    assert done.document()["rnnbench"]["environments"]["default"]["processes"] == 5


def test_right_for_ten_steps_and_wrong_for_a_hundred(suite, plugins):
    done = suite(
        plugin=plugins / "faults.py",
        implementation="nn_rnn,wrong_when_long",
        seq_len="10,100",
    )
    assert done.status == 1
    measured = {(r["case"]["implementation"], r["case"]["seq_len"]) for r in done.results()}
    assert measured == {("nn_rnn", 10), ("nn_rnn", 100), ("wrong_when_long", 10)}
    (missing,) = done.document()["rnnbench"]["not_measured"]
    assert missing["case"]["seq_len"] == 100
    assert missing["status"] == "incorrect"
    assert "over the tolerance" in missing["reason"]


def test_faults_are_refused_inside_of_a_form_too(suite, plugins):
    done = suite(
        plugin=plugins / "faults.py",
        workload="many_to_one,encoder_decoder",
        implementation="nn_rnn,wrong_activation,wrong_weight_gradient,wrong_final_state",
    )
    assert done.status == 1
    measured = {(r["case"]["implementation"], r["case"]["workload"]) for r in done.results()}
    # The decoder's layer is used for its outputs, and its final state by nobody.
    assert measured == {
        ("nn_rnn", "many_to_one"),
        ("nn_rnn", "encoder_decoder"),
        ("wrong_final_state", "encoder_decoder"),
    }
    reasons = {
        (entry["case"]["implementation"], entry["case"]["workload"]): entry["reason"]
        for entry in done.document()["rnnbench"]["not_measured"]
        if entry["status"] == "incorrect"
    }
    assert len(reasons) == 5
    assert reasons["wrong_final_state", "many_to_one"].startswith("logits[")
    assert "the gradient of weight_hh_l0[" in reasons["wrong_weight_gradient", "many_to_one"]
    assert "encoder.weight_hh_l0" in reasons["wrong_weight_gradient", "encoder_decoder"]
