"""One run at a time: who holds the machine is said, and a dead holder holds nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rnnbench.errors import UserError
from rnnbench.measuring.lock import LOCK_VARIABLE, MachineLock, lock_path
from tests.conftest import environment

HOLDER = """
import sys
from rnnbench.measuring.lock import MachineLock
lock = MachineLock("pytest /home/someone/suites")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def lock(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    monkeypatch.setenv(LOCK_VARIABLE, str(path))
    return path


@pytest.fixture
def holder(lock):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(**{LOCK_VARIABLE: str(lock)}),
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_told_who_is_first_and_what_to_do(holder):
    with pytest.raises(UserError) as refused:
        MachineLock("pytest suites")
    text = str(refused.value)
    assert f"process {holder.pid} since 20" in text
    assert "(pytest /home/someone/suites)" in text
    assert "wait until it has ended, or give --rnn-no-lock" in text
    assert "--rnn-no-lock (--no-lock for a command of rnnbench) to measure all the same" in text


def test_a_command_that_takes_the_lock_itself_names_its_own_option_alone(holder):
    with pytest.raises(UserError, match=r"or give --no-lock to measure all the same$"):
        MachineLock("rnnbench streaming", option="--no-lock")


def test_a_holder_that_is_killed_holds_nothing(holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with MachineLock("pytest suites") as mine:
        assert mine.note is None


def test_beside_another_run_the_note_says_so_without_its_paths(holder):
    with MachineLock("pytest suites", insist=False) as mine:
        assert mine.note.startswith("another run measured on this machine at the same time")
        assert str(holder.pid) in mine.note
        assert "someone" not in mine.note


def test_it_is_free_again_when_released_and_the_file_says_who_has_it(lock):
    MachineLock("first").release()
    with MachineLock("second"):
        said = json.loads(lock.read_text())
        assert (said["pid"], said["command"]) == (os.getpid(), "second")


def test_a_holder_that_has_not_said_who_it_is_still_holds(holder, lock):
    lock.write_text("{")
    with pytest.raises(UserError, match="a process that has not said yet which it is; both"):
        MachineLock("pytest suites")


def test_children_do_not_inherit_it(lock):
    with MachineLock("first"):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with MachineLock("second") as mine:
            assert mine.note is None
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("kind", ["missing folder", "link"])
def test_a_lock_that_cannot_be_taken_keeps_nobody_from_measuring(tmp_path, monkeypatch, kind):
    path = tmp_path / "absent" / "lock"
    if kind == "link":
        path = tmp_path / "link"
        path.symlink_to(tmp_path / "target")
    monkeypatch.setenv(LOCK_VARIABLE, str(path))
    with MachineLock("pytest suites") as mine:
        assert "it is not known whether another run measured" in mine.note
    assert not (tmp_path / "target").exists(), "a link is not followed"


def test_each_user_has_a_lock_in_the_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.delenv(LOCK_VARIABLE)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert lock_path() == tmp_path / f"rnnbench.{os.getuid()}.lock"


class TestRuns:
    def test_a_second_run_is_a_usage_error_and_collecting_is_not(self, suite, holder, lock):
        variables = {LOCK_VARIABLE: str(lock)}
        refused = suite(variables=variables)
        assert refused.status == 4
        assert f"another run is measuring on this machine: process {holder.pid}" in refused.said
        assert not refused.json.exists()
        assert suite("--collect-only", variables=variables).status == 0
        assert suite("--benchmark-disable", variables=variables).status == 0

    def test_no_lock_measures_and_its_result_says_so(self, suite, holder, lock):
        done = suite("--rnn-no-lock", variables={LOCK_VARIABLE: str(lock)})
        assert done.status == 0, done.said
        notes = " ".join(done.document()["rnnbench"]["notes"])
        assert "another run measured on this machine at the same time" in notes
        assert "someone" not in json.dumps(done.document()["rnnbench"])

    def test_a_run_frees_it(self, suite, lock):
        variables = {LOCK_VARIABLE: str(lock)}
        assert suite(variables=variables).status == 0
        assert Path(lock).exists()
        with MachineLock("next") as mine:
            assert mine.note is None
