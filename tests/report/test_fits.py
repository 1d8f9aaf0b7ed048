"""Fits of time against size: what is recovered, what is called a bad fit, what gets no row."""

import dataclasses

import numpy as np
import pytest

from rnnbench.cases import Case
from rnnbench.report.fits import fits, scalings
from rnnbench.results import read
from tests.synthetic import Noise, Planted, document, write

CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=5)
STILL = Noise(0.0, 0.0, 0.0, 0.0, 0.0)
SIZES = (5, 10, 20, 50, 100)


def made(tmp_path, time_of, axis="seq_len", sizes=SIZES, noise=STILL, **options):
    planted = [Planted(dataclasses.replace(CASE, **{axis: size}), time_of(size)) for size in sizes]
    return read(write(tmp_path / "made.json", document(planted, noise=noise, **options)))


class TestFits:
    def test_a_line_is_recovered_exactly_without_noise(self, tmp_path):
        found = fits(made(tmp_path, lambda t: 3e-4 + 2e-5 * t))
        assert len(found) == 1
        row = found.iloc[0]
        assert (row["fixed"], row["per_step"]) == pytest.approx((3e-4, 2e-5), rel=1e-9)
        assert (row["fixed_low"], row["fixed_high"]) == pytest.approx((3e-4, 3e-4), rel=1e-9)
        assert (row["sizes"], row["smallest"], row["largest"]) == (5, 5, 100)
        assert row["residual"] == pytest.approx(0, abs=1e-9)
        assert row["good"]
        assert (row["processes"], row["rows"], row["axis"]) == (3, [0, 1, 2, 3, 4], "seq_len")
        assert "seq_len" not in found.columns
        assert row["implementation"] == "nn_rnn"

    def test_it_is_weighted_least_squares_in_each_process(self, tmp_path):
        results = made(tmp_path, lambda t: 3e-4 + 2e-5 * t, noise=Noise(), seed=3)
        times = np.array(
            [
                [np.median([np.median(b) for b in blocks]) for blocks in s.by_replicate().values()]
                for s in results.samples
            ]
        )
        lines = [np.polyfit(SIZES, t, 1, w=1 / t) for t in times.T]
        row = fits(results).iloc[0]
        assert row["per_step"] == pytest.approx(np.median([line[0] for line in lines]), rel=1e-9)
        assert row["fixed"] == pytest.approx(np.median([line[1] for line in lines]), rel=1e-9)
        assert row["fixed_low"] < row["fixed"] < row["fixed_high"]

    def test_rows_are_by_size_whatever_their_order(self, tmp_path):
        found = fits(made(tmp_path, lambda t: 1e-4 + 1e-5 * t, sizes=(50, 5, 20)))
        assert found["rows"].tolist() == [[1, 2, 0]]

    def test_a_curve_is_called_a_bad_fit_and_its_residual_is_shown(self, tmp_path):
        row = fits(made(tmp_path, lambda t: 1e-6 * t**2)).iloc[0]
        assert not row["good"]
        assert row["residual"] > 0.2

    def test_noise_alone_does_not_make_a_fit_bad(self, tmp_path):
        results = made(tmp_path, lambda t: 3e-4 + 2e-5 * t, noise=Noise(luck=0.05), seed=1)
        row = fits(results).iloc[0]
        assert row["residual"] > 0.01
        assert row["good"]

    def test_a_fixed_cost_below_zero_beyond_doubt_is_no_good_fit(self, tmp_path):
        # Each point is within 5 % of the line, and yet the line says what cannot be.
        row = fits(made(tmp_path, lambda t: 1e-5 * (t - 0.7), sizes=(5, 10, 20))).iloc[0]
        assert row["fixed_high"] < 0
        assert row["residual"] < 0.05
        assert not row["good"]

    def test_one_process_gives_values_without_intervals(self, tmp_path):
        row = fits(made(tmp_path, lambda t: 3e-4 + 2e-5 * t, replicates=1)).iloc[0]
        assert row["fixed"] == pytest.approx(3e-4)
        assert row[["fixed_low", "fixed_high", "per_step_low", "per_step_high"]].isna().all()
        assert row["processes"] == 1
        assert row["good"]

    def test_two_sizes_are_not_enough(self, tmp_path):
        found = fits(made(tmp_path, lambda t: 1e-5 * t, sizes=(5, 10)))
        assert len(found) == 0
        assert found["fixed"].dtype == "float64"

    def test_no_process_with_all_sizes_leaves_the_typical_times(self, tmp_path):
        content = document(
            [Planted(dataclasses.replace(CASE, seq_len=t), 3e-4 + 2e-5 * t) for t in (5, 10, 20)],
            noise=STILL,
        )
        for shift, benchmark in enumerate(content["benchmarks"]):
            for block in benchmark["extra_info"]["rnnbench"]["blocks"]:
                block["replicate"] += 3 * shift
        row = fits(read(write(tmp_path / "apart.json", content))).iloc[0]
        assert row["processes"] == 0
        assert row["fixed"] == pytest.approx(3e-4)
        assert np.isnan(row["fixed_low"])

    @pytest.mark.parametrize("function", [fits, scalings])
    def test_an_axis_that_is_no_size_is_refused(self, tmp_path, function):
        with pytest.raises(ValueError, match="give a size"):
            function(made(tmp_path, lambda t: 1e-5 * t), "layout")


class TestScalings:
    @pytest.mark.parametrize("axis", ["batch", "hidden_size", "seq_len"])
    def test_a_power_is_recovered_exactly_without_noise(self, tmp_path, axis):
        row = scalings(made(tmp_path, lambda n: 1e-5 * n**1.7, axis), axis).iloc[0]
        assert (row["exponent"], row["last_exponent"]) == pytest.approx((1.7, 1.7))
        assert (row["exponent_low"], row["exponent_high"]) == pytest.approx((1.7, 1.7))
        assert row["good"]

    def test_a_floor_and_a_slope_are_no_power_and_the_last_exponent_is_steeper(self, tmp_path):
        results = made(tmp_path, lambda n: 1e-3 + 1e-6 * n**2, "hidden_size", (8, 32, 128, 512))
        row = scalings(results, "hidden_size").iloc[0]
        assert not row["good"]
        assert row["exponent"] < row["last_exponent"] < 2

    def test_one_process_gives_values_without_intervals(self, tmp_path):
        row = scalings(made(tmp_path, lambda n: 1e-5 * n, replicates=1), "seq_len").iloc[0]
        assert row["exponent"] == pytest.approx(1)
        assert row[["exponent_low", "exponent_high", "last_exponent_low"]].isna().all()
