"""Options hold only what a run can do, and say which option to mend otherwise."""

import json
import sys

import pytest

from rnnbench.cores import usable_cores
from rnnbench.errors import UserError
from rnnbench.measuring.options import Options, parse_environments, parse_planted


class TestOptions:
    @pytest.mark.parametrize("name", ["seconds", "case_timeout", "block_seconds"])
    @pytest.mark.parametrize("value", [0, -1.5, float("nan")])
    def test_times_are_above_zero(self, name, value):
        option = "--rnn-" + name.replace("_", "-")
        with pytest.raises(UserError, match=f"{option} is {value}; give seconds above 0"):
            Options(**{name: value})

    @pytest.mark.parametrize("value", [0, 1, -0.1, 2, float("nan")])
    def test_precision_is_a_share(self, value):
        with pytest.raises(UserError, match=f"--rnn-precision is {value}; give a share between"):
            Options(precision=value)

    @pytest.mark.parametrize("value", [0, -1])
    def test_there_is_a_replicate(self, value):
        assert Options(replicates=1).replicates == 1
        with pytest.raises(UserError, match=f"--rnn-replicates is {value}; give 1 or more"):
            Options(replicates=value)

    def test_cores_are_this_processs_own(self):
        assert Options().cores == usable_cores()
        absent = max(usable_cores()) + 1000
        with pytest.raises(UserError, match=f"names core {absent}, which this process may not use"):
            Options(cores=(*usable_cores(), absent))

    def test_competitors_get_the_last_cores_and_all_where_there_are_too_few(self):
        options = Options()
        object.__setattr__(options, "cores", (7, 2, 5))
        assert [options.cores_for(threads) for threads in (1, 2, 3, 4)] == [
            [7],
            [5, 7],
            [2, 5, 7],
            [2, 5, 7],
        ]

    def test_the_result_file_gets_no_path_of_this_machine(self):
        options = Options(
            plugins=("/home/someone/my_cell.py",), environments={"old": "/home/someone/python"}
        )
        told = json.dumps(options.as_dict())
        assert "someone" not in told
        assert options.as_dict()["plugins"] == ["my_cell.py"]

    def test_the_result_file_gets_every_option_that_changes_numbers(self):
        names = {"seconds", "replicates", "precision", "case_timeout", "block_seconds"}
        names |= {"baseline", "seed", "in_process", "cores", "plugins", "planted"}
        assert set(Options().as_dict()) == names


class TestPlanted:
    def test_shares_are_read_by_environment(self):
        assert parse_planted(["a=5%", "b=0.1"]) == {"a": 0.05, "b": 0.1}

    @pytest.mark.parametrize(
        "text", ["", "a", "a=", "=5%", "a=0", "a=-5%", "a=x", "a=101%", "a=nan"]
    )
    def test_another_form_is_refused_with_an_example(self, text):
        with pytest.raises(UserError, match=r"is not NAME=SHARE .* slower=5%"):
            parse_planted([text])

    def test_an_environment_that_was_not_given_is_named(self):
        with pytest.raises(UserError, match="names the environment 'b', which was not given"):
            Options(environments={"a": "python"}, planted={"b": 0.1})


class TestEnvironments:
    def test_without_any_it_is_this_python(self):
        assert parse_environments([]) == {"default": sys.executable}

    def test_each_has_its_name_and_its_program(self, tmp_path):
        program = tmp_path / "a=b" / "python"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        found = parse_environments([f"new={sys.executable}", f"old={program}"])
        assert found == {"new": sys.executable, "old": str(program)}
        assert list(found) == ["new", "old"]

    def test_a_program_is_looked_up_on_the_path(self):
        assert parse_environments(["x=sh"])["x"].endswith("/sh")

    @pytest.mark.parametrize("text", ["", "python", "=python", "old=", "="])
    def test_another_form_is_refused_with_an_example(self, text):
        with pytest.raises(UserError, match=r"is not NAME=PATH; give for example old=") as refused:
            parse_environments([text])
        assert repr(text) in str(refused.value)

    def test_a_name_is_given_once(self):
        with pytest.raises(UserError, match="names 'a' twice; choose another name"):
            parse_environments(["a=sh", "a=sh"])

    @pytest.mark.parametrize("kind", ["missing", "folder", "not executable"])
    def test_a_path_that_cannot_be_run_is_refused(self, kind, tmp_path):
        path = tmp_path / "python"
        if kind == "folder":
            path.mkdir()
        elif kind == "not executable":
            path.write_text("")
        with pytest.raises(UserError, match=r"--rnn-python x: '.*' is not a program") as refused:
            parse_environments([f"x={path}"])
        assert str(path) in str(refused.value)
