"""Fill the marked parts of the pages in this folder from the files beside them.

    python results/update_results.py

Nothing between the marks is typed by hand.
"""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path

from marks import RESULTS, fenced, fill_all, said, wrapped

from rnnbench.diagnosis.growth import growth_said, growths_of
from rnnbench.limits import Ceiling, read_limits
from rnnbench.numbers import format_interval, format_seconds

Parts = dict[str, str]


def compile_growth() -> Parts:
    """How compile time grows."""
    document = json.loads(said("compile-growth/growth.json"))
    lines = [wrapped(f"- {sentence}", "  ") for sentence in growth_said(growths_of(document))]
    return {"growth": "\n".join(lines)}


def streaming() -> Parts:
    """The table of streams at the same time, as it was printed."""
    _, _, table = said("cpu-streaming/streams.log").partition("Streams at the same time\n")
    return {"streams": fenced(table.partition("\n\nA latency is")[0])}


def fleet() -> Parts:
    """What the simulation and the fleets with a slow node printed."""
    dealt, _, table = said("fleet/preempt.md").partition("\n")
    return {
        "dealing": fenced(dealt),
        "preemption": table,
        "merging": fenced(said("fleet/merge.log")),
        "slow node": fenced(said("fleet/slow_node.log")),
    }


def identical() -> Parts:
    """How far ratios lie from 1 where nothing differs, in peace and not."""
    return {
        "table": said("identical/distribution.md"),
        "disturbed": said("identical/disturbed.md"),
    }


def instructions() -> Parts:
    """What counts are worth, and what two versions differ by."""
    folder = RESULTS / "instructions"
    # By its path: the study of noise is a study.py too.
    table = runpy.run_path(str(folder / "study.py"))["table"]
    (counted,) = re.findall(
        r"^- (Instructions of .*? by over [\d.]+ %\.)",
        said("instructions/versions/compare.md"),
        re.M,
    )
    return {
        "study": table(folder / "repeat.json", folder / "many.json"),
        "versions": wrapped(counted),
    }


def machine() -> Parts:
    """The limits that count most, and what the check of them printed."""
    ceilings = {one.threads: one for one in read_limits(RESULTS / "machine/limits.json").ceilings}
    rows: list[tuple[str, Callable[[Ceiling], str]]] = [
        ("matrix products at best", lambda one: f"{one.flops_per_second / 1e9:.0f} GFLOP/s"),
        ("memory", lambda one: f"{one.bytes_per_second / 1e9:.0f} GB/s"),
        ("an operator's call from Python", lambda one: call(one, "python")),
        ("the same from C++", lambda one: call(one, "cpp")),
    ]
    names = [f"{threads} thread{'s' * (threads > 1)}" for threads in ceilings]
    lines = [f"| | {' | '.join(names)} |", "|---|" + "--:|" * len(names)]
    for name, told in rows:
        lines.append(f"| {name} | {' | '.join(told(one) for one in ceilings.values())} |")
    return {
        "limits": "\n".join(lines),
        "check": fenced(said("machine/check.log")),
        **{run: fenced(said(f"machine/check-{run}.log")) for run in ("disturbed", "epyc")},
    }


def call(ceiling: Ceiling, name: str) -> str:
    """The time of a call with its interval over processes."""
    least = ceiling.calls[name]
    known = least.seconds, least.low, least.high
    return f"{format_seconds(*known)} {format_interval(*known)}"


def noise() -> Parts:
    """The tables of the studies, and what `rnnbench noise` printed."""
    table = said("noise/table.md")
    rows = [
        f"| {blocks} | {' | '.join(target(table, blocks))} |"
        for blocks in re.findall(
            r"^\*\*Two processes: 8 processes a side, (\d+) blocks", table, re.M
        )
    ]
    head = ["blocks", *TARGET.values()]
    runs = sorted((RESULTS / "noise").glob("noise-*.md"))
    return {
        "target": "\n".join([f"| {' | '.join(head)} |", "|" + "---:|" * len(head), *rows]),
        "table": table,
        **{run.stem.replace("-", " ", 1): said(f"noise/{run.name}") for run in runs},
        **{
            name: said(f"noise/{name}.md")
            for name in ("levels", "figures", "scatter", "sessions", "whole")
        },
        "history": said("noise/history-table.md"),
    }


def versions() -> Parts:
    """What changed between versions, and between which releases."""
    return {
        **{name: said(f"versions/{name}.md") for name in ("findings", "summary", "again")},
        "bisect": f"```text\n{said('versions/bisect.log')}\n```",
    }


TARGET = {"holds 1": "holds 1", "within 5 %": "within 5 %", "5 %": "5 % found", "3 %": "3 % found"}
"""Columns of the study's table that have a target, and what they are called here."""


def target(table: str, blocks: str) -> list[str]:
    """What the chosen estimator reaches with eight processes and so many blocks."""
    _, _, rest = table.partition(f"**Two processes: 8 processes a side, {blocks} blocks**")
    head, row = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in rest.splitlines()
        if line.startswith(("| candidate", "| **chosen**"))
    ][:2]
    return [row[head.index(column)] for column in TARGET]


PAGES: dict[str, Callable[[], Parts]] = {
    "compile-growth": compile_growth,
    "cpu-streaming": streaming,
    "fleet": fleet,
    "identical": identical,
    "instructions": instructions,
    "machine": machine,
    "noise": noise,
    "versions": versions,
}


def page(name: str) -> Path:
    """The page of a folder."""
    return RESULTS / name / "README.md"


def filled(name: str, text: str) -> str:
    """A page with its marked parts made again."""
    return fill_all(text, PAGES[name](), f"results/{name}/README.md")


def main() -> None:
    """Rewrite the pages."""
    for name in PAGES:
        text = page(name).read_text(encoding="utf-8")
        page(name).write_text(filled(name, text), encoding="utf-8")


if __name__ == "__main__":
    main()
