"""`pytest suites` as a user runs it: what it measures, what it prints and what it writes."""

import itertools
import json
import statistics
import subprocess
import sys
import tomllib

import pytest

from rnnbench.cases import Case
from rnnbench.limits import ceilings_in
from rnnbench.results import load
from rnnbench.schema import CASE_COLUMNS, SCHEMA_VERSION
from rnnbench.validation import STOPPED, validate
from tests.synthetic import ceiling, limits

NAMES = ["nn_rnn", "python_loop"]


@pytest.fixture(scope="module")
def tiny(shared_suite):
    """One run of two implementations and two passes with two replicates."""
    options = {"pass": "inference,backward", "replicates": "2", "seed": "3"}
    return shared_suite(**options)


class TestResultFile:
    def test_the_run_passes_and_its_file_is_valid(self, tiny):
        assert tiny.status == 0, tiny.said
        assert validate(tiny.json) == []

    def test_every_case_has_every_column_of_its_own(self, tiny):
        cases = [result["case"] for result in tiny.results()]
        assert all(list(case) == [column.name for column in CASE_COLUMNS] for case in cases)
        assert {(case["implementation"], case["pass"]) for case in cases} == set(
            itertools.product(NAMES, ("inference", "backward"))
        )
        assert {case["seed"] for case in cases} == {3}

    def test_rounds_are_pytest_benchmarks_own_and_blocks_tile_them(self, tiny):
        for benchmark in tiny.document()["benchmarks"]:
            stats, ours = benchmark["stats"], benchmark["extra_info"]["rnnbench"]
            assert stats["rounds"] == len(stats["data"]) == ours["blocks"][-1]["rounds"][1]
            assert stats["mean"] == pytest.approx(statistics.fmean(stats["data"]))
            assert stats["data"] == [round(seconds, 12) for seconds in stats["data"]]
            assert stats["iterations"] == ours["iterations"]
            ends = [block["rounds"] for block in ours["blocks"]]
            assert ends[0][0] == 0
            assert all(one[1] == other[0] for one, other in itertools.pairwise(ends))
            assert all(0 < seconds < 10 for seconds in stats["data"])

    def test_competitors_took_turns_in_both_replicates(self, tiny):
        groups = {}
        for result in tiny.results():
            case = Case.from_columns(result["case"])
            for block in result["blocks"]:
                groups.setdefault(case.group, []).append(
                    (block["turn"], case.implementation, block)
                )
        assert len(groups) == 2
        for turns in groups.values():
            ordered = sorted(turns, key=lambda turn: turn[0])
            who = [(name, block["replicate"]) for _, name, block in ordered]
            assert len(who) >= 4
            for at in range(0, len(who), 4):
                assert sorted(who[at : at + 4]) == sorted(itertools.product(NAMES, (0, 1)))
            starts = [block["start"] for _, _, block in ordered]
            assert starts == sorted(starts), "one turn at a time, in their order"
        every = [turn for turns in groups.values() for turn, _, _ in turns]
        assert sorted(every) == list(range(len(every)))

    def test_all_turns_of_a_group_were_on_the_same_cores(self, tiny):
        cores = {tuple(b["cores"]) for result in tiny.results() for b in result["blocks"]}
        assert len(cores) == 1
        assert len(cores.pop()) <= 1

    def test_warm_up_is_apart(self, tiny):
        for result in tiny.results():
            assert all(1 <= len(block["warmup"]) <= 4 for block in result["blocks"])

    def test_what_was_verified_ran_and_stopped_is_told(self, tiny):
        for result in tiny.results():
            verified = result["verification"]
            assert verified["oracle"] == "float64 formula"
            assert {"output", "h_n", "x", "weight_hh_l0"} <= set(verified["error"])
            for name, error in verified["error"].items():
                assert error <= verified["tolerance"][name]
            assert result["ran"]["backend"] == "eager"
            expected = {"inference": "aten::tanh", "backward": "aten::tanh_backward"}
            assert result["ran"]["operators"][expected[result["case"]["pass"]]] == 3
            assert result["stopped"] in STOPPED
            assert result["work"]["tokens"] == 6
            assert result["compile"] is None

    def test_the_top_level_describes_the_run(self, tiny):
        ours = tiny.document()["rnnbench"]
        assert ours["schema"] == SCHEMA_VERSION
        assert ours["grid"]["name"] == "quick"
        assert ours["grid"]["selected"] == ours["grid"]["cases"] == 4
        assert ours["grid"]["overrides"]["hidden_size"] == [8]
        assert ours["options"]["replicates_run"] == 2
        assert ours["options"]["seed"] == 3
        assert ours["environments"]["default"]["processes"] == 2
        assert ours["environments"]["default"]["torch"]
        assert ours["not_measured"] == []
        assert 0 < ours["load"]["timed_share"] <= 1
        assert 0 <= ours["load"]["waiting_cpu_share"] < 0.5

    def test_the_journal_holds_the_same_blocks_and_ends(self, tiny):
        records = tiny.journal()
        assert records[0]["type"] == "run"
        assert records[-1] == {"type": "end"}
        blocks = [record for record in records if record["type"] == "block"]
        assert len(blocks) == sum(len(result["blocks"]) for result in tiny.results())
        for benchmark in tiny.document()["benchmarks"]:
            case = benchmark["extra_info"]["rnnbench"]["case"]
            rounds = [s for b in blocks if b["case"] == case for s in b["rounds"]]
            assert benchmark["stats"]["data"] == pytest.approx(rounds)

    def test_groups_are_named_by_what_their_competitors_share(self, tiny):
        groups = {benchmark["group"] for benchmark in tiny.document()["benchmarks"]}
        assert groups == {
            f"rnn_tanh-{name}-T3-B2-I4-H8-L1-time_major-float32-cpu-t1-s3"
            for name in ("inference", "backward")
        }

    def test_pytest_benchmark_itself_reads_the_file(self, tiny):
        compare = [sys.executable, "-m", "pytest_benchmark", "compare", str(tiny.json)]
        done = subprocess.run(
            compare, capture_output=True, text=True, check=False, cwd=tiny.json.parent
        )
        assert done.returncode == 0, done.stderr
        for name in NAMES:
            assert f"test_layer[{name}-rnn_tanh-inference-T3" in done.stdout


class TestTerminal:
    def test_each_group_has_its_table(self, tiny):
        for name in ("inference", "backward"):
            title = (
                f"{name}: layer rnn_tanh, T=3 B=2 I=4 H=8 L=1, time_major, float32, cpu, 1 thread"
            )
            assert f"\n{title}, seed 3\n  implementation " in tiny.output
        assert tiny.output.count("time / nn_rnn") == 2

    def test_the_accounts_come_last(self, tiny):
        assert "4 cases timed in " in tiny.output
        assert "timed rounds filled " in tiny.output
        assert "not measured:" not in tiny.output

    def test_no_progress_bar_goes_where_nobody_watches(self, tiny):
        assert "\x1b[2K" not in tiny.said
        assert "\r" not in tiny.said


class TestSelection:
    def test_collecting_starts_no_worker(self, suite, tmp_path):
        started = tmp_path / "started"
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\ntouch {started}\nexit 1\n")
        python.chmod(0o755)
        done = suite("--collect-only", "-q", python=f"x={python}", json=None)
        assert done.status == 0, done.said
        assert "2 tests collected" in done.output
        assert not started.exists()
        assert suite("-q", python=f"x={python}", json=None).status == 4
        assert started.exists(), "a run would have started it"

    def test_skipping_benchmarks_starts_none_either(self, suite):
        done = suite("--benchmark-skip", python="x=/bin/false")
        assert done.status == 0, done.said
        assert "2 skipped" in done.output
        assert not done.json.exists()

    def test_another_seed_of_the_order_measures_the_same_cases(self, suite):
        done = suite("--rnn-order-seed=7", implementation="nn_rnn", seed="3")
        assert done.status == 0, done.said
        assert done.document()["rnnbench"]["options"]["seed"] == 7
        assert [result["case"]["seed"] for result in done.results()] == [3]

    def test_deselected_cases_are_neither_measured_nor_listed(self, suite):
        node = "suites/test_layer.py::test_layer[hoisted_loop-rnn_tanh-inference-T3-B2-I4-H8-L1-"
        done = suite(
            "-k",
            "not python_loop",
            f"--deselect={node}time_major-float32-cpu-t1]",
            implementation="nn_rnn,python_loop,hoisted_loop",
        )
        assert done.status == 0, done.said
        assert "2 deselected" in done.output
        assert done.measured() == ["nn_rnn"]
        assert done.not_measured() == {}
        assert done.document()["rnnbench"]["grid"]["selected"] == 1
        assert "python_loop" not in json.dumps(done.journal())
        assert validate(done.json) == []


class TestVerifyOnly:
    def test_without_timing_cases_are_verified_and_an_older_result_stays(self, suite, plugins):
        (suite.folder / "result.json").write_text("an older result")
        (suite.folder / "result.json.journal").write_text("its journal")
        done = suite(
            "--benchmark-disable",
            plugin=plugins / "faults.py",
            implementation="nn_rnn,wrong_final_state",
        )
        assert done.status == 1
        assert "1 failed, 1 passed" in done.output
        assert "incorrect: h_n[" in done.output
        assert "median" not in done.output
        assert done.json.read_text() == "an older result"
        assert (suite.folder / "result.json.journal").read_text() == "its journal"


class TestOneFailingCompetitor:
    def test_x_ends_the_run_there(self, suite, plugins):
        done = suite(
            "-x",
            plugin=plugins / "faults.py",
            implementation="hoisted_loop,nn_rnn,raises",
            batch="2,3",
        )
        assert done.status == 1
        assert "stopping after 1 failures" in done.output
        assert "1 failed, 2 passed" in done.output
        assert "failed: ValueError: planted: raised in construction" in done.output
        assert list(done.not_measured()) == ["raises"]
        assert validate(done.json) == []
        cases = [result["case"] for result in done.results()]
        assert {case["batch"] for case in cases} == {2}, "the second group was never begun"
        assert done.journal()[-1]["type"] == "finished"


class TestNothingMeasured:
    def test_a_run_of_unsupported_cases_says_why_and_writes_its_file(self, suite):
        done = suite(implementation="aot_inductor", **{"pass": "backward"})
        assert done.status == 0, done.said
        assert "1 skipped" in done.output
        assert done.document()["benchmarks"] == []
        status, reason = done.not_measured()["aot_inductor"]
        assert status == "unsupported"
        assert "computes no gradients" in reason
        assert "unsupported: aot_inductor (aot_inductor-rnn_tanh-backward-T3-B2-I4-H8-L1-" in (
            done.output
        )
        assert validate(done.json) == []


class TestPlugins:
    def test_a_users_own_cell_is_verified_and_timed_beside_the_rest(self, suite, plugins):
        lines = (plugins / "my_cell.py").read_text().strip().splitlines()
        assert len(lines) <= 15
        done = suite(plugin=plugins / "my_cell.py", implementation="my_cell,nn_rnn")
        assert done.status == 0, done.said
        assert done.measured() == ["my_cell", "nn_rnn"]
        assert done.document()["rnnbench"]["options"]["plugins"] == ["my_cell.py"]
        assert str(plugins) not in json.dumps(done.document()["rnnbench"])
        assert validate(done.json) == []

    def test_without_choosing_by_name_it_joins_the_grid(self, suite, plugins, tmp_path):
        grid = tmp_path / "mine.toml"
        grid.write_text('description = "mine"\n[[product]]\nimplementation = "nn_rnn"\n')
        done = suite(
            "--collect-only", "-q", implementation=None, grid=grid, plugin=plugins / "my_cell.py"
        )
        assert done.status == 0, done.said
        assert "test_layer[my_cell-" in done.output
        assert "2 tests collected" in done.output


class TestInProcess:
    def test_it_measures_here_and_says_that_there_are_no_replicates(self, suite):
        done = suite("--rnn-in-process", replicates="3")
        assert done.status == 0, done.said
        assert done.measured() == NAMES
        assert {b["replicate"] for r in done.results() for b in r["blocks"]} == {0}
        ours = done.document()["rnnbench"]
        assert ours["options"]["in_process"] is True
        assert ours["options"]["replicates_run"] == 1
        assert any("no replicates" in note for note in ours["notes"])
        assert "its numbers have no replicates" in done.output
        assert "[no replicates]" in done.output
        assert validate(done.json) == []

    def test_it_has_one_python(self, suite):
        done = suite("--rnn-in-process", python=f"x={sys.executable}")
        assert done.status == 4
        assert "--rnn-in-process has one Python, its own; leave out --rnn-python" in done.errors


class TestEnvironments:
    def test_each_is_one_more_axis_of_every_case(self, suite):
        done = suite(python=[f"one={sys.executable}", f"two={sys.executable}"])
        assert done.status == 0, done.said
        where = [(r["case"]["implementation"], r["case"]["environment"]) for r in done.results()]
        assert sorted(where) == sorted(itertools.product(NAMES, ("one", "two")))
        assert set(done.document()["rnnbench"]["environments"]) == {"one", "two"}
        assert "nn_rnn @ one" in done.output
        turns = sorted(
            (b["turn"], *pair) for pair, r in zip(where, done.results()) for b in r["blocks"]
        )
        assert {turn[1:] for turn in turns[:4]} == set(where), "they are interleaved"
        assert validate(done.json) == []


def test_a_source_tree_works_where_rnnbench_is_also_installed(nested, request, tmp_path):
    """pytest refuses one plugin under two names: the entry point's and that of ``-p``."""
    pyproject = tomllib.loads((request.config.rootpath / "pyproject.toml").read_text())
    entries = pyproject["project"]["entry-points"]["pytest11"]
    installed = tmp_path / "site" / "rnnbench-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: rnnbench\nVersion: 0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{lines}")
    done = nested("--help", PYTHONPATH=str(tmp_path / "site"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("--rnn-grid=") == 1


@pytest.fixture(scope="module")
def family(shared_suite):
    return shared_suite(
        json="family.json",
        workload="training,training.clip_adam,training.checkpointed,many_to_one",
        seq_len="4",
        seconds="0.5",
        **{"pass": "training_step"},
        implementation="nn_rnn,torchscript_loop",
    )


class TestFamilies:
    """A suite takes a workload with all its variants, which take turns with each other."""

    def test_all_are_measured_in_the_suite_of_their_family(self, family):
        assert family.status == 0, family.said
        assert validate(family.json) == []
        names = sorted(entry["name"].partition("[")[0] for entry in family.document()["benchmarks"])
        assert names == ["test_many_to_one"] * 2 + ["test_training"] * 5
        assert "test_layer" not in family.output
        assert "7 passed, 1 skipped" in family.output

    def test_variants_share_a_group_and_its_turns(self, family):
        groups = {}
        for entry in family.document()["benchmarks"]:
            result = entry["extra_info"]["rnnbench"]
            turns = [block["turn"] for block in result["blocks"]]
            group = groups.setdefault(entry["group"], {})
            group.setdefault(result["case"]["workload"], []).extend(turns)
        trained = next(group for group in groups.values() if "training" in group)
        assert set(trained) == {"training", "training.clip_adam", "training.checkpointed"}
        first, last = min(trained["training"]), max(trained["training"])
        assert any(first < turn < last for turn in trained["training.clip_adam"])

    def test_memory_is_recorded_and_a_refusal_has_its_reason(self, family):
        for result in family.results():
            assert result["ran"]["peak_bytes"] > 0
        (missing,) = family.document()["rnnbench"]["not_measured"]
        assert missing["case"]["workload"] == "training.checkpointed"
        assert "TorchScript specialises itself" in missing["reason"]

    def test_the_summary_names_variants_beside_their_implementation(self, family):
        assert "nn_rnn clip_adam" in family.output
        assert family.output.count("training_step: training rnn_tanh") == 1


def test_limits_of_this_machine_go_into_the_result_and_the_table(suite, tmp_path):
    """Measured before, as a user would; here they are made for what the first run ran in."""
    variables = {"XDG_DATA_HOME": str(tmp_path / "data")}
    first = suite(variables=variables)
    (described,) = first.document()["rnnbench"]["environments"].values()
    assert described["no_limits"] in first.output
    assert "this machine's limits were not measured" in described["no_limits"]
    assert "of limit" not in first.output
    made = limits(ceiling(call=1e-9), described=described)
    folder = tmp_path / "data" / "rnnbench" / "limits"
    folder.mkdir(parents=True)
    (folder / f"{made.key}.json").write_bytes(made.document())
    done = suite(variables=variables)
    (described,) = done.document()["rnnbench"]["environments"].values()
    assert ceilings_in(described) == list(made.ceilings)
    assert "no_limits" not in described and "  of limit\n" in done.output
    assert validate(done.json) == []
    frame = load(done.json)
    assert (frame["limit"] > 0).all() and (frame["limit_share"] < 1).all()
