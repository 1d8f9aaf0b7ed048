"""A family of verdicts: what is found, at which level, and how often where nothing changed."""

import math

import numpy as np
import pytest

from rnnbench.regressions.family import judge
from rnnbench.statistics import side_interval


def known(ratio, error):
    """An interval of known normal error around a ratio."""
    from scipy.stats import norm

    def interval(level):
        half = float(norm.ppf((1 + level) / 2)) * error
        return ratio, ratio * math.exp(-half), ratio * math.exp(half)

    return interval


def drawn(generator, true_ratio, processes=8, spread=0.01):
    """The interval of two sides whose processes are log-normal."""
    base = generator.normal(0, spread, processes)
    new = generator.normal(math.log(true_ratio), spread, processes)

    def interval(level):
        return tuple(
            None if bound is None else math.exp(bound) for bound in side_interval(base, new, level)
        )

    return interval


class TestVerdicts:
    def test_one_clear_change_among_unchanged_is_found_at_the_strictest_level(self):
        found = judge([known(1.0, 0.001)] * 19 + [known(1.1, 0.001)])
        assert [f.verdict for f in found] == ["same"] * 19 + ["slower"]
        assert found[-1].level == pytest.approx(1 - 0.05 / 20)
        assert found[0].level == pytest.approx(0.95)

    def test_the_more_is_found_the_less_strict_each_is(self):
        found = judge([known(1.1, 0.001)] * 5 + [known(0.9, 0.001)] * 5 + [known(1.0, 0.001)] * 10)
        assert [f.verdict for f in found] == ["slower"] * 5 + ["faster"] * 5 + ["same"] * 10
        assert {f.level for f in found[:10]} == {1 - 0.05 * 10 / 20}

    def test_what_is_significant_alone_but_not_in_its_family_is_inconclusive(self):
        doubtful = known(1.05, 0.05 / 2.2)  # p = 0.03
        assert judge([doubtful])[0].verdict == "slower"
        found = judge([doubtful] + [known(1.0, 0.05)] * 19)[0]
        assert found.verdict == "inconclusive"
        assert found.low < 1 < found.high, "the interval is the one that the verdict rests on"
        assert found.level > 0.95

    def test_a_found_change_within_the_margin_is_the_same(self):
        found = judge([known(1.01, 0.001)] * 3, margin=0.02)
        assert [f.verdict for f in found] == ["same"] * 3
        assert [f.verdict for f in judge([known(1.01, 0.001)], margin=0.001)] == ["slower"]

    def test_without_an_interval_nothing_is_said(self):
        (found,) = judge([lambda level: (1.5, None, None)])
        assert (found.verdict, found.ratio, found.detectable) == ("inconclusive", 1.5, None)

    def test_no_case_has_no_finding(self):
        assert judge([]) == []

    @pytest.mark.parametrize("margin", [0, -0.1, math.nan, math.inf])
    def test_a_margin_that_is_none_is_refused(self, margin):
        with pytest.raises(ValueError, match="margin"):
            judge([known(1, 0.1)], margin=margin)

    @pytest.mark.parametrize("rate", [0, 1, -1])
    def test_a_rate_that_is_none_is_refused(self, rate):
        with pytest.raises(ValueError, match="rate"):
            judge([known(1, 0.1)], rate=rate)


class TestRates:
    def test_where_nothing_changed_hardly_any_comparison_finds_anything(self):
        generator = np.random.default_rng(1)
        families = [
            judge([drawn(generator, 1.0) for _ in range(20)], margin=0.001) for _ in range(300)
        ]
        wrong = sum(any(f.verdict in ("slower", "faster") for f in family) for family in families)
        assert wrong / 300 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
        assert wrong > 0, "the rate is used: a rule that never finds anything would pass above"

    def test_of_what_is_found_at_most_the_rate_is_none(self):
        generator = np.random.default_rng(2)
        truths = [1.0] * 15 + [1.03] * 5
        wrong = found = 0
        shares = []
        for _ in range(200):
            family = judge([drawn(generator, t) for t in truths], margin=0.001)
            claims = [t for f, t in zip(family, truths) if f.verdict in ("slower", "faster")]
            wrong += sum(t == 1 for t in claims)
            found += sum(t != 1 for t in claims)
            shares.append(sum(t == 1 for t in claims) / max(1, len(claims)))
        assert np.mean(shares) <= 0.05 + 0.02
        assert found > 0.9 * 200 * 5
        assert wrong > 0

    def test_intervals_of_what_is_found_hold_the_truth_as_often_as_they_say(self):
        generator = np.random.default_rng(3)
        truths = [1.0] * 15 + [1.02] * 5
        missed = claimed = 0
        for _ in range(200):
            for f, t in zip(judge([drawn(generator, t) for t in truths], margin=1e-6), truths):
                if f.verdict in ("slower", "faster"):
                    claimed += 1
                    missed += not f.low <= t <= f.high
        assert claimed > 500
        assert missed / claimed <= 0.05 + 0.02

    @pytest.mark.parametrize("cases", [1, 20])
    def test_a_change_of_the_detectable_size_is_found_about_four_times_in_five(self, cases):
        generator = np.random.default_rng(4)
        others = [1.0] * (cases - 1)

        def first(ratio):
            return judge([drawn(generator, truth) for truth in (ratio, *others)], margin=1e-6)[0]

        size = float(np.median([first(1.0).detectable for _ in range(200)]))
        found = [first(1 + size).verdict for _ in range(300)]
        assert 0.7 <= found.count("slower") / 300 <= 0.95

    def test_the_detectable_size_is_that_of_one_more_change(self):
        factor = {}
        for changed in (0, 3):
            family = [known(1.1, 0.001)] * changed + [known(1.0, 0.01)] * (20 - changed)
            found = judge(family)[-1]
            assert found.level == pytest.approx(0.95), "the interval that is shown is its own"
            _, _, high = known(1.0, 0.01)(1 - 0.05 * (changed + 1) / 20)
            factor[changed] = math.log1p(found.detectable) / math.log(high)
        # The quantiles of the normal distribution at 0.8, 1 - 0.0025 / 2 and 1 - 0.01 / 2.
        assert factor[0] == pytest.approx(1 + 0.8416 / 3.0233, rel=1e-3)
        assert factor[3] == pytest.approx(1 + 0.8416 / 2.5758, rel=1e-3)


class TestLooks:
    """Of a case that is measured in stages until its verdict is clear."""

    @staticmethod
    def ended(generator, true_ratio, *, stages, looks, spread=0.02, processes=8):
        """The verdict at which such a case ends."""
        x = generator.normal(0, spread, (stages, processes))
        y = generator.normal(math.log(true_ratio), spread, (stages, processes))
        shift = generator.normal(0, 0.2, (stages, 1))  # the machine changes between stages
        for stage in range(1, stages + 1):
            sides = [(side[:stage] + shift[:stage]).ravel() for side in (x, y)]
            sessions = np.repeat(np.arange(stage), processes).tolist()

            def interval(level, sides=sides, sessions=sessions):
                return tuple(map(math.exp, side_interval(*sides, level, sessions)))

            (found,) = judge([interval], margin=0.001, looks=looks)
            if found.verdict != "inconclusive":
                break
        return found.verdict

    def test_each_look_has_its_share_of_the_rate(self):
        found = judge([known(1.0, 0.001)] * 3 + [known(1.1, 0.001)], looks=5)
        assert found[0].level == pytest.approx(1 - 0.05 / 5)
        assert found[-1].level == pytest.approx(1 - 0.05 / 5 / 4)
        with pytest.raises(ValueError, match="looks"):
            judge([], looks=0)

    def test_where_nothing_changed_stages_err_no_more_than_a_single_look_may(self):
        rates = {}
        for looks in (3, 1):
            generator = np.random.default_rng(6)
            verdicts = [self.ended(generator, 1.0, stages=3, looks=looks) for _ in range(600)]
            rates[looks] = sum(v in ("slower", "faster") for v in verdicts) / 600
        error = math.sqrt(0.05 * 0.95 / 600)
        assert 0 < rates[3] <= 0.05 + 3 * error
        assert rates[1] > 0.05 + 3 * error, "without the share the test above would fail"

    def test_stages_find_what_a_single_one_does_not(self):
        generator = np.random.default_rng(7)
        found = {
            stages: [
                self.ended(generator, 1.03, stages=stages, looks=stages) for _ in range(200)
            ].count("slower")
            for stages in (1, 3)
        }
        assert found[3] > found[1] + 20
