"""One file for each environment: valid, complete together, and with names that join."""

import json

import pytest

from rnnbench.errors import UserError
from rnnbench.regressions.split import split_result
from rnnbench.results import read
from rnnbench.validation import validate
from tests.regressions.made import NEW, OLD, case, planted
from tests.synthetic import document, environment, write


@pytest.fixture
def result(tmp_path):
    absent = case(batch=9, implementation="scan", environment=NEW)
    made = document(
        planted({1: 1.0, 32: 1.1}),
        environments={name: environment() for name in (OLD, NEW)},
        not_measured=[(absent, "unsupported", "it has no scan")],
    )
    made["rnnbench"]["run_id"] = "abc"
    return write(tmp_path / "versions.json", made)


def test_each_environment_has_a_valid_file_with_its_own_alone(result):
    files = split_result(result)
    assert {name: path.name for name, path in files.items()} == {
        OLD: "versions-old.json",
        NEW: "versions-new.json",
    }
    for name, path in files.items():
        assert validate(path) == []
        found = read([str(path)])
        assert set(found.frame["environment"]) == {name}
        assert found.runs[found.frame["run"][0]].run_id == "abc", "they took turns in one run"


def test_nothing_is_lost_and_nothing_changes(result):
    whole = read([str(result)]).frame
    parts = [read([str(path)]).frame for path in split_result(result).values()]
    assert sum(map(len, parts)) == len(whole) == 5
    for part in parts:
        own = whole[whole["environment"] == part["environment"][0]].reset_index(drop=True)
        for column in ("batch", "status", "reason", "time", "time_low", "rounds", "torch"):
            assert part[column].equals(own[column]), column


def test_names_of_benchmarks_are_equal_in_all_files(result):
    names = [
        [benchmark["fullname"] for benchmark in json.loads(path.read_text())["benchmarks"]]
        for path in split_result(result).values()
    ]
    assert names[0] == names[1]
    assert len(set(names[0])) == 2
    assert all("@" not in name for name in names[0])


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(UserError, match="is missing"):
        split_result(write(tmp_path / "other.json", {"benchmarks": []}))
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]
