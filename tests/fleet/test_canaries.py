"""Canaries: a slow shard is found, even ones are not, and the spread widens what it should."""

import math

import numpy as np
import pytest

from rnnbench.fleet.canaries import Visit, canary_grid, choose_canaries, spread_of
from rnnbench.grids import load_grid

CASES = ("a", "b", "c")


def visits(shards, *, slow=(), noise=0.05, factor=2.0, seed=0, kind="cpu"):
    """Two visits of each shard with noise of each visit and of each case."""
    rng = np.random.default_rng(seed)
    made = []
    for shard in range(shards):
        for moment in ("before", "after"):
            common = rng.normal(0, noise) + (math.log(factor) if shard in slow else 0.0)
            means = {
                name: 1e-3 * 3**n * math.exp(common + rng.normal(0, noise / 2))
                for n, name in enumerate(CASES)
            }
            made.append(Visit(shard, kind, f"n{shard}", moment, means))
    return made


class TestSlow:
    @pytest.mark.parametrize("seed", range(20))
    def test_a_shard_at_half_speed_is_flagged_and_no_other(self, seed):
        (found,) = spread_of(visits(4, slow=[2], seed=seed))
        assert list(found.slow) == [2]
        assert found.slow[2] == pytest.approx(2.0, rel=0.3)

    def test_even_shards_are_not_flagged(self):
        for seed in range(200):
            (found,) = spread_of(visits(4, seed=seed, noise=0.08))
            assert found.slow == {}

    def test_one_that_became_slow_in_the_middle_is_flagged(self):
        made = visits(4)
        late = made[5]
        assert (late.shard, late.moment) == (2, "after")
        made[5] = Visit(2, "cpu", "n2", "after", {n: 2 * x for n, x in late.means.items()})
        (found,) = spread_of(made)
        assert list(found.slow) == [2]

    def test_where_all_differ_that_much_nobody_is_called_slow(self):
        flagged = [len(spread_of(visits(6, noise=0.5, seed=seed))[0].slow) for seed in range(40)]
        assert sum(flagged) <= 0.1 * 40 * 6

    def test_of_two_shards_nobody_knows_which_one_it_is(self):
        (found,) = spread_of(visits(2, slow=[1]))
        assert found.slow == {}
        assert found.deviation is None

    def test_kinds_are_not_compared_with_each_other(self):
        made = [*visits(4, kind="cpu"), *visits(4, kind="gpu", factor=20, slow=range(4))]
        assert [(s.kind, s.shards, s.slow) for s in spread_of(made)] == [
            ("cpu", 4, {}),
            ("gpu", 4, {}),
        ]


class TestSpread:
    def test_the_deviation_is_that_of_the_shards(self):
        rng = np.random.default_rng(3)
        speeds = rng.normal(0, 0.1, 200)
        made = [
            Visit(n, "cpu", "n", moment, {"a": math.exp(speed)})
            for n, speed in enumerate(speeds)
            for moment in ("before", "after")
        ]
        (found,) = spread_of(made)
        assert found.deviation == pytest.approx(0.1, rel=0.15)

    def test_of_three_the_deviation_is_not_nothing(self):
        found = [spread_of(visits(3, seed=seed))[0].deviation for seed in range(20)]
        assert min(found) > 0.001
        assert 0.02 < sorted(found)[10] < 0.06, "of two visits with 5 % each, 3.5 %"

    def test_of_one_shard_nothing_is_known(self):
        (found,) = spread_of(visits(1))
        assert found.deviation is None


class TestChosen:
    def test_they_are_few_eager_and_cheap(self):
        cases = load_grid("quick").cases()
        chosen = choose_canaries(cases)
        assert 1 <= len(chosen) <= 4
        assert set(chosen) <= set(cases)
        assert {case.implementation for case in chosen} == {"nn_rnn"}
        assert choose_canaries(list(reversed(cases))) == chosen

    def test_their_grid_is_just_them_with_seconds_of_its_own(self, tmp_path):
        chosen = choose_canaries(load_grid("quick").cases())
        file = tmp_path / "canaries.toml"
        file.write_text(canary_grid(chosen))
        grid = load_grid(file)
        assert grid.cases() == chosen
        assert grid.options == {"seconds": 0.5, "replicates": 2}

    def test_a_grid_without_the_plain_layer_has_none(self):
        cases = [c for c in load_grid("quick").cases() if c.implementation != "nn_rnn"]
        assert choose_canaries(cases) == []
