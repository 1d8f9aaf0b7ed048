"""False alarms and power of other tools beside rnnbench's: same cases, same machine, same time.

    python results/noise/others.py                 measures all, and prints the table
    python results/noise/others.py --table         prints the table of what has been measured, and
                                                   puts it into results/noise/README.md, at
                                                   the mark of the file's name

pytest-benchmark, pyperf and asv each time the very callables that rnnbench times, twice as they are
and once with each planted slowdown, and say themselves what has changed. What they say is kept in
results/noise/others.json after each turn of a tool, and the same command goes on from there.

Cases are dealt out to batches; in each, every tool has its turn, in another order than before.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from others import by_asv, by_pyperf, by_pytest_benchmark, by_rnnbench
from others.outcome import Outcome, Session, load, save
from others.plan import PASSES, Batch, dealt, order_of, shapes_of, sides_of
from others.table import to_markdown

from rnnbench.cases import Case
from rnnbench.cores import usable_cores
from rnnbench.errors import UserError
from rnnbench.measuring.load import between, sample
from rnnbench.measuring.lock import MachineLock
from rnnbench.regressions.compare_command import parse_share

TOOLS: dict[str, ModuleType] = {
    module.NAME: module for module in (by_pytest_benchmark, by_pyperf, by_asv, by_rnnbench)
}
README = Path(__file__).with_name("README.md")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing and print the table."""
    try:
        given = _parser().parse_args(arguments)
        path: Path = given.output
        outcome = load(path)
        if not given.table:
            outcome = measure(given, outcome)
        if outcome is None or not outcome.sessions:
            raise UserError(f"{path}: nothing has been measured yet; leave --table out")
        table = to_markdown(outcome, {name: tool.RULES for name, tool in TOOLS.items()})
        print(table)
        if given.table:
            _fill(path.stem, table)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


def measure(given: argparse.Namespace, outcome: Outcome | None) -> Outcome:
    """Every session that is not in the outcome yet; each is saved when it has ended.

    Raises:
        UserError: a tool is missing or fails, an option is wrong, or the file is of other options.
    """
    tools = _chosen(given.tool)
    core = _core(given.core)
    planted = [parse_share(text, "--planted") for text in given.planted.split(",")]
    shapes = shapes_of(
        given.grid, given.implementation.split(","), given.passes.split(","), given.shapes
    )
    batches = dealt(shapes, given.batches)
    settings = {
        "seconds": given.seconds,
        "planted": planted,
        "core": core,
        "batches": [[case.id for case in cases] for cases in batches],
    }
    if outcome is not None and outcome.settings != settings:
        raise UserError(
            f"--output {given.output}: holds what was measured with other options; give another "
            "file, or remove this one"
        )
    outcome = outcome or Outcome(settings, _machine())
    os.sched_setaffinity(0, {core})
    for number, cases in enumerate(batches):
        for name in order_of(tools, number):
            if outcome.has(name, number):
                continue
            print(f"batch {number + 1} of {len(batches)}: {name} …", file=sys.stderr, flush=True)
            session = _session(name, number, cases, planted, given.seconds, core)
            print(f"  {session.wall:.0f} s", file=sys.stderr, flush=True)
            outcome = outcome.with_session(session)
            save(outcome, given.output)
    return outcome


def _fill(mark: str, table: str) -> None:
    """Put the table where the page has its mark."""
    sys.path.append(str(Path(__file__).parent.parent))
    from marks import fill

    text = README.read_text(encoding="utf-8")
    if f"<!-- {mark} -->" not in text:
        raise UserError(f"{README.name} has no mark <!-- {mark} --> to put the table at; add it")
    README.write_text(fill(text, mark, table), encoding="utf-8")


def _session(
    name: str,
    number: int,
    cases: tuple[Case, ...],
    planted: Sequence[float],
    seconds: float,
    core: int,
) -> Session:
    tool = TOOLS[name]
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory(prefix="rnnbench-others-") as folder, _alone(name):
        batch = Batch(cases, sides_of(planted), seconds, core, Path(folder))
        before = sample(_own())
        outcomes = tool.measure(batch)
        after = sample(_own())
    return Session(
        tool=name,
        version=importlib.metadata.version(tool.PACKAGE),
        batch=number,
        started_at=started_at,
        wall=after.wall - before.wall,
        load=between(before, after, os.cpu_count() or 1),
        cases=outcomes,
    )


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Hold the lock of rnnbench's runs; rnnbench itself takes it."""
    if name == by_rnnbench.NAME:
        yield
        return
    with MachineLock("results/noise/others.py"):
        yield


def _own() -> float:
    """CPU seconds of this process and of all that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _chosen(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in TOOLS:
            raise UserError(f"--tool {name!r} is not known; there is: {', '.join(TOOLS)}")
        try:
            importlib.metadata.version(TOOLS[name].PACKAGE)
        except importlib.metadata.PackageNotFoundError:
            raise UserError(
                f"{name} is not installed here; `pip install asv pyperf` installs what this "
                f"comparison needs beside rnnbench, or leave it out with --tool"
            ) from None
    return [name for name in TOOLS if name in names]


def _core(given: int | None) -> int:
    usable = usable_cores()
    if given is not None and given not in usable:
        raise UserError(
            f"--core {given} may not be used by this process; use {', '.join(map(str, usable))}"
        )
    return usable[-1] if given is None else given


def _machine() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seconds", type=_seconds, default=4.0, help="of measuring a case on a side (%(default)s)")
    add("--planted", default="5%,10%", help="slowdowns to plant (%(default)s)")
    add("--tool", default=",".join(TOOLS), help="which tools (%(default)s)")
    add("--grid", default="quick", help="whose shapes (%(default)s)")
    add(
        "--implementation",
        default="nn_rnn,python_loop,hoisted_loop",
        help="which implementations (%(default)s)",
    )
    add("--pass", dest="passes", default=",".join(PASSES), help="which passes (%(default)s)")
    add("--shapes", type=_whole, help="the first so many shapes of the grid (all)")
    add("--batches", type=_whole, default=2, help="how often each tool has a turn (%(default)s)")
    add("--core", type=int, help="the core that everything runs on (the last one)")
    add(
        "--output",
        type=Path,
        default=Path(__file__).with_name("others.json"),
        help="the file of what was found, which a second run goes on with",
    )
    add(
        "--table",
        action="store_true",
        help="measure nothing, print the table and put it into the page",
    )
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} are no seconds above 0")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


if __name__ == "__main__":
    # So that the command that is running now is ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    main()
