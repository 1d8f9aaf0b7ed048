"""Result files as a frame: what stands in it, in which types, and what is refused."""

import dataclasses
import gzip
import json
import statistics

import numpy as np
import pytest

from rnnbench import results as results_module
from rnnbench import validation
from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.results import RESULT_COLUMNS, ROUND_COLUMNS, load, read, rounds, rounds_of
from tests import synthetic
from tests.synthetic import Planted, document, write

CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=5)
LOOP = dataclasses.replace(CASE, implementation="python_loop")
SCAN = dataclasses.replace(CASE, implementation="scan")


@pytest.fixture
def content():
    planted = [
        Planted(CASE, 1e-3),
        Planted(
            LOOP,
            2e-3,
            device_seconds=1e-3,
            compile_cold=9.0,
            compile_warm=2.0,
            ran={"backend": "graphs", "graphs": 2, "breaks": {"a": 1, "b": 2}, "recompilations": 0},
        ),
    ]
    return document(planted, not_measured=[(SCAN, "unsupported", "no scan here")])


@pytest.fixture
def path(tmp_path, content):
    return write(tmp_path / "made.json", content)


class TestFrame:
    def test_every_case_is_a_row_measured_or_not(self, path):
        frame = load(path)
        assert frame["implementation"].tolist() == ["nn_rnn", "python_loop", "scan"]
        assert frame["status"].tolist() == ["measured", "measured", "unsupported"]
        assert frame.loc[2, "reason"] == "no scan here"
        assert frame.loc[2, ["time", "flops", "launches"]].isna().all()

    def test_columns_are_those_that_are_documented_in_order_and_type(self, path):
        frame = load([path])
        assert list(frame) == [column.name for column in RESULT_COLUMNS]
        for column in RESULT_COLUMNS:
            assert frame[column.name].dtype == column.dtype, column.name
            assert column.meaning

    def test_the_time_is_the_median_of_medians(self, path, content):
        benchmark = content["benchmarks"][0]
        by_replicate = {}
        for block in benchmark["extra_info"]["rnnbench"]["blocks"]:
            kept = benchmark["stats"]["data"][slice(*block["rounds"])]
            by_replicate.setdefault(block["replicate"], []).append(statistics.median(kept))
        expected = statistics.median(statistics.median(blocks) for blocks in by_replicate.values())
        row = load(path).loc[0]
        assert row["time"] == pytest.approx(expected, rel=1e-12)
        assert row["time_low"] <= expected <= row["time_high"]
        assert (row["processes"], row["blocks"], row["rounds"]) == (3, 15, 120)

    def test_rates_are_work_over_time(self, path):
        row = load(path).loc[0]
        assert row["tokens_per_second"] == pytest.approx(10 * 4 / row["time"])
        assert row["cases_per_second"] == pytest.approx(1 / row["time"])
        assert row["flops"] == 2 * 10 * 4 * 5 * (3 + 5)
        assert row["flops_per_second"] == pytest.approx(row["flops"] / row["time"])

    def test_device_time_compilation_and_what_ran_have_columns(self, path):
        frame = load(path)
        row = frame.loc[1]
        assert row["device_time"] == pytest.approx(row["time"] / 2)
        assert (row["compile_cold"], row["compile_warm"], row["compiler"]) == (9, 2, "inductor")
        assert (row["graphs"], row["breaks"], row["break_reasons"]) == (2, 3, "a | b")
        assert frame.loc[0, ["device_time", "compile_cold", "compiler", "breaks"]].isna().all()

    def test_the_error_is_told_relative_to_its_tolerance(self, path):
        assert load(path).loc[0, "error_share"] == pytest.approx(0.25)

    def test_limits_of_the_machine_become_shares(self, tmp_path):
        limits = [
            {
                "device": "cpu",
                "dtype": "float32",
                "threads": 1,
                "flops_per_second": 1e9,
                "bytes_per_second": 1e8,
            }
        ]
        made = document(
            [Planted(CASE, 1e-3)],
            environments={"default": synthetic.environment(limits=limits)},
        )
        row = load(write(tmp_path / "limits.json", made)).loc[0]
        assert row["flops_share"] == pytest.approx(row["flops"] / row["time"] / 1e9)
        assert row["bytes_share"] == pytest.approx(row["bytes"] / row["time"] / 1e8)

    def test_the_gpu_stands_beside_cases_that_ran_on_it_alone(self, tmp_path):
        on_gpu = dataclasses.replace(CASE, device="cuda:0")
        made = document(
            [Planted(CASE, 1e-3), Planted(on_gpu, 1e-4)],
            environments={"default": synthetic.environment(devices=synthetic.GPU)},
        )
        frame = load(write(tmp_path / "both.json", made))
        columns = ["gpu", "cuda", "cudnn", "driver"]
        assert frame.loc[0, columns].isna().all()
        assert frame.loc[1, columns].tolist() == ["Synthetic GPU", "13.0", "91300", "580.1"]

    def test_versions_come_in_the_order_in_which_they_were_given(self, tmp_path):
        old, new = (
            Planted(dataclasses.replace(CASE, environment=f"torch-{version}"), time)
            for version, time in (("2.8.0", 2e-3), ("2.13.0", 1e-3))
        )
        loop = Planted(dataclasses.replace(LOOP, environment=new.case.environment), 3e-3)
        made = document(
            [new, loop, old],
            environments={e.case.environment: synthetic.environment() for e in (old, new)},
        )
        results = read([write(tmp_path / "versions.json", made)])
        frame = results.frame
        assert frame["environment"].tolist() == ["torch-2.8.0", "torch-2.13.0", "torch-2.13.0"]
        assert frame["implementation"].tolist() == ["nn_rnn", "python_loop", "nn_rnn"]
        assert frame["time"].tolist() == pytest.approx([2e-3, 3e-3, 1e-3], rel=0.2)
        of_first = rounds_of(results, [0])["seconds"].median()
        assert of_first == pytest.approx(frame.at[0, "time"], rel=0.2)

    def test_free_parts_of_an_odd_type_are_missing_and_do_no_harm(self, tmp_path, content):
        ours = content["benchmarks"][0]["extra_info"]["rnnbench"]
        ours["ran"] = {"backend": ["x"], "launches": "many", "breaks": [], "graphs": 10**30}
        ours["compile"] = {"cold": 3, "warm": {"seconds": True, "compiler": {}}}
        content["rnnbench"]["environments"]["default"] = {"cpu": 3, "devices": [], "torch": []}
        content["rnnbench"]["load"] = {"others_share": "all"}
        row = load(write(tmp_path / "odd.json", content)).loc[0]
        missing = ["backend", "launches", "breaks", "graphs", "compile_cold", "torch", "cpu"]
        assert row[missing].isna().all()


class TestFiles:
    def test_many_become_one_frame_with_a_label_each(self, tmp_path, content):
        (tmp_path / "a").mkdir()
        first = write(tmp_path / "made.json", content)
        second = write(tmp_path / "a" / "made.json", content)
        found = read([first, second])
        assert found.frame["run"].unique().tolist() == ["made", "made (2)"]
        assert found.run_of(4).path == str(second)
        assert found.case_of(4) == LOOP

    def test_compressed_ones_are_read(self, tmp_path, content):
        path = tmp_path / "made.json.gz"
        path.write_bytes(gzip.compress(json.dumps(content).encode()))
        assert load(path)["run"].tolist() == ["made"] * 3

    @pytest.mark.parametrize(
        "data",
        [gzip.compress(b"{}" * 99)[:20], b"\x1f\x8bxxxx", b"\x1f\x8b" + b"x" * 99],
        # A name of its own each: what gzip writes holds the time, and all of pytest-xdist's
        # processes must find the same tests.
        ids=["cut", "no header", "no stream"],
    )
    def test_compressed_ones_that_are_broken_are_refused(self, tmp_path, data):
        path = tmp_path / "made.json.gz"
        path.write_bytes(data)
        with pytest.raises(UserError, match=r"cut off|cannot be read"):
            load(path)

    def test_the_same_file_twice_is_refused(self, path):
        with pytest.raises(UserError, match="is the same file as"):
            load([path, path.parent / "." / path.name])

    def test_none_is_refused(self):
        with pytest.raises(UserError, match="no result file"):
            load([])

    def test_the_first_problem_is_named_with_its_file_and_field(self, tmp_path, content):
        content["benchmarks"][1]["stats"]["data"][3] = -1.0
        path = write(tmp_path / "bad.json", content)
        with pytest.raises(UserError, match=r"bad\.json: benchmarks\[1\]\.stats\.data\[3\]"):
            load(path)

    def test_an_older_schema_is_read_through_its_upgrades(self, tmp_path, content, monkeypatch):
        def upgrade(old):
            old["rnnbench"]["load"] = old["rnnbench"].pop("busy")
            return old

        monkeypatch.setitem(validation.UPGRADES, 0, upgrade)
        content["rnnbench"]["schema"] = 0
        content["rnnbench"]["busy"] = content["rnnbench"].pop("load")
        frame = load(write(tmp_path / "old.json", content))
        assert frame.loc[0, "others_share"] == 0.01

    def test_a_newer_schema_is_refused(self, tmp_path, content):
        content["rnnbench"]["schema"] = 99
        with pytest.raises(UserError, match="upgrade rnnbench"):
            load(write(tmp_path / "new.json", content))


class TestRounds:
    def test_all_are_there_with_block_and_replicate_and_warm_up_is_marked(self, path, content):
        frame = rounds(path)
        assert list(frame) == [column.name for column in ROUND_COLUMNS]
        for column in ROUND_COLUMNS:
            assert frame[column.name].dtype == column.dtype, column.name
        first = frame[frame["row"] == 0]
        kept = first[~first["warmup"]]
        assert kept["seconds"].tolist() == content["benchmarks"][0]["stats"]["data"]
        assert first["warmup"].sum() == 2 * 15
        assert sorted(first["replicate"].unique()) == [0, 1, 2]
        assert first.groupby("block")["turn"].nunique().eq(1).all()

    def test_device_times_stand_beside_where_there_are_any(self, path):
        frame = rounds(path)
        on_device = frame[(frame["row"] == 1) & ~frame["warmup"]]
        assert np.allclose(on_device["device_seconds"], on_device["seconds"] / 2)
        assert frame[frame["row"] == 0]["device_seconds"].isna().all()

    def test_a_file_without_measured_cases_has_none(self, tmp_path):
        made = document([], not_measured=[(SCAN, "failed", "x")])
        frame = rounds(write(tmp_path / "none.json", made))
        assert len(frame) == 0
        assert list(frame) == [column.name for column in ROUND_COLUMNS]

    def test_torch_is_never_imported(self, python_with, path):
        script = (
            "import sys, rnnbench.results as r; r.load(sys.argv[1]); "
            "assert 'torch' not in sys.modules and 'pytest' not in sys.modules"
        )
        done = python_with(script, str(path))
        assert done.returncode == 0, done.stderr
        assert results_module.MEASURED == "measured"


def test_parts_of_calls_are_read_with_their_rounds(tmp_path):
    split = dataclasses.replace(CASE, workload="classifier.split", pass_="training_step")
    planted = [synthetic.Planted(split, 1e-3, parts={"data": 0.25, "copy": 0.5})]
    file = synthetic.write(tmp_path / "a.json", synthetic.document(planted))
    (samples,) = read(file).samples
    for block in samples.blocks:
        assert list(block.parts) == ["data", "copy"]
        assert block.parts["copy"] == pytest.approx(block.rounds / 2)


class TestLimits:
    @pytest.fixture
    def known(self):
        return synthetic.ceiling({(4, 5, 5): synthetic.least(1e-5, 0.1)}, call=1e-12)

    def file(self, tmp_path, seconds, **described):
        environments = {"default": synthetic.environment(**described)}
        made = document([Planted(CASE, seconds)], environments=environments)
        return write(tmp_path / "limits.json", made)

    def test_a_case_has_its_limit_and_its_share_with_their_intervals(self, tmp_path, known):
        row = load(self.file(tmp_path, 1e-3, limits=[known.as_json()])).loc[0]
        # Ten steps at 10 µs and a product of no account.
        ends = [row["limit_low"], row["limit"], row["limit_high"]]
        assert ends == pytest.approx([0.9e-4, 1e-4, 1.1e-4], rel=1e-3)
        assert row["limit_by"] == "products"
        assert row["limit_share"] == pytest.approx(row["limit"] / row["time"])
        assert row["limit_share_low"] == pytest.approx(row["limit_low"] / row["time_high"])
        assert row["limit_share_high"] == pytest.approx(row["limit_high"] / row["time_low"])
        assert not row["limit_defect"]
        assert row["flops_share"] == pytest.approx(row["flops"] / row["time"] / 1e11)

    def test_a_time_below_the_limits_interval_is_a_defect_of_it(self, tmp_path, known):
        row = load(self.file(tmp_path, 0.8e-4, limits=[known.as_json()])).loc[0]
        assert row["limit_defect"] and row["limit_share"] > 1
        within = load(self.file(tmp_path, 0.97e-4, limits=[known.as_json()])).loc[0]
        assert not within["limit_defect"] and within["limit_share"] > 1

    def test_what_holds_no_limit_has_none(self, tmp_path, known):
        other = dataclasses.replace(known, threads=2).as_json()
        columns = [c.name for c in RESULT_COLUMNS if c.name.startswith("limit")]
        assert len(columns) == 8
        for found in ([], [other], [{"device": "cpu", "dtype": "float32", "threads": 1}], "odd"):
            row = load(self.file(tmp_path, 1e-3, limits=found)).loc[0]
            assert row[columns].isna().all()

    def test_limits_that_are_given_stand_in_where_a_file_has_none(self, tmp_path, known):
        given = synthetic.limits(known)
        row = read(self.file(tmp_path, 1e-3), limits=given).frame.loc[0]
        assert row["limit"] == pytest.approx(1e-4, rel=1e-3)
        assert row["flops_share"] == pytest.approx(row["flops"] / row["time"] / 1e11)
        own = dataclasses.replace(known, products=synthetic.ceiling().products).as_json()
        row = read(self.file(tmp_path, 1e-3, limits=[own]), limits=given).frame.loc[0]
        assert row["limit"] < 1e-5, "its own"

    def test_limits_of_another_machine_are_refused(self, tmp_path, known):
        given = synthetic.limits(known, described=synthetic.environment(torch="2.12.0"))
        with pytest.raises(UserError, match="must be measured where it was, and these are of anot"):
            read(self.file(tmp_path, 1e-3), limits=given)

    def test_an_environment_that_they_are_not_of_has_none(self, tmp_path, known):
        made = document(
            [Planted(CASE, 1e-3), Planted(dataclasses.replace(CASE, environment="old"), 1e-3)],
            environments={
                "default": synthetic.environment(),
                "old": synthetic.environment(torch="2.12.0"),
            },
        )
        path = write(tmp_path / "two.json", made)
        frame = read(path, limits=synthetic.limits(known)).frame
        assert frame["limit"].notna().tolist() == [True, False]
