"""What rnnbench uses of pytest-benchmark's inside is there and does what it relies on.

These tests drive real runs, so that they fail when a version of pytest-benchmark changes it.
"""

import json
import math
import os
import stat
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from rnnbench.measuring import recording
from rnnbench.measuring.recording import write_atomically

CONFTEST = """
import pytest
from rnnbench.measuring import recording

@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    recording.check_json_path(session.config)
    recording.prepare_session(session.config)
    session.prepared = True

def pytest_benchmark_update_json(config, output_json):
    output_json["added"] = {"benchmarks": len(output_json["benchmarks"])}

@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    if hasattr(session, "prepared"):
        recording.save_without_benchmarks(session.config)
"""

RECORDS = """
import pytest
from rnnbench.measuring import recording

@pytest.mark.parametrize("case", ["a"])
def test_it(case, benchmark):
    assert not recording.is_disabled(benchmark)
    recording.record(
        benchmark, group="g", iterations=4, rounds=[0.25, 0.5, 1.5], extra_info={"x": [1]}
    )
"""

INTERRUPTED = """
from rnnbench.measuring import recording

def rounds():
    yield 0.25
    raise KeyboardInterrupt

def test_whole(benchmark):
    recording.record(benchmark, group="g", iterations=1, rounds=[0.5], extra_info={})

def test_cut(benchmark):
    recording.record(benchmark, group="g", iterations=1, rounds=rounds(), extra_info={})
"""

RECORDS_NOTHING = """
from rnnbench.measuring import recording

def test_it(benchmark):
    recording.mark_used(benchmark)
"""


@pytest.fixture
def run(tmp_path, nested):
    """Run a test that uses `recording` as the plugin does; returns the run and its JSON's path."""

    def run(test, *arguments):
        (tmp_path / "conftest.py").write_text(CONFTEST)
        (tmp_path / "test_recorded.py").write_text(test)
        path = tmp_path / "out.json"
        return nested("test_recorded.py", f"--benchmark-json={path}", *arguments), path

    return run


class TestRecord:
    @pytest.fixture
    def recorded(self, run):
        done, path = run(RECORDS)
        assert done.returncode == 0, done.stdout + done.stderr
        return done, json.loads(path.read_text())

    def test_rounds_become_pytest_benchmarks_own_result(self, recorded):
        _, document = recorded
        (benchmark,) = document["benchmarks"]
        stats = benchmark["stats"]
        assert benchmark["name"] == "test_it[a]"
        assert benchmark["group"] == "g"
        assert benchmark["extra_info"] == {"rnnbench": {"x": [1]}}
        assert stats["data"] == [0.25, 0.5, 1.5], "seconds per call, whatever the iterations"
        assert (stats["rounds"], stats["iterations"]) == (3, 4)
        assert stats["mean"] == 0.75
        assert (stats["min"], stats["median"], stats["max"]) == (0.25, 0.5, 1.5)

    def test_the_document_has_pytest_benchmarks_parts_and_what_the_hook_adds(self, recorded):
        done, document = recorded
        assert document["added"] == {"benchmarks": 1}
        assert {"machine_info", "commit_info", "datetime", "version"} <= set(document)
        assert document["version"] == version("pytest-benchmark")
        assert "Rounds" not in done.stdout, "there is one table, and not its own beside it"

    def test_its_table_comes_back_when_asked_for(self, run):
        done, _ = run(RECORDS, "--benchmark-verbose")
        assert "Rounds" in done.stdout

    def test_a_fixture_that_records_nothing_is_no_mistake(self, run):
        done, path = run(RECORDS_NOTHING)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "was not used" not in done.stdout + done.stderr
        document = json.loads(path.read_text())
        assert document["benchmarks"] == []
        assert document["added"] == {"benchmarks": 0}
        assert "machine_info" in document

    def test_an_interrupt_leaves_no_part_of_a_result(self, run):
        done, path = run(INTERRUPTED)
        assert done.returncode == 2, done.stdout + done.stderr
        names = [benchmark["name"] for benchmark in json.loads(path.read_text())["benchmarks"]]
        assert names == ["test_whole"]


class TestDisabled:
    def test_nothing_is_written_so_that_an_older_result_stays(self, run, tmp_path):
        (tmp_path / "out.json").write_text("the old result")
        done, path = run(RECORDS_NOTHING, "--benchmark-disable")
        assert done.returncode == 0, done.stdout + done.stderr
        assert path.read_text() == "the old result"

    def test_the_fixture_says_so(self, run):
        test = RECORDS_NOTHING + "    assert recording.is_disabled(benchmark)\n"
        assert run(test, "--benchmark-disable")[0].returncode == 0


class TestJsonPath:
    @pytest.mark.parametrize(
        ("kind", "says"),
        [
            ("read-only folder", "it cannot be written there; choose another folder"),
            ("read-only file", "it cannot be written there; choose another folder"),
        ],
    )
    def test_a_path_that_could_not_be_written_is_refused_before_the_first_test(
        self, kind, says, tmp_path, nested
    ):
        folder = tmp_path / "there"
        folder.mkdir()
        path = folder / "out.json"
        if kind == "read-only file":
            path.write_text("old")
        # Whoever runs these tests may be root, who can write anywhere.
        locked = {"read-only folder": folder, "read-only file": path}[kind]
        (tmp_path / "conftest.py").write_text(
            "import os\nreal = os.access\n"
            f"os.access = lambda path, mode: str(path) != {str(locked)!r} and real(path, mode)\n"
            + CONFTEST
        )
        (tmp_path / "test_recorded.py").write_text("def test_it(benchmark):\n    print('RAN')\n")
        done = nested("test_recorded.py", "-s", f"--benchmark-json={path}")
        assert done.returncode == 4
        assert f"ERROR: --benchmark-json {path}: " in done.stderr
        assert says in done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        assert "RAN" not in done.stdout
        if kind == "read-only file":
            assert path.read_text() == "old"


class TestWriteAtomically:
    def test_it_writes_what_was_given(self, tmp_path):
        document = {"a": [1, 2.5, None, "größer"], "b": {"c": (True,)}}
        write_atomically(tmp_path / "r.json", document)
        assert json.loads((tmp_path / "r.json").read_text()) == {
            "a": [1, 2.5, None, "größer"],
            "b": {"c": [True]},
        }

    def test_numbers_that_json_lacks_become_null(self, tmp_path):
        document = {"ops": math.inf, "rows": [math.nan, (-math.inf, 1.0)]}
        write_atomically(tmp_path / "r.json", document)
        text = (tmp_path / "r.json").read_text()
        assert json.loads(text, parse_constant=pytest.fail) == {
            "ops": None,
            "rows": [None, [None, 1.0]],
        }

    def test_a_new_file_is_as_readable_as_any(self, tmp_path):
        write_atomically(tmp_path / "r.json", {})
        (tmp_path / "plain").write_text("")
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("r.json", "plain")]
        assert modes[0] == modes[1]

    @pytest.mark.parametrize("fails", ["serialising", "writing", "renaming"])
    def test_the_old_file_stays_whole_when_something_fails(self, tmp_path, monkeypatch, fails):
        path = tmp_path / "r.json"
        write_atomically(path, {"old": True})

        def fail(*_):
            raise OSError("planted")

        class Unprintable:
            __str__ = __repr__ = fail

        document = {"new": Unprintable() if fails == "serialising" else True}
        if fails == "writing":
            monkeypatch.setattr(os, "fsync", fail)
        elif fails == "renaming":
            monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="planted"):
            write_atomically(path, document)
        assert json.loads(path.read_text()) == {"old": True}
        assert list(tmp_path.iterdir()) == [path], "no temporary file may stay behind"

    def test_it_is_on_disk_before_it_takes_the_old_ones_place(self, tmp_path, monkeypatch):
        done = []
        for name in ("fsync", "replace"):
            real = getattr(os, name)
            monkeypatch.setattr(
                os, name, lambda *a, name=name, real=real: (done.append(name), real(*a))[1]
            )
        write_atomically(tmp_path / "r.json", {})
        assert done == ["fsync", "replace"]


def test_rounds_keep_what_a_clock_tells_and_no_more():
    rounds = [3.4512345678901234e-05, 1.0000000004e-06, 2.0]
    benchmarks = [{"stats": {"data": rounds, "min": 1.0}}, {"stats": {"min": 1.0}}]
    recording.shorten(benchmarks)
    assert benchmarks == [
        {"stats": {"data": [3.4512346e-05, 1e-06, 2.0], "min": 1.0}},
        {"stats": {"min": 1.0}},
    ]


def test_the_supported_range_holds_this_version_and_none_that_empties_the_file_first():
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    (needed,) = [
        Requirement(line)
        for line in pyproject["project"]["dependencies"]
        if line.startswith("pytest-benchmark")
    ]
    assert needed.specifier.contains(version("pytest-benchmark"))
    assert not any(needed.specifier.contains(old) for old in ("5.1.0", "5.2.3", "5.3.0", "6.0"))
