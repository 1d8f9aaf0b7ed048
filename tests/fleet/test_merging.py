"""Results merged: every case once, environments apart, duplicates refused, memory bounded."""

import gzip
import json
import subprocess
import sys
import tracemalloc

import pytest

from rnnbench.cli import main
from rnnbench.errors import UserError
from rnnbench.fleet.merging import merge_results
from rnnbench.regressions.joining import join_results
from rnnbench.regressions.split import split_result
from rnnbench.results import read
from rnnbench.validation import read_document, validate
from tests.conftest import environment as variables
from tests.regressions.made import case, one, planted, two
from tests.synthetic import GPU, Planted, document, environment, write

HERE = "default"


def shard(path, batches, *, run_id="", described=None, node="n1", **options):
    """The result of one machine: a case for each batch size."""
    entries = [Planted(case(batch=batch, environment=HERE), 1e-3 * batch) for batch in batches]
    options = {"replicates": 2, "blocks": 2, **options}
    described = {**(described or environment()), "processes": options["replicates"]}
    options["environments"] = {HERE: described}
    made = document(entries, **options)
    made["rnnbench"]["run_id"] = run_id or path.stem
    made["machine_info"]["node"] = node
    return write(path, made)


def measured(path):
    return {
        (ours["case"]["batch"], ours["case"]["environment"]): (found, ours)
        for found in read_document(path)["benchmarks"]
        for ours in [found["extra_info"]["rnnbench"]]
    }


class TestMerged:
    @pytest.fixture
    def files(self, tmp_path):
        lost = [(case(batch=9, environment=HERE), "unsupported", "no")]
        return [
            shard(tmp_path / "a.json", [1, 2], seed=1),
            shard(tmp_path / "b.json", [3], seed=2, node="n2", not_measured=lost),
        ]

    @pytest.fixture
    def merged(self, tmp_path, files):
        merge_results(files, tmp_path / "all.json")
        return tmp_path / "all.json"

    def test_it_is_a_valid_result_that_pytest_benchmark_compares(self, merged):
        assert validate(merged) == []
        command = [sys.executable, "-m", "pytest_benchmark", "compare", str(merged)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=variables(), cwd=merged.parent
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("test_layer[nn_rnn-") == 3

    def test_every_case_is_there_once_with_its_rounds(self, merged, files):
        whole = measured(merged)
        assert sorted(whole) == [(1, HERE), (2, HERE), (3, HERE)]
        for file in files:
            for key, (found, ours) in measured(file).items():
                assert whole[key][0]["stats"] == found["stats"]
                assert whole[key][1]["verification"] == ours["verification"]
        (entry,) = read_document(merged)["rnnbench"]["not_measured"]
        assert (entry["case"]["batch"], entry["reason"]) == (9, "no")

    def test_sessions_tell_which_node_measured_which_replicates(self, merged):
        ours = read_document(merged)["rnnbench"]
        assert [(s["node"], s["replicates"], s["run_id"]) for s in ours["sessions"]] == [
            ("n1", [0, 2], "a"),
            ("n2", [2, 4], "b"),
        ]
        blocks = {key: own["blocks"] for key, (_, own) in measured(merged).items()}
        assert {b["replicate"] for b in blocks[1, HERE]} == {0, 1}
        assert {b["replicate"] for b in blocks[3, HERE]} == {2, 3}
        turns = [block["turn"] for found in blocks.values() for block in found]
        assert len(set(turns)) == len(turns), "no turn stands for two"
        assert ours["grid"]["cases"] == 4
        assert ours["environments"][HERE]["processes"] == 4

    def test_the_same_facts_come_out_as_of_the_files_alone(self, merged, files):
        columns = ["batch", "time", "time_low", "time_high", "processes", "status"]
        alone = read([str(file) for file in files]).frame[columns]
        whole = read([str(merged)]).frame[columns]
        both = [x.sort_values("batch").reset_index(drop=True) for x in (alone, whole)]
        assert both[0].equals(both[1])

    def test_what_was_merged_can_be_merged_again(self, tmp_path, merged):
        third = shard(tmp_path / "c.json", [4], node="n3")
        merge_results([merged, third], tmp_path / "again.json")
        assert validate(tmp_path / "again.json") == []
        sessions = read_document(tmp_path / "again.json")["rnnbench"]["sessions"]
        assert [(s["node"], s["replicates"]) for s in sessions] == [
            ("n1", [0, 2]),
            ("n2", [2, 4]),
            ("n3", [4, 6]),
        ]

    def test_a_name_that_ends_in_gz_is_packed(self, tmp_path, files, merged):
        merge_results(files, tmp_path / "all.json.gz")
        packed = gzip.decompress((tmp_path / "all.json.gz").read_bytes())
        assert json.loads(packed) == json.loads(merged.read_text())


class TestEnvironments:
    def test_those_that_differ_are_kept_apart_and_it_is_said(self, tmp_path):
        files = [
            shard(tmp_path / "a.json", [1]),
            shard(tmp_path / "b.json", [1, 2], described=environment(devices=GPU)),
            shard(tmp_path / "c.json", [3], described=environment(torch="2.9.0")),
            shard(tmp_path / "d.json", [4], described=environment(devices=GPU)),
        ]
        found = merge_results(files, tmp_path / "all.json")
        assert sorted(measured(tmp_path / "all.json")) == [
            (1, "default"),
            (1, "default-2"),
            (2, "default-2"),
            (3, "default-3"),
            (4, "default-2"),
        ]
        assert list(found.environments) == ["default", "default-2", "default-3"]
        assert "GPU: none and cuda: Synthetic GPU" in found.environments["default-2"]
        notes = read_document(tmp_path / "all.json")["rnnbench"]["notes"]
        apart = "default-2 is kept apart: default and default-2 differ in GPU"
        assert any(apart in note for note in notes)
        benchmark, _ = measured(tmp_path / "all.json")[2, "default-2"]
        assert benchmark["param"] == case(batch=2, environment="default-2").id
        assert benchmark["name"] == f"test_layer[{benchmark['param']}]"

    def test_which_cores_a_job_was_given_is_no_difference_but_how_many_is(self, tmp_path):
        files = []
        for name, cores in (("a", [0, 1]), ("b", [2, 3]), ("c", [0])):
            file = shard(tmp_path / f"{name}.json", [len(files) + 1])
            made = json.loads(file.read_text())
            made["rnnbench"]["options"]["cores"] = cores
            files.append(write(file, made))
        found = merge_results(files, tmp_path / "all.json")
        assert list(found.environments) == ["default", "default-2"]
        assert "number of cores: 2 and 1" in found.environments["default-2"]
        assert "cores" not in read_document(tmp_path / "all.json")["rnnbench"]["options"]

    def test_halves_of_one_run_take_turns_again(self, tmp_path):
        whole = two(tmp_path / "two.json", planted({1: 1.1}), run_id="r")
        files = split_result(whole)
        merge_results(list(files.values()), tmp_path / "all.json")
        ours = read_document(tmp_path / "all.json")["rnnbench"]
        assert [s["replicates"] for s in ours["sessions"]] == [[0, 8]]
        assert {
            key: own["blocks"] for key, (_, own) in measured(tmp_path / "all.json").items()
        } == {key: own["blocks"] for key, (_, own) in measured(whole).items()}


class TestDuplicates:
    @pytest.fixture
    def files(self, tmp_path):
        return [
            shard(tmp_path / "a.json", [1, 2], seed=1),
            shard(tmp_path / "b.json", [2, 3], seed=2, replicates=3),
        ]

    def test_they_are_refused_with_both_files_and_the_case(self, tmp_path, files):
        with pytest.raises(UserError, match="each case is taken once") as raised:
            merge_results(files, tmp_path / "all.json")
        text = str(raised.value)
        assert "a.json and " in text
        assert "b.json both hold nn_rnn-rnn_tanh-inference-T10-B2-" in text
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "b.json"]

    def test_kept_as_replicates_they_are_what_joining_makes_of_them(self, tmp_path, files):
        merge_results(files, tmp_path / "all.json", replicates=True)
        assert validate(tmp_path / "all.json") == []
        joined = write(tmp_path / "joined.json", join_results(files))
        mine, theirs = measured(tmp_path / "all.json"), measured(joined)
        assert set(mine) == set(theirs)
        for key, (found, ours) in theirs.items():
            assert mine[key][0]["stats"] == found["stats"]
            assert mine[key][1] == ours

    def test_the_same_run_is_never_counted_twice(self, tmp_path, files):
        copy = write(tmp_path / "copy.json", json.loads(files[0].read_text()))
        with pytest.raises(UserError, match="would count twice"):
            merge_results([files[0], copy], tmp_path / "all.json", replicates=True)

    def test_what_one_could_not_measure_is_measured_and_it_is_said(self, tmp_path, files):
        lost = [(case(batch=1, environment=HERE), "crashed", "signal 9")]
        third = shard(tmp_path / "c.json", [7], not_measured=lost)
        for order in ([files[0], third], [third, files[0]]):
            with pytest.raises(UserError, match="both hold nn_rnn"):
                merge_results(order, tmp_path / "all.json")
            merge_results(order, tmp_path / "all.json", replicates=True)
            ours = read_document(tmp_path / "all.json")["rnnbench"]
            assert ours["not_measured"] == []
            (note,) = [note for note in ours["notes"] if "could not" in note]
            assert note.startswith("c.json could not measure nn_rnn-") and "signal 9" in note


class TestMemory:
    def test_it_does_not_grow_with_the_number_of_files(self, tmp_path):
        def most(count):
            files = [
                shard(tmp_path / f"{count}-{n}.json", [n + 1], rounds=300, blocks=10)
                for n in range(count)
            ]
            tracemalloc.start()
            try:
                merge_results(files, tmp_path / f"{count}.json")
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

        assert most(12) < 1.5 * most(3)


class TestRefused:
    def test_another_version_of_rnnbench(self, tmp_path):
        files = [shard(tmp_path / f"{n}.json", [n]) for n in (1, 2)]
        made = json.loads(files[1].read_text())
        made["rnnbench"]["version"] = "9.9"
        write(files[1], made)
        with pytest.raises(UserError, match=r"rnnbench 0\.1\.0 and .*2\.json by 9\.9"):
            merge_results(files, tmp_path / "all.json")

    def test_an_output_that_is_an_input(self, tmp_path):
        file = shard(tmp_path / "a.json", [1])
        before = file.read_bytes()
        with pytest.raises(UserError, match="is one of the files to read"):
            merge_results([file], file)
        assert file.read_bytes() == before

    def test_a_cut_file_leaves_no_output(self, tmp_path, capsys):
        file, cut = (shard(tmp_path / f"{n}.json", [i]) for i, n in enumerate("ab", start=1))
        cut.write_text(cut.read_text()[:-40])
        with pytest.raises(SystemExit) as ended:
            main(["merge", str(file), str(cut), "--output", str(tmp_path / "all.json")])
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert "b.json: is no JSON, or was cut off" in error and "Traceback" not in error
        assert not (tmp_path / "all.json").exists()

    def test_options_that_differ_are_told(self, tmp_path):
        files = [one(tmp_path / f"{n}.json", planted({n: 1.0})[:1], run_id=str(n)) for n in (1, 2)]
        made = json.loads(files[1].read_text())
        made["rnnbench"]["options"]["seconds"] = 9.0
        merge_results([files[0], write(files[1], made)], tmp_path / "all.json")
        ours = read_document(tmp_path / "all.json")["rnnbench"]
        assert "seconds" not in ours["options"]
        told = "the merged results were not all run with the same seconds: 1.0, 9.0"
        assert told in ours["notes"]


def test_the_command_says_what_it_wrote(tmp_path, capsys):
    files = [str(shard(tmp_path / f"{n}.json", [n])) for n in (1, 2)]
    with pytest.raises(SystemExit) as ended:
        main(["merge", *files, "--output", str(tmp_path / "all.json")])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "all.json: 2 measured and 0 not, of 2 files" in said
