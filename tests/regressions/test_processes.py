"""Children end with their parent, and an interrupt reaches them once and in order."""

import os
import signal
import subprocess
import sys
import time

import pytest

from rnnbench.regressions.processes import Interrupted, run_streamed, run_through
from tests.conftest import environment
from tests.processes import is_there

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel does this on Linux")

CHILD = """
import os, sys, time
from pathlib import Path
Path(sys.argv[1]).write_text(str(os.getpid()))
met = 0
while True:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        met += 1
        Path(sys.argv[1] + ".met").write_text(str(met))
        if len(sys.argv) == 2:
            sys.exit(5)
"""
# Under nohup, or in the background of a shell, signals would be ignored from the start.
PARENT = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from rnnbench.regressions.processes import Interrupted, run_through
try:
    run_through([sys.executable, "-c", *sys.argv[1:]])
except Interrupted as interrupted:
    print(interrupted, interrupted.status)
"""


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@pytest.fixture
def pair(tmp_path):
    """A parent and its child: the process, the child's number, and the file it writes."""
    started = []

    def start(*more):
        file = tmp_path / "child"
        process = subprocess.Popen(
            [sys.executable, "-c", PARENT, CHILD, str(file), *more],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        started.append(process)
        wait_for(lambda: file.exists() and file.read_text())
        return process, int(file.read_text()), tmp_path / "child.met"

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_status_is_the_commands():
    assert run_through([sys.executable, "-c", "raise SystemExit(7)"]) == 7


def test_lines_of_standard_error_come_one_by_one():
    script = "import sys; sys.stderr.write('one\\ntwo\\n'); print('not this')"
    lines = []
    assert run_streamed([sys.executable, "-c", script], lines.append) == 0
    assert lines == ["one", "two"]


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_interrupts_the_child_once_and_waits_for_it(pair, number):
    process, child, met = pair()
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert said == f"{number.name} {128 + number}\n"
    assert met.read_text() == "1"
    assert not is_there(child)


@linux
def test_a_second_one_ends_a_child_that_does_not_listen(pair):
    process, child, met = pair("stubborn")
    process.send_signal(signal.SIGINT)
    wait_for(met.exists)
    assert is_there(child)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert not is_there(child)


@linux
def test_a_parent_that_is_killed_takes_its_child_along(pair):
    process, child, _ = pair()
    process.kill()
    process.wait()
    wait_for(lambda: not is_there(child))


def test_handlers_are_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted):
        run_through([sys.executable, "-c", f"import os; os.kill({os.getpid()}, 15)"])
    assert signal.getsignal(signal.SIGTERM) == before
