"""Every competitor gets the same numbers, laid out as the case says."""

import dataclasses

import pytest
import torch

from rnnbench.cases import Case
from rnnbench.schema import CELLS, DTYPES
from rnnbench.worker.data import make_data

CASE = Case(seq_len=7, batch=3, input_size=4, hidden_size=5, num_layers=2, bidirectional=True)


def other(**columns) -> Case:
    return dataclasses.replace(CASE, **columns)


def test_equal_seeds_give_equal_numbers_whoever_computes():
    one, same = make_data(CASE), make_data(other(implementation="x", pass_="backward", threads=2))
    for name in ("x", "h0", "grad_output", "grad_h_n"):
        assert torch.equal(getattr(one, name), getattr(same, name)), name
    assert all(map(torch.equal, one.weights, same.weights))
    assert not torch.equal(one.x, make_data(other(seed=1)).x)


def test_shapes_are_the_contracts():
    data = make_data(CASE)
    assert data.x.shape == (7, 3, 4)
    assert data.h0.shape == data.grad_h_n.shape == (4, 3, 5)
    assert data.grad_output.shape == (7, 3, 10)
    assert [tuple(w.shape) for w in data.weights] == 2 * [(5, 4), (5, 5), (5,), (5,)] + 2 * [
        (5, 10), (5, 5), (5,), (5,),
    ]  # fmt: skip


@pytest.mark.parametrize(("cell", "gates", "states"), [("lstm", 4, 2), ("gru", 3, 1)])
def test_a_cell_with_gates_has_rows_for_each_and_its_states(cell, gates, states):
    data = make_data(other(cell=cell))
    first = [tuple(weight.shape) for weight in data.weights[:4]]
    assert first == [(gates * 5, 4), (gates * 5, 5), (gates * 5,), (gates * 5,)]
    assert [state.shape for state in data.states] == states * [(4, 3, 5)]
    assert [grad.shape for grad in data.grad_states] == states * [(4, 3, 5)]
    if states == 2:
        assert not torch.equal(*data.states)


def test_without_biases_there_are_weights_alone():
    data = make_data(other(bias=False))
    assert [tuple(w.shape) for w in data.weights] == 2 * [(5, 4), (5, 5)] + 2 * [(5, 10), (5, 5)]


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_of_zero_is_the_layers_own_affair(cell):
    given, zero = make_data(other(cell=cell)), make_data(other(cell=cell, initial_state="zero"))
    assert zero.states == ()
    for one, same in zip(given.grad_states, zero.grad_states, strict=True):
        assert torch.equal(one, same)
    assert torch.equal(given.x, zero.x)


def test_layouts_hold_the_same_numbers_and_lie_as_named():
    time_major, first, view = (
        make_data(other(layout=layout))
        for layout in ("time_major", "batch_first", "batch_first_view")
    )
    assert first.x.shape == view.x.shape == (3, 7, 4)
    assert torch.equal(first.x, view.x)
    assert torch.equal(first.x.transpose(0, 1), time_major.x)
    assert first.x.is_contiguous()
    assert not view.x.is_contiguous()
    assert view.x.transpose(0, 1).is_contiguous()
    for data in (first, view):
        assert torch.equal(data.grad_output.transpose(0, 1), time_major.grad_output)
        assert data.grad_output.is_contiguous()


@pytest.mark.parametrize("layout", ["time_major", "batch_first", "batch_first_view"])
def test_inputs_and_weights_are_leaves_that_want_gradients(layout):
    data = make_data(other(layout=layout))
    for tensor in (data.x, data.h0, *data.weights):
        assert tensor.is_leaf
        assert tensor.requires_grad
    assert not data.grad_output.requires_grad
    assert not data.grad_h_n.requires_grad


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dtype_rounds_the_same_numbers(dtype):
    exact, rounded = make_data(other(dtype="float64")), make_data(other(dtype=dtype))
    stored = "float32" if dtype.startswith("autocast_") else dtype
    assert rounded.x.dtype is getattr(torch, stored)
    assert torch.equal(rounded.x, exact.x.to(rounded.x.dtype))
    assert all(torch.equal(r, e.to(r.dtype)) for r, e in zip(rounded.weights, exact.weights))


def test_weights_lie_within_the_bound_that_nn_rnn_initialises_with():
    weights = torch.cat([w.flatten() for w in make_data(other(hidden_size=100)).weights])
    assert weights.abs().max() <= 0.1
    assert weights.abs().max() > 0.099
    assert weights.mean().abs() < 0.001
