"""Bounds follow from the formula and from what was measured, and from nothing else."""

import dataclasses

import pytest

from rnnbench.bounds import Product, bound_of, defect_sentences, products_of
from rnnbench.cases import Case
from rnnbench.limits import has_limit
from rnnbench.work import work_of
from tests.synthetic import ceiling, least

CASE = Case(seq_len=10, batch=4, input_size=6, hidden_size=8, pass_="forward")


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
        assert bound_of(with_(workload="many_to_one"), ceiling()) is None

    def test_sequences_that_have_ended_are_in_no_product(self):
        case = with_(batch=3, lengths="2+10+5", pass_="backward", layout="packed")
        assert products_of(case) == {
            Product(3, 8, 8): 2,
            Product(2, 8, 8): 3,
            Product(1, 8, 8): 5,
            Product(8, 17, 8): 1,
            Product(17, 8, 6): 1,
            Product(8, 17, 6): 1,
        }

    @pytest.mark.parametrize("lengths", ["uniform", "long_tail_sorted", "one_long", "constant"])
    def test_their_operations_are_those_of_the_closed_form_for_lengths_too(self, lengths):
        case = with_(lengths=lengths, layout="padded", pass_="forward_backward", num_layers=2)
        total = sum(product.flops * count for product, count in products_of(case).items())
        assert total == work_of(case)["flops"]

    def test_one_step_from_a_state_of_zero_has_no_product_of_states(self):
        found = products_of(with_(initial_state="zero", seq_len=1, pass_="forward_backward"))
        assert set(found) == {Product(4, 6, 8), Product(4, 8, 6), Product(8, 4, 6)}


class TestBound:
    def test_without_the_shape_the_best_rate_counts(self):
        found = bound_of(CASE, ceiling(flops_per_second=1e9, call=1e-12))
        assert found.by == "products"
        assert found.least.seconds == pytest.approx(work_of(CASE)["flops"] / 1e9)

    def test_with_the_shape_its_own_time_counts(self):
        known = ceiling({(4, 8, 8): least(1e-6, 0.1)}, flops_per_second=1e9, call=1e-12)
        found = bound_of(CASE, known).least
        rest = 2 * 40 * 6 * 8 / 1e9
        ends = (found.low, found.seconds, found.high)
        assert ends == pytest.approx((9e-6 + rest, 10e-6 + rest, 11e-6 + rest), rel=1e-3)

    def test_what_must_move_takes_its_time(self):
        moved = work_of(CASE)["bytes"]
        found = bound_of(CASE, ceiling(bytes_per_second=1e3, call=1e-12))
        assert found.by == "bytes"
        assert found.least.seconds == pytest.approx(moved / 1e3)

    def test_each_step_costs_a_call(self):
        found = bound_of(CASE, ceiling(call=1.0))
        assert found.by == "steps"
        assert found.least.seconds == found.least.low == 10.0

    def test_the_interval_is_that_of_what_may_bound_it(self):
        """An end of an interval may be of another one than the limit itself."""
        known = ceiling({(4, 8, 8): least(1e-6, 0.5)}, flops_per_second=1e12, call=0.8e-6)
        known.calls["product"] = least(1e-12)
        found = bound_of(CASE, known)
        assert found.by == "products"
        assert found.least.low == pytest.approx(8e-6), "of the calls"

    @pytest.mark.parametrize(
        "columns",
        [{"threads": 2}, {"dtype": "float64"}, {"device": "cuda"}, {"dtype": "autocast_bfloat16"}],
    )
    def test_a_ceiling_of_something_else_bounds_nothing(self, columns):
        assert bound_of(CASE, ceiling()) is not None
        assert bound_of(with_(**columns), ceiling()) is None

    def test_sizes_that_nobody_computes_have_none(self):
        for columns in ({"batch": 2**40}, {"seq_len": 2**40}):
            assert not has_limit(with_(**columns))
            assert bound_of(with_(**columns), ceiling()) is None

    def test_only_a_time_below_the_interval_beats_it(self):
        known = ceiling({(4, 8, 8): least(1e-6, 0.1)}, flops_per_second=1e15, call=1e-12)
        found = bound_of(CASE, known)
        assert not found.is_beaten_by(9.5e-6)
        assert found.is_beaten_by(8.9e-6)


class TestDefects:
    def test_they_are_counted_and_the_worst_is_named(self):
        (said,) = defect_sentences([("a", 1.25, True), ("b", 1.05, False), ("c", 1.1, True)])
        assert said.startswith("2 of 3 cases are faster than their limit by more than its interval")
        assert "a defect of the limit" in said
        assert said.endswith("most so a, whose time is 20 % below it.")

    def test_without_one_nothing_is_said(self):
        assert list(defect_sentences([("b", 1.05, False)])) == []
