"""Dealing: groups whole, shards alike, the same each time, and its costs what was measured."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.errors import UserError
from rnnbench.fleet.costs import Budget, case_cost, measured_costs, modelled_cost
from rnnbench.fleet.dealing import deal, imbalance
from rnnbench.grids import load_grid
from tests.regressions.made import case
from tests.synthetic import Planted, document, write

BUDGET = Budget(seconds=1.0, replicates=3)


def cost(one):
    return modelled_cost(one, BUDGET)


class TestDealing:
    @pytest.mark.parametrize("shards", [1, 2, 4, 7, 1000])
    def test_every_case_is_in_one_shard_and_its_competitors_with_it(self, shards):
        cases = load_grid("quick").cases()
        dealt = deal(cases, cost, shards)
        assert sorted(one for shard in dealt for one in shard.cases) == cases
        groups = [{one.group for one in shard.cases} for shard in dealt]
        assert sum(map(len, groups)) == len({one.group for one in cases})
        assert len(dealt) == min(shards, len({one.group for one in cases}))
        assert all(shard.cases for shard in dealt)

    def test_it_deals_the_same_way_each_time(self):
        first, second = (deal(load_grid("quick").cases(), cost, 4) for _ in range(2))
        assert first == second

    @settings(max_examples=50, deadline=None)
    @given(
        st.lists(st.floats(0.1, 100), min_size=1, max_size=60),
        st.integers(1, 8),
    )
    def test_the_longest_shard_is_within_the_bound_of_graham(self, costs, shards):
        cases = [case(batch=number) for number in range(1, len(costs) + 1)]
        known = dict(zip(cases, costs))
        dealt = deal(cases, known.__getitem__, shards)
        best = max(max(costs), sum(costs) / len(dealt))
        assert dealt[0].cost <= (4 / 3) * best + max(costs) * 0.67 + 1e-9
        assert dealt[0].cost == max(shard.cost for shard in dealt)
        assert sum(s.cost for s in dealt) == pytest.approx(sum(costs))

    def test_a_thousand_groups_of_all_sizes_are_dealt_evenly(self):
        cases = load_grid("full").cases()
        dealt = deal(cases, cost, 10)
        assert imbalance(dealt) <= 0.05

    def test_no_shard_at_all_is_refused(self):
        with pytest.raises(UserError, match="--shards is 0; give 1 or more"):
            deal([case()], cost, 0)


class TestCosts:
    def test_compilation_is_in_the_model_and_grows_with_the_length(self):
        eager, short, long = (
            cost(case(implementation=name, seq_len=steps))
            for name, steps in (("nn_rnn", 10), ("compiled_loop", 10), ("compiled_loop", 100))
        )
        assert short > 2 * eager
        assert long > 3 * short

    def test_gradients_cost_more_and_so_do_processes(self):
        one = case(implementation="compiled_loop")
        more = dataclasses.replace(one, pass_="forward_backward")
        assert cost(more) > cost(one)
        assert modelled_cost(one, Budget(1.0, 8)) > cost(one)

    def test_what_was_measured_counts_instead_and_is_taken_to_the_seconds_of_now(self, tmp_path):
        compiled = Planted(
            case(implementation="compiled_loop"), 1e-3, compile_cold=40.0, compile_warm=10.0
        )
        lost = [
            (case(batch=7), "timed_out", "no answer in 300 s"),
            (case(batch=8), "unsupported", "no"),
        ]
        made = document(
            [compiled, Planted(case(), 1e-3)],
            environments={"old": {}},
            not_measured=lost,
            replicates=2,
            blocks=5,
            rounds=50,
        )
        made["rnnbench"]["options"] |= {"seconds": 1.0, "case_timeout": 200.0}
        known = measured_costs([write(tmp_path / "a.json", made)], Budget(2.0, 3))
        spent = {
            found["extra_info"]["rnnbench"]["case"]["implementation"]: sum(found["stats"]["data"])
            + sum(sum(b["warmup"]) for b in found["extra_info"]["rnnbench"]["blocks"])
            for found in json.loads((tmp_path / "a.json").read_text())["benchmarks"]
        }
        assert case_cost(compiled.case, Budget(2.0, 3), known) == pytest.approx(
            2 * spent["compiled_loop"] + 40.0 + 2 * 10.0
        )
        assert case_cost(case(batch=7, environment="new"), Budget(2.0, 3), known) == 200.0
        assert case_cost(case(batch=8), Budget(2.0, 3), known) == 0.0
        unknown = case(batch=99)
        assert case_cost(unknown, BUDGET, known) == modelled_cost(unknown, BUDGET)
