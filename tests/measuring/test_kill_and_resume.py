"""A run that is killed at any moment keeps what it had, and resumes without measuring it again."""

import json
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from rnnbench.cases import Case
from rnnbench.measuring.journal import read_journal
from rnnbench.validation import validate

linux = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to see processes")

OPTIONS = {
    "implementation": "nn_rnn,python_loop",
    "pass": "inference,forward",
    "batch": "2,3",
    "replicates": "2",
    "seconds": "0.3",
}
CASES = 8


def lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def wait_for(condition, seconds=180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


def finished_in(records) -> list[Case]:
    return [Case.from_columns(r["case"]) for r in records if r["type"] == "finished"]


@pytest.mark.slow
@linux
def test_killed_again_and_again_it_ends_with_every_case_once(suite, workers_of, is_alive):
    moments = random.Random(3)
    journal = suite.folder / "result.json.journal"
    kills, resume = 0, []
    while kills < 2:
        before = lines(journal)
        run = suite.start(*resume, **OPTIONS)
        more = moments.randint(2, 25)
        wait_for(lambda: lines(journal) > before + more or run.poll() is not None)
        time.sleep(moments.uniform(0, 0.1))
        if run.poll() is not None:
            break
        workers = workers_of(run.pid)
        assert len(workers) == 2
        run.send_signal(signal.SIGKILL)
        run.wait()
        run.stdout.close()
        wait_for(lambda: not any(map(is_alive, workers)), seconds=60)
        assert not (suite.folder / "result.json").exists()
        kills, resume = kills + 1, ["--rnn-resume"]
    assert kills >= 1
    kept, _ = read_journal(journal)
    done = suite("--rnn-resume", **OPTIONS)
    assert done.status == 0, done.said

    assert validate(done.json) == []
    cases = Counter(Case.from_columns(result["case"]) for result in done.results())
    assert len(cases) == CASES
    assert set(cases.values()) == {1}

    records = done.journal()
    assert records[: len(kept)] == kept, "what was kept is still there"
    assert Counter(finished_in(records)) == cases, "each case finishes once"
    finished = set()
    for record in records:
        if record["type"] == "finished":
            finished.add(Case.from_columns(record["case"]))
        elif record["type"] == "block":
            assert Case.from_columns(record["case"]) not in finished, "measured twice"
    turns = [record["turn"] for record in records if record["type"] == "block"]
    assert len(set(turns)) == len(turns)

    for benchmark in done.document()["benchmarks"]:
        ours = benchmark["extra_info"]["rnnbench"]
        blocks = [b for b in records if b["type"] == "block" and b["case"] == ours["case"]]
        assert [b["turn"] for b in blocks] == [b["turn"] for b in ours["blocks"]]
        rounds = [seconds for block in blocks for seconds in block["rounds"]]
        assert benchmark["stats"]["data"] == pytest.approx(rounds), "no block is lost"
    resumed = done.document()["rnnbench"]["load"].get("resumed_cases", CASES)
    assert resumed == len(set(finished_in(kept)))

    document = done.document()
    again = suite("--rnn-resume", **OPTIONS)
    assert again.status == 0, again.said
    for then, now in zip(document["benchmarks"], again.document()["benchmarks"], strict=True):
        assert now["stats"]["data"] == then["stats"]["data"]
        assert now["extra_info"] == then["extra_info"]
    assert [r for r in again.journal() if r["type"] == "block"] == [
        r for r in records if r["type"] == "block"
    ], "a finished run has nothing left to measure"
    assert validate(again.json) == []


@linux
def test_an_interrupt_writes_what_was_measured_and_leaves_no_worker(suite, workers_of, is_alive):
    run = suite.start(**OPTIONS)
    journal = suite.folder / "result.json.journal"
    # In the second group: the first one's items have their results by then.
    wait_for(lambda: any(b'"block"' in line for line in _after_the_first_finished(journal)))
    workers = workers_of(run.pid)
    run.send_signal(signal.SIGINT)
    output = run.communicate(timeout=180)[0]
    assert run.returncode == 2, output
    assert "INTERNALERROR" not in output
    wait_for(lambda: not any(map(is_alive, workers)), seconds=60)
    result = suite.folder / "result.json"
    assert validate(result) == []
    assert len(json.loads(result.read_text())["benchmarks"]) >= 2


def _after_the_first_finished(journal: Path) -> list[bytes]:
    lines = journal.read_bytes().splitlines() if journal.exists() else []
    types = [line[:30] for line in lines]
    finished = [number for number, text in enumerate(types) if b'"finished"' in text]
    return types[finished[0] :] if finished else []


def test_a_run_that_was_killed_before_its_journal_began_starts_anew(suite):
    done = suite("--rnn-resume")
    assert done.status == 0, done.said
    assert "there was nothing to resume in result.json.journal: this run started anew" in done.said
    assert done.measured() == ["nn_rnn", "python_loop"]
