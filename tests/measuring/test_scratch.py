"""The run's folder: there while the run lives, gone afterwards, also after a kill."""

import os
import tempfile
import time

import pytest

from rnnbench.measuring.scratch import Scratch


@pytest.fixture(autouse=True)
def parent(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def age(folder):
    an_hour_ago = time.time() - 3600
    os.utime(folder, (an_hour_ago, an_hour_ago))


def test_it_is_removed_with_all_that_is_in_it(parent):
    scratch = Scratch()
    (scratch.folder / "compiled").mkdir()
    assert scratch.folder.parent == parent
    scratch.remove()
    assert list(parent.iterdir()) == []


def test_what_a_killed_run_left_is_removed_by_the_next(parent, python_with):
    script = (
        "import os, tempfile; tempfile.tempdir = {!r}; "
        "from rnnbench.measuring.scratch import Scratch; s = Scratch(); "
        "(s.folder / 'compiled').mkdir(); os.kill(os.getpid(), 9)"
    )
    done = python_with(script.format(str(parent)))
    assert done.returncode == -9
    (left,) = parent.glob("rnnbench-*")
    age(left)
    fresh = Scratch()
    assert list(parent.glob("rnnbench-*")) == [fresh.folder]
    fresh.remove()


def test_a_run_that_lives_keeps_its_folder():
    first = Scratch()
    age(first.folder)
    second = Scratch()
    assert first.folder.is_dir()
    first.remove()
    second.remove()


def test_a_young_folder_and_one_without_a_lock_are_let_be(parent):
    young = parent / "rnnbench-young"
    young.mkdir()
    (young / "lock").touch()
    other = parent / "rnnbench-of-somebody"
    other.mkdir()
    age(other)
    scratch = Scratch()
    assert young.is_dir()
    assert other.is_dir()
    scratch.remove()
