"""A fleet on a real Slurm of one node: whole, and whatever is done to its jobs, no case twice."""

import json
import random
import subprocess
import sys
import time
from collections import Counter

import pytest

from rnnbench.cases import Case
from rnnbench.fleet.folder import Folder
from rnnbench.validation import validate
from tests.conftest import environment as variables
from tests.fleet.slurm_node import PARTITION, SlurmNode, why_not

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

TINY = (
    *("--implementation=nn_rnn,python_loop", "--pass=inference", "--hidden=8", "--input=4"),
    *("--batch=2,3,4", "--seq-len=3", "--layout=time_major"),
    *("--seconds=0.1", "--replicates=1"),
)
"""Three groups of two cases."""

CASES = 6


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with SlurmNode(tmp_path_factory.mktemp("slurm")) as made:
        yield made


@pytest.fixture
def fleet(node, tmp_path):
    """Start `rnnbench fleet` with this Slurm; the function waits for it unless told otherwise."""
    started = []

    def run(*arguments, wait=True):
        process = subprocess.Popen(
            [sys.executable, "-m", "rnnbench", "fleet", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
            env={**variables(), "SLURM_CONF": str(node.conf)},
        )
        started.append(process)
        if not wait:
            return process
        said, _ = process.communicate(timeout=900)
        return process.returncode, said

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
    node.ask("scancel", "--full", "--me")


def wait_for(condition, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.2)


def merged_cases(folder):
    document = json.loads(folder.result.read_text())
    found = Counter(
        Case.from_columns(each["extra_info"]["rnnbench"]["case"]).id
        for each in document["benchmarks"]
    )
    lost = Counter(Case.from_columns(e["case"]).id for e in document["rnnbench"]["not_measured"])
    return document, found, lost


def test_it_brings_back_every_case_once_with_nodes_and_canaries(fleet, tmp_path):
    folder = Folder(tmp_path / "out")
    status, said = fleet("quick", f"--output={folder.path}", "--shards=3", *TINY)
    assert status == 0, said
    assert validate(folder.result) == []
    document, found, lost = merged_cases(folder)
    assert (len(found), set(found.values()), lost) == (CASES, {1}, Counter())
    ours = document["rnnbench"]
    assert [session["shard"] for session in ours["sessions"]] == [0, 1, 2]
    assert all(session["node"] for session in ours["sessions"])
    assert ours["environments"]["default"]["container"]["slurm"] is True
    assert {(v["shard"], v["moment"]) for v in ours["canaries"]} == {
        (shard, moment) for shard in (0, 1, 2) for moment in ("before", "after")
    }
    status, said = fleet("--status", folder.path)
    assert status == 0 and "3 shards: 3 done; 6 of 6 cases done" in said


def test_whatever_is_done_to_its_jobs_it_ends_whole(fleet, node, tmp_path):
    folder = Folder(tmp_path / "out")
    moments = random.Random(5)
    run = fleet("quick", f"--output={folder.path}", "--shards=2", *TINY, wait=False)

    def jobs(state):
        lines = node.ask("squeue", "--noheader", "--array", f"--states={state}", "--format=%i")
        return lines.split()

    def kill(job):
        node.ask("scancel", "--signal=KILL", job)

    def requeue(job):
        node.ask("scontrol", "requeue", job)

    def crash(job):
        node.kill_slurmd()
        time.sleep(1)
        node.start_slurmd()
        node.wait_until_idle()

    for harm in (kill, requeue, crash):
        wait_for(lambda: jobs("RUNNING") or run.poll() is not None)
        time.sleep(moments.uniform(0.5, 8.0))
        if run.poll() is not None:
            break
        for job in jobs("RUNNING")[:1]:
            harm(job)
    said, _ = run.communicate(timeout=900)
    assert run.returncode == 0, said
    assert validate(folder.result) == []
    _, found, lost = merged_cases(folder)
    assert (len(found), set(found.values()), lost) == (CASES, {1}, Counter())
    assert sum(folder.history(shard.number).attempts for shard in folder.plan.shards) > 2


def test_a_shard_that_always_fails_is_given_up_and_the_other_finishes(fleet, tmp_path):
    folder = Folder(tmp_path / "out")
    run = fleet("quick", f"--output={folder.path}", "--shards=2", *TINY, wait=False)
    wait_for(lambda: folder.grid_of(1).exists())
    folder.shard(1).joinpath("result.json.journal").write_text("not ours\n")
    said, _ = run.communicate(timeout=900)
    assert run.returncode == 1, said
    assert "shard 1 is missing: given up: journal" in said
    assert folder.history(1).attempts == 3
    _, found, lost = merged_cases(folder)
    assert len(found) + len(lost) == CASES and not found & lost
    assert set(found.values()) | set(lost.values()) == {1}


def test_an_unknown_partition_is_one_sentence(fleet, tmp_path):
    status, said = fleet(
        "quick", f"--output={tmp_path / 'out'}", "--shards=2", "--slurm=partition=none", *TINY
    )
    assert status == 2
    assert "Slurm does not take the jobs of default: " in said and "partition" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists(), "so that it can be begun again with another one"


def test_cancelled_and_resumed_it_ends_whole(fleet, node, tmp_path):
    folder = Folder(tmp_path / "out")
    status, said = fleet(
        *("quick", f"--output={folder.path}", "--shards=2", "--leave"),
        *(f"--slurm=partition={PARTITION}", *TINY),
    )
    assert status == 0, said
    wait_for(lambda: folder.finished(0) > 0)
    status, said = fleet("--cancel", folder.path)
    assert status == 0 and "shards were ended before their time" in said
    wait_for(lambda: not node.ask("squeue", "--noheader").strip())
    kept = folder.finished(0)
    assert kept > 0
    status, said = fleet("--resume", folder.path)
    assert status == 0, said
    _, found, lost = merged_cases(folder)
    assert (len(found), set(found.values()), lost) == (CASES, {1}, Counter())
