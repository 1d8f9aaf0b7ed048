"""Truth tests: noise is drawn by process, case, sweep, block, round; intervals hold the truth.

Each test draws a thousand runs. All draws of a test are rows of one `Results`, told apart
by the case's seed: nothing in a report pairs rows of different seeds.

What the truth is: ``seconds`` is the median over all processes of a process's typical time, and
rounds are only ever slowed down, so their median is put at 1; see `tests.synthetic`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from rnnbench.cases import Case
from rnnbench.report.crossover import crossovers, speedups
from rnnbench.report.economics import economics
from rnnbench.report.fits import fits, scalings
from rnnbench.report.ratios import pairing_of, ratio_of
from rnnbench.report.winners import winners_of
from rnnbench.results import Block, Results, Run, Samples, read, typed
from rnnbench.statistics import estimate_blocks
from tests import synthetic
from tests.synthetic import Noise, document, write

pytestmark = pytest.mark.slow

DRAWS = 1000
LEVEL, POINTS = 0.95, 0.02
CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=5)
USUAL = Noise()
STEADY = Noise(drift=0.0)
"""Without drift: it hits all processes of a sweep alike, so no interval of one case can show it."""


@dataclass(frozen=True)
class Truth:
    """A case with its typical seconds, the file that it is in, and what compiling it took."""

    case: Case
    seconds: float
    run: str = "drawn"
    compile_cold: float | None = None
    compile_warm: float | None = None


def drawn(
    truths: Sequence[Truth],
    *,
    replicates: int,
    noise: Noise = USUAL,
    draws: int = DRAWS,
    blocks: int = 3,
    rounds: int = 7,
    seed: int = 0,
) -> Results:
    """Many runs of the same cases: row draw · len(truths) + i is the i-th case of a draw."""
    rng = np.random.default_rng(seed)
    places = {(truth.run, truth.case.environment) for truth in truths}
    process = {
        place: rng.normal(0, noise.process, (draws, replicates, 1, 1)) for place in sorted(places)
    }
    sweeps = {(truth.run, truth.case.group) for truth in truths}
    drift = {sweep: rng.normal(0, noise.drift, (draws, 1, blocks, 1)) for sweep in sorted(sweeps)}
    times = []
    for truth in truths:
        shape = (draws, replicates, blocks, rounds)
        log = process[truth.run, truth.case.environment] + drift[truth.run, truth.case.group]
        log = log + rng.normal(0, noise.luck, (draws, replicates, 1, 1))
        log = log + rng.normal(0, noise.block, shape[:3])[..., None]
        slowed = np.abs(rng.normal(0, noise.round, shape)) - 0.6745 * noise.round
        times.append(truth.seconds * np.exp(log + slowed))
    middles = [np.median(np.median(np.median(t, axis=3), axis=2), axis=1) for t in times]
    rows, samples = [], []
    nothing = np.empty(0)
    for draw in range(draws):
        for truth, taken, middle in zip(truths, times, middles):
            rows.append(
                {
                    "run": truth.run,
                    **dataclasses.replace(truth.case, seed=draw).columns(),
                    "status": "measured",
                    "time": float(middle[draw]),
                    "compiler": None if truth.compile_cold is None else "inductor",
                    "compile_cold": truth.compile_cold,
                    "compile_warm": truth.compile_warm,
                }
            )
            samples.append(
                Samples(
                    tuple(
                        Block(p, b * replicates + p, 0.0, nothing, taken[draw, p, b], nothing)
                        for b in range(blocks)
                        for p in range(replicates)
                    )
                )
            )
    return Results(typed(rows), samples, {truth.run: run_named(truth.run) for truth in truths})


def run_named(label: str) -> Run:
    return Run(label, label, "", "", {}, {}, {}, {}, ())


def named(name: str, **changes: object) -> Case:
    return dataclasses.replace(CASE, implementation=name, **changes)


def share_held(truth: float, lows: Sequence[float], highs: Sequence[float]) -> float:
    low, high = np.array(lows, dtype=float), np.array(highs, dtype=float)
    assert np.isfinite(low).all() and np.isfinite(high).all()
    return float(np.mean((low <= truth) & (truth <= high)))


def right(share: float) -> bool:
    return abs(share - LEVEL) <= POINTS


class TestIntervals:
    @pytest.mark.parametrize("replicates", [3, 5, 8])
    def test_of_a_time_hold_the_typical_process(self, replicates):
        results = drawn([Truth(CASE, 1e-3)], replicates=replicates, noise=STEADY, seed=replicates)
        found = [
            estimate_blocks(list(samples.by_replicate().values())) for samples in results.samples
        ]
        share = share_held(1e-3, [e.low for e in found], [e.high for e in found])
        assert right(share), share

    @pytest.mark.parametrize("replicates", [3, 5, 8])
    def test_of_a_ratio_in_the_same_processes_hold_it_whatever_drifts(self, replicates):
        truths = [Truth(named("nn_rnn"), 1e-3), Truth(named("scan"), 1.3e-3)]
        noise = Noise(process=0.1, drift=0.05)
        # More draws: with eight processes a signed-rank interval has the level 96.1 %, not 95.
        results = drawn(truths, replicates=replicates, noise=noise, seed=replicates, draws=2000)
        assert pairing_of(results, 0, 1) == "same process"
        found = [
            ratio_of(results, 2 * draw, 2 * draw + 1, pairing="same process")
            for draw in range(2000)
        ]
        share = share_held(1.3, [r.low for r in found], [r.high for r in found])
        assert right(share), share

    @pytest.mark.parametrize("replicates", [3, 5, 8])
    def test_of_a_ratio_of_two_environments_that_took_turns_hold_it(self, replicates):
        truths = [
            Truth(named("scan", environment="a"), 1e-3),
            Truth(named("scan", environment="b"), 1.3e-3),
        ]
        results = drawn(truths, replicates=replicates, seed=replicates)
        assert pairing_of(results, 0, 1) == "took turns"
        found = [
            ratio_of(results, 2 * draw, 2 * draw + 1, pairing="took turns") for draw in range(DRAWS)
        ]
        share = share_held(1.3, [r.low for r in found], [r.high for r in found])
        # Conservative by construction: Welch's degrees of freedom of three processes a side, and
        # an exact rank test, whose levels are steps.
        assert LEVEL - POINTS <= share <= 0.99, share

    def test_of_rows_that_took_no_turns_hold_it_only_where_nothing_drifts(self):
        truths = [Truth(named("scan"), 1e-3), Truth(named("scan", seq_len=20), 1.3e-3)]
        shares = {}
        for drift in (0.0, 0.03):
            results = drawn(truths, replicates=3, noise=Noise(drift=drift))
            found = [ratio_of(results, 2 * draw, 2 * draw + 1) for draw in range(DRAWS)]
            assert {ratio.pairing for ratio in found} == {"same run"}
            assert not any(ratio.paired for ratio in found)
            shares[drift] = share_held(1.3, [r.low for r in found], [r.high for r in found])
        assert right(shares[0.0]), shares
        assert shares[0.03] < LEVEL - POINTS  # what the label warns of


class TestFits:
    @pytest.mark.parametrize("replicates", [3, 8])
    def test_fixed_cost_and_cost_per_step_are_recovered(self, replicates):
        fixed, per_step = 4e-4, 2e-5
        truths = [
            Truth(named("nn_rnn", seq_len=t), fixed + per_step * t) for t in (5, 10, 20, 50, 100)
        ]
        found = fits(drawn(truths, replicates=replicates, noise=STEADY, seed=replicates))
        assert len(found) == DRAWS
        for name, truth in (("fixed", fixed), ("per_step", per_step)):
            share = share_held(truth, found[f"{name}_low"], found[f"{name}_high"])
            assert right(share), (name, share)
            assert found[name].median() == pytest.approx(truth, rel=0.01)
        assert found["good"].all()
        assert (found["processes"] == replicates).all()

    @pytest.mark.parametrize("replicates", [3, 8])
    def test_the_exponent_of_a_power_law_is_recovered(self, replicates):
        truths = [Truth(named("nn_rnn", batch=b), 1e-5 * b**0.7) for b in (1, 4, 16, 64)]
        found = scalings(drawn(truths, replicates=replicates, noise=STEADY, seed=9), "batch")
        for name in ("exponent", "last_exponent"):
            share = share_held(0.7, found[f"{name}_low"], found[f"{name}_high"])
            assert right(share), (name, share)
        assert found["exponent"].median() == pytest.approx(0.7, abs=0.005)
        assert found["good"].all()

    def test_what_is_no_line_is_called_a_bad_fit(self):
        truths = [Truth(named("nn_rnn", seq_len=t), 1e-6 * t**2) for t in (5, 10, 20, 50)]
        results = drawn(truths, replicates=3, draws=50)
        assert not fits(results)["good"].any()
        assert scalings(results, "seq_len")["good"].all()


class TestCrossovers:
    SIZES = (1, 4, 16, 64)
    TRUTH = 10 ** (1 / 0.8)  # 17.8: between 16 and 64

    def truths(self, new_run: str = "drawn") -> list[Truth]:
        cpu = [Truth(named("nn_rnn", batch=b), 1e-5 * b) for b in self.SIZES]
        gpu = [
            Truth(named("nn_rnn", batch=b, device="cuda:0"), 1e-4 * b**0.2, new_run)
            for b in self.SIZES
        ]
        return cpu + gpu

    @pytest.mark.parametrize("replicates", [3, 8])
    @pytest.mark.parametrize("new_run", ["drawn", "elsewhere"])
    def test_their_intervals_hold_the_true_size(self, replicates, new_run):
        noise = Noise(process=0.04, luck=0.03, drift=0.0)
        draws = 2000 if new_run == "drawn" else DRAWS
        results = drawn(self.truths(new_run), replicates=replicates, noise=noise, draws=draws)
        pairs = speedups(results)
        found = crossovers(results, "batch", pairs[pairs["implementation"] == "nn_rnn"])
        assert len(found) == draws
        assert set(found["pairing"]) == {"same run" if new_run == "drawn" else "separate runs"}
        assert set(found["state"]) == {"crosses"}
        assert found["faster_above"].all()
        share = share_held(self.TRUTH, found["size_low"], found["size_high"])
        if new_run == "drawn":
            assert right(share), share
        else:
            # Conservative by construction: Welch's interval is widened to hold the lower quartile.
            assert LEVEL - POINTS <= share <= 0.99, share
        assert found["size"].median() == pytest.approx(self.TRUTH, rel=0.01)

    def test_where_two_devices_tie_none_is_called_faster_everywhere_too_often(self):
        truths = [
            Truth(named("nn_rnn", batch=b, device=device), 1e-4)
            for b in (1, 4, 16)
            for device in ("cpu", "cuda:0")
        ]
        results = drawn(truths, replicates=3, noise=STEADY)
        pairs = speedups(results)
        found = crossovers(results, "batch", pairs[pairs["implementation"] == "nn_rnn"])
        assert np.mean(found["state"] == "cannot tell") >= LEVEL - POINTS

    def test_speedups_hold_the_truth(self):
        truths = [Truth(CASE, 3e-4), Truth(dataclasses.replace(CASE, device="cuda:0"), 1e-4)]
        found = speedups(drawn(truths, replicates=3, noise=STEADY))
        alike = found[found["implementation"] == "nn_rnn"]
        share = share_held(3.0, alike["speedup_low"], alike["speedup_high"])
        assert len(alike) == DRAWS
        assert right(share), share


class TestBreakEven:
    @pytest.mark.parametrize("replicates", [3, 5, 8])
    def test_calls_hold_the_truth(self, replicates):
        truths = [
            Truth(named("nn_rnn"), 1e-3),
            Truth(named("compiled_loop"), 8e-4, compile_cold=10.0, compile_warm=1.0),
        ]
        noise = Noise(drift=0.02)
        found = economics(drawn(truths, replicates=replicates, noise=noise, seed=replicates))
        for prefix in ("base", "eager"):
            assert (found[f"{prefix}_state"] == "pays").all()
            for name, truth in (("gain", 2e-4), ("calls", 50_000), ("warm_calls", 5_000)):
                column = f"{prefix}_{name}"
                share = share_held(truth, found[f"{column}_low"], found[f"{column}_high"])
                assert right(share), (column, share)
                assert found[column].median() == pytest.approx(truth, rel=0.01)

    @pytest.mark.parametrize("replicates", [3, 8])
    def test_nothing_is_said_where_nothing_is_gained(self, replicates):
        truths = [
            Truth(named("nn_rnn"), 1e-3),
            Truth(named("compiled_loop"), 1e-3, compile_cold=10.0),
        ]
        found = economics(drawn(truths, replicates=replicates, seed=replicates))
        states = found["base_state"]
        assert np.mean(states != "cannot tell") <= 1 - LEVEL + POINTS
        unsure = found[states == "cannot tell"]
        assert unsure["base_calls"].isna().all() and unsure["base_calls_high"].isna().all()
        assert (unsure["base_calls_low"] == 10.0 / unsure["base_gain_high"]).all()

    def test_of_several_eager_ones_that_tie_a_gain_is_not_seen_where_there_is_none(self):
        eager = [Truth(named(name), 1e-3) for name in ("nn_rnn", "python_loop", "scan")]
        truths = [*eager, Truth(named("compiled_loop"), 1e-3, compile_cold=10.0)]
        states = economics(drawn(truths, replicates=3))["eager_state"]
        assert np.mean(states == "pays") <= (1 - LEVEL) / 2


class TestWinners:
    @pytest.mark.parametrize("replicates", [3, 8])
    @pytest.mark.parametrize("count", [2, 3, 8])
    def test_none_is_named_where_all_tie_more_often_than_the_level_allows(self, count, replicates):
        truths = [Truth(named(f"i{i}"), 1e-3) for i in range(count)]
        results = drawn(truths, replicates=replicates, seed=count)
        winners = self.winners(results, count)
        assert np.mean([w.named is not None for w in winners]) <= 1 - LEVEL + POINTS
        assert all((w.named is None) == (w.reason is not None) for w in winners)

    def test_none_is_named_among_two_that_tie_before_others(self):
        seconds = (1e-3, 1e-3, 1.01e-3, 1.1e-3)
        truths = [Truth(named(f"i{i}"), s) for i, s in enumerate(seconds)]
        winners = self.winners(drawn(truths, replicates=3), len(truths))
        assert np.mean([w.named is not None for w in winners]) <= 1 - LEVEL + POINTS

    @pytest.mark.parametrize("count", [2, 8])
    def test_one_that_is_5_percent_faster_is_named_nearly_always(self, count):
        truths = [Truth(named(f"i{i}"), 1e-3 if i else 0.95e-3) for i in range(count)]
        results = drawn(truths, replicates=8)
        right_ones = [
            w.named == draw * count for draw, w in enumerate(self.winners(results, count))
        ]
        assert np.mean(right_ones) >= 0.98

    def test_environments_that_tie_are_not_told_apart(self):
        truths = [Truth(named("scan", environment=e), 1e-3) for e in ("a", "b", "c")]
        winners = self.winners(drawn(truths, replicates=3), 3)
        assert np.mean([w.named is not None for w in winners]) <= 1 - LEVEL + POINTS

    @staticmethod
    def winners(results, count):
        rows = range(len(results.samples))
        return [winners_of(results, rows[i : i + count]) for i in range(0, len(rows), count)]


def test_files_say_the_same_as_what_is_drawn_here(tmp_path):
    """The shortcut of this module against whole files: spread and middle of a time agree."""
    planted = [synthetic.Planted(CASE, 1e-3)]
    from_files = [
        float(read(write(tmp_path / f"{seed}.json", document(planted, seed=seed))).frame["time"][0])
        for seed in range(100)
    ]
    here = drawn([Truth(CASE, 1e-3)], replicates=3, blocks=5, rounds=8).frame["time"]
    assert np.mean(from_files) == pytest.approx(here.mean(), rel=0.005)
    assert np.std(from_files) == pytest.approx(here.std(), rel=0.3)
