"""Change points in series with a known truth: steps, spikes and drifts, and nothing at all."""

import builtins
import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

pytest.importorskip("ruptures")

from rnnbench.errors import UserError
from rnnbench.regressions import changes
from rnnbench.regressions.changes import FEWEST_RUNS, shape_of, shapes_of

RUNS = 60
TEN = math.log(1.10)


def noise(generator, runs=RUNS, slow=1 / 6):
    """A run's logarithm as rnnbench sees it: the median of five processes, some 28 % slower.

    Processes differ by 1.5 % besides, as they did where noise was recorded.
    """
    processes = generator.normal(0, 0.015, (runs, 5))
    processes += math.log(1.28) * (generator.random((runs, 5)) < slow)
    return np.median(processes, axis=1) + math.log(2e-3)


def series(seed, plant=None, runs=RUNS, **options):
    logs = noise(np.random.default_rng(seed), runs, **options)
    if plant is not None:
        plant(logs)
    return np.exp(logs)


def planted(first, last, size):
    def plant(logs):
        logs[first:last] += math.log(1 + size)

    return plant


def sloped(first, last, size):
    def plant(logs):
        share = np.clip((np.arange(len(logs)) - first) / (last - first), 0, 1)
        logs += share * math.log(1 + size)

    return plant


class TestSteps:
    def test_a_step_has_its_place_its_size_and_its_sureness(self):
        shape = shape_of(series(1, planted(25, RUNS, 0.10)))
        assert shape.kind == "step"
        (step,) = shape.steps
        assert abs(step.index - 25) <= 1
        assert step.ratio == pytest.approx(1.10, abs=0.01)
        assert step.low < step.ratio < step.high
        assert step.high / step.low < 1.06
        assert step.p == shape.p < 1e-6

    def test_a_step_down_is_an_improvement(self):
        (step,) = shape_of(series(2, planted(40, RUNS, -0.15))).steps
        assert step.high < 1
        assert step.ratio == pytest.approx(0.85, abs=0.01)

    def test_a_change_that_is_taken_back_is_two_steps(self):
        shape = shape_of(series(3, planted(20, 35, 0.10)))
        assert [abs(step.index - at) <= 1 for step, at in zip(shape.steps, (20, 35))] == [True] * 2
        up, down = shape.steps
        assert up.ratio > 1 > down.ratio

    def test_a_change_that_is_taken_back_is_found_beside_slow_runs(self):
        found = [shape_of(series(seed, planted(20, 35, 0.10))).steps for seed in range(400, 425)]
        assert sum(len(steps) == 2 for steps in found) >= 24

    def test_stairs_are_as_many_steps(self):
        def plant(logs):
            logs[15:] += 2 * TEN
            logs[40:] += 2 * TEN

        shape = shape_of(series(4, plant))
        assert len(shape.steps) == 2
        assert [abs(step.index - at) <= 1 for step, at in zip(shape.steps, (15, 40))] == [True] * 2

    def test_levels_are_the_medians_between_steps(self):
        times = series(5, planted(30, RUNS, 0.10))
        shape = shape_of(times)
        at = shape.steps[0].index
        assert shape.levels[0] == pytest.approx(np.median(np.log(times[:at])))
        assert shape.levels[-1] == pytest.approx(np.median(np.log(times[at:])))
        assert len(set(shape.levels)) == 2

    def test_what_lies_within_the_margin_is_left_out(self):
        generator = np.random.default_rng(6)
        logs = generator.normal(0, 0.001, RUNS)
        logs[30:] += math.log(1.01)
        assert shape_of(np.exp(logs)).kind == "steady"
        assert shape_of(np.exp(logs), margin=0.005).kind == "step"

    def test_a_step_without_any_noise_is_found_where_it_is(self):
        times = [1.0] * 12 + [1.2] * 9
        (step,) = shape_of(times).steps
        assert (step.index, step.ratio) == (12, pytest.approx(1.2))

    def test_the_last_three_runs_are_a_step(self):
        (step,) = shape_of(series(7, planted(57, RUNS, 0.25))).steps
        assert abs(step.index - 57) <= 1

    def test_levels_whose_quartiles_are_alike_have_the_ratio_one(self):
        logs = np.zeros(30)
        logs[15:] = np.tile([0.0, 0.3, 0.31], 5)
        (step,) = changes._steps(logs, [15], {15: 0.001})
        assert step.ratio == 1.0


class TestSpikes:
    @pytest.mark.parametrize("runs", [1, 2])
    def test_one_or_two_runs_that_come_back_are_no_step(self, runs):
        shape = shape_of(series(11, planted(30, 30 + runs, 0.40), slow=0))
        assert (shape.kind, shape.steps) == ("spike", ())
        (spike,) = shape.spikes
        assert (spike.first, spike.last, spike.open) == (30, 29 + runs, False)
        assert spike.ratio == pytest.approx(1.40, rel=0.05)

    def test_three_runs_are_two_steps(self):
        shape = shape_of(series(12, planted(30, 33, 0.40)))
        assert [step.index for step in shape.steps] == [30, 33]

    def test_a_last_run_that_is_off_may_be_the_start_of_a_step(self):
        shape = shape_of(series(13, planted(RUNS - 1, RUNS, 0.40)))
        assert shape.kind == "spike"
        assert shape.spikes[-1].open
        assert shape.spikes[-1].last == RUNS - 1

    def test_a_spike_beside_a_step_leaves_it_in_its_place(self):
        def plant(logs):
            logs[30:] += TEN
            logs[27] += 0.4

        shape = shape_of(series(14, plant))
        (step,) = shape.steps
        assert abs(step.index - 30) <= 1
        assert any(spike.first == 27 for spike in shape.spikes)


class TestDrifts:
    def test_a_slope_over_the_whole_series_is_a_drift(self):
        shape = shape_of(series(21, sloped(0, RUNS - 1, 0.20)))
        assert (shape.kind, shape.steps) == ("drift", ())
        assert shape.drift.ratio == pytest.approx(1.20, abs=0.02)
        assert shape.drift.low < shape.drift.ratio < shape.drift.high
        assert shape.drift.first < 10
        assert shape.drift.last > RUNS - 10

    def test_a_slope_between_two_levels_has_its_ends(self):
        shape = shape_of(series(22, sloped(15, 45, 0.25)))
        assert shape.kind == "drift"
        assert abs(shape.drift.first - 15) <= 6
        assert abs(shape.drift.last - 45) <= 6
        assert len(shape.levels) == RUNS
        assert list(shape.levels) == sorted(shape.levels)

    def test_a_drift_within_the_margin_is_steady(self):
        logs = np.random.default_rng(23).normal(0, 0.0005, RUNS) + np.linspace(0, 0.01, RUNS)
        assert shape_of(np.exp(logs)).kind == "steady"
        assert shape_of(np.exp(logs), margin=0.002).kind == "drift"


class TestFamilies:
    def test_unchanged_series_are_not_found_among_many(self):
        found = shapes_of([series(seed) for seed in range(100, 140)])
        assert sum(shape.kind in ("step", "drift") for shape in found) <= 1

    def test_clear_steps_are_found_among_many(self):
        steps = [series(seed, planted(30, RUNS, 0.10)) for seed in range(200, 205)]
        found = shapes_of([*steps, *(series(seed) for seed in range(100, 120))])
        assert [shape.kind for shape in found[:5]] == ["step"] * 5

    def test_a_doubtful_step_counts_alone_but_not_among_many(self):
        # A small change in short series: a chance of some per cent each.
        doubtful = next(
            times
            for seed in range(300, 400)
            if 0.02
            < shape_of(times := series(seed, planted(6, 12, 0.05), runs=12), margin=1e-6).p
            <= 0.05
        )
        assert shape_of(doubtful, margin=1e-6).kind != "steady"
        found = shapes_of([doubtful, *(series(s) for s in range(100, 120))], margin=1e-6)
        assert found[0].steps == ()
        assert found[0].drift is None

    def test_short_series_are_no_part_of_the_family(self):
        found = shapes_of([[1.0, 2.0], series(1, planted(25, RUNS, 0.10)), []])
        assert [shape.kind for shape in found] == ["too_few", "step", "too_few"]
        assert found[0].p is None

    def test_no_series_has_no_shape(self):
        assert shapes_of([]) == []


class TestInput:
    @pytest.mark.parametrize("runs", range(FEWEST_RUNS))
    def test_too_few_runs_say_nothing_whatever_they_are(self, runs):
        assert shape_of([1.0, 9.0] * (runs // 2) + [1.0] * (runs % 2)).kind == "too_few"

    def test_the_fewest_runs_can_show_a_step(self):
        times = [1.0, 1.01, 0.99, 1.0, 1.01, 1.5, 1.51, 1.49, 1.5, 1.51]
        assert len(times) == FEWEST_RUNS
        (step,) = shape_of(times).steps
        assert (step.index, step.ratio) == (5, pytest.approx(1.5, rel=0.02))

    def test_equal_times_are_steady(self):
        shape = shape_of([0.002] * 30)
        assert (shape.kind, shape.p) == ("steady", 1.0)

    @pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
    def test_what_is_no_time_is_refused(self, wrong):
        with pytest.raises(ValueError, match="finite number of seconds above 0"):
            shape_of([1.0] * 20 + [wrong])

    def test_the_same_series_has_the_same_shape_every_time(self):
        times = series(31, planted(30, RUNS, 0.03))
        assert shape_of(times) == shape_of(times)

    def test_without_ruptures_a_sentence_says_what_to_install(self, monkeypatch):
        real = builtins.__import__

        def missing(name, *arguments, **options):
            if name == "ruptures":
                raise ImportError(name)
            return real(name, *arguments, **options)

        monkeypatch.setattr(builtins, "__import__", missing)
        with pytest.raises(UserError, match=r"pip install 'rnnbench\[history\]'"):
            shape_of(series(1))
        assert changes.shape_of([1.0, 2.0]).kind == "too_few", "nothing to look for needs nothing"

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.floats(1e-9, 1e6), min_size=0, max_size=24),
    )
    def test_any_times_have_a_shape_that_holds_together(self, times):
        shape = shape_of(times)
        assert shape.p is None or 0 < shape.p <= 1
        assert (shape.kind == "too_few") == (len(times) < FEWEST_RUNS)
        indices = [step.index for step in shape.steps]
        assert indices == sorted(set(indices))
        assert all(0 < index < len(times) for index in indices)
        assert not (shape.steps and shape.drift)
        assert len(shape.levels) == (len(times) if shape.p is not None else 0)
        for step in shape.steps:
            assert step.low is None or step.low <= step.ratio <= step.high


def rate(count, of, *, at_most=None, at_least=None):
    """Whether a rate can be what it should be: its exact 99 % interval leaves that possible."""
    interval = binomtest(count, of).proportion_ci(confidence_level=0.99)
    return (at_most is None or interval.low <= at_most) and (
        at_least is None or interval.high >= at_least
    )


class TestRates:
    """A small form of `results/noise/history.py`, whose table has the rates."""

    def test_of_unchanged_series_at_most_one_in_twenty_is_flagged(self):
        flagged = sum(bool(shape_of(series(seed)).steps) for seed in range(1000, 1100))
        assert rate(flagged, 100, at_most=0.05)
        assert flagged <= 8

    def test_steps_of_ten_per_cent_are_found_within_one_run(self):
        generator = np.random.default_rng(60)
        found = 0
        for seed in range(2000, 2100):
            at = int(generator.integers(5, RUNS - 4))
            steps = shape_of(series(seed, planted(at, RUNS, 0.10))).steps
            found += any(abs(step.index - at) <= 1 for step in steps)
        assert found >= 90

    def test_spikes_and_drifts_are_hardly_ever_steps(self):
        generator = np.random.default_rng(61)
        called = {"spike": 0, "drift": 0}
        for seed in range(3000, 3025):
            at = int(generator.integers(3, RUNS - 5))
            spiked = shape_of(series(seed, planted(at, at + 1 + seed % 2, 0.30)))
            called["spike"] += bool(spiked.steps)
            called["drift"] += bool(shape_of(series(seed, sloped(0, RUNS - 1, 0.20))).steps)
        assert called["spike"] <= 2
        assert called["drift"] <= 2


RECORDED = Path(__file__).resolve().parents[3] / "shared" / "noise"


@pytest.mark.slow
@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded noise is not here")
def test_rates_on_recorded_noise():
    """One recording as it is: processes drawn with replacement, three to a run."""
    with gzip.open(RECORDED / "threads1.json.gz") as stream:
        recorded = json.load(stream)
    generator = np.random.default_rng(62)
    flagged = found = trials = 0
    for case in recorded["cases"]:
        sides = [pair[case][side] for pair in recorded["pairs"] for side in "ab"]
        pool = np.log([np.median([np.median(block[4:]) for block in side]) for side in sides])
        for _ in range(25):
            logs = np.median(generator.choice(pool, (RUNS, 3)), axis=1)
            flagged += bool(shape_of(np.exp(logs)).steps)
            at = int(generator.integers(5, RUNS - 4))
            logs[at:] += TEN
            steps = shape_of(np.exp(logs)).steps
            found += any(abs(step.index - at) <= 1 for step in steps)
            trials += 1
    assert rate(flagged, trials, at_most=0.05)
    assert found >= 0.9 * trials
