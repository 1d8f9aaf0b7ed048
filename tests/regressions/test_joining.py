"""Results joined into one: nothing lost, honest statistics, sessions apart, strangers refused."""

import copy
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_benchmark.stats import Stats

from rnnbench.errors import UserError
from rnnbench.regressions.joining import benchmark_stats, join_results
from rnnbench.results import read
from rnnbench.validation import validate
from tests.conftest import environment as variables
from tests.regressions.made import NEW, OLD, case, planted
from tests.synthetic import document, environment, write

ENVIRONMENTS = {OLD: environment(torch="2.8.0"), NEW: environment(torch="2.13.0")}
TIMES = st.floats(1e-9, 1e3)


def stage(path, entries, *, run_id, changes=None, **options):
    options = {"environments": ENVIRONMENTS, "replicates": 3, "blocks": 2, **options}
    made = document(entries, **options)
    made["rnnbench"] |= {"run_id": run_id, **(changes or {})}
    return write(path, made)


@pytest.fixture
def files(tmp_path):
    """A run of two cases, and a second one of the first of them with other replicates."""
    first = stage(tmp_path / "first.json", planted({1: 1.0, 2: 1.1}), run_id="a", seed=1)
    second = stage(
        tmp_path / "second.json", planted({1: 1.0}), run_id="b", seed=2, replicates=4, blocks=3
    )
    return [first, second]


@pytest.fixture
def joined(tmp_path, files):
    return write(tmp_path / "joined.json", join_results(files))


def benchmarks(path):
    return {
        (ours["case"]["batch"], ours["case"]["environment"]): (found["stats"], ours)
        for found in json.loads(path.read_text())["benchmarks"]
        for ours in [found["extra_info"]["rnnbench"]]
    }


class TestJoined:
    def test_it_is_a_valid_result_that_pytest_benchmark_compares(self, joined, files):
        assert validate(joined) == []
        command = [sys.executable, "-m", "pytest_benchmark", "compare", str(joined)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=variables(), cwd=joined.parent
        )
        assert done.returncode == 0, done.stderr
        assert "4 tests" in done.stdout or done.stdout.count("test_layer") == 4

    def test_every_round_is_there_in_its_block(self, joined, files):
        parts, whole = [benchmarks(file) for file in files], benchmarks(joined)
        assert set(whole) == set(parts[0])
        for key, (stats, ours) in whole.items():
            there = [part[key] for part in parts if key in part]
            assert stats["data"] == [x for s, _ in there for x in s["data"]]
            blocks = [
                (s["data"][slice(*block["rounds"])], block["warmup"], block["start"])
                for s, own in there
                for block in own["blocks"]
            ]
            assert blocks == [
                (stats["data"][slice(*block["rounds"])], block["warmup"], block["start"])
                for block in ours["blocks"]
            ]

    def test_processes_of_the_second_are_further_replicates(self, joined):
        whole = benchmarks(joined)
        replicates = {
            key: sorted({block["replicate"] for block in ours["blocks"]})
            for key, (_, ours) in whole.items()
        }
        assert replicates == {
            (1, OLD): [0, 1, 2, 3, 4, 5, 6],
            (1, NEW): [0, 1, 2, 3, 4, 5, 6],
            (2, OLD): [0, 1, 2],
            (2, NEW): [0, 1, 2],
        }
        turns = [block["turn"] for _, ours in whole.values() for block in ours["blocks"]]
        assert len(set(turns)) == len(turns), "no turn stands for two"

    def test_sessions_tell_what_ran_at_one_time(self, joined, files):
        ours = json.loads(joined.read_text())["rnnbench"]
        assert [(s["run_id"], s["replicates"]) for s in ours["sessions"]] == [
            ("a", [0, 3]),
            ("b", [3, 7]),
        ]
        (run,) = read([str(joined)]).runs.values()
        assert run.sessions_of([0, 2, 3, 6]) == [1, 1, 2, 2]
        assert run.stages == 1
        alone = read([str(files[0])])
        assert next(iter(alone.runs.values())).sessions_of([0, 1]) is None

    def test_what_was_joined_can_be_joined_again(self, tmp_path, joined, files):
        third = stage(tmp_path / "third.json", planted({2: 1.1}), run_id="c", seed=3)
        path = write(tmp_path / "again.json", join_results([joined, third]))
        assert validate(path) == []
        sessions = json.loads(path.read_text())["rnnbench"]["sessions"]
        assert [s["replicates"] for s in sessions] == [[0, 3], [3, 7], [7, 10]]
        blocks = benchmarks(path)[2, OLD][1]["blocks"]
        assert {block["replicate"] for block in blocks} == {0, 1, 2, 7, 8, 9}

    def test_a_process_without_a_block_keeps_its_number(self, tmp_path):
        described = {name: {**env, "processes": 5} for name, env in ENVIRONMENTS.items()}
        first, second = (
            stage(tmp_path / f"{n}.json", planted({1: 1.0}), run_id=n, environments=described)
            for n in "ab"
        )
        ours = join_results([first, second])["rnnbench"]
        assert [s["replicates"] for s in ours["sessions"]] == [[0, 5], [5, 10]]
        assert {env["processes"] for env in ours["environments"].values()} == {10}

    def test_accounts_are_of_all_together(self, tmp_path):
        loads = [
            {"seconds": 30.0, "others_share": 0.1, "stolen_share": None, "load_average": [0, 1]},
            {"seconds": 10.0, "others_share": 0.5, "stolen_share": 0.2, "resumed_cases": 1},
        ]
        options = [{"replicates": 3, "replicates_run": 3, "plugins": []} for _ in loads]
        files = [
            stage(
                tmp_path / f"{n}.json",
                planted({1: 1.0}),
                run_id=str(n),
                changes={"load": load, "options": option},
            )
            for n, (load, option) in enumerate(zip(loads, options))
        ]
        ours = join_results(files)["rnnbench"]
        assert ours["load"] == {"seconds": 40.0, "others_share": 0.2, "stolen_share": None}
        assert ours["options"]["replicates_run"] == 6
        assert [s["load"] for s in ours["sessions"]] == loads

    def test_its_identity_is_that_of_the_same_runs_alone(self, files):
        ids = [join_results(chosen)["rnnbench"]["run_id"] for chosen in (files, files, files[:1])]
        assert ids[0] == ids[1] != ids[2]
        assert all(ids) and not set(ids) & {"a", "b"}

    def test_a_case_that_only_one_could_measure_is_measured_and_it_is_said(self, tmp_path):
        lost = [(case(environment=NEW, batch=1), "crashed", "signal 9")]
        first = stage(
            tmp_path / "a.json",
            planted({1: 1.0}),
            run_id="a",
            not_measured=[(case(batch=3), "unsupported", "no")],
        )
        second = stage(
            tmp_path / "b.json",
            [entry for entry in planted({1: 1.0}) if entry.case.environment == OLD],
            run_id="b",
            not_measured=lost,
        )
        ours = join_results([first, second])["rnnbench"]
        assert [entry["case"]["batch"] for entry in ours["not_measured"]] == [3]
        (note,) = [note for note in ours["notes"] if "could not" in note]
        assert note.startswith("the second of 2 joined runs could not measure nn_rnn-")
        assert "(crashed: signal 9): the times are those of the others" in note

    def test_another_path_in_a_later_run_is_said(self, tmp_path):
        files = []
        for number, backend in enumerate(("eager", "cudnn")):
            entries = planted({1: 1.0})
            made = document(entries, environments=ENVIRONMENTS)
            for found in made["benchmarks"]:
                found["extra_info"]["rnnbench"]["ran"] |= {"backend": backend, "recompilations": 2}
            files.append(write(tmp_path / f"{number}.json", made))
        whole = join_results(files)
        (note,) = [note for note in whole["rnnbench"]["notes"] if "not the same ran" in note]
        assert "nn_rnn" in note
        ran = whole["benchmarks"][0]["extra_info"]["rnnbench"]["ran"]
        assert (ran["backend"], ran["recompilations"]) == ("eager", 4)

    def test_blocks_with_other_calls_in_a_round_say_so(self, tmp_path, files):
        made = json.loads(files[1].read_text())
        for found in made["benchmarks"]:
            found["stats"]["iterations"] = found["extra_info"]["rnnbench"]["iterations"] = 7
        whole = join_results([files[0], write(files[1], made)])
        joined = write(tmp_path / "joined.json", whole)
        assert validate(joined) == []
        stats, ours = benchmarks(joined)[1, OLD]
        assert stats["iterations"] == ours["iterations"] == 1
        assert [block.get("iterations") for block in ours["blocks"]] == [None] * 6 + [7] * 12


class TestStrangers:
    @pytest.mark.parametrize(
        ("described", "named"),
        [
            ({"torch": "2.9.0"}, "torch of new: 2.13.0 and 2.9.0"),
            ({"python": "3.12.1"}, "python of new: 3.11.7 and 3.12.1"),
            ({"planted": 0.05}, "planted of new: None and 0.05"),
            ({"cpu": {"model": "Another"}}, "processor: Synthetic CPU and Another"),
        ],
    )
    def test_other_code_or_another_machine_is_refused(self, tmp_path, files, described, named):
        other = {**ENVIRONMENTS, NEW: {**ENVIRONMENTS[NEW], **described}}
        second = stage(tmp_path / "x.json", planted({1: 1.0}), run_id="x", environments=other)
        with pytest.raises(UserError, match="are not of the same code on one machine") as raised:
            join_results([files[0], second])
        assert named in str(raised.value)

    def test_other_environments_and_another_rnnbench_are_refused(self, tmp_path, files):
        made = json.loads(files[1].read_text())
        later = copy.deepcopy(made)
        later["rnnbench"]["version"] = "9.9"
        with pytest.raises(UserError, match=r"rnnbench: 0\.1\.0 and 9\.9"):
            join_results([files[0], write(tmp_path / "later.json", later)])
        made["rnnbench"]["environments"]["third"] = environment()
        with pytest.raises(UserError, match="environments: new, old and new, old, third"):
            join_results([files[0], write(tmp_path / "more.json", made)])

    def test_what_is_no_result_is_refused(self, tmp_path, files):
        with pytest.raises(UserError, match=r"other\.json: rnnbench is missing"):
            join_results([files[0], write(tmp_path / "other.json", {"benchmarks": []})])


class TestStatistics:
    @given(st.lists(TIMES, min_size=1, max_size=40))
    def test_they_are_those_of_pytest_benchmark(self, data):
        stats = Stats()
        for value in data:
            stats.update(value)
        assert benchmark_stats(data) == stats.as_dict()

    def test_the_joined_ones_are_of_all_rounds(self, joined):
        for stats, _ in benchmarks(joined).values():
            theirs = Stats()
            for value in stats["data"]:
                theirs.update(value)
            if stats["rounds"] > 3 * 2 * 8:
                assert {k: v for k, v in stats.items() if k not in ("data", "iterations")} == (
                    theirs.as_dict()
                )
