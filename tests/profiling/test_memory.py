"""What a forward keeps for its backward is what the formula says."""

import dataclasses

import pytest
import torch

from rnnbench.cases import Case
from rnnbench.profiling.memory import memory_of, must_keep, saved_bytes
from tests.profiling.prepared import prepared

SHAPES = [(5, 2, 3, 4), (20, 32, 64, 128), (7, 3, 200, 96)]


def shaped(shape, **columns):
    seq_len, batch, input_size, hidden_size = shape
    return Case(
        seq_len=seq_len,
        batch=batch,
        input_size=input_size,
        hidden_size=hidden_size,
        **{"implementation": "python_loop", "pass_": "forward", **columns},
    )


def memory(case):
    timed, model, clock = prepared(case)
    return memory_of(case, model, timed, clock)


class TestPythonLoop:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_a_simple_cell_keeps_its_states_and_nothing_else(self, shape):
        case = shaped(shape)
        expected = case.seq_len * case.batch * case.hidden_size * 4
        assert must_keep(case) == expected
        found = memory(case)
        assert found["saved"] == expected
        assert found["saved_per_step"] == expected / case.seq_len

    @pytest.mark.parametrize("shape", SHAPES)
    def test_an_lstm_keeps_tanh_of_c_too(self, shape):
        """Read off the loop: four gates, tanh(c) of each step; h and c where a step follows."""
        case = shaped(shape, cell="lstm")
        each = case.batch * case.hidden_size * 4
        t = case.seq_len
        assert memory(case)["saved"] == (5 * t + 2 * (t - 1)) * each
        assert must_keep(case) == (5 * t + (t - 1)) * each

    @pytest.mark.parametrize("shape", SHAPES)
    def test_a_gru_keeps_whole_projections_too(self, shape):
        """Read off the loop: r, z, n and 1 - z, all three parts of W_hh h, and h."""
        case = shaped(shape, cell="gru")
        each = case.batch * case.hidden_size * 4
        t = case.seq_len
        assert memory(case)["saved"] == (4 * t + 3 * t + (t - 1)) * each
        assert must_keep(case) == (4 * t + (t - 1)) * each

    def test_two_directions_keep_twice_as_much(self):
        case = shaped(SHAPES[0], bidirectional=True)
        assert must_keep(case) == 2 * must_keep(shaped(SHAPES[0]))

    def test_float64_is_twice_as_wide(self):
        assert memory(shaped(SHAPES[0], dtype="float64"))["saved"] == 2 * 5 * 2 * 4 * 4


class TestOthers:
    @pytest.mark.parametrize("implementation", ["nn_rnn", "hoisted_loop", "torchscript_cell"])
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_every_implementation_keeps_the_states(self, implementation):
        case = shaped(SHAPES[1], implementation=implementation)
        assert memory(case)["saved"] >= must_keep(case)

    @pytest.mark.parametrize(
        "columns",
        [
            {"workload": "many_to_one"},
            {"dtype": "autocast_bfloat16"},
            {"dropout": 0.1, "num_layers": 2},
        ],
    )
    def test_without_a_closed_form_there_is_none(self, columns):
        assert must_keep(shaped(SHAPES[0], **columns)) is None

    def test_a_storage_counts_once_and_leaves_apart(self):
        leaf = torch.ones(4, 4, requires_grad=True)

        def forward():
            doubled = leaf * 2  # saves nothing: the factor is a number
            root = doubled.exp()  # saves its result
            return root * root + leaf * leaf  # saves that again, and the leaf

        assert saved_bytes(forward, [leaf]) == {"kept": 64, "given": 64}

    def test_allocations_and_peak_are_of_the_call(self):
        case = shaped(SHAPES[1])
        found = memory(case)
        one = case.batch * case.hidden_size * 4
        # Two products, their sum and tanh in each step, then both stacks.
        assert found["allocations"] == 4 * case.seq_len + 2
        assert found["peak"] >= (2 * case.seq_len + 1) * one
        inference = memory(dataclasses.replace(case, pass_="inference"))
        assert inference["peak"] <= found["peak"]
