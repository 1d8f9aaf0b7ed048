"""asv: commits of a throw-away repository, their rounds interleaved, compared by `asv compare`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from others.asv_names import ENVIRONMENT, SHARE_FILE
from others.commands import failed, said_by
from others.outcome import CaseOutcome
from others.plan import BASE, Batch, Side, python

NAME = "asv"
PACKAGE = "asv"
RULES = {
    "factor 1.1": "`asv compare`, its factor 1.1: “The factor above or below which a result is "
    "considered problematic”, if intervals of 99 % do not overlap",
    "factor 1.05": "`asv compare --factor 1.05`",
}

_SUITE = Path(__file__).with_name("suite_of_asv")
_BENCHMARK = "layer.time_case"
_ROUNDS = 2
_WARMUP = 0.1
"""asv's defaults: two rounds, each a process, and each of them warms up for that long."""

_SHORTEST = 0.02
_ROW = re.compile(r"^\|([^|]*)\|[^|]*\|[^|]*\|[^|]*\| *\S*time_case\('([^']+)'\) *\|$")
_WORDS = {"+": "slower", "-": "faster", "": "not changed", "!": "failing", "x": "not compared"}
_IDENTITY = ("-c", "user.name=others", "-c", "user.email=others@example.invalid")


def measure(batch: Batch) -> list[CaseOutcome]:
    """Measure a commit for each side, and let asv compare each with the first."""
    commits = {side.name: commit for side, commit in zip(batch.sides, _commits(batch), strict=True)}
    _configure(batch)
    _asv(batch, "machine", "--yes")
    hashes = batch.folder / "hashes.txt"
    hashes.write_text("\n".join(commits.values()) + "\n", encoding="utf-8")
    repeat = max(_SHORTEST, batch.seconds / _ROUNDS - _WARMUP)
    _asv(
        batch,
        *("run", f"HASHFILE:{hashes}", "--interleave-rounds", "--show-stderr"),
        # asv takes five samples a round; here it takes them until the time is spent.
        *("--attribute", f"repeat=(1,1000000,{repeat})"),
    )
    stats = {name: _stats(batch.folder, commit) for name, commit in commits.items()}
    verdicts = {
        rule: {side.name: _compare(batch, commits, side, rule) for side in batch.changed}
        for rule in RULES
    }
    return [
        CaseOutcome(
            case=case.id,
            times={name: of[case.id]["result"] for name, of in stats.items()},
            measured={name: of[case.id]["measured"] for name, of in stats.items()},
            verdicts={
                rule: {name: found[case.id] for name, found in of.items()}
                for rule, of in verdicts.items()
            },
        )
        for case in batch.cases
    ]


def verdicts_in(said: str) -> dict[str, str]:
    """The verdict of each case, from the table that `asv compare` prints."""
    rows = (_ROW.match(line) for line in said.splitlines())
    return {row[2]: _WORDS[row[1].strip()] for row in rows if row}


def _compare(batch: Batch, commits: dict[str, str], side: Side, rule: str) -> dict[str, str]:
    options = ("--factor", rule.split()[1], commits[BASE], commits[side.name])
    said = _asv(batch, "compare", *options)
    found = verdicts_in(said)
    if found.keys() != {case.id for case in batch.cases}:
        raise failed(["asv", "compare", *options], "other cases than were measured", said)
    return found


def _asv(batch: Batch, command: str, *options: str | Path) -> str:
    config = batch.folder / "asv.conf.json"
    variables = batch.variables()
    variables |= {
        "ASV_PYTHONPATH": variables["PYTHONPATH"],  # asv takes away the other one
        "HOME": str(batch.folder),  # where it keeps what it knows of the machine
    }
    return said_by(
        python("-m", "asv", command, "--config", config, *options), variables, batch.folder
    )


def _configure(batch: Batch) -> None:
    config = {
        "version": 1,
        "project": "others",
        "repo": str(batch.folder / "repository"),
        "branches": ["main"],
        "dvcs": "git",
        "environment_type": ENVIRONMENT,
        "plugins": [".others.asv_environment"],
        "benchmark_dir": str(_SUITE),
        "env_dir": str(batch.folder / "environments"),
        "results_dir": str(batch.folder / "results"),
        "html_dir": str(batch.folder / "html"),
        "build_command": [],
        "install_command": [],
        "uninstall_command": [],
    }
    (batch.folder / "asv.conf.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


def _commits(batch: Batch) -> list[str]:
    """Make a repository with a commit for each side; returns their hashes."""
    folder = batch.folder / "repository"
    folder.mkdir()

    def git(*arguments: str) -> str:
        return said_by(["git", *_IDENTITY, *arguments], batch.variables(), folder)

    git("init", "--quiet", "--initial-branch=main")
    hashes = []
    for side in batch.sides:
        (folder / SHARE_FILE).write_text(str(side.share), encoding="utf-8")
        git("add", SHARE_FILE)
        git("commit", "--quiet", "--allow-empty", "-m", side.name)
        hashes.append(git("rev-parse", "HEAD").strip())
    return hashes


def _stats(folder: Path, commit: str) -> dict[str, dict[str, Any]]:
    """Median and measured seconds of each case of a commit, from asv's own file.

    The seconds are those of its samples, as far as their number and their median tell them; asv
    does not keep what warmed up.
    """
    (file,) = (folder / "results").glob(f"*/{commit[:8]}-*.json")
    document = json.loads(file.read_text(encoding="utf-8"))
    found = dict(zip(document["result_columns"], document["results"][_BENCHMARK], strict=False))
    return {
        name.strip("'"): {"result": result, "measured": result * repeat * number}
        for name, result, repeat, number in zip(
            found["params"][0],
            found["result"],
            found["stats_repeat"],
            found["stats_number"],
            strict=True,
        )
    }
