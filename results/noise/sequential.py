"""Look at a case after each stage and stop once it is decided: errors, coverage, power, effort.

    python results/noise/sequential.py FOLDER > results/noise/sequential-table.md

FOLDER holds the recordings of `study.py`: pairs of processes that ran the same code. A trial draws
a number of processes a side for each stage, with return, from one recording and one case. All that
it finds is wrong by construction; a slower side is planted by multiplying its times.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from study import Recording, load

from rnnbench.regressions.family import Bounds, judge
from rnnbench.regressions.machine_noise import Share
from rnnbench.statistics import Verdict, side_figures, side_interval, verdict_of

Floats: TypeAlias = NDArray[np.float64]

SEED = 21
RATE = 0.05
MARGINS = (0.02, 0.05)
PLANTED = (0.03, 0.05)
PROCESSES = 8
"""Of each side in a stage, as `rnnbench versions` has them."""
BLOCKS = 12
"""Of a case and side in as many processes as a stage has; over all stages, however many."""
SESSION_SHIFT = 0.2
"""Standard deviation of the logarithm by which the machine changes from one stage to the next."""


@dataclass(frozen=True)
class Rule:
    """How a case is measured and judged: with ``naive`` looks each one at the whole rate.

    ``processes`` are those of a side and stage. ``pooled`` takes processes of all stages as if they
    had run at one time, and ``shift`` changes the machine in between.
    """

    name: str
    looks: int
    processes: int = PROCESSES
    naive: bool = False
    pooled: bool = False
    shift: float = 0.0

    @property
    def level(self) -> float:
        """Of the interval of a single case."""
        return 1 - RATE / (1 if self.naive else self.looks)

    @property
    def blocks(self) -> int:
        """Of a process in a stage, so that all stages together take as long as a single one."""
        return BLOCKS * PROCESSES // (self.looks * self.processes)


ONE_LOOK = [
    Rule("one look", 1),
    Rule("one look, 16 processes", 1, processes=16),
    Rule("one look, 24 processes", 1, processes=24),
]
STAGES = [Rule(f"**{looks} stages**", looks) for looks in (2, 3)]
NAIVE = [Rule(f"{looks} naive looks", looks, naive=True) for looks in (2, 3)]
POOLED = [
    Rule(f"{looks} stages, pooled, machine {how}", looks, pooled=True, shift=shift)
    for looks in (2, 3)
    for how, shift in (("unchanged", 0.0), ("changes", SESSION_SHIFT))
]
CHANGES = [
    Rule(f"**{looks} stages**, machine changes", looks, shift=SESSION_SHIFT) for looks in (2, 3)
]

# Trials


def draw(
    rng: np.random.Generator, recording: Recording, rule: Rule, trials: int, *, paired: bool
) -> tuple[Floats, Floats]:
    """Draw both sides of trials: logarithms of blocks, trial x stage x process x block.

    Pairs took turns, as in a run; without ``paired`` any two processes stand against each other,
    which is what the test presumes, and the hardest case for its level.
    """
    logs = recording.low
    pairs, _, blocks = logs.shape
    shape = (trials, rule.looks, rule.processes, 1)
    drawn = []
    for _ in range(2):
        process = rng.integers(0, 2 * pairs, shape)
        start = rng.integers(0, blocks - rule.blocks + 1, shape)
        drawn.append((process // 2, process % 2, start + np.arange(rule.blocks)))
    (pair, side, block), (other_pair, other_side, other_block) = drawn
    new = (pair, 1 - side, block) if paired else (other_pair, other_side, other_block)
    shift = rule.shift * rng.standard_normal(shape[:2])[:, :, None, None]
    x, y = (logs[where] + shift for where in ((pair, side, block), new))
    return x, y


def interval(x: Floats, y: Floats, rule: Rule, level: float) -> tuple[float, float, float]:
    """Return the logarithms of ratio and ends after the stages that x and y have."""
    sessions = None
    if len(x) > 1 and not rule.pooled:
        sessions = np.repeat(np.arange(len(x)), x.shape[1]).tolist()
    sides = (list(side.reshape(-1, side.shape[-1])) for side in (x, y))
    value, low, high = side_interval(*side_figures(*sides, sessions), level, sessions)
    assert low is not None and high is not None
    return value, low, high


@dataclass(frozen=True)
class Looks:
    """Ends of the intervals of trials at each look, trial x look, and the processes at each."""

    low: Floats
    high: Floats
    processes: Sequence[int]

    def ended(self, margin: float, planted: float = 0.0) -> Iterator[tuple[int, Verdict]]:
        """The look at which each trial ended, and its verdict."""
        factor = 1 + planted
        for lows, highs in zip(np.exp(self.low) * factor, np.exp(self.high) * factor, strict=True):
            verdicts = [verdict_of(a, b, margin) for a, b in zip(lows, highs, strict=True)]
            clear = [at for at, told in enumerate(verdicts) if told != "inconclusive"]
            at = clear[0] if clear else len(verdicts) - 1
            yield at, verdicts[at]


def look(rule: Rule, recordings: Sequence[Recording], trials: int, *, paired: bool) -> Looks:
    """Return all looks of trials on all recordings, also those after which a case was decided."""
    ends = []
    for number, recording in enumerate(recordings):
        rng = np.random.default_rng([SEED, number])
        x, y = draw(rng, recording, rule, trials, paired=paired)
        for base, new in zip(x, y, strict=True):
            found = [interval(base[:k], new[:k], rule, rule.level) for k in _looks(rule)]
            ends.append([bounds[1:] for bounds in found])
    low, high = np.moveaxis(np.array(ends), 2, 0)
    return Looks(low, high, [k * rule.processes for k in _looks(rule)])


def _looks(rule: Rule) -> range:
    return range(1, rule.looks + 1)


# Families


@dataclass(frozen=True)
class Family:
    """What was said of one family: counts of cases, and the processes that a side took."""

    false: int
    found: int
    same: int
    unchanged: int
    changed: int
    processes: float

    @property
    def false_share(self) -> float:
        """Of all that was called slower or faster, what is not."""
        return self.false / max(1, self.false + self.found)


def family(
    rng: np.random.Generator, rule: Rule, recordings: Sequence[Recording], slower: int
) -> Family:
    """Measure one case of each recording in stages, the last ones slowed, as a run does it."""
    planted = [0.0] * (len(recordings) - slower) + [0.05] * slower
    sides = []
    for recording, share in zip(recordings, planted, strict=True):
        x, y = draw(rng, recording, rule, 1, paired=True)
        sides.append((x[0], y[0] + math.log1p(share)))
    stages = [1] * len(sides)
    looks = 1 if rule.naive else rule.looks
    for stage in _looks(rule):
        intervals = [
            _at(x[:taken], y[:taken], rule) for (x, y), taken in zip(sides, stages, strict=True)
        ]
        verdicts = [found.verdict for found in judge(intervals, rate=RATE, looks=looks)]
        if stage < rule.looks:
            stages = [
                stage + 1 if verdict == "inconclusive" else taken
                for taken, verdict in zip(stages, verdicts, strict=True)
            ]
    told = list(zip(verdicts, planted, strict=True))
    return Family(
        false=sum(v in ("slower", "faster") and not (share and v == "slower") for v, share in told),
        found=sum(v == "slower" and share > 0 for v, share in told),
        same=sum(v == "same" and not share for v, share in told),
        unchanged=len(sides) - slower,
        changed=slower,
        processes=rule.processes * float(np.mean(stages)),
    )


def _at(x: Floats, y: Floats, rule: Rule) -> Callable[[float], Bounds]:
    def bounds(level: float) -> Bounds:
        value, low, high = interval(x, y, rule, level)
        return math.exp(value), math.exp(low), math.exp(high)

    return bounds


# Tables


def print_looks(
    title: str, rules: Sequence[Rule], recordings: list[Recording], trials: int, *, paired: bool
) -> None:
    print(f"\n**{title}** ({len(recordings)} recordings)\n")
    names = [
        *("rule", "false verdict", "holds 1 at the end", "holds 1 at every look", "worst case"),
        *(f"`same` within {100 * margin:g} %" for margin in MARGINS),
        *(f"{100 * share:g} % found" for share in PLANTED),
        *("processes if unchanged", f"if {100 * PLANTED[-1]:g} % slower"),
    ]
    _print_head(names)
    for rule in rules:
        found = look(rule, recordings, trials, paired=paired)
        holds = (found.low <= 0) & (found.high >= 0)
        always = holds.all(axis=1)
        ended = list(found.ended(MARGINS[0]))
        slowed = {share: list(found.ended(MARGINS[0], share)) for share in PLANTED}
        wide = list(found.ended(MARGINS[1]))
        cells = [
            _share([verdict in ("slower", "faster") for _, verdict in ended]),
            _share([bool(row[at]) for row, (at, _) in zip(holds, ended, strict=True)]),
            _share(always.tolist()),
            f"{100 * always.reshape(len(recordings), -1).mean(axis=1).min():.1f}",
            *(_share([v == "same" for _, v in each]) for each in (ended, wide)),
            *(_share([v == "slower" for _, v in slowed[share]]) for share in PLANTED),
            *(_mean_processes(found, each) for each in (ended, slowed[PLANTED[-1]])),
        ]
        print(f"| {rule.name} | {' | '.join(cells)} |", flush=True)


def print_families(rules: Sequence[Rule], recordings: list[Recording], trials: int) -> None:
    for slower in (0, 3):
        print(f"\n**Families of {len(recordings)} cases, {slower} of them 5 % slower**\n")
        _print_head(
            [
                "rule",
                "with a false verdict",
                "false of all found",
                "5 % found",
                "`same`",
                "processes",
            ]
        )
        for rule in rules:
            rng = np.random.default_rng([SEED, slower, rule.looks])
            told = [family(rng, rule, recordings, slower) for _ in range(trials)]
            shares = [each.false_share for each in told]
            error = 1.96 * float(np.std(shares)) / math.sqrt(trials)
            changed = sum(each.changed for each in told)
            found = Share(sum(each.found for each in told), changed)
            same = Share(sum(each.same for each in told), sum(each.unchanged for each in told))
            cells = [
                _share([each.false > 0 for each in told]),
                f"{100 * np.mean(shares):.1f} ± {100 * error:.1f}",
                _cell(found) if changed else "",
                _cell(same),
                f"{np.mean([each.processes for each in told]):.1f}",
            ]
            print(f"| {rule.name} | {' | '.join(cells)} |", flush=True)


def _print_head(names: Sequence[str]) -> None:
    print(f"| {' | '.join(names)} |\n|---{'|---:' * (len(names) - 1)}|")


def _share(told: Sequence[bool]) -> str:
    return _cell(Share(sum(told), len(told)))


def _cell(share: Share) -> str:
    low, high = (100 * end for end in share.interval)
    return f"{100 * share.value:.1f} [{low:.1f}, {high:.1f}]"


def _mean_processes(found: Looks, ended: Sequence[tuple[int, Verdict]]) -> str:
    return f"{np.mean([found.processes[at] for at, _ in ended]):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder of the recordings, *.json.gz")
    parser.add_argument("--trials", type=int, default=1000, help="per recording and row (1000)")
    parser.add_argument("--families", type=int, default=400, help="per row (400)")
    options = parser.parse_args()
    recordings = [
        recording
        for recording in load(options.folder)
        if "different-cores" not in recording.file and len(recording.low) >= PROCESSES
    ]
    print(
        f"Shares in per cent with exact 95 % intervals (Clopper and Pearson); {options.trials} "
        f"trials of each recording, {options.families} families; rate {100 * RATE:g} %, margin "
        f"{100 * MARGINS[0]:g} % unless another is given, {PROCESSES} processes a side and stage "
        f"unless another number is given, {BLOCKS * PROCESSES} blocks a side over all stages."
    )
    rules = [*ONE_LOOK, *STAGES, *NAIVE]
    print_looks("Pairs that took turns", rules, recordings, options.trials, paired=True)
    few = [ONE_LOOK[0], *STAGES, *NAIVE]
    print_looks("Any two processes", few, recordings, options.trials, paired=False)
    print_looks(
        f"Between stages the machine changes by {100 * SESSION_SHIFT:g} % (standard deviation)",
        [*CHANGES, *POOLED],
        recordings,
        options.trials,
        paired=True,
    )
    print_families(few, recordings, options.families)


if __name__ == "__main__":
    main()
