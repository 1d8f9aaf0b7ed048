"""SIGKILL at random moments of a run of the default grid: of the coordinator, a worker, or all.

    python -m tests.measuring.kills FOLDER [--kills 10] [--seed 1]
    python -m tests.measuring.kills FOLDER --versions 2.4.1 2.8.0 2.13.0 2.15.0

After a coordinator's end the run is resumed; after a worker's it must go on by itself. It takes
some ten minutes, so that it is no test; `test_kill_and_resume` is the small form of it. Prints what
the journal and the final file hold, and ends with status 1 unless the file has every case once, no
case was measured again after it had finished, and no process is left.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from rnnbench.cases import Case
from rnnbench.measuring.journal import read_journal
from rnnbench.validation import validate
from tests.conftest import REPOSITORY, environment, nested_pytest
from tests.processes import descendants, is_there, workers

WHOM = ("the coordinator", "a worker", "all")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--versions", nargs="+", default=[], metavar="ENV")
    parser.add_argument("--option", action="append", default=[], help="of the run; repeatable")
    given = parser.parse_args()
    given.folder.mkdir()
    if given.versions:
        json_file = given.folder / "out" / "versions.json"
        command = [sys.executable, "-m", "rnnbench", "versions", *given.versions, "--output=out"]
        again_option = "--resume"
    else:
        json_file = given.folder / "quick.json"
        command = nested_pytest(str(REPOSITORY / "suites"), f"--benchmark-json={json_file}")
        again_option = "--rnn-resume"
    command += given.option
    journal = Path(f"{json_file}.journal")
    moments = random.Random(given.seed)
    resume: list[str] = []
    killed = 0
    left: set[int] = set()
    with open(given.folder / "log", "w") as log:

        def started() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [*command, *resume], stdout=log, stderr=log, cwd=given.folder, env=environment()
            )

        run = started()
        while killed < given.kills:
            before = blocks_of(journal)
            # From the first block on: a kill while workers start finds nothing to lose.
            while blocks_of(journal) == before and run.poll() is None:
                time.sleep(0.05)
            pause = moments.uniform(0, 12)
            try:
                run.wait(pause)
            except subprocess.TimeoutExpired:
                whom = WHOM[killed % len(WHOM)]
                family = descendants(run.pid)
                kill(whom, run.pid, moments)
                killed += 1
                wrote = blocks_of(journal) - before
                say(f"kill {killed}, {whom}: {pause:.2f} s after a first block, {wrote} written")
                if whom != "a worker":
                    run.wait()
                    left |= remaining(family)
                    assert not json_file.exists()
                    resume = [again_option]
                    run = started()
                continue
            say(f"ended with status {run.returncode} before kill {killed + 1}")
            return 1
        family = set()
        while run.poll() is None:
            family |= descendants(run.pid)
            time.sleep(1)
        left |= remaining(family)
    say(f"last run: status {run.returncode}; {validate(json_file)=}; processes left: {len(left)}")

    records, _ = read_journal(journal)
    finished: Counter[Case] = Counter()
    again = blocks = 0
    for record in records:
        if record["type"] in ("finished", "block"):
            case = Case.from_columns(record["case"])
            if record["type"] == "finished":
                finished[case] += 1
            else:
                blocks += 1
                again += case in finished
    document = json.loads(json_file.read_text())
    cases = [
        Case.from_columns(entry["extra_info"]["rnnbench"]["case"])
        for entry in document["benchmarks"]
    ]
    missing = document["rnnbench"]["not_measured"]
    say(f"finished records per case: {set(finished.values())}, cases {len(finished)}")
    say(f"blocks of a case after it had finished: {again} of {blocks}")
    say(f"in the file: {len(cases)}, distinct {len(set(cases))}, not measured {len(missing)}")
    whole = len(cases) == len(set(cases)) and set(cases) == set(finished) and not missing
    right = run.returncode == 0 and set(finished.values()) == {1} and again == 0 and whole
    return 0 if right and validate(json_file) == [] and not left else 1


def kill(whom: str, coordinator: int, moments: random.Random) -> None:
    family = descendants(coordinator)
    if whom == "a worker":
        os.kill(moments.choice(sorted(family & set(workers()))), signal.SIGKILL)
        return
    for pid in sorted(family if whom == "all" else ()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os.kill(coordinator, signal.SIGKILL)


def remaining(family: set[int]) -> set[int]:
    """Those that are still there a minute later."""
    deadline = time.monotonic() + 60
    while any(map(is_there, family)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return set(filter(is_there, family))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def blocks_of(journal: Path) -> int:
    return journal.read_bytes().count(b'"type": "block"') if journal.exists() else 0


if __name__ == "__main__":
    sys.exit(main())
