"""Bounds follow from the formula and from what was measured, and from nothing else."""

import dataclasses

import pytest

from rnnbench.bounds import Product, bound_of, products_of
from rnnbench.cases import Case
from rnnbench.work import work_of

CASE = Case(seq_len=10, batch=4, input_size=6, hidden_size=8, pass_="forward")
LIMITS = {
    "device": "cpu",
    "dtype": "float32",
    "threads": 1,
    "flops_per_second": 1e9,
    "bytes_per_second": 1e9,
    "products": [],
    "bandwidth": [{"bytes": 1024, "bytes_per_second": 1e12}],
    "call_from_python": 2e-12,
    "call_from_cpp": 1e-12,
}


def with_(case=CASE, **columns):
    return dataclasses.replace(case, **columns)


class TestProducts:
    def test_inputs_in_one_product_and_states_step_by_step(self):
        assert products_of(CASE) == {Product(40, 6, 8): 1, Product(4, 8, 8): 10}

    def test_a_state_of_zero_needs_no_product_in_the_first_step(self):
        assert products_of(with_(initial_state="zero"))[Product(4, 8, 8)] == 9

    def test_backward_weights_over_all_steps_at_once(self):
        found = products_of(with_(cell="lstm", pass_="backward"))
        assert found == {
            Product(4, 32, 8): 10,
            Product(32, 40, 8): 1,
            Product(40, 32, 6): 1,
            Product(32, 40, 6): 1,
        }

    @pytest.mark.parametrize("pass_", ["inference", "forward", "backward", "training_step"])
    @pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru"])
    @pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (3, False), (2, True)])
    def test_their_operations_are_those_of_the_closed_form(
        self, pass_, cell, layers, bidirectional
    ):
        case = with_(pass_=pass_, cell=cell, num_layers=layers, bidirectional=bidirectional)
        total = sum(product.flops * count for product, count in products_of(case).items())
        assert total == work_of(case)["flops"]

    def test_other_workloads_have_none(self):
        assert products_of(with_(workload="many_to_one")) is None
        assert bound_of(with_(workload="many_to_one"), LIMITS) is None
        assert bound_of(with_(dtype="autocast_bfloat16"), LIMITS) is None


class TestBound:
    def test_without_the_shape_the_best_rate_counts(self):
        found = bound_of(CASE, LIMITS)
        assert found.by == "products"
        assert found.seconds == pytest.approx(work_of(CASE)["flops"] / 1e9)

    def test_with_the_shape_its_own_time_counts(self):
        entry = {"shape": [4, 8, 8], "seconds": 1e-6, "low": 0.9e-6, "high": 1.2e-6}
        found = bound_of(CASE, {**LIMITS, "products": [entry]})
        rest = 2 * 40 * 6 * 8 / 1e9
        assert found.seconds == pytest.approx(10e-6 + rest)
        assert found.interval == pytest.approx((9e-6 + rest, 12e-6 + rest))

    def test_bytes_move_at_the_rate_of_what_is_no_larger(self):
        moved = work_of(CASE)["bytes"]
        slow = [
            {"bytes": moved // 2, "bytes_per_second": 1e3},
            {"bytes": moved * 2, "bytes_per_second": 1.0},
        ]
        found = bound_of(CASE, {**LIMITS, "bandwidth": slow})
        assert found.by == "bytes"
        assert found.seconds == pytest.approx(moved / 1e3)

    def test_each_step_costs_a_call_of_the_cheaper_kind(self):
        found = bound_of(CASE, {**LIMITS, "call_from_python": 1.0, "call_from_cpp": 2.0})
        assert found.by == "steps"
        assert found.seconds == found.interval[0] == 10.0
