"""A folder of results as timelines: what is read, what is kept apart, and in which order."""

import dataclasses
import gzip
import json

import pytest

pytest.importorskip("ruptures")

from rnnbench.errors import UserError
from rnnbench.fleet.merging import merge_results
from rnnbench.regressions.history import history_of
from rnnbench.regressions.history_command import report_sections
from rnnbench.regressions.history_folder import read_folder
from rnnbench.regressions.history_output import sentences
from rnnbench.regressions.joining import join_results
from rnnbench.regressions.noise import AGAIN, SAME, name_of_planted
from rnnbench.regressions.split import split_result
from rnnbench.results import read
from tests.regressions.made import case
from tests.regressions.timelines import folder_of, run_file
from tests.synthetic import environment, write

OTHER = environment(cpu={"model": "Other CPU", "count": 64})


def timeline_of(history, implementation):
    (found,) = [one for one in history.timelines if one.case["implementation"] == implementation]
    return found


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Twenty runs with a step in one of two cases."""
    return read_folder(folder_of(tmp_path_factory.mktemp("many") / "runs"))


class TestTimelines:
    def test_each_case_is_a_timeline_with_a_point_for_each_run(self, history):
        assert {one.case["implementation"] for one in history.timelines} == {
            "nn_rnn",
            "python_loop",
        }
        assert [len(one.points) for one in history.timelines] == [20, 20]
        files = [point.file for point in history.timelines[0].points]
        assert files == [f"day-{day:02d}.json" for day in range(20)]

    def test_a_step_lies_between_its_two_files(self, history):
        timeline = timeline_of(history, "nn_rnn")
        (step,) = timeline.shape.steps
        assert timeline.points[step.index].file == "day-12.json"
        assert step.low < 1.15 < step.high
        assert timeline_of(history, "python_loop").shape.kind == "steady"

    def test_points_have_the_times_of_their_files(self, history, tmp_path):
        point = timeline_of(history, "nn_rnn").points[3]
        frame = read(folder_of(tmp_path / "again", 4) / "day-03.json").frame
        row = frame[frame["implementation"] == "nn_rnn"].iloc[0]
        assert (point.time, point.low, point.high) == tuple(
            row[["time", "time_low", "time_high"]].tolist()
        )

    def test_names_of_files_are_no_order(self, tmp_path):
        for day, name in enumerate(("c", "a", "b")):
            run_file(tmp_path / f"{name}.json", {"nn_rnn": 1.0}, day=day)
        (timeline,) = read_folder(tmp_path).timelines
        assert [point.file for point in timeline.points] == ["c.json", "a.json", "b.json"]

    def test_zones_are_one_time(self, tmp_path):
        for name, time in (
            ("late", "2026-01-01T12:00:00+00:00"),
            ("early", "2026-01-01T13:00:00+02:00"),
            ("plain", "2026-01-01T11:30:00"),
        ):
            content = json.loads(run_file(tmp_path / "x.json", {"nn_rnn": 1.0}).read_text())
            content["datetime"] = time
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        (tmp_path / "x.json").unlink()
        (timeline,) = read_folder(tmp_path).timelines
        assert [point.file for point in timeline.points] == [
            "early.json",
            "plain.json",
            "late.json",
        ]


class TestVersions:
    VERSIONS = ("2.9.1+cpu", "2.13.0+cpu", "2.10.0.dev20250101", "2.10.0+cpu")

    def test_one_file_has_a_point_for_each_of_its_environments(self, tmp_path):
        environments = {f"v{at}": environment(torch=t) for at, t in enumerate(self.VERSIONS)}
        factors = {name: {"nn_rnn": 1.0 + at} for at, name in enumerate(environments)}
        run_file(tmp_path / "all.json", factors, environments=environments)
        history = read_folder(tmp_path)
        assert history.by == "version", "several environments in a file are in their order"
        (timeline,) = history.timelines
        assert [point.torch for point in timeline.points] == [
            "2.9.1+cpu",
            "2.10.0.dev20250101",
            "2.10.0+cpu",
            "2.13.0+cpu",
        ]
        assert [point.environment for point in timeline.points] == ["v0", "v2", "v3", "v1"]

    def test_the_order_can_be_asked_for(self, tmp_path):
        for day, torch in enumerate(self.VERSIONS):
            run_file(
                tmp_path / f"{day}.json",
                {"nn_rnn": 1.0},
                day=day,
                environments={"default": environment(torch=torch)},
            )
        by_time, by_version = (
            [point.torch for point in read_folder(tmp_path, by=by).timelines[0].points]
            for by in (None, "version")
        )
        assert by_time == list(self.VERSIONS)
        assert by_version == ["2.9.1+cpu", "2.10.0.dev20250101", "2.10.0+cpu", "2.13.0+cpu"]

    def test_what_is_no_version_comes_first_and_ends_nothing(self, tmp_path):
        for day, torch in enumerate(("2.8.0", "<script>", None)):
            run_file(
                tmp_path / f"{day}.json",
                {"nn_rnn": 1.0},
                day=day,
                environments={"default": environment(torch=torch)},
            )
        (timeline,) = read_folder(tmp_path, by="version").timelines
        assert [point.torch for point in timeline.points] == ["<script>", "unknown", "2.8.0"]


class TestKeptApart:
    def test_machines_are_never_mixed(self, tmp_path):
        folder_of(tmp_path, 12)
        # Twice as fast from then on, but on another machine.
        for day in range(12, 24):
            run_file(
                tmp_path / f"day-{day}.json",
                {"nn_rnn": 0.5},
                day=day,
                seed=day,
                environments={"default": OTHER},
            )
        history = read_folder(tmp_path)
        assert [machine.description for machine in history.machines] == [
            "Synthetic CPU, 2 processors",
            "Other CPU, 64 processors",
        ]
        assert [history.runs(machine) for machine in history.machines] == [12, 12]
        nn_rnn = [one for one in history.timelines if one.case["implementation"] == "nn_rnn"]
        assert [len(one.points) for one in nn_rnn] == [12, 12]
        assert all(one.shape.kind in ("steady", "spike") for one in nn_rnn)

    def test_settings_that_differ_are_cases_of_their_own(self, tmp_path):
        for day, threads in enumerate((1, 2, 1)):
            path = run_file(tmp_path / f"{day}.json", {"nn_rnn": 1.0}, day=day)
            content = json.loads(path.read_text())
            for benchmark in content["benchmarks"]:
                benchmark["extra_info"]["rnnbench"]["case"]["threads"] = threads
            path.write_text(json.dumps(content))
        found = read_folder(tmp_path).timelines
        assert {one.case["threads"]: len(one.points) for one in found} == {1: 2, 2: 1}

    def test_what_was_not_measured_is_a_gap_with_its_reason(self, tmp_path):
        run_file(tmp_path / "0.json", {"nn_rnn": 1.0})
        lost = dataclasses.replace(case(implementation="nn_rnn"), environment="default")
        run_file(
            tmp_path / "1.json",
            {"python_loop": 1.0},
            day=1,
            not_measured=[(lost, "failed", "it broke")],
        )
        timeline = timeline_of(read_folder(tmp_path), "nn_rnn")
        assert [point.file for point in timeline.points] == ["0.json"]
        assert [(gap.file, gap.status, gap.time) for gap in timeline.gaps] == [
            ("1.json", "failed", None)
        ]


class TestFolders:
    def test_folders_within_and_packed_files_are_read(self, tmp_path):
        run_file(tmp_path / "a.json", {"nn_rnn": 1.0})
        (tmp_path / "deep" / "er").mkdir(parents=True)
        plain = run_file(tmp_path / "b.json", {"nn_rnn": 1.0}, day=1)
        with gzip.open(tmp_path / "deep" / "er" / "b.json.gz", "wb") as stream:
            stream.write(plain.read_bytes())
        plain.unlink()
        (timeline,) = read_folder(tmp_path).timelines
        assert [point.file for point in timeline.points] == ["a.json", "deep/er/b.json.gz"]

    def test_other_files_are_skipped_and_named(self, tmp_path):
        run_file(tmp_path / "a.json", {"nn_rnn": 1.0})
        (tmp_path / "package.json").write_text('{"name": "x"}')
        (tmp_path / "broken.json").write_text("{")
        (tmp_path / "cut.json.gz").write_bytes(b"\x1f\x8b")
        (tmp_path / "notes.txt").write_text("no JSON")
        (tmp_path / ".hidden.json").write_text("{")
        history = read_folder(tmp_path)
        assert [one.path for one in history.skipped] == [
            "broken.json",
            "cut.json.gz",
            "package.json",
        ]
        assert all(one.reason and str(tmp_path) not in one.reason for one in history.skipped)
        assert len(history.timelines) == 1

    def test_a_file_without_its_time_is_skipped(self, tmp_path):
        run_file(tmp_path / "a.json", {"nn_rnn": 1.0})
        content = json.loads(run_file(tmp_path / "b.json", {"nn_rnn": 1.0}).read_text())
        content["datetime"] = "yesterday"
        (tmp_path / "b.json").write_text(json.dumps(content))
        history = read_folder(tmp_path)
        assert [(one.path, one.reason) for one in history.skipped] == [
            ("b.json", "does not say when it was measured")
        ]
        assert [len(one.points) for one in history.timelines] == [1]

    @pytest.mark.parametrize("run_id", ["", "abc"])
    def test_the_same_measurements_count_once(self, tmp_path, run_id):
        path = run_file(tmp_path / "a.json", {"nn_rnn": 1.0, "python_loop": 2.0}, run_id=run_id)
        (tmp_path / "copy.json").write_bytes(path.read_bytes())
        history = read_folder(tmp_path)
        assert [len(one.points) for one in history.timelines] == [1, 1]
        (skipped,) = history.skipped
        assert (skipped.path, skipped.reason) == (
            "copy.json",
            "2 of its cases are the same measurements as in a.json",
        )

    def test_a_case_can_be_chosen(self, tmp_path):
        folder = folder_of(tmp_path / "runs", 2)
        history = read_folder(folder, case="PYTHON_loop")
        assert [one.case["implementation"] for one in history.timelines] == ["python_loop"]
        with pytest.raises(UserError, match="--case 'lstm': none of the 2 cases"):
            read_folder(folder, case="lstm")

    def test_an_empty_folder_is_refused(self, tmp_path):
        with pytest.raises(UserError, match="has no result file of rnnbench; give a folder"):
            read_folder(tmp_path)

    def test_a_folder_of_other_files_says_what_is_wrong_with_one(self, tmp_path):
        (tmp_path / "x.json").write_text("[]")
        with pytest.raises(UserError, match=r"has no result file .* \(1 other file, x\.json: "):
            read_folder(tmp_path)

    def test_what_is_no_folder_is_refused(self, tmp_path):
        path = run_file(tmp_path / "a.json", {"nn_rnn": 1.0})
        with pytest.raises(UserError, match="is no folder; give one with result files"):
            read_folder(path)
        with pytest.raises(UserError, match="there is no such folder"):
            read_folder(tmp_path / "none")


def stages_in(folder, environments):
    """Two stages, of which the second measured only one case again, and both as one."""
    factors = {
        name: {"nn_rnn": 1.0 + at, "python_loop": 2.0} for at, name in enumerate(environments)
    }
    some = {name: {"nn_rnn": of["nn_rnn"]} for name, of in factors.items()}
    alone = next(iter(environments)) if len(environments) == 1 else None
    files = [
        run_file(
            folder / f"stage-{number}.json",
            measured[alone] if alone else measured,
            day=(number - 1) / 24,
            seed=number,
            environments=environments,
            run_id=f"stage {number}",
        )
        for number, measured in ((1, factors), (2, some))
    ]
    return files, write(folder / "versions.json", join_results(files))


class TestJoinedFiles:
    VERSIONS = {f"torch-{t}": environment(torch=t) for t in ("2.8.0", "2.13.0")}

    def test_stages_are_in_the_file_that_was_joined_from_them(self, tmp_path):
        _, whole = stages_in(tmp_path, self.VERSIONS)
        split_result(whole)
        history = read_folder(tmp_path)
        assert history.by == "version"
        for timeline in history.timelines:
            assert [(point.file, point.torch) for point in timeline.points] == [
                ("versions.json", "2.8.0"),
                ("versions.json", "2.13.0"),
            ]
        same = "of its cases are the same measurements as in versions.json"
        assert {(one.path, one.reason) for one in history.skipped} == {
            ("stage-1.json", f"4 {same}"),
            ("stage-2.json", f"2 {same}"),
            ("versions-torch-2.8.0.json", f"2 {same}"),
            ("versions-torch-2.13.0.json", f"2 {same}"),
        }
        assert sentences(history)[-1].startswith("4 files left out: versions-torch-2.13")

    def test_without_the_whole_its_parts_hold_what_the_stages_do(self, tmp_path):
        _, whole = stages_in(tmp_path, self.VERSIONS)
        split_result(whole)
        whole.unlink()
        history = read_folder(tmp_path)
        files = ["versions-torch-2.8.0.json", "versions-torch-2.13.0.json"]
        for timeline in history.timelines:
            assert {point.file for point in timeline.points} == set(files)
            assert len(timeline.points) == 2
        assert {one.path for one in history.skipped} == {"stage-1.json", "stage-2.json"}

    def test_a_part_whose_whole_has_lost_one_environment_keeps_that_one(self, tmp_path):
        _, whole = stages_in(tmp_path, self.VERSIONS)
        parts = split_result(whole)
        whole.unlink()
        parts["torch-2.13.0"].unlink()
        (tmp_path / "stage-2.json").unlink()
        timeline = timeline_of(read_folder(tmp_path), "nn_rnn")
        assert {(point.file, point.torch) for point in timeline.points} == {
            ("versions-torch-2.8.0.json", "2.8.0"),
            ("stage-1.json", "2.13.0"),
        }

    def test_older_files_are_known_by_their_time(self, tmp_path):
        files = [
            run_file(tmp_path / f"{day}.json", {"nn_rnn": 1.0}, day=day, seed=day)
            for day in range(2)
        ]
        write(tmp_path / "all.json", join_results(files))
        (timeline,) = read_folder(tmp_path).timelines
        assert [point.file for point in timeline.points] == ["all.json"]

    def test_runs_that_nothing_was_joined_from_stay(self, tmp_path):
        stages_in(tmp_path, {"default": environment()})
        run_file(tmp_path / "later.json", {"nn_rnn": 1.0}, day=5, run_id="later")
        timeline = timeline_of(read_folder(tmp_path), "nn_rnn")
        assert [point.file for point in timeline.points] == ["versions.json", "later.json"]

    def test_a_merged_file_holds_its_parts_under_other_names(self, tmp_path):
        old = run_file(tmp_path / "a.json", {"nn_rnn": 1.0}, run_id="a")
        new = run_file(
            tmp_path / "b.json",
            {"nn_rnn": 2.0},
            day=1,
            run_id="b",
            environments={"default": environment(torch="2.14.0")},
        )
        merge_results([old, new], tmp_path / "merged.json")
        history = read_folder(tmp_path)
        (timeline,) = history.timelines
        assert [(point.file, point.environment) for point in timeline.points] == [
            ("merged.json", "default"),
            ("merged.json", "default-2"),
        ]
        assert [one.path for one in history.skipped] == ["a.json", "b.json"]

    def test_merged_files_that_share_a_part_count_it_once(self, tmp_path):
        parts = [
            run_file(tmp_path / f"{name}.json", {name: 1.0}, day=day, seed=day, run_id=name)
            for day, name in enumerate(("nn_rnn", "python_loop", "hoisted_loop"))
        ]
        (tmp_path / "kept").mkdir()
        merge_results(parts[:2], tmp_path / "kept" / "first.json")
        merge_results(parts[1:], tmp_path / "kept" / "second.json")
        history = read_folder(tmp_path / "kept")
        points = {
            one.case["implementation"]: [point.file for point in one.points]
            for one in history.timelines
        }
        assert points == {
            "nn_rnn": ["first.json"],
            "python_loop": ["first.json"],
            "hoisted_loop": ["second.json"],
        }

    def test_a_copy_of_a_packed_joined_file_is_left_out(self, tmp_path):
        _, whole = stages_in(tmp_path, {"default": environment()})
        with gzip.open(tmp_path / "copy.json.gz", "wb") as stream:
            stream.write(whole.read_bytes())
        history = read_folder(tmp_path)
        assert [len(one.points) for one in history.timelines] == [1, 1]
        assert {one.path for one in history.skipped} == {
            "stage-1.json",
            "stage-2.json",
            "versions.json",
        }


class TestNoise:
    SLOWER = name_of_planted(0.05)

    def session(self, path, *, day=0):
        environments = {SAME: environment(), AGAIN: environment()}
        environments[self.SLOWER] = environment(planted=0.05)
        factors = {SAME: 1.0, AGAIN: 1.0, self.SLOWER: 1.05}
        return run_file(
            path,
            {name: {"nn_rnn": factor} for name, factor in factors.items()},
            day=day,
            seed=int(24 * day),
            environments=environments,
            run_id=f"noise-{day}",
        )

    def test_one_point_is_kept_and_no_planted_slowdown(self, tmp_path):
        self.session(tmp_path / "noise.json")
        run_file(tmp_path / "later.json", {"nn_rnn": 1.0}, day=1, run_id="later")
        history = read_folder(tmp_path)
        assert history.by == "time"
        (timeline,) = history.timelines
        assert [(point.file, point.environment) for point in timeline.points] == [
            ("noise.json", SAME),
            ("later.json", "default"),
        ]
        assert [(one.path, one.reason) for one in history.skipped] == [
            (
                "noise.json",
                "a slowdown was planted in slower-5-percent; again is the same code as same",
            )
        ]
        assert sentences(history)[-1].startswith("1 file left out, whole or in part: noise.json: ")

    def test_sessions_and_what_was_joined_from_them_are_one_point(self, tmp_path):
        files = [self.session(tmp_path / f"session-{n}.json", day=n / 24) for n in (1, 2)]
        write(tmp_path / "noise.json", join_results(files))
        history = read_folder(tmp_path)
        (timeline,) = history.timelines
        assert [(point.file, point.environment) for point in timeline.points] == [
            ("noise.json", SAME)
        ]
        assert {one.path for one in history.skipped} == {
            "noise.json",
            "session-1.json",
            "session-2.json",
        }

    def test_a_slowdown_that_pytest_planted_is_no_point_either(self, tmp_path):
        environments = {"a": environment(), "b": environment(planted=0.1)}
        factors = {"a": {"nn_rnn": 1.0}, "b": {"nn_rnn": 1.1}}
        run_file(tmp_path / "x.json", factors, environments=environments)
        history = read_folder(tmp_path)
        (timeline,) = history.timelines
        assert [point.environment for point in timeline.points] == ["a"]
        assert [one.reason for one in history.skipped] == ["a slowdown was planted in b"]

    def test_two_states_of_a_plug_in_are_two_points(self, tmp_path):
        environments = {"a": environment(), "b": environment()}
        factors = {"a": {"nn_rnn": 1.0}, "b": {"nn_rnn": 1.1}}
        run_file(tmp_path / "x.json", factors, environments=environments)
        (timeline,) = read_folder(tmp_path).timelines
        assert [point.environment for point in timeline.points] == ["a", "b"]


class TestReportSection:
    def test_three_times_on_a_machine_make_a_section(self, tmp_path):
        folder = folder_of(tmp_path / "runs", 3)
        files = sorted(folder.iterdir())
        assert report_sections(read(files[:2])) == ()
        (section,) = report_sections(read(files))
        assert section.name == "history"
        assert [table.name for table in section.tables] == ["timelines"]
        assert any("which need 10: the longest has 3" in text for text in section.sentences)

    def test_three_machines_once_each_make_none(self, tmp_path):
        for day in range(3):
            cpu = {"model": f"CPU {day}", "count": 2}
            run_file(
                tmp_path / f"{day}.json",
                {"nn_rnn": 1.0},
                day=day,
                environments={"default": environment(cpu=cpu)},
            )
        assert report_sections(read(sorted(tmp_path.iterdir()))) == ()

    def test_without_ruptures_a_sentence_stands_there(self, tmp_path, monkeypatch):
        folder = folder_of(tmp_path / "runs", 3)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        (section,) = report_sections(read(sorted(folder.iterdir())))
        assert not section.tables
        assert "pip install 'rnnbench[history]'" in section.sentences[0]

    def test_a_history_of_what_is_read_needs_no_folder(self, tmp_path):
        folder = folder_of(tmp_path / "runs", 3)
        made = history_of(read(sorted(folder.iterdir())))
        assert [len(one.points) for one in made.timelines] == [3, 3]
        assert made.longest == 3
