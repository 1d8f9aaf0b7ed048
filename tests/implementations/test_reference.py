"""The oracle by hand against finite differences and against nn.RNN with autograd in float64."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.cases import Case
from rnnbench.implementations.reference import oracle_by_hand as oracle
from rnnbench.schema import FULL_LAYOUTS as LAYOUTS
from rnnbench.worker.data import Data, make_data

SIMPLE = ("rnn_tanh", "rnn_relu")

small_cases = st.builds(
    Case,
    cell=st.sampled_from(SIMPLE),
    dtype=st.just("float64"),
    num_layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    hidden_size=st.integers(1, 5),
    input_size=st.integers(1, 4),
    batch=st.integers(1, 4),
    seq_len=st.integers(1, 6),
    layout=st.sampled_from(LAYOUTS),
    seed=st.integers(0, 2**31),
)


def by_autograd(case: Case, data: Data) -> list[torch.Tensor]:
    module = torch.nn.RNN(
        case.input_size,
        case.hidden_size,
        case.num_layers,
        nonlinearity=case.cell.removeprefix("rnn_"),
        batch_first=case.batch_first,
        bidirectional=case.bidirectional,
        dtype=torch.float64,
    )
    with torch.no_grad():
        for parameter, weight in zip(module.parameters(), data.weights, strict=True):
            parameter.copy_(weight)
    output, h_n = module(data.x, data.h0)
    gradients = torch.autograd.grad(
        [output, h_n], [data.x, data.h0, *module.parameters()], [data.grad_output, data.grad_h_n]
    )
    return [output, h_n, *gradients]


@settings(deadline=None, max_examples=150)
@given(small_cases)
def test_agrees_with_nn_rnn_and_autograd(case):
    data = make_data(case)
    expected = oracle(case, data)
    found = [*expected.outputs.values(), *expected.gradients.values()]
    for mine, theirs in zip(found, by_autograd(case, data), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_agrees_with_nn_rnn_for_a_long_sequence():
    case = Case(dtype="float64", seq_len=300, batch=7, input_size=20, hidden_size=40, num_layers=2)
    data = make_data(case)
    expected = oracle(case, data)
    found = [*expected.outputs.values(), *expected.gradients.values()]
    for mine, theirs in zip(found, by_autograd(case, data), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cell", SIMPLE)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_agree_with_finite_differences(cell, bidirectional, layout):
    case = Case(
        cell=cell,
        bidirectional=bidirectional,
        layout=layout,
        dtype="float64",
        num_layers=2,
        hidden_size=3,
        input_size=2,
        batch=2,
        seq_len=4,
    )
    data = make_data(case)
    gradients = list(oracle(case, data).gradients.values())
    leaves = [data.x, data.h0, *data.weights]

    def loss(changed: int, leaf: torch.Tensor) -> float:
        now = [leaf if k == changed else old for k, old in enumerate(leaves)]
        moved = dataclasses.replace(data, x=now[0], states=(now[1],), weights=tuple(now[2:]))
        expected = oracle(case, moved)
        total = (expected.outputs["output"] * data.grad_output).sum() + (
            expected.outputs["h_n"] * data.grad_h_n
        ).sum()
        return total.item()

    step = 1e-6
    generator = torch.Generator().manual_seed(1)
    for k, (leaf, gradient) in enumerate(zip(leaves, gradients, strict=True)):
        assert gradient.shape == leaf.shape
        direction = torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
        there = loss(k, leaf.detach() + step * direction)
        back = loss(k, leaf.detach() - step * direction)
        slope = (gradient * direction).sum().item()
        assert (there - back) / (2 * step) == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_names_the_weights_as_nn_rnn_does():
    case = Case(num_layers=2, bidirectional=True, hidden_size=2, input_size=3, batch=1, seq_len=2)
    module = torch.nn.RNN(3, 2, 2, bidirectional=True)
    names = [name for name, _ in module.named_parameters()]
    assert list(oracle(case, make_data(case)).gradients) == ["x", "h0", *names]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_upcasts_and_keeps_the_layout(layout):
    case = Case(dtype="bfloat16", layout=layout, seq_len=3, batch=2, input_size=4, hidden_size=5)
    data = make_data(case)
    expected = oracle(case, data)
    assert expected.outputs["output"].shape == ((3, 2, 5) if layout == "time_major" else (2, 3, 5))
    assert expected.gradients["x"].shape == data.x.shape
    for tensor in [*expected.outputs.values(), *expected.gradients.values()]:
        assert tensor.dtype == torch.float64
        assert not tensor.requires_grad


def test_deviations_shrink_with_the_unit_roundoff():
    sizes = {}
    for dtype in ("bfloat16", "float16", "float32", "float64"):
        case = Case(dtype=dtype, seq_len=20, batch=4, input_size=8, hidden_size=16)
        expected = oracle(case, make_data(case))
        assert list(expected.deviations) == ["output", "h_n", *expected.gradients]
        sizes[dtype] = expected.deviations["output"].max().item()
    assert sizes["bfloat16"] > 4 * sizes["float16"] > 1000 * sizes["float32"]
    assert sizes["float32"] == pytest.approx(sizes["float64"] * 2.0**29, rel=0.01)
