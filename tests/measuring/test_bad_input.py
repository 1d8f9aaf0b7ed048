"""What is given wrong gets one sentence, exit status 4, no traceback, and overwrites nothing."""

import os
import sys

import pytest

OLD = "an older result"


def files(folder):
    """All that lies in a folder, but for what is made by pytest-benchmark and by any import."""
    caches = {".benchmarks", "__pycache__"}
    return sorted(path for path in folder.rglob("*") if not caches & {path.name, path.parent.name})


@pytest.fixture
def refused(suite):
    """Run with something wrong in it; returns the sentence after ``ERROR:``."""

    def refused(*arguments, json="result.json", **options):
        old = suite.folder / "result.json"
        old.write_text(OLD)
        before = files(suite.folder)
        done = suite(*arguments, json=json, **options)
        assert done.status == 4, done.said
        assert "Traceback" not in done.said
        assert "INTERNALERROR" not in done.said
        assert "passed" not in done.output
        sentences = [line for line in done.errors.splitlines() if line.startswith("ERROR: ")]
        assert len(sentences) == 1, done.errors
        assert old.read_text() == OLD
        assert files(suite.folder) == before, "a refused run leaves no file"
        return sentences[0].removeprefix("ERROR: ")

    return refused


class TestAxes:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"implementation": "nn_rn"}, ["--rnn-implementation", "nn_rn", "nn_rnn"]),
            ({"batch": "1,-2"}, ["--rnn-batch", "-2"]),
            ({"hidden": "0"}, ["--rnn-hidden", "0"]),
            ({"batch": ","}, ["--rnn-batch"]),
        ],
    )
    def test_a_wrong_value_is_named_with_its_option(self, refused, options, says):
        sentence = refused(**options)
        assert all(word in sentence for word in says), sentence

    def test_an_empty_axis_is_named(self, refused):
        assert "--rnn-batch" in refused("--rnn-batch=", batch=None)


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"seconds": "0"}, "--rnn-seconds is 0.0; give seconds above 0"),
            ({"replicates": "0"}, "--rnn-replicates is 0; give 1 or more"),
            ({"baseline": "nobody"}, "--rnn-baseline 'nobody' is no implementation; known: aot_"),
            ({"cores": "0,x"}, "--rnn-cores '0,x' is no list of numbers; give for example 2,3"),
            ({"cores": "99999"}, "--rnn-cores names core 99999, which this process may not use"),
        ],
    )
    def test_a_wrong_value_is_named_with_what_to_give(self, refused, options, says):
        assert says in refused(**options)

    def test_what_is_no_number_is_argparses_to_refuse(self, suite):
        done = suite(replicates="many")
        assert done.status == 4
        assert "argument --rnn-replicates: invalid int value: 'many'" in done.errors
        assert "Traceback" not in done.said


class TestGrids:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("description = [", "is no TOML"),
            ('description = "x"\ncolour = "red"\n', 'there is no key "colour"'),
            ('description = "x"\n[[product]]\nbatch = "two"\n', "two"),
        ],
    )
    def test_a_wrong_file_is_named(self, refused, tmp_path, text, says):
        grid = tmp_path / "mine.toml"
        grid.write_text(text)
        sentence = refused(grid=grid, batch=None)
        assert "mine.toml" in sentence
        assert says in sentence

    def test_an_unknown_name_is_told_with_the_known_ones(self, refused):
        sentence = refused(grid="quik")
        assert '"quik"' in sentence
        assert "quick" in sentence


class TestPlugins:
    @pytest.fixture
    def plugin(self, tmp_path):
        (tmp_path / "plug-ins").mkdir()

        def write(text):
            path = tmp_path / "plug-ins" / "mine.py"
            path.write_text(text)
            return path

        return write

    def test_one_that_is_missing(self, refused):
        assert "'/no/such.py' is not a file; give the path" in refused(plugin="/no/such.py")

    def test_one_that_does_not_import(self, refused, plugin):
        sentence = refused(plugin=plugin("import no_such_module\n"))
        assert "mine.py' does not import: ModuleNotFoundError: No module named" in sentence

    def test_one_that_takes_a_taken_name(self, refused, plugin):
        text = (
            "from rnnbench.implementations import implementation\n"
            "@implementation('nn_rnn', 'mine')\ndef build(case, weights): ...\n"
        )
        sentence = refused(plugin=plugin(text))
        assert "implementation 'nn_rnn' is registered already; choose another name" in sentence

    def test_one_whose_name_could_not_stand_in_an_id(self, refused, plugin):
        text = (
            "from rnnbench.implementations import implementation\n"
            "@implementation('my-cell', 'mine')\ndef build(case, weights): ...\n"
        )
        sentence = refused(plugin=plugin(text), implementation="my-cell")
        assert "'my-cell'; use letters, digits and _ . +" in sentence


class TestEnvironments:
    def test_another_form(self, refused):
        assert "--rnn-python '/usr/bin/python' is not NAME=PATH" in refused(
            python="/usr/bin/python"
        )

    def test_a_program_that_is_not_there(self, refused):
        assert "'/no/python' is not a program that can be run" in refused(python="x=/no/python")

    def test_a_python_without_torch(self, refused, tmp_path):
        bare = tmp_path / "bare"
        # -I -S: the standard library alone.
        bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
        bare.chmod(0o755)
        sentence = refused(python=f"bare={bare}")
        assert "environment 'bare'" in sentence
        assert "No module named 'torch'" in sentence
        assert "it needs Python 3.10 or newer with PyTorch 2.1 or newer" in sentence


class TestDevices:
    def test_one_that_is_not_there(self, refused):
        torch = pytest.importorskip("torch")
        if torch.backends.mps.is_available():
            pytest.skip("this machine has MPS")
        sentence = refused(device="mps")
        assert "--rnn-device mps: PyTorch " in sentence
        assert "finds no mps device here; leave it out" in sentence


class TestJsonPath:
    def test_a_folder_that_is_not_there(self, refused, tmp_path):
        sentence = refused(json="no/such/folder/result.json")
        assert f"the folder {tmp_path}/no/such/folder does not exist; make it first" in sentence

    def test_a_folder_in_place_of_a_file(self, refused, tmp_path):
        (tmp_path / "folder").mkdir()
        assert "folder: this is a folder; give a file's path" in refused(json="folder")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root can write anywhere")
    def test_one_that_cannot_be_written(self, refused, tmp_path):
        (tmp_path / "locked").mkdir(mode=0o500)
        assert "it cannot be written there" in refused(json="locked/result.json")


class TestResume:
    def test_without_a_json_path(self, refused):
        assert "--rnn-resume needs --benchmark-json" in refused("--rnn-resume", json=None)

    def test_with_a_journal_that_is_none(self, refused, tmp_path):
        (tmp_path / "result.json.journal").write_text("hello\n")
        assert "does not begin as a journal of rnnbench does" in refused("--rnn-resume")

    def test_with_a_journal_that_is_damaged(self, refused, tmp_path):
        journal = tmp_path / "result.json.journal"
        journal.write_text('{"type": "run", "identity": {}}\n{"type": "bl\n{"type": "end"}\n')
        assert "'result.json.journal' is damaged in line 2" in refused("--rnn-resume")
        assert journal.read_text().count("\n") == 3

    def test_with_the_journal_of_another_run(self, refused, tmp_path):
        journal = tmp_path / "result.json.journal"
        record = '{"type": "run", "identity": {"cases": "others", "rnnbench": "0.0"}}\n'
        journal.write_text(record)
        sentence = refused("--rnn-resume")
        assert "the journal is of another run; different are cases, environments" in sentence
        assert journal.read_text() == record


def test_parallel_workers_of_pytest_are_refused(suite, tmp_path):
    """xdist need not be installed: its workers are told by ``config.workerinput``."""
    (tmp_path / "worker_of_xdist.py").write_text(
        "def pytest_configure(config):\n    config.workerinput = {'workerid': 'gw0'}\n"
    )
    done = suite("-p", "worker_of_xdist", variables={"PYTHONPATH": str(tmp_path)})
    assert done.status == 2, done.said
    assert "benchmarks cannot run under pytest-xdist: competitors take turns in one run;" in (
        done.output
    )
    assert "Traceback" not in done.said
    assert not done.json.exists()
