"""When compiling has paid for itself: gains, calls, and what is said where nothing is gained."""

import dataclasses

import numpy as np
import pytest

from rnnbench.cases import Case
from rnnbench.report.economics import STATES, economics
from rnnbench.results import read
from tests import synthetic
from tests.synthetic import Noise, Planted, document, write

CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=5)
STILL = Noise(0.0, 0.0, 0.0, 0.0, 0.0)


def named(name, **changes):
    return dataclasses.replace(CASE, implementation=name, **changes)


def compiled(name, seconds, **changes):
    options = {"compile_cold": 10.0, "compile_warm": 2.0, **changes}
    return Planted(named(name), seconds, **options)


def found(tmp_path, planted, baseline="nn_rnn", **options):
    options = {"noise": STILL, **options}
    path = write(tmp_path / "made.json", document(planted, **options))
    return economics(read(path), baseline)


class TestPays:
    def test_calls_are_the_seconds_of_the_compilation_over_the_gain(self, tmp_path):
        planted = [
            Planted(named("nn_rnn"), 1e-3),
            Planted(named("hoisted_loop"), 0.9e-3),
            compiled("compiled_loop", 0.8e-3, ran={"graphs": 2, "breaks": {"x": 3}}),
        ]
        rows = found(tmp_path, planted)
        assert len(rows) == 1
        row = rows.iloc[0]
        assert (row["row"], row["base"], row["fastest_eager"]) == (2, 0, 1)
        assert (row["base_gain"], row["eager_gain"]) == pytest.approx((2e-4, 1e-4))
        assert (row["base_calls"], row["base_warm_calls"]) == pytest.approx((50_000, 10_000))
        assert (row["eager_calls"], row["eager_warm_calls"]) == pytest.approx((1e5, 2e4))
        assert (row["base_state"], row["eager_state"]) == ("pays", "pays")
        assert (row["graphs"], row["breaks"], row["compiler_start"]) == (2, 3, 8)
        assert (row["implementation"], row["compiler"]) == ("compiled_loop", "inductor")

    def test_its_bounds_are_those_of_the_gain_turned_round(self, tmp_path):
        planted = [Planted(named("nn_rnn"), 1e-3), compiled("compiled_loop", 0.7e-3)]
        row = found(tmp_path, planted, noise=Noise()).iloc[0]
        assert 0 < row["base_gain_low"] < row["base_gain"] < row["base_gain_high"]
        assert row["base_calls_low"] == pytest.approx(10 / row["base_gain_high"])
        assert row["base_calls_high"] == pytest.approx(10 / row["base_gain_low"])

    def test_a_gain_is_the_median_over_pairs_of_blocks_in_each_process(self, tmp_path):
        planted = [Planted(named("nn_rnn"), 1e-3), compiled("compiled_loop", 0.7e-3)]
        path = write(tmp_path / "made.json", document(planted, noise=Noise(drift=0.1)))
        results = read(path)
        base, new = (s.by_replicate() for s in results.samples)
        gains = [
            np.median([np.median(x) - np.median(y) for x, y in zip(base[p], new[p])])
            for p in sorted(base)
        ]
        row = economics(results).iloc[0]
        assert row["base_gain"] == pytest.approx(np.median(gains), rel=1e-12)
        half = 4.302652729911275 * np.std(gains, ddof=1) / np.sqrt(3)  # Student, two degrees
        assert row["base_gain_low"] == pytest.approx(np.mean(gains) - half, rel=1e-9)


class TestWithoutGain:
    def test_what_is_slower_never_pays(self, tmp_path):
        planted = [Planted(named("nn_rnn"), 1e-3), compiled("compiled_loop", 1.2e-3)]
        row = found(tmp_path, planted, noise=Noise()).iloc[0]
        assert row["base_state"] == "never"
        assert row["base_gain_high"] < 0
        assert row[["base_calls", "base_calls_low", "base_calls_high"]].isna().all()

    def test_where_the_interval_holds_0_only_a_least_number_is_known(self, tmp_path):
        planted = [Planted(named("nn_rnn"), 1e-3), compiled("compiled_loop", 0.999e-3)]
        row = found(tmp_path, planted, noise=Noise(luck=0.05)).iloc[0]
        assert row["base_state"] == "cannot tell"
        assert row["base_gain_low"] < 0 < row["base_gain_high"]
        assert row["base_calls_low"] == pytest.approx(10 / row["base_gain_high"])
        assert row[["base_calls", "base_calls_high"]].isna().all()

    def test_one_process_gives_an_estimate_without_bounds(self, tmp_path):
        planted = [Planted(named("nn_rnn"), 1e-3), compiled("compiled_loop", 0.5e-3)]
        row = found(tmp_path, planted, replicates=1).iloc[0]
        assert row["base_state"] == "cannot tell"
        assert row["base_calls"] == pytest.approx(20_000)
        assert row[["base_gain_low", "base_calls_low", "base_calls_high"]].isna().all()
        assert set(STATES) == {"pays", "never", "cannot tell"}


class TestWhatIsMissing:
    def test_without_the_baseline_the_fastest_eager_one_remains(self, tmp_path):
        planted = [Planted(named("nn_rnn"), 1e-3), compiled("compiled_loop", 0.5e-3)]
        row = found(tmp_path, planted, baseline="python_loop").iloc[0]
        assert np.isnan(row["base_gain"])
        assert row[["base", "base_state"]].isna().all()
        assert (row["fastest_eager"], row["eager_state"]) == (0, "pays")

    def test_a_compiled_baseline_is_not_compared_with_itself(self, tmp_path):
        planted = [compiled("compiled_loop", 0.5e-3), compiled("compiled_cell", 0.6e-3)]
        rows = found(tmp_path, planted, baseline="compiled_loop")
        assert rows["base"].isna().tolist() == [True, False]
        assert rows["fastest_eager"].isna().all()
        assert rows["base_state"].tolist()[1] == "never"

    def test_without_a_warm_compilation_its_calls_are_missing(self, tmp_path):
        planted = [
            Planted(named("nn_rnn"), 1e-3),
            compiled("compiled_loop", 0.5e-3, compile_warm=None),
        ]
        row = found(tmp_path, planted).iloc[0]
        assert row["base_calls"] == pytest.approx(20_000)
        assert np.isnan(row["base_warm_calls"])

    def test_another_environment_is_no_base(self, tmp_path):
        planted = [
            Planted(named("nn_rnn", environment="b"), 1e-3),
            compiled("compiled_loop", 0.5e-3),
        ]
        environments = {e: synthetic.environment() for e in ("default", "b")}
        row = found(tmp_path, planted, environments=environments).iloc[0]
        assert row[["base", "fastest_eager"]].isna().all()

    def test_nothing_compiled_gives_an_empty_frame_with_all_columns(self, tmp_path):
        rows = found(tmp_path, [Planted(named("nn_rnn"), 1e-3)])
        assert len(rows) == 0
        assert {"base_calls_high", "eager_warm_calls_low", "base_state"} <= set(rows.columns)
