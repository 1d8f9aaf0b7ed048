"""README's CI workflow: its options exist, and a case that breaks gets as far as the comparison."""

import os
import re
import shlex
import subprocess
import sys
from itertools import takewhile

import pytest

from rnnbench.regressions.compare_command import FailOn
from tests.conftest import REPOSITORY, finished, nested_pytest

TITLE = "<summary>In a CI workflow</summary>"


def scripts(workflow):
    """The text of each `run` of a workflow, as far as README writes YAML."""
    lines = workflow.splitlines()
    found = []
    for at, line in enumerate(lines):
        match = re.fullmatch(r"(?P<indent> *(?:- )?)run: (?P<text>.+)", line)
        if match is None:
            continue
        indent, text = len(match["indent"]), match["text"]
        if text in ("|", ">"):
            within = takewhile(
                lambda other: len(other) - len(other.lstrip()) > indent, lines[at + 1 :]
            )
            text = ("\n" if text == "|" else " ").join(map(str.strip, within))
        found.append(text)
    return found


@pytest.fixture(scope="module")
def workflow():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert text.count(TITLE) == 1
    return re.search(r"```yaml\n(.*?)```", text.partition(TITLE)[2], re.DOTALL)[1]


@pytest.fixture(scope="module")
def steps(workflow):
    """The scripts of the four steps that run something."""
    install, measure, compare, comment = scripts(workflow)
    return {"install": install, "measure": measure, "compare": compare, "comment": comment}


def long_options(script):
    return {word.partition("=")[0] for word in shlex.split(script) if word.startswith("--")}


class TestOptions:
    def test_pytest_has_those_of_the_measurement(self, steps, tmp_path):
        used = long_options(steps["measure"])
        assert {"--rnn-python", "--benchmark-json"} <= used
        said = finished(nested_pytest("--help"), tmp_path, {}).stdout
        assert used <= set(re.findall(r"--[a-z-]+", said))

    def test_compare_has_its_own(self, steps, tmp_path):
        used = long_options(steps["compare"])
        assert {"--fail-on", "--output"} <= used
        command = [sys.executable, "-m", "rnnbench", "compare", "--help"]
        said = finished(command, tmp_path, {"COLUMNS": "200"}).stdout
        assert used <= set(re.findall(r"--[a-z-]+", said))

    def test_what_compare_fails_on_is_slower_and_failing(self, steps):
        asked = re.findall(r"--fail-on (\S+)", steps["compare"])
        assert [FailOn(word) for word in asked] == [FailOn.SLOWER, FailOn.FAILING]

    def test_the_environments_that_are_measured_are_installed_and_compared(self, steps):
        measured = dict(re.findall(r"--rnn-python (\w+)=(\S+)", steps["measure"]))
        assert list(measured) == re.findall(r"two\.json@(\w+)", steps["compare"])
        assert measured == {name: f"{name}/bin/python" for name in measured}
        for name in measured:
            assert f"python -m venv {name} && " in steps["install"]

    def test_a_version_to_come_is_looked_for_where_nightly_ones_are(self, steps, workflow):
        (line,) = [line for line in steps["install"].splitlines() if "--pre" in line]
        (variable,) = re.findall(r'--index-url "\$(\w+)"', line)
        assert f'{variable}: "${{{{ vars.' in workflow, "--pre alone gives the newest release"


class TestSteps:
    """Each step in the shell that GitHub runs it in, with stubs of what it calls."""

    @pytest.fixture
    def run(self, steps, tmp_path):
        (tmp_path / ".venv" / "bin").mkdir(parents=True)

        def run(step, **stubs):
            for name, script in stubs.items():
                stub = tmp_path / ".venv" / "bin" / name
                stub.write_text(f"#!/bin/sh\n{script}\n")
                stub.chmod(0o755)
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-e", "-c", steps[step]],
                cwd=tmp_path,
                env={**os.environ, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")},
                capture_output=True,
                text=True,
                check=False,
            )
            return done.returncode

        return run

    @pytest.mark.parametrize(
        ("status", "goes_on"),
        [(0, True), (1, True), (2, False), (3, False), (4, False), (5, False)],
    )
    def test_failed_cases_go_on_to_compare_and_nothing_else_does(self, run, status, goes_on):
        assert (run("measure", pytest=f"exit {status}") == 0) is goes_on

    def test_what_pytest_gets_is_what_is_written(self, run, tmp_path):
        assert run("measure", pytest='printf "%s\\n" "$@" > asked') == 0
        asked = (tmp_path / "asked").read_text().split()
        assert asked[0] == "suites"
        assert asked[-1] == "--benchmark-json=two.json"

    @pytest.mark.parametrize("status", [0, 1, 2])
    def test_the_status_of_compare_is_that_of_the_step(self, run, status):
        assert run("compare", rnnbench=f"exit {status}") == status

    def test_the_comment_becomes_the_summary(self, run, tmp_path):
        assert run("compare", rnnbench="echo '### 1 slower' > comment.md; exit 1") == 1
        assert run("comment") == 0
        assert (tmp_path / "summary.md").read_text() == "### 1 slower\n"

    def test_without_a_comment_there_is_no_second_failure(self, run, tmp_path):
        assert run("comment") == 0
        assert not (tmp_path / "summary.md").exists()

    def test_the_last_step_runs_always(self, workflow):
        assert re.search(r"- if: always\(\)\n +run: .*\n*\Z", workflow)
