"""The suites are found beside the source and inside an installed package, and nowhere else."""

import sys
from pathlib import Path

import pytest

import rnnbench
from rnnbench.errors import UserError
from rnnbench.regressions.suites import suites_command, suites_folder


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package as it lies in site-packages."""
    package = tmp_path / "rnnbench"
    package.mkdir()
    monkeypatch.setattr(rnnbench, "__file__", str(package / "__init__.py"))
    return package


def suites_in(folder):
    (folder / "suites").mkdir()
    (folder / "suites" / "test_layer.py").touch()
    return folder / "suites"


def test_those_of_the_package_are_found(installed):
    inside = suites_in(installed)
    assert suites_folder() == inside


def test_those_of_a_source_tree_come_first(installed):
    suites_in(installed)
    beside = suites_in(installed.parent)
    assert suites_folder() == installed / "suites", "another project's, beside site-packages"
    (installed.parent / "pyproject.toml").touch()
    assert suites_folder() == beside


def test_without_any_it_says_so(installed):
    with pytest.raises(UserError, match="the suites are missing in .*; install rnnbench anew"):
        suites_folder()


def test_the_command_heeds_no_settings_of_a_project_around():
    command = suites_command(Path("r.json"), ["--rnn-grid=quick"])
    assert command[:3] == [sys.executable, "-m", "pytest"]
    assert command[command.index("-c") + 1] == "/dev/null"
    assert f"--rootdir={suites_folder().parent}" in command
    assert "--benchmark-json=r.json" in command
    assert command[-1] == "--rnn-grid=quick"
