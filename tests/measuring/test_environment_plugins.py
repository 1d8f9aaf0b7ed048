"""A plug-in for one environment: the others do not have it, and two states of one file are told
apart.
"""

import json
import sys

import pytest

from rnnbench.errors import UserError
from rnnbench.measuring.options import Options, split_plugin

ENVIRONMENTS = {"a": "/a/python", "b": "/b/python"}
CELL = """
from rnnbench.implementations import activation, implementation, stacked, step_by_step
import torch

@implementation({name!r}, "for a test", cells=("rnn_tanh",))
def build(case, weights):
    def step(x_t, h, w_ih, w_hh, b_ih, b_hh):
        {more}
        return torch.tanh(x_t @ w_ih.t() + b_ih + h @ w_hh.t() + b_hh)
    return stacked(case, weights, step_by_step(step))
"""


class TestSplitting:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("cell.py", (None, "cell.py")),
            ("a=cell.py", ("a", "cell.py")),
            ("b=/x/y=z.py", ("b", "/x/y=z.py")),
            ("/x/y=z.py", (None, "/x/y=z.py")),
        ],
    )
    def test_a_name_before_the_file_is_its_environment(self, text, expected):
        assert split_plugin(text, ENVIRONMENTS) == expected

    def test_a_file_whose_name_has_an_equals_sign_is_a_file(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "c=cell.py").write_text("")
        assert split_plugin("c=cell.py", ENVIRONMENTS) == (None, "c=cell.py")

    def test_an_environment_that_there_is_none_of_is_refused(self):
        with pytest.raises(UserError, match="for an environment 'c', which was not given; there "):
            Options(plugins=("c=cell.py",), environments=ENVIRONMENTS)


def test_each_environment_has_its_own_and_the_common_ones_in_their_order():
    options = Options(plugins=("a=1.py", "2.py", "b=3.py"), environments=ENVIRONMENTS)
    assert options.plugins_of("a") == ["1.py", "2.py"]
    assert options.plugins_of("b") == ["2.py", "3.py"]


def test_the_result_names_them_with_their_environments_and_without_paths():
    options = Options(plugins=("a=/home/me/c.py", "b=/tmp/c.py"), environments=ENVIRONMENTS)
    assert options.as_dict()["plugins"] == ["a=c.py", "b=c.py"]
    assert "home" not in json.dumps(options.as_dict())


@pytest.fixture(scope="module")
def states(shared_suite):
    folders = [shared_suite.folder / name for name in ("old", "new")]
    for folder in folders:
        folder.mkdir()
    old, new = (folder / "cell.py" for folder in folders)
    old.write_text(CELL.format(name="mine", more="pass"))
    more = "torch.sigmoid(h)"
    new.write_text(CELL.format(name="mine", more=more) + CELL.format(name="second", more="pass"))
    return old, new


@pytest.fixture(scope="module")
def options(states):
    old, new = states
    python = [f"{name}={sys.executable}" for name in ("a", "b")]
    plugin = [f"a={old}", f"b={new}"]
    return {"python": python, "plugin": plugin, "implementation": "mine,second"}


@pytest.fixture(scope="module")
def done(shared_suite, options):
    return shared_suite(**options)


def test_two_states_of_one_name_run_each_in_its_environment(done):
    assert done.status == 0, done.said
    ran = {
        (result["case"]["implementation"], result["case"]["environment"]): result["ran"]
        for result in done.results()
    }
    assert set(ran) == {("mine", "a"), ("mine", "b"), ("second", "b")}
    assert "aten::sigmoid" not in ran["mine", "a"]["operators"]
    assert "aten::sigmoid" in ran["mine", "b"]["operators"]


def test_what_one_environment_lacks_is_unsupported_there_and_not_dropped(done):
    ((entry),) = done.document()["rnnbench"]["not_measured"]
    assert (entry["case"]["implementation"], entry["case"]["environment"]) == ("second", "a")
    assert entry["status"] == "unsupported"
    assert entry["reason"] == "this environment has no implementation 'second'"


def test_another_state_is_another_run(done, shared_suite, states, options):
    again = shared_suite("--rnn-resume", **options)
    assert again.status == 0, again.said
    states[1].write_text(states[0].read_text())
    refused = shared_suite("--rnn-resume", **{**options, "implementation": "mine"})
    assert refused.status == 4
    assert "different are cases, plugins.b=cell.py" in refused.said
