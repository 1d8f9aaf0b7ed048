"""SIGKILL at random moments of a run of the default grid, each followed by a resume.

    python -m tests.measuring.kills FOLDER [--kills 10] [--seed 1]

It takes some ten minutes, so that it is no test; `test_kill_and_resume` is the small form of it.
Prints what the journal and the final file hold, and ends with status 1 unless the file has every
case once and no case was measured again after it had finished.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from rnnbench.cases import Case
from rnnbench.measuring.journal import read_journal
from rnnbench.validation import validate
from tests.conftest import REPOSITORY, environment, nested_pytest


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    given.folder.mkdir()
    json_file = given.folder / "quick.json"
    journal = given.folder / "quick.json.journal"
    command = nested_pytest(str(REPOSITORY / "suites"), f"--benchmark-json={json_file}")
    moments = random.Random(given.seed)
    resume: list[str] = []
    killed = 0
    with open(given.folder / "log", "w") as log:
        while killed < given.kills:
            before = blocks_of(journal)
            run = subprocess.Popen(
                [*command, *resume], stdout=log, stderr=log, cwd=given.folder, env=environment()
            )
            # From the first block on: a kill while workers start finds nothing to lose.
            while blocks_of(journal) == before and run.poll() is None:
                time.sleep(0.05)
            pause = moments.uniform(0, 12)
            try:
                run.wait(pause)
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                run.wait()
                killed += 1
                wrote = blocks_of(journal) - before
                say(f"kill {killed}: {pause:.2f} s after its first block, {wrote} blocks written")
                assert not json_file.exists()
                resume = ["--rnn-resume"]
                continue
            say(f"ended with status {run.returncode} before kill {killed + 1}")
            return 1
        last = subprocess.run(
            [*command, *resume], stdout=log, stderr=log, cwd=given.folder, env=environment()
        )
    say(f"last resume: status {last.returncode}; {validate(json_file)=}")

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
    right = last.returncode == 0 and set(finished.values()) == {1} and again == 0 and whole
    return 0 if right and validate(json_file) == [] else 1


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def blocks_of(journal: Path) -> int:
    return journal.read_bytes().count(b'"type": "block"') if journal.exists() else 0


if __name__ == "__main__":
    sys.exit(main())
