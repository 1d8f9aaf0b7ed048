"""Wrong files and paths: one line with file and field, status 2, an earlier report kept."""

import gzip
import json
import os
import sys

import pytest

from rnnbench.cli import main
from rnnbench.report.writer import write_report
from rnnbench.results import read
from rnnbench.schema import SCHEMA_VERSION
from tests.conftest import finished
from tests.report.made import content, small_report
from tests.report.test_writer import snapshot
from tests.synthetic import write

FIRST = "benchmarks[0]"
OURS = f"{FIRST}.extra_info.rnnbench"


def stats(made):
    return made["benchmarks"][0]["stats"]


def ours(made):
    return made["benchmarks"][0]["extra_info"]["rnnbench"]


@pytest.fixture
def folder(tmp_path):
    """Where everything lies: a valid file, and an earlier report."""
    path = write(tmp_path / "good.json", content())
    results = read(path)
    write_report(small_report(results, title="Earlier"), results, tmp_path / "report")
    return tmp_path


@pytest.fixture
def refused(folder, capsys):
    """Run a command that must fail; returns what it says. Nothing may change in the folder."""

    def refused(*arguments):
        before = snapshot(folder)
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert ended.value.code == 2
        assert printed.out == ""
        assert printed.err.startswith("rnnbench: ")
        assert printed.err.count("\n") == 1
        assert "Traceback" not in printed.err
        assert snapshot(folder) == before
        return printed.err

    return refused


def commands_on(folder, *files):
    """Every command that reads result files."""
    return [
        ("report", *files),
        ("report", *files, "--output", folder / "report"),
        ("report", *files, "--output", folder / "new"),
        ("table", "fastest", *files),
        ("export", *files, "--output", folder / "out.csv"),
    ]


def changed(change):
    made = content()
    change(made)
    return json.dumps(made).encode()


def _set(get, key, value):
    def change(made):
        get(made)[key] = value

    return change


def _twice(made):
    made["benchmarks"].append(json.loads(json.dumps(made["benchmarks"][0])))
    stats(made)["data"][0] *= 2


def _no_rounds(made):
    stats(made).update(data=[], rounds=0)
    ours(made)["blocks"] = []


def _plain_pytest_benchmark(made):
    del made["rnnbench"]
    for benchmark in made["benchmarks"]:
        benchmark["extra_info"] = {}


def _with(time):
    return lambda made: stats(made)["data"].__setitem__(1, time)


WHOLE = json.dumps(content()).encode()

FILES = {
    "empty": (b"", "the file is empty"),
    "blank": (b" \n", "the file is empty"),
    "cut": (WHOLE[: len(WHOLE) // 2], "is no JSON, or was cut off"),
    "cut_gzip": (gzip.compress(WHOLE)[:-20], "is compressed, but broken or cut off"),
    "broken_gzip": (b"\x1f\x8b" + b"x" * 99, "cannot be read"),
    "gzip_of_nothing": (gzip.compress(b""), "the file is empty"),
    "no_json": (b"hello: world", "is no JSON"),
    "binary": (bytes(range(256)), "is no JSON"),
    "list": (b"[1, 2]", "the document is [1, 2]; it must be an object"),
    "number": (b"3", "the document is 3; it must be an object"),
    "something_else": (b'{"name": "x"}', "rnnbench is missing; this file was not written by"),
    "other_project": (changed(_plain_pytest_benchmark), "rnnbench is missing; this file was not"),
    "newer_schema": (
        changed(lambda made: made["rnnbench"].update(schema=99)),
        f"rnnbench.schema is 99, and this rnnbench reads schemas up to {SCHEMA_VERSION}; upgrade "
        "rnnbench",
    ),
    "negative": (changed(_with(-0.1)), f"{FIRST}.stats.data[1] is -0.1; it must be finite sec"),
    "infinite": (changed(_with(float("inf"))), f"{FIRST}.stats.data[1] is Infinity"),
    "overflowing": (WHOLE.replace(b'"data": [', b'"data": [1e999, ', 1), f"{FIRST}.stats.data[0]"),
    "nan": (changed(_with(float("nan"))), f"{FIRST}.stats.data[1] is NaN, which JSON does not"),
    "zero": (changed(_with(0)), f"{FIRST}.stats.data[1] is 0; it must be finite seconds above 0"),
    "text": (changed(_with("fast")), f'{FIRST}.stats.data[1] is "fast"'),
    "eternal": (changed(_with(1e13)), "it must be finite seconds above 0, from 1e-15 to 1e12"),
    "no_rounds": (changed(_no_rounds), f"{FIRST}.stats.data is empty"),
    "no_stats": (changed(lambda made: made["benchmarks"][0].pop("stats")), f"{FIRST}.stats is mi"),
    "duplicate": (changed(_twice), "benchmarks[4].extra_info.rnnbench.case is the same case as"),
    "unknown_environment": (
        changed(lambda made: made["rnnbench"].update(environments={})),
        f"{OURS}.case.environment is",
    ),
    "huge_size": (
        changed(lambda made: ours(made)["case"].update(batch=10**30)),
        f"{OURS}.case.batch is 1000000000000000000000000000000; it must be a whole number of 1 or "
        "more, below 2**63",
    ),
    "huge_work": (
        changed(lambda made: ours(made)["work"].update(flops=10**400)),
        f"{OURS}.work.flops is 1000",
    ),
    "deep": (
        WHOLE.replace(b'"grid": {', b'"grid": {"x": ' + b"[" * 500 + b"]" * 500 + b", ", 1),
        "is nested too deeply",
    ),
    "deeper": (b"[" * 10**5, "is nested too deeply"),
    "endless_number": (b"[" + b"9" * 5000 + b"]", "is no JSON"),
    "infinite_load": (
        WHOLE.replace(b'"load": {', b'"load": {"x": 1e999, ', 1),
        "rnnbench.load.x is a number beyond all",
    ),
}


class TestFiles:
    @pytest.mark.parametrize("name", FILES)
    def test_each_command_names_the_file_and_what_is_wrong(self, folder, refused, name):
        data, expected = FILES[name]
        path = folder / f"{name}.json"
        path.write_bytes(data)
        for arguments in commands_on(folder, path):
            said = refused(*arguments)
            assert said.startswith(f"rnnbench: {path}: "), said
            assert expected in said

    def test_one_bad_file_among_good_ones_is_named(self, folder, refused):
        bad = folder / "bad.json"
        bad.write_text("{")
        for arguments in commands_on(folder, folder / "good.json", bad):
            assert f"rnnbench: {bad}: is no JSON" in refused(*arguments)

    def test_a_missing_one_and_a_folder_are_named(self, folder, refused):
        for arguments in commands_on(folder, folder / "absent.json"):
            assert f"{folder}/absent.json: there is no such file" in refused(*arguments)
        for arguments in commands_on(folder, folder / "report"):
            assert f"{folder}/report: cannot be read: Is a directory" in refused(*arguments)

    def test_the_same_file_twice_is_refused(self, folder, refused):
        (folder / "link.json").symlink_to("good.json")
        for arguments in commands_on(folder, folder / "good.json", folder / "link.json"):
            assert "is the same file as" in refused(*arguments)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_one_that_may_not_be_read_is_named(self, folder, refused):
        (folder / "good.json").chmod(0)
        for arguments in commands_on(folder, folder / "good.json"):
            assert "good.json: cannot be read: Permission denied" in refused(*arguments)

    @pytest.mark.parametrize("name", ["a\x00b", "x" * 5000])
    def test_a_path_that_can_be_none_is_refused(self, folder, refused, name):
        for arguments in commands_on(folder, name):
            refused(*arguments)

    def test_what_would_move_the_cursor_is_written_out(self, folder, refused):
        made = content()
        made["rnnbench"]["environments"]["\x1b[2J\u202e"] = 3
        path = write(folder / "cursor.json", made)
        said = refused("report", path)
        assert "\x1b" not in said and "\u202e" not in said
        assert r"rnnbench.environments.\u001b[2J\u202e is 3" in said


class TestOutput:
    def test_a_path_that_cannot_be_written_is_refused_before_files_are_read(self, folder, refused):
        (folder / "dead").symlink_to("nowhere")
        for output, reason in (
            (folder / "good.json", "is a file; give a folder"),
            (folder / "absent" / "report", "does not exist; make it first"),
            (folder / "good.json" / "report", "Not a directory"),
            (folder / "dead", "is a link to nothing"),
            ("", "is empty"),
        ):
            said = refused("report", "absent.json", "--output", output)
            assert said.startswith("rnnbench: --output ")
            assert reason in said

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_may_not_be_written_is_refused(self, folder, refused):
        (folder / "report").chmod(0o500)
        said = refused("report", folder / "good.json", "--output", folder / "report")
        assert "is not writable" in said

    def test_a_folder_with_files_of_others_in_the_way_is_refused(self, folder, refused):
        (folder / "site").mkdir()
        (folder / "site" / "index.html").write_text("mine")
        said = refused("report", folder / "good.json", "--output", folder / "site")
        assert "index.html is there already and is of no earlier report" in said

    def test_an_export_never_replaces_what_was_measured(self, folder, refused):
        said = refused("export", folder / "good.json", "--output", folder / "good.json")
        assert "is one of the files to read" in said

    def test_an_export_to_a_folder_or_nowhere_is_refused(self, folder, refused):
        (folder / "folder.csv").mkdir()
        for output, reason in (
            (folder / "folder.csv", "is a folder"),
            (folder / "absent" / "out.csv", "does not exist"),
            (folder / "out.xlsx", "its ending names no format"),
        ):
            assert reason in refused("export", "absent.json", "--output", output)


class TestOptions:
    def test_a_baseline_that_no_case_has_is_answered_with_those_there_are(self, folder, refused):
        for arguments in commands_on(folder, folder / "good.json")[:4]:
            said = refused(*arguments, "--baseline", "compiled_loop")
            assert "--baseline" in said and "compiled_loop" in said
            assert "nn_rnn, python_loop" in said

    def test_runs_of_two_machines_are_not_paired(self, folder, refused):
        made = content(seed=1)
        made["rnnbench"]["environments"]["default"]["cpu"]["model"] = "Another CPU"
        other = write(folder / "other.json", made)
        for arguments in commands_on(folder, folder / "good.json", other)[:4]:
            said = refused(*arguments, "--paired")
            assert f"--paired: {folder}/good.json and {other} are separate runs" in said


def test_a_real_process_ends_with_status_2_and_one_line(folder):
    (folder / "bad.json").write_bytes(WHOLE[:1000])
    command = [sys.executable, "-m", "rnnbench", "report", "bad.json", "--output", "report"]
    before = snapshot(folder)
    done = finished(command, folder, {})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("rnnbench: bad.json: is no JSON, or was cut off")
    assert done.stderr.count("\n") == 1
    assert snapshot(folder) == before


def test_a_name_that_is_no_text_does_no_harm(folder):
    odd = os.fsdecode(b"\xe4\x1b.json")
    os.rename(folder / "good.json", folder / odd)
    output = os.fsdecode(b"out\xe4.csv")
    for arguments, status in (
        (["report", odd], 0),
        (["table", "cases", odd, "--format", "csv"], 0),
        (["export", odd, "--output", output], 0),
        (["report", odd, "--output", odd], 2),
        (["report", output], 2),
    ):
        done = finished([sys.executable, "-m", "rnnbench", *arguments], folder, {})
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") == (1 if status else 0)
