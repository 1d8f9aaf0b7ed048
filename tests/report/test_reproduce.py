"""The command of a case: it selects that case and no other, with the effort of the run."""

import dataclasses
import shlex

import pytest

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.grids import AXES, OPTION_PREFIX, load_grid, parse_axis
from rnnbench.measuring.options import parse_environments
from rnnbench.report.reproduce import command_for, command_pieces
from rnnbench.results import read
from tests.conftest import REPOSITORY, finished, nested_pytest
from tests.synthetic import Planted, document, environment, write

ODD = Case(
    cell="rnn_relu",
    pass_="training_step",
    seq_len=7,
    batch=3,
    input_size=11,
    hidden_size=5,
    num_layers=2,
    bidirectional=True,
    layout="batch_first_view",
    dtype="bfloat16",
    device="cuda:1",
    threads=2,
    seed=4,
    implementation="compiled_loop",
)
OWN = dataclasses.replace(ODD, implementation="my_cell", environment="old")


@pytest.fixture(scope="module")
def quick():
    return read(REPOSITORY / "results" / "cpu-quick" / "quick.json.gz")


@pytest.fixture
def made(tmp_path):
    def make(*cases, **options):
        content = document(
            [Planted(case, 1e-3) for case in cases],
            environments={case.environment: environment() for case in cases},
        )
        content["rnnbench"]["options"] = options
        return read(write(tmp_path / "made.json", content))

    return make


def options_of(command):
    """Options of a command by name; repeated ones keep all of their values."""
    words = shlex.split(command)
    assert words[:2] == ["pytest", "suites"]
    assert words[-1].startswith("--benchmark-json=")
    found = {}
    for name, value in zip(words[2:-1:2], words[3:-1:2], strict=True):
        found.setdefault(name, []).append(value)
    return found


def cases_of(command, environment="default", plugins=()):
    """The cases that a grid has left when the options of a command override its axes."""
    given = options_of(command)
    overrides = {
        name: parse_axis(name, given[OPTION_PREFIX + axis.option][0]) for name, axis in AXES.items()
    }
    return load_grid("quick").override(overrides).cases((environment,), plugins)


class TestSelection:
    def test_each_case_of_a_real_result_is_selected_alone(self, quick):
        for row in quick.frame.index:
            assert cases_of(command_for(quick, row)) == [quick.case_of(row)]

    def test_no_axis_is_left_to_the_grid(self, made):
        assert cases_of(command_for(made(ODD), 0)) == [ODD]

    def test_pytest_collects_that_case_and_no_other(self, quick, tmp_path):
        command = command_for(quick, 40)
        words = [str(REPOSITORY / "suites"), *shlex.split(command)[2:-1]]
        done = finished(nested_pytest(*words, "--collect-only", "-q"), tmp_path, {})
        collected = [line for line in done.stdout.splitlines() if "::" in line]
        assert done.returncode == 0, done.stderr
        assert len(collected) == 1
        assert collected[0].endswith(f"[{quick.case_of(40).id}]")

    def test_of_many_rows_the_pieces_are_the_commands(self, quick):
        rows = [81, 3, 40]
        each = [command_for(quick, row) for row in rows]
        pieces = command_pieces(quick, rows)
        assert [" ".join(filter(None, row)) for row in zip(*pieces, strict=True)] == each


class TestEffort:
    def test_replicates_and_seconds_are_those_of_the_run(self, made):
        given = options_of(command_for(made(ODD, replicates=5, seconds=0.25), 0))
        assert given["--rnn-replicates"] == ["5"]
        assert given["--rnn-seconds"] == ["0.25"]

    @pytest.mark.parametrize(
        ("replicates", "seconds"),
        [("3; rm -rf /", "$(id)"), (0, 0), (True, True), (-1, -0.5), (None, [1]), (2.5, 10**400)],
    )
    def test_what_is_no_effort_is_left_out(self, made, replicates, seconds):
        given = options_of(command_for(made(ODD, replicates=replicates, seconds=seconds), 0))
        assert "--rnn-replicates" not in given
        assert "--rnn-seconds" not in given


class TestOwnCells:
    def test_a_foreign_implementation_comes_with_the_run_s_plug_ins(self, made):
        command = command_for(made(OWN, plugins=["my_cell.py", "more cells.py"]), 0)
        assert options_of(command)["--rnn-plugin"] == ["my_cell.py", "more cells.py"]
        assert cases_of(command, "old", ("my_cell",)) == [OWN]

    def test_a_built_in_one_needs_none(self, made):
        command = command_for(made(ODD, plugins=["my_cell.py"]), 0)
        assert "--rnn-plugin" not in options_of(command)

    @pytest.mark.parametrize(
        ("name", "word"),
        [
            ("$(touch x).py", "$(touch x).py"),
            ("a' --rnn-grid b.py", "a' --rnn-grid b.py"),
            ("-x.py", "./-x.py"),
            ("\u202eyp.x", "PLUGIN.py"),
            ("a\nb.py", "PLUGIN.py"),
            ("x" * 10_000, "PLUGIN.py"),
        ],
    )
    def test_a_hostile_name_of_a_file_stays_one_harmless_word(self, made, name, word):
        given = options_of(command_for(made(OWN, plugins=[name]), 0))
        assert given["--rnn-plugin"] == [word]

    @pytest.mark.parametrize("plugins", [None, "my_cell.py", {"a": 1}, [3, "", None]])
    def test_a_list_of_plug_ins_that_is_none_is_left_out(self, made, plugins):
        given = options_of(command_for(made(OWN, plugins=plugins), 0))
        assert "--rnn-plugin" not in given

    def test_another_environment_is_named_and_its_path_is_asked_for(self, made):
        given = options_of(command_for(made(OWN), 0))
        assert given["--rnn-python"] == ["old=PATH"]
        with pytest.raises(UserError, match="give the path of a Python"):
            parse_environments(given["--rnn-python"])

    def test_the_default_one_is_not_named(self, made):
        assert "--rnn-python" not in options_of(command_for(made(ODD), 0))
