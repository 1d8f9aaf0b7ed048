"""The closed forms of work are what a count over the formula's own loops gives."""

import dataclasses
import itertools

import pytest

from rnnbench.cases import Case
from rnnbench.schema import DTYPES, GATES, PASSES, STATES
from rnnbench.work import work_of

SHAPES = [
    dict(seq_len=t, batch=b, input_size=i, hidden_size=h, num_layers=n, bidirectional=d)
    for t, b, i, h, n, d in itertools.product((1, 3), (1, 2), (1, 4), (2, 3), (1, 3), (False, True))
]


def counted(case: Case) -> dict[str, int]:
    """Count multiplications and additions of all matrix products, and every number held."""
    flops = recurrent = 0
    parameters = moved = 0
    width = case.input_size
    for _layer in range(case.num_layers):
        for _direction in range(case.directions):
            for _gate in range(GATES[case.cell]):
                parameters += sum([case.hidden_size * width, case.hidden_size * case.hidden_size])
                parameters += 2 * case.hidden_size if case.bias else 0
            for _state in STATES[case.cell]:
                moved += case.batch * case.hidden_size  # h_n
                moved += case.batch * case.hidden_size if case.initial_state == "given" else 0
            for _step, _row, _unit in itertools.product(
                range(case.seq_len), range(case.batch), range(GATES[case.cell] * case.hidden_size)
            ):
                flops += sum(2 for _ in range(width))
                recurrent += sum(2 for _ in range(case.hidden_size))
        width = case.hidden_size * case.directions
    moved += parameters + case.seq_len * case.batch * (case.input_size + width)
    return {
        "flops": flops + recurrent,
        "flops_recurrent": recurrent,
        "parameters": parameters,
        "moved": moved,
    }


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cell": "lstm"},
        {"cell": "gru", "bias": False},
        {"cell": "lstm", "initial_state": "zero"},
    ],
    ids=str,
)
def test_the_forward_pass_costs_what_a_count_says(shape, options):
    case = Case(pass_="forward", **shape, **options)
    work, count = work_of(case), counted(case)
    for name in ("flops", "flops_recurrent", "parameters"):
        assert work[name] == count[name], name
    assert work["bytes"] == 4 * count["moved"]
    assert work["tokens"] == work["valid_tokens"] == case.seq_len * case.batch


@pytest.mark.parametrize("pass_", PASSES)
def test_passes_are_multiples_of_the_forward(pass_):
    forward = work_of(Case(pass_="forward"))
    work = work_of(Case(pass_=pass_))
    products = {"inference": 1, "forward": 1, "backward": 2, "forward_backward": 3}
    factor = products.get(pass_, 3)
    assert work["flops"] == factor * forward["flops"]
    assert work["flops_recurrent"] == factor * forward["flops_recurrent"]
    moved = {"inference": 1, "forward": 1, "backward": 2, "forward_backward": 2}.get(pass_, 3)
    assert work["bytes"] == moved * forward["bytes"]
    assert work["parameters"] == forward["parameters"]


def test_bytes_follow_the_width_of_the_dtype():
    per_dtype = {dtype: work_of(Case(dtype=dtype))["bytes"] for dtype in DTYPES}
    assert per_dtype["float64"] == 2 * per_dtype["float32"] == 4 * per_dtype["float16"]
    assert per_dtype["bfloat16"] == per_dtype["float16"]
    assert per_dtype["autocast_bfloat16"] == per_dtype["autocast_float16"]
    assert per_dtype["float16"] < per_dtype["autocast_float16"] < per_dtype["float32"]


def test_where_it_runs_changes_nothing():
    case = Case()
    other = dataclasses.replace(case, implementation="x", environment="y", threads=4, device="cuda")
    assert work_of(other) == work_of(case)


def head(case: Case, steps: int, inputs: int, outputs: int) -> int:
    """Multiplications and additions of a linear head on so many steps of all sequences."""
    return sum(
        2 * inputs for _row, _output in itertools.product(range(steps * case.batch), range(outputs))
    )


FORM = Case(pass_="forward", seq_len=6, batch=4, input_size=3, hidden_size=5, num_layers=2)


def form(name: str, **columns) -> Case:
    return dataclasses.replace(FORM, workload=name, **columns)


@pytest.mark.parametrize(
    ("name", "steps", "bidirectional"),
    [
        ("many_to_one", 1, False),
        ("many_to_one", 1, True),
        ("many_to_one.every_step", 6, True),
        ("many_to_many", 6, True),
        ("training", 6, False),
        ("training.checkpointed", 6, False),
    ],
)
def test_a_labelled_form_is_the_layer_and_its_head(name, steps, bidirectional):
    case = form(name, bidirectional=bidirectional)
    work, count = work_of(case), counted(case)
    width = 10 if bidirectional else 5
    assert work["flops"] == count["flops"] + head(case, steps, width, 10)
    assert work["flops_recurrent"] == count["flops_recurrent"]
    assert work["parameters"] == count["parameters"] + 10 * width + 10
    states = 2 * 4 * 5 * case.directions
    numbers = work["parameters"] + 6 * 4 * 3 + states + steps * 4 * 10
    assert work["bytes"] == 4 * numbers
    assert work["tokens"] == work["valid_tokens"] == 24


def test_one_to_many_has_a_head_back_to_its_input():
    plain, stop = work_of(form("one_to_many")), work_of(form("one_to_many.stop"))
    count = counted(FORM)
    assert plain["flops"] == count["flops"] + head(FORM, 6, 5, 3)
    assert stop["flops"] == plain["flops"] + head(FORM, 6, 5, 1)
    assert plain["tokens"] == plain["valid_tokens"] == stop["tokens"] == 24
    assert stop["valid_tokens"] == sum((6, 6, 5, 4))
    assert stop["parameters"] == plain["parameters"] + 6


def test_an_encoder_and_a_decoder_are_two_layers_attention_and_a_head():
    taught, greedy = work_of(form("encoder_decoder")), work_of(form("encoder_decoder.greedy"))
    encoder = counted(FORM)
    decoder = counted(dataclasses.replace(FORM, seq_len=4))
    attention = 0
    for _sequence, _step, _position in itertools.product(range(4), range(4), range(6)):
        attention += 2 * 5  # a score
        attention += 2 * 5  # and its share of the context
    assert taught["flops"] == (
        encoder["flops"] + decoder["flops"] + attention + head(FORM, 4, 10, 32)
    )
    assert taught["flops_recurrent"] == encoder["flops_recurrent"] + decoder["flops_recurrent"]
    assert taught["parameters"] == 2 * encoder["parameters"] + 32 * 3 + 32 * 10 + 32
    assert taught["tokens"] == (6 + 4) * 4
    assert taught["valid_tokens"] == sum((6, 6, 5, 4)) + sum((3, 3, 4, 4))
    assert greedy["flops"] == taught["flops"]
    assert greedy["valid_tokens"] == sum((6, 6, 5, 4)) + 4 * 4


def test_truncation_saves_the_products_back_to_earlier_segments():
    full, cut = (
        work_of(form(name, pass_="training_step")) for name in ("training", "training.tbptt")
    )
    # 3 segments, so 2 places where 2 layers hand no gradient to the state before: B rows, H by H.
    saved = 2 * 2 * sum(2 * 5 for _ in range(4 * 5))
    assert full["flops"] - cut["flops"] == saved
    assert full["flops_recurrent"] - cut["flops_recurrent"] == saved


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3)])
def test_gates_count_in_a_form_too(cell, gates):
    case = form("many_to_many", cell=cell, bias=False)
    assert work_of(case)["flops"] == counted(case)["flops"] + head(case, 6, 5, 10)
    full, cut = (
        work_of(form(name, cell=cell, pass_="training_step"))
        for name in ("training", "training.tbptt")
    )
    assert full["flops"] - cut["flops"] == gates * 2 * 2 * sum(2 * 5 for _ in range(4 * 5))


@pytest.mark.parametrize("layout", ["packed", "padded", "masked"])
def test_of_sequences_of_different_lengths_only_valid_steps_count(layout):
    case = dataclasses.replace(FORM, lengths="6+1+3+2", layout=layout, pass_="forward_backward")
    alone = [
        work_of(dataclasses.replace(FORM, seq_len=length, batch=1, pass_="forward_backward"))
        for length in (6, 1, 3, 2)
    ]
    work = work_of(case)
    for name in ("flops", "flops_recurrent", "tokens"):
        expected = sum(entry[name] for entry in alone)
        assert work["valid_tokens" if name == "tokens" else name] == expected
    assert work["tokens"] == 24
    weights = 2 * 4 * work["parameters"]
    assert work["bytes"] == weights + sum(entry["bytes"] - weights for entry in alone)


def test_a_call_of_streaming_is_one_step():
    case = Case(workload="streaming", seq_len=32, batch=3, pass_="inference")
    one = Case(seq_len=1, batch=3, pass_="inference")
    assert work_of(case) == work_of(one)
    assert work_of(case)["tokens"] == 3


def test_a_call_of_the_classifier_is_an_epoch():
    case = Case(
        workload="classifier",
        pass_="training_step",
        seq_len=10,
        batch=32,
        input_size=1,
        hidden_size=32,
    )
    work = work_of(case)
    # A product of I + H with each of H units a step, and of H with both classes at the end.
    assert work["flops"] == 3 * 2 * 2000 * (10 * 32 * (1 + 32) + 32 * 2)
    assert work["parameters"] == 32 * (1 + 32 + 2) + 2 * (32 + 1)
    assert work["tokens"] == work["valid_tokens"] == 2000 * 10
    moved = 63 * work["parameters"] + 2000 * (10 + 32 + 2)
    assert work["bytes"] == 3 * 4 * moved
