"""The oracle of every cell and option: against finite differences, torch.nn and the one by hand."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.cases import Case
from rnnbench.implementations._formulas import oracle_of_formula
from rnnbench.implementations.reference import oracle, oracle_by_hand
from rnnbench.schema import CELLS, INITIAL_STATES
from rnnbench.schema import FULL_LAYOUTS as LAYOUTS
from rnnbench.worker import arithmetic
from rnnbench.worker.data import Data, make_data
from rnnbench.worker.masks import fix_masks, inferred_name

SIMPLE = ("rnn_tanh", "rnn_relu")

small_cases = st.builds(
    Case,
    cell=st.sampled_from(CELLS),
    dtype=st.just("float64"),
    num_layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    bias=st.booleans(),
    dropout=st.sampled_from((0.0, 0.3)),
    initial_state=st.sampled_from(INITIAL_STATES),
    hidden_size=st.integers(1, 5),
    input_size=st.integers(1, 4),
    batch=st.integers(1, 4),
    seq_len=st.integers(1, 6),
    layout=st.sampled_from(LAYOUTS),
    seed=st.integers(0, 2**31),
)


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch):
    """What is compared here is the exact answer; deviations are not."""
    monkeypatch.setattr(arithmetic, "SAMPLES", 1)


def module_of(case: Case, data: Data) -> torch.nn.Module:
    options = dict(
        bias=case.bias,
        batch_first=case.batch_first,
        dropout=case.dropout if case.num_layers > 1 else 0.0,
        bidirectional=case.bidirectional,
        dtype=torch.float64,
    )
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}.get(case.cell, torch.nn.RNN)
    if case.cell in SIMPLE:
        options["nonlinearity"] = case.cell.removeprefix("rnn_")
    module = kind(case.input_size, case.hidden_size, case.num_layers, **options)
    with torch.no_grad():
        for parameter, weight in zip(module.parameters(), data.weights, strict=True):
            parameter.copy_(weight)
    return module


def outputs_of(case: Case, data: Data, module: torch.nn.Module) -> list[torch.Tensor]:
    fix_masks(case)
    pair = data.states if case.cell == "lstm" else data.states[0] if data.states else None
    output, final = module(data.x, pair) if data.states else module(data.x)
    return [output, *(final if case.cell == "lstm" else (final,))]


@settings(deadline=None, max_examples=200)
@given(small_cases)
def test_agrees_with_torch_nn_and_autograd(case):
    data = make_data(case)
    module = module_of(case, data)
    outputs = outputs_of(case, data, module)
    gradients = torch.autograd.grad(
        outputs,
        [data.x, *data.states, *module.parameters()],
        [data.grad_output, *data.grad_states],
    )
    expected = oracle_of_formula(case, data)
    names = ["output", *(f"{state}_n" for state in case.states)]
    mine = [expected.outputs[name] for name in names]
    for one, other in zip(
        [*mine, *expected.gradients.values()], [*outputs, *gradients], strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    module.eval()
    drops = case.dropout > 0 and case.num_layers > 1
    for name, other in zip(names, outputs_of(case, data, module), strict=True):
        here = expected.outputs[inferred_name(name) if drops else name]
        torch.testing.assert_close(here, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_agrees_with_torch_nn_for_a_long_sequence(cell):
    case = Case(
        cell=cell,
        dtype="float64",
        seq_len=100,
        batch=5,
        input_size=20,
        hidden_size=30,
        num_layers=2,
        bidirectional=True,
    )
    data = make_data(case)
    module = module_of(case, data)
    outputs = outputs_of(case, data, module)
    gradients = torch.autograd.grad(
        outputs,
        [data.x, *data.states, *module.parameters()],
        [data.grad_output, *data.grad_states],
    )
    expected = oracle(case, data)
    mine = [*expected.outputs.values(), *expected.gradients.values()]
    for one, other in zip(mine, [*outputs, *gradients], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "options",
    [
        {"bidirectional": True},
        {"bias": False},
        {"initial_state": "zero"},
        {"dropout": 0.3, "bidirectional": True},
    ],
    ids=str,
)
def test_gradients_agree_with_finite_differences(cell, layout, options):
    case = Case(
        cell=cell,
        layout=layout,
        dtype="float64",
        num_layers=2,
        hidden_size=3,
        input_size=2,
        batch=2,
        seq_len=4,
        **options,
    )
    data = make_data(case)
    gradients = list(oracle_of_formula(case, data).gradients.values())
    leaves = [data.x, *data.states, *data.weights]
    states = len(data.states)
    outputs = ["output", *(f"{state}_n" for state in case.states)]
    cotangents = [data.grad_output, *data.grad_states]

    def loss(changed: int, leaf: torch.Tensor) -> float:
        now = [leaf if k == changed else old for k, old in enumerate(leaves)]
        moved = dataclasses.replace(
            data, x=now[0], states=tuple(now[1 : 1 + states]), weights=tuple(now[1 + states :])
        )
        found = oracle_of_formula(case, moved).outputs
        return sum(
            (found[name] * cotangent).sum().item()
            for name, cotangent in zip(outputs, cotangents, strict=True)
        )

    step = 1e-6
    generator = torch.Generator().manual_seed(1)
    for k, (leaf, gradient) in enumerate(zip(leaves, gradients, strict=True)):
        assert gradient.shape == leaf.shape
        direction = torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
        there = loss(k, leaf.detach() + step * direction)
        back = loss(k, leaf.detach() - step * direction)
        slope = (gradient * direction).sum().item()
        assert (there - back) / (2 * step) == pytest.approx(slope, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("cell", SIMPLE)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_both_oracles_of_a_simple_cell_agree(cell, dtype, monkeypatch):
    monkeypatch.setattr(arithmetic, "SAMPLES", 6)
    case = Case(
        cell=cell,
        dtype=dtype,
        num_layers=2,
        bidirectional=True,
        hidden_size=24,
        input_size=10,
        batch=8,
        seq_len=30,
        layout="batch_first",
    )
    data = make_data(case)
    formula, by_hand = oracle_of_formula(case, data), oracle_by_hand(case, data)
    assert list(formula.outputs) == list(by_hand.outputs)
    assert list(formula.gradients) == list(by_hand.gradients)
    for kind in ("outputs", "gradients"):
        for name, one in getattr(formula, kind).items():
            other = getattr(by_hand, kind)[name]
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    for name, one in formula.deviations.items():
        # relu's slope near its kink is drawn by the one and weighed by the other.
        factor = 4.0 if cell == "rnn_relu" and dtype in ("bfloat16", "float16") else 2.0
        middle = (one.square().mean() / by_hand.deviations[name].square().mean()).sqrt().item()
        assert 1 / factor < middle < factor, name


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_names_the_weights_as_torch_nn_does(cell):
    case = Case(
        cell=cell,
        num_layers=2,
        bidirectional=True,
        hidden_size=2,
        input_size=3,
        batch=1,
        seq_len=2,
    )
    data = make_data(case)
    names = [name for name, _ in module_of(case, data).named_parameters()]
    states = ["h0", "c0"] if cell == "lstm" else ["h0"]
    assert list(oracle(case, data).gradients) == ["x", *states, *names]
    bare = dataclasses.replace(case, bias=False, initial_state="zero")
    weights = [name for name in names if "bias" not in name]
    assert list(oracle(bare, make_data(bare)).gradients) == ["x", *weights]


def test_an_inference_without_dropout_has_outputs_of_its_own():
    case = Case(dropout=0.5, num_layers=2, hidden_size=6, input_size=3, batch=2, seq_len=3)
    expected = oracle(case, make_data(case))
    assert list(expected.outputs) == [
        "output",
        "h_n",
        "output without dropout",
        "h_n without dropout",
    ]
    assert not torch.allclose(
        expected.outputs["output"], expected.outputs["output without dropout"]
    )
    assert set(expected.deviations) == {*expected.outputs, *expected.gradients}


@pytest.mark.parametrize("cell", CELLS)
def test_deviations_shrink_with_the_unit_roundoff(cell, monkeypatch):
    monkeypatch.setattr(arithmetic, "SAMPLES", 6)
    sizes = {}
    for dtype in ("bfloat16", "float16", "float32", "float64"):
        case = Case(cell=cell, dtype=dtype, seq_len=20, batch=4, input_size=8, hidden_size=16)
        expected = oracle_of_formula(case, make_data(case))
        assert list(expected.deviations) == [*expected.outputs, *expected.gradients]
        sizes[dtype] = expected.deviations["output"].square().mean().sqrt().item()
    assert sizes["bfloat16"] > 4 * sizes["float16"] > 1000 * sizes["float32"]
    assert sizes["float32"] == pytest.approx(sizes["float64"] * 2.0**29, rel=0.3)


def test_autocast_costs_the_casting_too(monkeypatch):
    monkeypatch.setattr(arithmetic, "SAMPLES", 6)
    sizes = {}
    for dtype in ("float32", "bfloat16", "autocast_bfloat16"):
        case = Case(cell="lstm", dtype=dtype, seq_len=20, batch=4, input_size=8, hidden_size=16)
        deviations = oracle_of_formula(case, make_data(case)).deviations
        sizes[dtype] = deviations["output"].square().mean().sqrt().item()
    assert sizes["bfloat16"] < sizes["autocast_bfloat16"] < 3 * sizes["bfloat16"]
    assert sizes["autocast_bfloat16"] > 1000 * sizes["float32"]
