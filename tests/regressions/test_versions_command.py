"""`rnnbench versions` as a user runs it, on cases of milliseconds."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from rnnbench.cli import main
from rnnbench.measuring.lock import MachineLock
from rnnbench.regressions import environments, versions
from rnnbench.regressions.environments import Environment
from rnnbench.validation import validate
from tests.conftest import TINY, environment
from tests.processes import descendants, is_there
from tests.regressions.made import NEW, OLD, planted, two

TINY_ARGUMENTS = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
PYTHONS = [f"one={sys.executable}", f"two={sys.executable}"]
CELL = """
from rnnbench.implementations import implementation, stacked, step_by_step
import torch

@implementation("mine", "for a test", cells=("rnn_tanh",))
def build(case, weights):
    def step(x_t, h, w_ih, w_hh, b_ih, b_hh):
        {more}
        return torch.tanh(x_t @ w_ih.t() + b_ih + h @ w_hh.t() + b_hh)
    return stacked(case, weights, step_by_step(step))
"""


def command(*arguments):
    return [sys.executable, "-m", "rnnbench", "versions", *map(str, arguments)]


@pytest.fixture
def run(tmp_path):
    def run(*arguments):
        # An environment of these tests alone: nobody's own cache is looked at or emptied.
        variables = environment(XDG_CACHE_HOME=str(tmp_path / "cache"))
        return subprocess.run(
            command(*arguments),
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=variables,
            timeout=300,
        )

    return run


@pytest.mark.slow
@pytest.mark.usefixtures("unwatched")
def test_two_environments_give_one_run_a_file_for_each_and_a_report(run, tmp_path):
    done = run(*PYTHONS, *TINY_ARGUMENTS, "--output", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "out"
    files = [out / name for name in ("versions.json", "versions-one.json", "versions-two.json")]
    assert [validate(file) for file in files] == [[], [], []]
    whole, one, two = (json.loads(file.read_text())["benchmarks"] for file in files)
    assert (len(whole), len(one), len(two)) == (4, 2, 2)
    assert "two against one" in (out / "report" / "index.html").read_text()
    options = json.loads(files[0].read_text())["rnnbench"]["options"]
    assert options["precision"] == 0.001, "no early stop"
    assert "versions-one.json" in done.stdout

    again = run(*PYTHONS, *TINY_ARGUMENTS, "--output", "out")
    assert again.returncode == 2
    assert "holds the result of an earlier run" in again.stderr
    before = files[0].read_bytes()
    resumed = run(*PYTHONS, *TINY_ARGUMENTS, "--output", "out", "--resume")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    data = [x["stats"]["data"] for x in json.loads(before)["benchmarks"]]
    assert [x["stats"]["data"] for x in json.loads(files[0].read_text())["benchmarks"]] == data


@pytest.mark.slow
@pytest.mark.usefixtures("unwatched")
@pytest.mark.parametrize(
    "kind", ["environments", pytest.param("plug-ins", marks=pytest.mark.minutes)]
)
def test_in_stages_what_is_inconclusive_is_measured_again(run, tmp_path, kind):
    tiny = [*TINY_ARGUMENTS, "--replicates=2", "--seconds=0.4", "--stages=2", "--output=out"]
    given = PYTHONS
    if kind == "plug-ins":
        (tmp_path / "cell.py").write_text(CELL.format(more="pass"))
        tiny = [text for text in tiny if not text.startswith("--implementation")]
        given = ["--a=cell.py", "--b=cell.py"]
    done = run(*given, *tiny)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Stage 1 of 2: all cases, 0.2 s of rounds each" in done.stdout
    out = tmp_path / "out"
    document = json.loads((out / "versions.json").read_text())
    ours = document["rnnbench"]
    assert ours["stages"]["planned"] == 2
    assert validate(out / "versions.json") == []
    first = json.loads((out / "stage-1.json").read_text())
    names = [entry["fullname"] for entry in document["benchmarks"]]
    assert names == [entry["fullname"] for entry in first["benchmarks"]]
    assert "Measured in stages: a case could be looked at 2 times" in " ".join(done.stdout.split())
    # Two processes of each side find nothing so small, so that there is a second stage but by luck.
    if ours["stages"]["run"] == 2:
        second = json.loads((out / "stage-2.json").read_text())
        again = {entry["fullname"] for entry in second["benchmarks"]}
        assert again <= set(names)
        assert second["rnnbench"]["options"]["seed"] != first["rnnbench"]["options"]["seed"]
        for entry in document["benchmarks"]:
            blocks = entry["extra_info"]["rnnbench"]["blocks"]
            took = 4 if entry["fullname"] in again else 2
            assert {block["replicate"] for block in blocks} == set(range(took))
    before = (out / "versions.json").read_bytes()
    resumed = run(*given, *tiny, "--resume")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert (out / "versions.json").read_bytes() == before
    assert "s of rounds each" not in resumed.stdout, "no stage was measured"
    refused = run(*given, *tiny)
    assert refused.returncode == 2
    assert "holds the result of an earlier run" in refused.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("unwatched")
def test_two_states_of_a_plugin_are_compared_on_one_pytorch(run, tmp_path):
    for name, more in (("old", "pass"), ("new", "torch.sigmoid(h)")):
        (tmp_path / f"{name}.py").write_text(CELL.format(more=more))
    tiny = [text for text in TINY_ARGUMENTS if not text.startswith("--implementation")]
    done = run("--a", "old.py", "--b", "new.py", *tiny, "--output", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "out" / "versions.json").read_text())
    found = {
        (ours["case"]["implementation"], ours["case"]["environment"]): ours["ran"]["operators"]
        for ours in (entry["extra_info"]["rnnbench"] for entry in document["benchmarks"])
    }
    assert set(found) == {("mine", "a"), ("mine", "b")}
    assert "aten::sigmoid" in found["mine", "b"]
    assert "aten::sigmoid" not in found["mine", "a"]
    assert document["rnnbench"]["options"]["baseline"] == "mine"


@pytest.mark.slow
@pytest.mark.usefixtures("unwatched")
@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.minutes), signal.SIGKILL]
)
def test_ended_in_the_middle_it_leaves_no_process_and_goes_on(run, tmp_path, number):
    arguments = [*PYTHONS, *TINY_ARGUMENTS, "--batch=2,3,4", "--seconds=0.4", "--output=out"]
    log = tmp_path / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command(*arguments), stdout=stream, stderr=stream, cwd=tmp_path, env=environment()
        )
    journal = tmp_path / "out" / "versions.json.journal"
    deadline = time.monotonic() + 300
    while not (journal.exists() and b'"finished"' in journal.read_bytes()):
        assert time.monotonic() < deadline
        assert process.poll() is None, log.read_text()
        time.sleep(0.01)
    family = descendants(process.pid)
    assert len(family) >= 3, "pytest and two workers"
    process.send_signal(number)
    status = process.wait(timeout=60)
    assert status == (130 if number == signal.SIGINT else -signal.SIGKILL)
    while any(map(is_there, family)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    done = run(*arguments, "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "out" / "versions.json").read_text())
    names = [benchmark["fullname"] for benchmark in document["benchmarks"]]
    assert len(names) == len(set(names)) == 12
    assert document["rnnbench"]["load"]["resumed_cases"] >= 1


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ([], "no environment was given; name those to compare"),
            (["nothing"], "is not a program that can be run"),
            (["1.0.0"], "PyTorch 1.0.0 is too old"),
            (["--a", "x.py"], "--a and --b go together"),
            (["--a", "x.py", "--b", "y.py"], "--a 'x.py' is not a file"),
            (["2.8.0", "2.9.0", "--a", "x.py", "--b", "y.py"], "2 environments were given"),
            (["2.8.0", "--batch", "many"], "--batch"),
            (["2.8.0", "--stages", "0"], "--stages is 0; give a whole number from 1 to 100"),
            (["2.8.0", "--stages=2", "--replicates=1"], "give --replicates 2 or more"),
            (["2.8.0", "--stages=2", "--grid=nothing"], "there is no grid"),
            (["2.8.0", "--output", "a/b/c"], "does not exist; make it first"),
            (["--clean", "2.8.0"], "no cached environment is called so"),
        ],
    )
    def test_it_is_one_sentence_and_status_2(self, run, tmp_path, arguments, expected):
        done = run(*arguments)
        assert done.returncode == 2
        assert expected in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not (tmp_path / "rnnbench-versions").exists()

    def test_stages_are_a_whole_number(self, run):
        done = run("2.8.0", "--stages", "1.5")
        assert done.returncode == 2
        assert "Invalid value for '--stages'" in done.stderr
        assert "Traceback" not in done.stderr

    def test_what_the_suites_refuse_stands_above_and_ends_it(self, run, tmp_path):
        (tmp_path / "cell.py").write_text("raise ValueError('not this one')")
        done = run(PYTHONS[0], *TINY_ARGUMENTS, "--plugin", "cell.py")
        assert done.returncode == 2
        assert "not this one" in done.stdout + done.stderr
        assert "nothing was measured, for the reason that stands above" in done.stderr


class TestBeforeEnvironmentsAreMade:
    """What needs no environment is refused before one is made, which may download gigabytes."""

    @pytest.fixture
    def asked(self, tmp_path, monkeypatch):
        """The environments that were to be made; none ever is."""
        monkeypatch.chdir(tmp_path)
        asked = []

        def prepare(texts, say):
            asked.extend(texts)
            return [Environment(text, sys.executable, text) for text in texts]

        def measure(result, arguments, *, resume):
            raise AssertionError("something would be measured")

        monkeypatch.setattr(environments, "prepare_environments", prepare)
        monkeypatch.setattr(versions, "measure", measure)
        return asked

    @staticmethod
    def refusal(capsys, *arguments):
        with pytest.raises(SystemExit) as ended:
            main(["versions", "2.8.0", "2.13.0", *arguments])
        assert ended.value.code == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert "--rnn-" not in said.err and "stands above" not in said.err
        (line,) = said.err.splitlines()
        return line

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--grid=qick"], 'there is no grid "qick"; did you mean "quick"?'),
            (["--replicates=0"], "--replicates is 0; give 1 or more"),
            (["--seconds=0"], "--seconds is 0.0; give seconds above 0"),
            (["--seconds=nan"], "--seconds is nan; give seconds above 0"),
            (["--precision=2"], "--precision is 2.0; give a share between 0 and 1"),
            (["--case-timeout=-1"], "--case-timeout is -1.0; give seconds above 0"),
            (["--cores=one"], "--cores 'one' is no list of numbers; give for example 2,3"),
            (["--cores=99999"], "--cores names core 99999, which this process may not use"),
            (["--baseline=nn"], "--baseline 'nn' is no implementation; known: "),
            (["--implementation=nn_rn"], '"nn_rn"'),
            (["--batch=0"], "--batch"),
            (["--plugin=nothing.py"], "--plugin 'nothing.py' is not a file"),
            (["--plugin=2.8.0=nothing.py"], "--plugin '2.8.0=nothing.py' is not a file"),
        ],
    )
    def test_an_option_is_refused_by_its_own_name(self, asked, capsys, arguments, expected):
        assert expected in self.refusal(capsys, *arguments)
        assert asked == []

    def test_two_states_of_a_plugin_are_no_exception(self, asked, capsys, tmp_path):
        for name in ("old.py", "new.py"):
            (tmp_path / name).write_text(CELL.format(more="pass"))
        with pytest.raises(SystemExit) as ended:
            main(["versions", "--a=old.py", "--b=new.py", "--grid=qick"])
        assert ended.value.code == 2
        assert "there is no grid" in capsys.readouterr().err
        assert asked == []

    def test_so_is_a_machine_on_which_another_run_measures(self, asked, capsys):
        with MachineLock("pytest suites"):
            line = self.refusal(capsys)
            assert "another run is measuring on this machine" in line
            assert "or give --no-lock to measure all the same" in line
            assert asked == []
            with pytest.raises(AssertionError, match="something would be measured"):
                main(["versions", "2.8.0", "2.13.0", "--no-lock"])
        assert asked == ["2.8.0", "2.13.0"]

    def test_of_a_plugin_only_an_environment_tells_what_it_registers(self, asked, tmp_path):
        (tmp_path / "cell.py").write_text(CELL.format(more="pass"))
        chosen = ["--plugin=cell.py", "--implementation=mine,nn_rnn", "--baseline=mine"]
        with pytest.raises(AssertionError, match="something would be measured"):
            main(["versions", "2.8.0", "2.13.0", *chosen])
        assert asked == ["2.8.0", "2.13.0"]


def test_the_report_says_which_environment_is_slower(tmp_path, monkeypatch, capsys):
    def prepare(texts, say):
        return [Environment(text, sys.executable, "2.8.0") for text in texts]

    def measure(result, arguments, *, resume):
        result.parent.mkdir()
        two(result, planted({1: 1.0, 2: 1.1}))

    monkeypatch.setattr(environments, "prepare_environments", prepare)
    monkeypatch.setattr(versions, "measure", measure)
    with pytest.raises(SystemExit) as ended:
        main(["versions", OLD, NEW, "--output", str(tmp_path / "out")])
    assert ended.value.code == 0
    report = tmp_path / "out" / "report"
    page = (report / "index.html").read_text()
    assert page.count('<section id="section-compare_') == 1
    assert "1 slower of 2 cases: old (torch 2.8.0+cpu) is the base" in page
    assert "How often verdicts are wrong on this machine is not known here" in page
    assert len((report / "tables" / "compare_1.csv").read_text().splitlines()) == 1 + 2
    printed = capsys.readouterr().out
    assert printed.count("1 slower of 2 cases") == 1


def test_an_empty_cache_is_said_to_be_empty(run):
    listed, cleaned = run("--list"), run("--clean")
    assert "There is no environment yet" in listed.stdout
    assert "There was none to remove" in cleaned.stdout
    assert (listed.returncode, cleaned.returncode) == (0, 0)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [(None, "nn_rnn"), ("all", "nn_rnn"), ("nn_rnn,scan", "nn_rnn"), ("scan,python_loop", "scan")],
)
def test_the_baseline_is_among_what_is_measured(chosen, expected):
    assert versions.baseline_among(chosen, "nn_rnn") == expected


def test_help_needs_none_of_what_the_run_needs():
    script = "import sys; from rnnbench import cli; print(sorted(sys.modules))"
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env=environment(), cwd=os.sep,
    ).stdout  # fmt: skip
    for name in ("torch", "pandas", "platformdirs", "packaging.requirements", "scipy"):
        assert f"'{name}'" not in said
