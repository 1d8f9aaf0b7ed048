"""Sequences of different lengths through the real route: measured, refused and reported."""

import pytest

from rnnbench.report.tables import all_tables
from rnnbench.results import read
from rnnbench.validation import validate

pytestmark = pytest.mark.slow

FAULTS = {
    "packed_order_not_restored": ("packed", "output["),
    "packed_states_not_restored": ("packed", "last["),
    "state_not_held": ("masked", "last["),
    "output_not_masked": ("masked", "output["),
}
RIGHT = ("nn_rnn", "python_loop", "packed_rightly")


@pytest.fixture(scope="module")
def done(shared_suite, request):
    return shared_suite(
        plugin=request.path.parents[1] / "plugins" / "ragged_faults.py",
        implementation=",".join((*RIGHT, *FAULTS)),
        lengths="4+7+1+2",
        layout="packed,padded,masked",
        seq_len="7",
        batch="4",
        replicates="2",
    )


def test_what_is_right_is_measured_in_turns_and_the_file_is_valid(done):
    assert done.status == 1, done.said
    assert "Traceback" not in done.said
    assert validate(done.json) == []
    measured = {(r["case"]["implementation"], r["case"]["layout"]) for r in done.results()}
    assert not measured & {(name, layout) for name, (layout, _) in FAULTS.items()}
    assert measured >= {
        ("nn_rnn", "packed"),
        ("nn_rnn", "padded"),
        ("nn_rnn", "masked"),
        ("python_loop", "padded"),
        ("python_loop", "masked"),
        ("packed_rightly", "packed"),
    }
    assert {r["work"]["valid_tokens"] for r in done.results()} == {14}
    assert {r["work"]["tokens"] for r in done.results()} == {28}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_refused_in_the_layout_that_shows_it(done, name):
    layout, says = FAULTS[name]
    (reason,) = [
        entry["reason"]
        for entry in done.document()["rnnbench"]["not_measured"]
        if entry["status"] == "incorrect"
        and (entry["case"]["implementation"], entry["case"]["layout"]) == (name, layout)
    ]
    assert says in reason
    assert "the oracle says" in reason


def test_what_a_layout_cannot_be_done_with_is_unsupported_with_its_reason(done):
    reasons = {
        (entry["case"]["implementation"], entry["case"]["layout"]): entry["reason"]
        for entry in done.document()["rnnbench"]["not_measured"]
        if entry["status"] == "unsupported"
    }
    assert reasons["python_loop", "packed"] == "python_loop takes no packed sequence"
    assert reasons["packed_rightly", "masked"] == (
        "packed_rightly has no loop that holds a state where its sequence has ended"
    )


def test_the_summary_compares_layouts_with_the_padded_one_and_the_report_has_its_tables(done):
    assert "lengths 4+7+1+2" in done.output
    assert "nn_rnn packed" in done.output
    found = all_tables(read(done.json))
    table = found["lengths"].data
    mine = table[table["label"] == "nn_rnn"]
    assert sorted(mine["layout"]) == ["masked", "packed", "padded"]
    assert mine["valid_share"].tolist() == [0.5] * 3
    assert mine["ratio_pairing"].dropna().tolist() == ["same process"] * 2


@pytest.mark.parametrize(
    ("lengths", "says"),
    [
        ("3+0", "'3+0': the length of sequence 2 is 0; it must be 1 or more"),
        ("3+-1", "'3+-1': the length of sequence 2 is -1; it must be 1 or more"),
        ("4+1", "'4+1': the length of sequence 1 is 4, longer than seq_len 3; shorten it"),
        ("1+3_sorted", "'1+3_sorted': it ends with '_sorted' and the longest do not come first"),
    ],
)
def test_bad_lengths_are_one_sentence_before_anything_is_timed(suite, lengths, says):
    done = suite(lengths=lengths, layout="padded")
    assert done.status == 4, done.said
    assert "Traceback" not in done.said
    (sentence,) = [line for line in done.errors.splitlines() if line.startswith("ERROR: ")]
    assert sentence.startswith(f"ERROR: column 'lengths' is {says}")
    assert not done.json.exists()
