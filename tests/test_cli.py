"""The command line: what it prints, its exit status, and one line for what was given wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import rnnbench
from rnnbench.cases import Case
from rnnbench.cli import main
from rnnbench.errors import UserError
from rnnbench.grids import AXES, grid_names, load_grid
from rnnbench.measuring import capabilities, planning
from rnnbench.schema import SCHEMA_VERSION


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a Python of its own in this folder, wherever rnnbench is."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(rnnbench.__file__).parents[1]), **environment},
    )


@pytest.fixture
def run(capsys):
    """Run the command line in this process; returns its status, output and error output."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def workers(monkeypatch):
    """Stand in for the workers that `list` asks: inference cannot run, all else can."""
    asked: list[tuple[Sequence[Case], Sequence[str], Mapping[str, str]]] = []

    def unsupported(cases, *, plugins, environments):
        asked.append((cases, plugins, environments))
        return ["it is inference" if case.pass_ == "inference" else None for case in cases]

    monkeypatch.setattr(capabilities, "unsupported", unsupported)
    monkeypatch.setattr(planning, "plugin_names", lambda plugins, environments: ["my_cell"])
    return asked


@pytest.fixture
def grid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(
        'description = "a test"\n[[product]]\npass = ["inference", "forward"]\nbatch = [1, 32]\n'
    )
    return "mine.toml"


class TestHelp:
    def test_it_names_the_commands_and_imports_nothing_slow(self):
        script = (
            "import sys\nfrom rnnbench.cli import main\n"
            "try: main(['--help'])\n"
            "except SystemExit: pass\n"
            "slow = {'torch', 'pandas', 'numpy', 'scipy', 'matplotlib', 'pytest', 'rich'}\n"
            "print(sorted(slow & set(sys.modules)), file=sys.stderr)\n"
        )
        done = process("-c", script)
        assert done.stderr.strip() == b"[]"
        for command in (b"list", b"grids", b"validate"):
            assert command in done.stdout

    def test_without_a_command_it_is_shown(self, run):
        _, out, err = run()
        assert "Usage: rnnbench" in out + err

    def test_list_has_an_option_for_every_axis(self, run):
        status, out, _ = run("list", "--help")
        assert status == 0
        for axis in AXES.values():
            assert f"--{axis.option} " in out

    def test_it_runs_as_a_module(self):
        done = process("-m", "rnnbench", "--version")
        assert done.stdout.decode() == f"rnnbench {rnnbench.__version__}\n"


class TestList:
    def test_each_case_has_a_line_that_ends_with_its_reason(self, run, workers, grid):
        status, out, err = run("list", "--grid", grid)
        assert (status, err) == (0, "")
        lines = out.splitlines()
        for case in load_grid(grid).cases():
            (line,) = [line for line in lines if line.split(" ")[0] == case.id]
            assert ("cannot run here: it is inference" in line) == (case.pass_ == "inference")

    def test_the_counts_stand_at_the_end(self, run, workers, grid):
        _, out, _ = run("list", "--grid", grid)
        assert out.endswith("\n4 cases: 2 can run here, 2 cannot\n      2  it is inference\n")

    def test_cases_of_one_setting_stand_together(self, run, workers, grid):
        _, out, _ = run("list", "--grid", grid)
        groups = [group.splitlines() for group in out.split("\n\n")]
        assert [len(group) for group in groups] == [2, 2, 2]

    def test_json_is_a_list_with_every_column(self, run, workers, grid):
        status, out, _ = run("list", "--grid", grid, "--json")
        assert status == 0
        listed = json.loads(out)
        cases = load_grid(grid).cases()
        assert [entry["id"] for entry in listed] == [case.id for case in cases]
        assert [Case.from_columns(entry["case"]) for entry in listed] == cases
        assert {entry["case"]["pass"]: entry["unsupported"] for entry in listed} == {
            "inference": "it is inference",
            "forward": None,
        }

    def test_json_of_a_grid_without_runnable_cases_is_still_json(self, run, workers, grid):
        _, out, _ = run("list", "--grid", grid, "--pass", "inference", "--json")
        assert all(entry["unsupported"] for entry in json.loads(out))

    def test_quick_is_the_default(self, run, workers):
        run("list")
        ((cases, _, _),) = workers
        assert cases == load_grid("quick").cases()

    @pytest.mark.parametrize("axis", AXES.values(), ids=lambda axis: axis.option)
    def test_each_axis_can_be_overridden(self, run, workers, grid, axis):
        text = ",".join(str(value).lower() for value in axis.example)
        status, _, err = run("list", "--grid", grid, f"--{axis.option}", text)
        assert (status, err) == (0, "")
        ((cases, _, _),) = workers
        assert {case.columns()[axis.name] for case in cases} == set(axis.example)

    def test_plugins_reach_the_workers_and_their_implementations_are_known(
        self, run, workers, grid
    ):
        arguments = ("--plugin", "a.py", "--plugin", "b.py", "--implementation", "my_cell")
        status, out, _ = run("list", "--grid", grid, *arguments)
        assert status == 0
        assert "my_cell-rnn_tanh-forward" in out
        ((_, plugins, _),) = workers
        assert plugins == ("a.py", "b.py")

    def test_without_plugins_no_worker_is_asked_for_their_names(
        self, run, workers, grid, monkeypatch
    ):
        monkeypatch.setattr(planning, "entry_points", lambda group: ())
        monkeypatch.setattr(planning, "plugin_names", None)
        status, _, _ = run("list", "--grid", grid)
        assert status == 0

    def test_an_installed_plugin_is_found_by_its_entry_point(self, run, workers, grid, monkeypatch):
        monkeypatch.setattr(planning, "entry_points", lambda group: ("one",))
        status, _, _ = run("list", "--grid", grid, "--implementation", "my_cell")
        assert status == 0

    def test_environments_are_one_more_axis(self, run, workers, grid):
        options = ("--python", f"old={sys.executable}", "--python", f"new={sys.executable}")
        status, _, _ = run("list", "--grid", grid, *options)
        assert status == 0
        ((cases, _, environments),) = workers
        assert set(environments) == {"old", "new"}
        assert {case.environment for case in cases} == {"old", "new"}
        assert len(cases) == 8

    def test_without_a_python_the_environment_is_this_one(self, run, workers, grid):
        run("list", "--grid", grid)
        ((_, _, environments),) = workers
        assert environments == {"default": sys.executable}


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (
                ("--batch", ""),
                "rnnbench: --batch is empty; give at least one size, such as --batch 1,32\n",
            ),
            (
                ("--seq-len", "-5"),
                "rnnbench: --seq-len holds -5; it takes whole numbers of 1 or more, such as "
                "--seq-len 10,100\n",
            ),
            (
                ("--layout", "time-major"),
                'rnnbench: --layout holds "time-major", which is no layout; did you mean '
                '"time_major"? known: time_major, batch_first, batch_first_view, packed, '
                "padded, masked\n",
            ),
            (
                ("--grid", "absent.toml"),
                'rnnbench: grid "absent.toml": there is no such file; give the path of a TOML '
                f"file, or one of {', '.join(grid_names())}\n",
            ),
        ],
    )
    def test_it_is_one_line_and_status_2(self, run, workers, arguments, expected):
        assert run("list", *arguments) == (2, "", expected)
        assert workers == []

    def test_what_a_worker_refuses_is_one_line_too(self, run, workers, grid, monkeypatch):
        def refuse(plugins, environments):
            raise UserError("plug-in 'a.py' does not import:\nSyntaxError")

        monkeypatch.setattr(planning, "plugin_names", refuse)
        assert run("list", "--grid", grid, "--plugin", "a.py") == (
            2,
            "",
            "rnnbench: plug-in 'a.py' does not import: SyntaxError\n",
        )

    def test_an_unknown_option_is_a_usage_error(self, run):
        status, out, err = run("list", "--btach", "1")
        assert (status, out) == (2, "")
        assert "--btach" in err
        assert "Traceback" not in err

    def test_a_real_process_ends_with_status_2_and_no_traceback(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("mine.toml").write_text("this is no toml")
        done = process("-m", "rnnbench", "list", "--grid", "mine.toml")
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.startswith(b'rnnbench: grid "mine.toml" is no TOML: ')
        assert done.stderr.count(b"\n") == 1


class TestGrids:
    def test_each_has_its_number_of_cases_and_its_description(self, run):
        status, out, _ = run("grids")
        assert status == 0
        lines = out.splitlines()
        assert [line.split()[0] for line in lines] == list(grid_names())
        for line in lines:
            grid = load_grid(line.split()[0])
            assert f" {len(grid.cases()):,} cases  " in line
            assert line.endswith(grid.description)


class TestValidate:
    @pytest.fixture(autouse=True)
    def _files(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        right = {
            "benchmarks": [],
            "rnnbench": {
                "schema": SCHEMA_VERSION,
                "grid": {},
                "options": {},
                "environments": {"default": {}},
                "load": {},
                "not_measured": [
                    {"case": Case().columns(), "status": "unsupported", "reason": "needs a GPU"}
                ],
            },
        }
        Path("right.json").write_text(json.dumps(right))
        right["rnnbench"]["not_measured"][0]["status"] = "lazy"
        Path("wrong.json").write_text(json.dumps(right))

    def test_a_valid_file_is_said_to_be_so_with_its_counts(self, run):
        assert run("validate", "right.json") == (
            0,
            "right.json: valid, 0 benchmarks, 1 not measured\n",
            "",
        )

    def test_each_problem_is_printed_and_the_status_is_2(self, run):
        status, out, err = run("validate", "right.json", "wrong.json", "absent.json")
        assert (status, err) == (2, "")
        assert out.splitlines() == [
            "right.json: valid, 0 benchmarks, 1 not measured",
            'wrong.json: rnnbench.not_measured[0].status is "lazy"; it must be one of '
            "unsupported, incorrect, failed, out_of_memory, timed_out, crashed",
            "absent.json: there is no such file; give the path of a result file",
        ]

    def test_text_that_the_terminal_has_no_letters_for_is_printed_all_the_same(self):
        odd = {"rnnbench": {"environments": {"\ud800\xe4": 1}}}
        Path("odd.json").write_text(json.dumps(odd))
        done = process("-m", "rnnbench", "validate", "odd.json", PYTHONIOENCODING="ascii")
        assert done.returncode == 2
        assert done.stderr == b""
        assert b" is 1; it must be an object\n" in done.stdout
