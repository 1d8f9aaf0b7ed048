"""Asking what can run here: one worker of each environment, closed in the end."""

import dataclasses

import pytest

from rnnbench.cases import Case
from rnnbench.measuring import capabilities


class FakeTeam:
    latest: "FakeTeam"
    fails = False

    def __init__(self, options):
        FakeTeam.latest = self
        self.options, self.closed, self.asked = options, False, []

    def start_first(self):
        if self.fails:
            raise ValueError("planted")

    def worker(self, environment, slot):
        assert slot == 0
        return _Worker(self, environment)

    def plugin_implementations(self):
        return ["mine"]

    def close(self):
        self.closed = True


class _Worker:
    def __init__(self, team, environment):
        self.team, self.environment = team, environment

    def ask(self, op, timeout, cases):
        self.team.asked.append((op, self.environment))
        return {"unsupported": [f"{self.environment} {case['batch']}" for case in cases]}


@pytest.fixture(autouse=True)
def _fake(monkeypatch):
    monkeypatch.setattr(capabilities, "Team", FakeTeam)
    monkeypatch.setattr(FakeTeam, "fails", False)


ENVIRONMENTS = {"old": "/old/python", "new": "/new/python"}


def test_each_case_is_asked_for_in_its_environment_and_answers_keep_their_order():
    cases = [
        dataclasses.replace(Case(), batch=batch, environment=name)
        for batch in (1, 2)
        for name in ("new", "old")
    ]
    found = capabilities.unsupported(cases, plugins=["p.py"], environments=ENVIRONMENTS)
    assert found == ["new 1", "old 1", "new 2", "old 2"]
    team = FakeTeam.latest
    assert team.asked == [("check", "old"), ("check", "new")], "all of one in one question"
    assert team.options.plugins == ("p.py",)
    assert team.closed


def test_names_of_plugins_are_the_workers():
    assert capabilities.plugin_names(["p.py"], ENVIRONMENTS) == ["mine"]
    assert FakeTeam.latest.closed


@pytest.mark.parametrize(
    "ask",
    [
        lambda: capabilities.unsupported([], plugins=[], environments=ENVIRONMENTS),
        lambda: capabilities.plugin_names([], ENVIRONMENTS),
    ],
)
def test_workers_end_also_when_something_fails(ask, monkeypatch):
    monkeypatch.setattr(FakeTeam, "fails", True)
    with pytest.raises(ValueError, match="planted"):
        ask()
    assert FakeTeam.latest.closed
