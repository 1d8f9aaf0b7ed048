"""Fleets here and on a real Slurm of one node: whole, and whatever befalls them, no case twice."""

import contextlib
import json
import random
import re
import subprocess
import time
from collections import Counter

import pytest

from rnnbench.cases import Case
from rnnbench.cli import main
from rnnbench.measuring.journal import journal_path
from rnnbench.validation import validate
from tests.conftest import TINY
from tests.fleet.executors import Fleet, Here, Slurm, wait_for
from tests.fleet.slurm_node import SlurmNode, can_hide, why_not

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unwatched")]

on_slurm = [
    pytest.mark.slurm,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


def options(**changed):
    """The tiny run's options, as the command takes them."""
    return [f"--{k.replace('_', '-')}={v}" for k, v in {**TINY, **changed}.items()]


BATCHES = "2,3,4,5"
CANARIES = options(batch=BATCHES)
"""Four groups of two cases; some are canaries."""

PLAIN = options(batch="2,3,4", implementation="python_loop,hoisted_loop", seconds="0.3")
"""Three groups of two cases without canaries, which would take most of the time."""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with SlurmNode(tmp_path_factory.mktemp("slurm")) as made:
        yield made


@pytest.fixture(params=["local", pytest.param("slurm", marks=on_slurm)])
def executor(request):
    pytest.importorskip("submitit")
    made = Here() if request.param == "local" else Slurm(request.getfixturevalue("node"))
    yield made
    made.clear()


@pytest.fixture
def slurm(node):
    pytest.importorskip("submitit")
    made = Slurm(node)
    yield made
    made.clear()


@pytest.fixture
def fleet(executor, tmp_path):
    made = Fleet(tmp_path / "out", executor)
    yield made
    made.crash()


@pytest.fixture
def fleet_on_a_small_disk(tmp_path):
    pytest.importorskip("submitit")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs to mount")
    made = Fleet(folder / "out", Here())
    yield made
    made.crash()
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def of_a_single_run(shared_suite):
    """The cases of the same grid in one run."""
    run = shared_suite(batch=BATCHES)
    assert run.status == 0, run.said
    return {Case.from_columns(result["case"]) for result in run.results()}


def merged(fleet):
    """The fleet's result: how often it holds each case that was measured, and each other one."""
    assert validate(fleet.folder.result) == []
    document = json.loads(fleet.folder.result.read_text())
    found = Counter(
        Case.from_columns(entry["extra_info"]["rnnbench"]["case"])
        for entry in document["benchmarks"]
    )
    lost = Counter(Case.from_columns(entry["case"]) for entry in ours(document)["not_measured"])
    return document, found, lost


def ours(document):
    return document["rnnbench"]


def assert_each_once(fleet, count):
    """Every case is there once, measured or with a reason, and was measured once."""
    document, found, lost = merged(fleet)
    assert len(found + lost) == count
    assert set((found + lost).values()) == {1}
    finished = Counter(
        Case.from_columns(json.loads(line)["case"])
        for shard in fleet.folder.plan.shards
        if (journal := journal_path(fleet.folder.result_of(shard.number))).exists()
        for line in journal.read_text().splitlines()
        if line.startswith('{"type": "finished"')
    )
    assert set(finished.values()) == {1}
    assert set(found) <= set(finished)
    return document, found, lost


def test_it_brings_back_every_case_once_with_nodes_and_canaries(fleet, of_a_single_run, tmp_path):
    status, said = fleet.run("--shards=4", *CANARIES)
    assert status == 0, said
    document, found, lost = assert_each_once(fleet, 8)
    assert (set(found), lost) == (of_a_single_run, Counter())
    assert [session["shard"] for session in ours(document)["sessions"]] == [0, 1, 2, 3]
    assert all(session["node"] for session in ours(document)["sessions"])
    described = ours(document)["environments"]["default"]
    assert described["container"]["slurm"] is (fleet.executor.name == "slurm")
    assert {(v["shard"], v["moment"]) for v in ours(document)["canaries"]} == {
        (shard, moment) for shard in range(4) for moment in ("before", "after")
    }
    status, said = fleet.ask("--status")
    assert status == 0 and "4 shards: 4 done; 8 of 8 cases done" in said
    status, said = fleet.run("--shards=4", *CANARIES)
    assert status == 2 and "holds a fleet already" in said
    with pytest.raises(SystemExit) as reported:
        main(["report", str(fleet.folder.result), "--output", str(tmp_path / "report")])
    assert reported.value.code == 0
    assert (tmp_path / "report" / "index.html").exists()


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.minutes) for n in range(1, 5))]
)
def test_whatever_befalls_it_at_whatever_moment_it_ends_whole(fleet, seed):
    chance = random.Random(seed)
    left = chance.sample(fleet.executor.harms, len(fleet.executor.harms))
    done = []
    fleet.begin("--shards=2", *PLAIN)
    while left and (number := fleet.running()) is not None:
        attempts = fleet.folder.history(number).attempts
        time.sleep(chance.uniform(0.0, 5.0))
        now = fleet.running_now(), fleet.folder.history(number).attempts
        if now == (number, attempts):
            harm = left.pop(0)
            harm(fleet, number)
            done.append(harm)
    status, said = fleet.ended()
    assert done, said
    _, _, lost = assert_each_once(fleet, 6)
    # Where harm met one shard three times in a row before it had finished a case.
    given_up = re.findall(r"^shard \d is missing: given up: \S.*$", said, re.MULTILINE)
    assert status == (1 if given_up else 0), said
    assert bool(lost) <= bool(given_up)


def test_a_shard_that_always_fails_is_given_up_and_the_other_finishes(fleet):
    fleet.begin("--shards=2", *PLAIN)
    wait_for(lambda: fleet.folder.grid_of(1).exists() or not fleet.is_running())
    fleet.folder.shard(1).joinpath("result.json.journal").write_text("not ours\n")
    status, said = fleet.ended()
    assert status == 1, said
    assert "shard 1 is missing: given up: journal" in said
    assert fleet.folder.history(1).attempts == 3
    assert [e["how"] for e in fleet.folder.history(1).events if e["event"] == "ended"] == [
        "failed"
    ] * 3
    document, found, lost = assert_each_once(fleet, 6)
    assert found and lost
    assert {entry["reason"].partition(":")[0] for entry in ours(document)["not_measured"]} == {
        "shard 1 of the fleet was given up"
    }


def test_cancelled_it_keeps_what_it_has_and_resumed_it_ends_whole(fleet):
    # With canaries: a shard that was not done is kept only where another run tells of its node.
    fleet.begin("--shards=2", *CANARIES)
    fleet.wait_for_a_case()
    status, said = fleet.ask("--cancel")
    assert status == 0 and "shards were ended before their time" in said
    status, said = fleet.ended()
    assert status == 1 and "shard 1 is missing: cancelled" in said, said
    _, found, lost = assert_each_once(fleet, 8)
    assert found and lost
    kept = fleet.folder.finished(0)
    fleet.resume()
    status, said = fleet.ended()
    assert status == 0, said
    _, again, lost = assert_each_once(fleet, 8)
    assert (set(found) <= set(again), lost) == (True, Counter())
    assert fleet.folder.finished(0) >= kept > 0


def test_its_command_may_end_at_any_time_and_go_on(fleet):
    fleet.begin("--shards=2", *PLAIN)
    fleet.wait_for_a_case()
    fleet.interrupt()
    status, said = fleet.ended()
    assert status == 130, said
    assert f"`rnnbench fleet --resume {fleet.folder.path}` looks after the fleet again" in said
    status, said = fleet.ask("--status")
    assert status == 0 and "of 6 cases done" in said
    if fleet.executor.name == "local":
        assert "running" not in said, "shards of this machine end with the command"
    fleet.resume()
    status, said = fleet.ended()
    assert status == 0, said
    _, found, lost = assert_each_once(fleet, 6)
    assert (len(found), lost) == (6, Counter())


def test_on_a_full_disk_it_says_so_and_loses_nothing(fleet_on_a_small_disk):
    fleet = fleet_on_a_small_disk
    fleet.begin("--shards=2", *PLAIN)
    fleet.wait_for_a_case()
    filler = fleet.folder.path.with_name("filler")
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as growing:
        while True:
            growing.write(b"x" * 4096)
    status, said = fleet.ended()
    assert status == 2
    assert "Traceback" not in said
    assert "cannot be written: No space left on device" in said.splitlines()[-1]
    journal = journal_path(fleet.folder.result_of(0))
    measured = journal.read_bytes()
    filler.unlink()
    fleet.resume()
    status, said = fleet.ended()
    assert status == 0, said
    _, found, lost = assert_each_once(fleet, 6)
    assert (len(found), lost) == (6, Counter())
    assert journal.read_bytes().startswith(measured[: measured.rindex(b"\n") + 1])


@pytest.mark.slurm
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
class TestSlurm:
    @pytest.fixture
    def fleet(self, slurm, tmp_path):
        made = Fleet(tmp_path / "out", slurm)
        yield made
        made.crash()

    def test_an_unknown_partition_is_one_sentence(self, fleet):
        status, said = fleet.run("--shards=2", "--slurm=partition=none", *PLAIN)
        assert status == 2
        assert "Slurm does not take the jobs of default: " in said and "partition" in said
        assert "Traceback" not in said
        assert not fleet.folder.path.exists(), "so that it can be begun again with another one"

    def test_left_to_itself_its_jobs_run_and_are_brought_together_later(self, fleet):
        status, said = fleet.run("--shards=2", "--leave", *PLAIN)
        assert status == 0, said
        assert f"`rnnbench fleet --resume {fleet.folder.path}` looks after them" in said
        wait_for(lambda: all(fleet.folder.history(number).outcome == "done" for number in (0, 1)))
        fleet.resume()
        status, said = fleet.ended()
        assert status == 0, said
        _, found, lost = assert_each_once(fleet, 6)
        assert (len(found), lost) == (6, Counter())
        assert [fleet.folder.history(number).attempts for number in (0, 1)] == [1, 1]

    def test_a_folder_that_its_node_does_not_see_is_a_reason(self, fleet, slurm, tmp_path):
        if not can_hide(tmp_path):
            pytest.skip("needs to mount")
        with slurm.node.blind_to(fleet.folder.path.parent):
            status, said = fleet.run("--shards=2", *PLAIN)
        assert status == 2
        assert "its job ended before it began: is the folder one that its node sees?" in said
        assert "no shard of the fleet" in said and "Traceback" not in said
