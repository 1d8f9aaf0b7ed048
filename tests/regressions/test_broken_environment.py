"""An environment that breaks in the middle of a run, as when somebody removes or upgrades it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from rnnbench.validation import validate
from tests.conftest import TINY, environment
from tests.processes import descendants, workers

TINY_ARGUMENTS = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]


@pytest.mark.slow
@pytest.mark.usefixtures("unwatched")
def test_it_is_told_the_other_goes_on_and_a_mended_one_is_measured_after_all(tmp_path):
    python = tmp_path / "python"
    # No exec, so that the command line of a worker tells whose it is.
    python.write_text(f'#!/bin/sh\n{sys.executable} "$@"\n')
    python.chmod(0o755)
    command = [
        *(sys.executable, "-m", "rnnbench", "versions", f"one={sys.executable}", f"two={python}"),
        *(*TINY_ARGUMENTS, "--batch=2,3,4", "--seconds=0.4", "--output=out"),
    ]
    variables = environment()
    log = tmp_path / "log"
    with log.open("w") as stream:
        run = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=tmp_path, env=variables)
    out = tmp_path / "out"
    journal = out / "versions.json.journal"
    deadline = time.monotonic() + 300
    while not (journal.exists() and b'"finished"' in journal.read_bytes()):
        assert time.monotonic() < deadline, log.read_text()
        assert run.poll() is None, log.read_text()
        time.sleep(0.01)
    python.rename(tmp_path / "removed")
    family = descendants(run.pid)
    for pid, started in workers().items():
        if pid in family and str(python) in started:
            for one in {pid} | descendants(pid):
                os.kill(one, signal.SIGKILL)
    assert run.wait(120) == 2
    said = log.read_text()
    assert "Traceback" not in said
    last = said.strip().splitlines()[-1]
    assert last.startswith("rnnbench: the environment 'two' broke in the middle of the run: ")
    assert "No such file or directory" in last
    assert last.endswith("give the same command with --resume for the rest")

    document = json.loads((out / "versions.json").read_text())
    assert validate(out / "versions.json") == []
    missing = document["rnnbench"]["not_measured"]
    assert {entry["case"]["environment"] for entry in missing} == {"two"}
    assert {entry["status"] for entry in missing} == {"crashed"}
    measured = [entry["extra_info"]["rnnbench"]["case"] for entry in document["benchmarks"]]
    assert sum(case["environment"] == "one" for case in measured) == 6, "all of the other's"
    assert len(measured) + len(missing) == 12, "none is dropped"

    (tmp_path / "removed").rename(python)
    done = subprocess.run(
        [*command, "--resume"], capture_output=True, text=True, cwd=tmp_path, env=variables
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((out / "versions.json").read_text())
    names = [benchmark["fullname"] for benchmark in document["benchmarks"]]
    assert len(names) == len(set(names)) == 12
    assert document["rnnbench"]["not_measured"] == []
    assert "broken" not in document["rnnbench"]["environments"]["two"]
