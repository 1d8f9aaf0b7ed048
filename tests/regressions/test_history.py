"""A folder of results as timelines: what is read, what is kept apart, and in which order."""

import dataclasses
import gzip
import json

import pytest

pytest.importorskip("ruptures")

from rnnbench.errors import UserError
from rnnbench.regressions.history import history_of
from rnnbench.regressions.history_folder import read_folder
from rnnbench.regressions.history_section import report_sections
from rnnbench.results import read
from tests.regressions.made import case
from tests.regressions.timelines import folder_of, run_file
from tests.synthetic import environment

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
