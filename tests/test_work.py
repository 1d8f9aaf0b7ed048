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
