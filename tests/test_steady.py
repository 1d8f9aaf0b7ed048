"""What processes count as, on machines with one speed and with two."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rnnbench.statistics import compare_blocks, process_figure, side_figures, side_interval

SLOW = 0.55
"""The logarithm of what a shared core costs two threads."""


def blocks_of(*logs):
    return [np.array(process, dtype=float) for process in logs]


def two_speeds(rng, *, slow, change=0.0, pairs=8, blocks=9):
    """Logarithms of blocks where both sides of a pair have the machine's speed of the moment."""
    sides = ([], [])
    for _ in range(pairs):
        # A speed that lasts longer than a process's turns, and one that changes between them.
        level = SLOW * ((rng.random() < slow) if rng.random() < 0.7 else rng.random(blocks) < slow)
        for side, by in zip(sides, (0.0, change)):
            side.append(level + by + rng.normal(0, 0.005) + rng.normal(0, 0.005, blocks))
    return sides


def times(side):
    return [[[math.exp(log)] for log in process] for process in side]


def test_blocks_are_steady_on_both_sides_or_on_none() -> None:
    base = blocks_of([0.0, 0.0, SLOW, SLOW])
    new = blocks_of([0.02, 0.04, SLOW + 0.02, SLOW + 0.02])
    x, y = side_figures(base, new)
    assert (x[0], y[0]) == pytest.approx((0.0, 0.03))


def test_what_both_of_a_pair_are_slower_is_taken_off_both() -> None:
    base = blocks_of([0.0], [0.01], [0.02], [SLOW + 0.03], [0.0])
    new = blocks_of([0.0], [0.01], [0.02], [SLOW + 0.04], [0.3])
    x, y = side_figures(base, new)
    assert x[[0, 1, 2, 4]] == pytest.approx([0.0, 0.01, 0.02, 0.0])
    assert y[[0, 1, 2, 4]] == pytest.approx([0.0, 0.01, 0.02, 0.3])  # slow alone, and stays so
    assert y[3] - x[3] == pytest.approx(0.01)
    assert abs(x[3]) < 0.03 and abs(y[3]) < 0.04


def test_so_is_what_both_are_faster() -> None:
    slow = [SLOW + 0.001 * i for i in range(5)]
    base = blocks_of([0.0], *([log] for log in slow))
    new = blocks_of([0.03], *([log + 0.03] for log in slow))
    x, y = side_figures(base, new)
    assert y - x == pytest.approx([0.03] * 6)
    assert np.ptp(x) < 0.01


def test_of_fewer_than_four_pairs_nothing_is_taken_off() -> None:
    logs = ([0.0], [0.0], [SLOW])
    for side in side_figures(blocks_of(*logs), blocks_of(*logs)):
        assert side.tolist() == [0.0, 0.0, SLOW]


def test_a_session_has_quartiles_of_its_own() -> None:
    # Half as fast in the second session, in which one pair met the slow speed.
    logs = [0.0, 0.01, 0.0, 0.01, 0.7, 0.71, 0.7, 0.71, 0.7 + SLOW]
    x, y = side_figures(
        blocks_of(*([log] for log in logs)),
        blocks_of(*([log] for log in logs)),
        sessions=[0] * 4 + [1] * 5,
    )
    assert x.tolist() == y.tolist()
    assert x[:4] == pytest.approx(logs[:4])
    assert x[4:8] == pytest.approx(logs[4:8])
    assert x[8] == pytest.approx(0.7)


def test_a_process_without_a_partner_counts_by_itself() -> None:
    rng = np.random.default_rng(3)
    base = [rng.random(7) for _ in range(4)]
    x, y = side_figures(base, base[:2])
    assert (len(x), len(y)) == (4, 2)
    assert x[2:] == pytest.approx([process_figure(blocks) for blocks in base[2:]])


def test_blocks_that_took_no_turns_are_no_neighbours() -> None:
    rng = np.random.default_rng(4)
    base, new = two_speeds(rng, slow=0.8)
    apart = compare_blocks(times(base), times(new), took_turns=False, warmup_rounds=0)
    figures = (np.array([process_figure(blocks) for blocks in side]) for side in (base, new))
    value, low, high = side_interval(*figures)
    assert low is not None and high is not None
    assert (apart.ratio, apart.low, apart.high) == pytest.approx(
        tuple(map(math.exp, (value, low, high)))
    )
    together = compare_blocks(times(base), times(new), warmup_rounds=0)
    assert together.high / together.low < 1.05 < apart.high / apart.low


@pytest.mark.parametrize("slow", [0.0, 0.1, 0.5, 0.9])
def test_a_change_is_found_whatever_share_of_the_time_the_machine_is_slow(slow: float) -> None:
    rng = np.random.default_rng(5)
    verdicts = [
        [
            compare_blocks(*map(times, two_speeds(rng, slow=slow, change=change))).verdict
            for _ in range(25)
        ]
        for change in (0.0, math.log(1.05))
    ]
    assert verdicts[0].count("same") >= 24
    assert verdicts[1].count("slower") == 25


@pytest.mark.parametrize("scatter", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("pairs", [4, 8])
def test_intervals_of_processes_that_are_scattered_by_themselves_hold_one(
    scatter: float, pairs: int
) -> None:
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(400):
        x, y = side_figures(*(list(rng.normal(0, scatter, (pairs, 1))) for _ in range(2)))
        _, low, high = side_interval(x, y)
        assert low is not None and high is not None
        held += low <= 0 <= high
    assert held >= 0.92 * 400  # at a level of 95 %: three deviations of the count


def medians(side):
    return [float(np.median(blocks)) for blocks in side]


def test_all_blocks_count_where_that_brings_processes_closer_together() -> None:
    # Blocks about 4 % apart: how many are within 5 % of the block a quarter of the way up changes
    # from pair to pair, and the median of all blocks does not.
    base = blocks_of(*([0.0, 0.04, 0.08, 0.12, 0.16 + 0.01 * i] for i in range(4)))
    base[1][1] = base[2][1] = 0.02
    x, y = side_figures(base, base)
    assert x.tolist() == y.tolist() == pytest.approx([0.08] * 4)
    fewer = side_figures(base[:3], base[:3])[0]  # too few to choose by
    assert fewer == pytest.approx([process_figure(blocks) for blocks in base[:3]])
    assert fewer.max() < 0.08


def test_steady_blocks_count_where_the_machine_has_two_speeds() -> None:
    base, new = two_speeds(np.random.default_rng(8), slow=0.5)
    x, _ = side_figures(base, new)
    assert np.ptp(x) < 0.1 < np.ptp(medians(base))


def test_each_session_counts_in_a_way_of_its_own() -> None:
    rng = np.random.default_rng(9)
    quiet = blocks_of(*([0.0, 0.04, 0.08, 0.12, 0.16] for _ in range(4)))
    quiet[1][1] = quiet[2][1] = 0.02
    speeds = two_speeds(rng, slow=0.5)
    x, y = side_figures(
        [*quiet, *speeds[0]], [*quiet, *speeds[1]], sessions=[0] * 4 + [1] * len(speeds[0])
    )
    alone = [side_figures(quiet, quiet), side_figures(*speeds)]
    assert x.tolist() == [*alone[0][0], *alone[1][0]]
    assert y.tolist() == [*alone[0][1], *alone[1][1]]
    assert x[:4] == pytest.approx(medians(quiet))
    assert np.ptp(x[4:]) < 0.1 < np.ptp(medians(speeds[0]))


def test_a_process_without_a_partner_counts_in_the_way_of_the_pairs() -> None:
    base = blocks_of(*([0.0, 0.04, 0.08, 0.12, 0.16] for _ in range(6)))
    base[1][1] = base[2][1] = 0.02
    base[5][1] = 0.01
    x, y = side_figures(base, base[:4])
    assert (len(x), len(y)) == (6, 4)
    assert x.tolist() == pytest.approx(medians(base))


@given(arrays(np.float64, (2, 6, 5), elements=st.floats(-2, 2)), st.floats(-1, 1), st.floats(-1, 1))
def test_sides_are_alike_and_a_pair_keeps_its_ratio(logs, level, change) -> None:
    x, y = side_figures(list(logs[0]), list(logs[1]))
    other_y, other_x = side_figures(list(logs[1]), list(logs[0]))
    assert x.tolist() == other_x.tolist() and y.tolist() == other_y.tolist()
    alone = [side_figures([base], [new]) for base, new in zip(*logs)]
    steady = [(b - a)[0] for a, b in alone]
    whole = np.median(logs[1], axis=1) - np.median(logs[0], axis=1)
    assert any(y - x == pytest.approx(way, abs=1e-9) for way in (steady, whole))
    moved = ([p + level for p in logs[0]], [p + level + change for p in logs[1]])
    moved_x, moved_y = side_figures(*moved)
    assert moved_y - moved_x == pytest.approx(y - x + change, abs=1e-9)
