"""The estimators on synthetic processes whose truth is known: coverage, power, verdicts, errors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rnnbench.statistics import (
    Comparison,
    Processes,
    compare_blocks,
    estimate_blocks,
    estimate_processes,
    estimate_quantile,
    middle_interval,
    process_figure,
    side_interval,
    student_t_quantile,
    verdict_of,
)
from rnnbench.statistics import _median_interval as median_interval
from rnnbench.statistics import _rank_scores as rank_scores
from rnnbench.statistics import _rank_sum_limits as rank_sum_limits

REPEATS = 400


def draw_processes(
    rng: np.random.Generator,
    count: int,
    *,
    seconds: float = 0.002,
    process_spread: float = 0.012,
    slow_share: float = 0.0,
    blocks: int = 3,
    rounds: int = 8,
) -> list[list[list[float]]]:
    """Draw a side as the recorded noise is: processes differ, some are slow, blocks vary less."""
    slow = 1 + 0.28 * (rng.random((count, 1, 1)) < slow_share)
    process = np.exp(process_spread * rng.standard_normal((count, 1, 1)))
    block = np.exp(0.004 * rng.standard_normal((count, blocks, 1)))
    each = np.exp(np.abs(0.02 * rng.standard_normal((count, blocks, rounds))))
    times: list[list[list[float]]] = (seconds * slow * process * block * each).tolist()
    return times


def scaled(processes: Processes, factor: float) -> list[list[list[float]]]:
    return [[[factor * x for x in rounds] for rounds in blocks] for blocks in processes]


def least_plausible_share(share: float) -> float:
    """Where `share` is the true share, one run in a thousand has a smaller one in REPEATS."""
    return float(stats.binom.ppf(0.001, REPEATS, share)) / REPEATS


def holds(comparison: Comparison, ratio: float) -> bool:
    assert comparison.low is not None and comparison.high is not None
    return comparison.low <= ratio <= comparison.high


# Coverage and power


@pytest.mark.parametrize("slow_share", [0.0, 1 / 6])
@pytest.mark.parametrize("count", [3, 4, 5, 8])
def test_interval_holds_the_true_ratio_as_often_as_its_level_says(
    count: int, slow_share: float
) -> None:
    rng = np.random.default_rng([1, count])
    held = [
        holds(
            compare_blocks(
                draw_processes(rng, count, slow_share=slow_share),
                draw_processes(rng, count, slow_share=slow_share, seconds=0.0022),
            ),
            1.1,
        )
        for _ in range(REPEATS)
    ]
    assert np.mean(held) >= least_plausible_share(0.95)


def test_two_processes_a_side_do_not_under_cover_ordinary_noise() -> None:
    rng = np.random.default_rng(2)
    held = [
        holds(compare_blocks(draw_processes(rng, 2), draw_processes(rng, 2)), 1)
        for _ in range(REPEATS)
    ]
    assert np.mean(held) >= least_plausible_share(0.95)


@pytest.mark.parametrize("level", [0.8, 0.99])
def test_coverage_follows_the_level(level: float) -> None:
    rng = np.random.default_rng(3)
    held = [
        holds(compare_blocks(draw_processes(rng, 8), draw_processes(rng, 8), level=level), 1)
        for _ in range(REPEATS)
    ]
    assert np.mean(held) >= least_plausible_share(level)
    assert np.mean(held) <= 1 - (1 - level) / 4  # not by being as wide as one likes


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_paired_interval_covers_whatever_slows_a_whole_process(count: int) -> None:
    rng = np.random.default_rng([4, count])
    held = []
    for _ in range(REPEATS):
        base = draw_processes(rng, count, process_spread=0)
        new = draw_processes(rng, count, process_spread=0)
        slow = 1 + 0.28 * (rng.random(count) < 1 / 6)
        for i, factor in enumerate(slow):
            base[i : i + 1] = scaled(base[i : i + 1], float(factor))
            new[i : i + 1] = scaled(new[i : i + 1], float(factor))
        held.append(holds(compare_blocks(base, new, same_process=True), 1))
    assert np.mean(held) >= least_plausible_share(0.95)


def test_unequal_process_counts_cover() -> None:
    rng = np.random.default_rng(5)
    held = [
        holds(compare_blocks(draw_processes(rng, 5), draw_processes(rng, 9)), 1)
        for _ in range(REPEATS)
    ]
    assert np.mean(held) >= least_plausible_share(0.95)


def test_estimate_interval_covers_the_median_process() -> None:
    rng = np.random.default_rng(6)
    truth = 0.002 * math.exp(0.02 * float(stats.norm.ppf(0.75)))  # |normal| has this median
    for count in (3, 8):
        held = []
        for _ in range(REPEATS):
            estimate = estimate_blocks(draw_processes(rng, count, rounds=40))
            assert estimate.low is not None and estimate.high is not None
            held.append(estimate.low <= truth <= estimate.high)
        assert np.mean(held) >= least_plausible_share(0.95)


def require_few_false_verdicts_and_five_percent_found(
    draw: Callable[[], tuple[Processes, Processes]],
) -> None:
    verdicts = []
    for _ in range(REPEATS):
        base, new = draw()
        verdicts.append(
            (compare_blocks(base, new).verdict, compare_blocks(base, scaled(new, 1.05)).verdict)
        )
    unchanged, slower = zip(*verdicts, strict=True)
    assert sum(v in ("faster", "slower") for v in unchanged) <= stats.binom.ppf(
        0.999, REPEATS, 0.05
    )
    assert slower.count("slower") >= 0.95 * REPEATS


def test_same_code_is_seldom_called_a_difference_and_five_percent_is_found() -> None:
    rng = np.random.default_rng(7)
    require_few_false_verdicts_and_five_percent_found(
        lambda: (
            draw_processes(rng, 8, slow_share=1 / 6),
            draw_processes(rng, 8, slow_share=1 / 6),
        )
    )


def test_slow_processes_do_not_move_the_ratio() -> None:
    rng = np.random.default_rng(8)
    base, new = draw_processes(rng, 8), draw_processes(rng, 8)
    new[2:4] = scaled(new[2:4], 1.28)
    assert compare_blocks(base, new).ratio == pytest.approx(1, abs=0.025)


def test_a_machine_of_two_speeds_does_not_hide_five_percent() -> None:
    """Both sides meet the slow speed at the same turns, as recorded: for whole turns of a pair."""
    rng = np.random.default_rng(19)

    def draw() -> tuple[Processes, Processes]:
        base, new = (draw_processes(rng, 8, blocks=5) for _ in "ab")
        speed = np.where(rng.random((8, 5)) < 0.4, 1.75, 1.0)
        for side in (base, new):
            for process, speeds in zip(side, speed, strict=True):
                process[:] = [[s * x for x in block] for s, block in zip(speeds, process)]
        return base, new

    require_few_false_verdicts_and_five_percent_found(draw)


def test_same_process_cancels_a_slow_process_that_two_processes_would_show() -> None:
    rng = np.random.default_rng(9)
    base = draw_processes(rng, 3, process_spread=0.3)
    new = scaled(base, 1.1)
    paired = compare_blocks(base, new, same_process=True)
    assert (paired.low, paired.ratio, paired.high) == pytest.approx((1.1, 1.1, 1.1))
    assert paired.verdict == "slower"
    assert compare_blocks(base, new).verdict == "inconclusive"


# What is used of the rounds


def test_warm_up_rounds_are_dropped_but_half_of_a_short_block_stays() -> None:
    long = [[[0.1] * 4 + [1.0] * 6]] * 2
    short = [[[0.1] * 2 + [1.0] * 2]] * 2
    single = [[[1.0]]] * 2
    assert compare_blocks(long, short).ratio == 1
    assert compare_blocks(single, short).ratio == 1
    assert compare_blocks(single, short, warmup_rounds=0).ratio == pytest.approx(0.1)


def test_a_block_counts_as_its_tenth_percentile() -> None:
    rng = np.random.default_rng(10)
    base, new = ([[rng.random(n).tolist()] for n in (11, 30)] for _ in "ab")
    x, y = ([np.quantile(blocks[0][4:], 0.1) for blocks in side] for side in (base, new))
    expected = np.quantile(np.log(y), 0.25) - np.quantile(np.log(x), 0.25)
    assert compare_blocks(base, new).ratio == pytest.approx(math.exp(expected))


def test_a_process_counts_as_the_median_of_its_steady_blocks() -> None:
    logs = np.log([1.02, 1.7, 1.0, 1.03, 1.8, 1.04, 1.75])  # the second fastest is a quarter up
    assert process_figure(logs) == pytest.approx(math.log(1.02 * 1.03) / 2)
    rng = np.random.default_rng(12)
    for count in range(1, 30):
        close = 0.01 * rng.random(count)
        assert process_figure(close) == pytest.approx(float(np.median(close)))
        assert process_figure(close[::-1] + 3) == pytest.approx(3 + process_figure(close))


@pytest.mark.parametrize(("slow", "figure"), [(1.0499, 1.0499), (1.0501, 1.0)])
def test_a_block_is_steady_up_to_five_percent(slow: float, figure: float) -> None:
    logs = np.log([1.0, slow, slow, slow])
    assert math.exp(process_figure(logs)) == pytest.approx(figure)


def test_only_blocks_that_both_processes_have_are_compared() -> None:
    base = [[[1.0], [1.0]], [[1.0], [1.0]]]
    new = [[[1.0], [1.0], [5.0], [5.0], [5.0]], [[1.0], [1.0], [5.0], [5.0], [5.0]]]
    for same_process in (False, True):
        assert compare_blocks(base, new, same_process=same_process).ratio == 1


def test_pairs_without_a_partner_are_left_out_in_one_process() -> None:
    comparison = compare_blocks([[[1.0]]] * 2, [[[1.0]], [[1.0]], [[9.0]]], same_process=True)
    assert (comparison.ratio, comparison.processes) == (1, 2)


def test_estimate_is_the_median_of_medians_in_seconds() -> None:
    processes = [[[1.0, 2.0, 9.0], [4.0]], [[3.0]], [[8.0], [8.0]]]
    estimate = estimate_blocks(processes)
    assert estimate.value == pytest.approx(3.0)
    assert (estimate.processes, estimate.blocks) == (3, 5)
    assert estimate_blocks(processes, warmup_rounds=2).value == pytest.approx(4.75)


# Verdicts


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.99, 1.01, "same"),
        (1.005, 1.019, "same"),
        (1 / 1.02, 1.02, "same"),
        (0.979, 1.01, "inconclusive"),
        (1.005, 1.03, "slower"),
        (0.97, 0.995, "faster"),
        (1.0, 1.03, "inconclusive"),
        (None, None, "inconclusive"),
    ],
)
def test_verdict_follows_from_interval_and_margin(
    low: float | None, high: float | None, verdict: str
) -> None:
    assert verdict_of(low, high, 0.02) == verdict


@pytest.mark.parametrize("same_process", [False, True])
def test_one_process_has_no_interval_and_no_verdict(same_process: bool) -> None:
    one, three = [[[1.0, 1.0]]], [[[2.0, 2.0]]] * 3
    for base, new in ((one, three), (three, one)):
        comparison = compare_blocks(base, new, same_process=same_process)
        assert (comparison.low, comparison.high) == (None, None)
        assert comparison.verdict == "inconclusive"
    assert estimate_blocks(one).low is None
    assert estimate_blocks(one).value == pytest.approx(1.0)


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize("same_process", [False, True])
def test_identical_times_are_the_same(count: int, same_process: bool) -> None:
    side = [[[0.25, 0.25]]] * count
    comparison = compare_blocks(side, side, same_process=same_process)
    assert (comparison.low, comparison.ratio, comparison.high) == (1, 1, 1)
    assert comparison.verdict == "same"


# Errors

GOOD = [[[1.0, 1.0]], [[1.0, 1.0]]]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], r"base has no process"),
        ([[]], r"base\[0\] has no block"),
        ([[[1.0], []]], r"base\[0\]\[1\] has no round"),
        ([[[1.0, math.nan]]], r"base\[0\]\[0\]\[1\] is nan"),
        ([[[1.0], [-1.0]]], r"base\[0\]\[1\]\[0\] is -1.0"),
        ([[[0.0]]], r"base\[0\]\[0\]\[0\] is 0.0"),
        ([[[math.inf]]], r"base\[0\]\[0\]\[0\] is inf"),
    ],
)
def test_bad_times_are_refused_with_their_place(bad: Processes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_blocks(bad, GOOD)
    with pytest.raises(ValueError, match=message.replace("base", "processes")):
        estimate_blocks(bad)


def test_bad_options_are_refused() -> None:
    for margin in (0.0, -0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="margin"):
            compare_blocks(GOOD, GOOD, margin)
    with pytest.raises(ValueError, match="level"):
        compare_blocks(GOOD, GOOD, level=1.0)
    with pytest.raises(ValueError, match="warmup_rounds"):
        estimate_blocks(GOOD, warmup_rounds=-1)


# Formulas


@pytest.mark.parametrize("freedom", [1, 1.3, 2, 2.7, 3, 4, 7, 15.5, 200, 5000])
@pytest.mark.parametrize("probability", [0.005, 0.3, 0.5, 0.9, 0.975, 0.995, 0.9995])
def test_student_t_agrees_with_scipy(probability: float, freedom: float) -> None:
    expected = float(stats.t.ppf(probability, freedom))
    assert student_t_quantile(probability, freedom) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_student_t_refuses_what_it_cannot_answer() -> None:
    for probability, freedom in ((0.0, 3), (1.0, 3), (0.9, 0.5)):
        with pytest.raises(ValueError, match="probability"):
            student_t_quantile(probability, freedom)


def test_small_samples_use_welch_and_student() -> None:
    rng = np.random.default_rng(11)
    x, y = 1 + rng.random(3), 1 + rng.random(3)
    base, new = [[[v]] for v in x], [[[v]] for v in y]
    unpaired = compare_blocks(base, new)
    welch = stats.ttest_ind(np.log(y), np.log(x), equal_var=False).confidence_interval()
    assert (unpaired.low, unpaired.high) == pytest.approx(tuple(np.exp(welch)))
    paired = compare_blocks(base, new, same_process=True)
    student = stats.ttest_1samp(np.log(y / x), 0).confidence_interval()
    assert (paired.low, paired.high) == pytest.approx(tuple(np.exp(student)))


@pytest.mark.parametrize(("n", "m"), [(4, 4), (5, 4), (5, 5), (6, 5)])
def test_rank_sum_limits_are_those_of_all_arrangements(n: int, m: int) -> None:
    limits = rank_sum_limits(((n, m),), 0.9)
    assert limits is not None
    least, most = limits
    scores = rank_scores(n, m)
    sums = np.array([sum(scores[list(c)]) for c in itertools.combinations(range(n + m), n)])
    assert np.mean(sums <= least) <= 0.05 < np.mean(sums <= min(sums[sums > least]))
    assert np.mean(sums >= most) <= 0.05 < np.mean(sums >= max(sums[sums < most]))


def test_signed_rank_interval_matches_the_published_table() -> None:
    # n = 8: the sum of signed ranks is 3 or less with probability 0.0195, so the fourth of the
    # 36 means bounds the 95 % interval (Hollander, Wolfe and Chicken 2014, table A.4).
    shifts = np.array([0.01, -0.02, 0.03, 0.05, -0.01, 0.04, 0.07, 0.02])
    means = sorted((a + b) / 2 for a, b in itertools.combinations_with_replacement(shifts, 2))
    comparison = compare_blocks([[[1.0]]] * 8, [[[math.exp(s)]] for s in shifts], same_process=True)
    assert comparison.low == pytest.approx(math.exp(means[3]))
    assert comparison.high == pytest.approx(math.exp(means[-4]))


# Properties

times = st.floats(min_value=1e-6, max_value=1e3)
sides = st.lists(
    st.lists(st.lists(times, min_size=1, max_size=6), min_size=1, max_size=3),
    min_size=1,
    max_size=7,
)


def numbers(comparison: Comparison) -> tuple[float, ...]:
    return tuple(x for x in (comparison.ratio, comparison.low, comparison.high) if x is not None)


@settings(max_examples=150, deadline=None)
@given(base=sides, new=sides, same_process=st.booleans())
def test_swapping_the_sides_inverts_ratio_and_interval(
    base: Processes, new: Processes, same_process: bool
) -> None:
    forth = compare_blocks(base, new, same_process=same_process)
    back = compare_blocks(new, base, same_process=same_process)
    assert forth.ratio == pytest.approx(1 / back.ratio, rel=1e-9)
    if forth.low is not None and forth.high is not None:
        assert back.low is not None and back.high is not None
        assert math.log(forth.low) == pytest.approx(-math.log(back.high), rel=1e-6, abs=1e-9)
        assert math.log(forth.high) == pytest.approx(-math.log(back.low), rel=1e-6, abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(base=sides, new=sides, same_process=st.booleans(), factor=st.floats(0.01, 100))
def test_the_unit_cancels_and_a_factor_on_one_side_moves_all_by_it(
    base: Processes, new: Processes, same_process: bool, factor: float
) -> None:
    plain = compare_blocks(base, new, same_process=same_process)
    both = compare_blocks(scaled(base, factor), scaled(new, factor), same_process=same_process)
    one = compare_blocks(base, scaled(new, factor), same_process=same_process)
    logs = np.log(numbers(plain))
    assert np.log(numbers(both)) == pytest.approx(logs, rel=1e-6, abs=1e-9)
    assert np.log(numbers(one)) == pytest.approx(logs + math.log(factor), rel=1e-6, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(base=sides, new=sides, same_process=st.booleans())
def test_the_interval_holds_the_ratio_and_the_answer_never_changes(
    base: Processes, new: Processes, same_process: bool
) -> None:
    first = compare_blocks(base, new, same_process=same_process)
    assert first == compare_blocks(base, new, same_process=same_process)
    if first.low is not None and first.high is not None:
        assert first.low <= first.ratio <= first.high


# Intervals of numbers by process


@pytest.mark.parametrize("count", [3, 5, 6, 7, 8, 12])
@pytest.mark.parametrize("draw", ["normal", "skewed"])
def test_median_interval_covers_at_its_level_and_no_more(count: int, draw: str) -> None:
    rng = np.random.default_rng([13, count])
    shape = (4000, count)
    values = (
        rng.standard_normal(shape)
        if draw == "normal"
        else rng.standard_exponential(shape) - math.log(2)  # whose median is 0
    )
    held = [low <= 0 <= high for low, high in (median_interval(v, 0.95) or (0, 0) for v in values)]
    assert abs(np.mean(held) - 0.95) <= 0.02


def test_median_interval_lies_between_order_statistics_where_its_authors_put_it() -> None:
    # n = 8: the first values from the ends hold the median at 254/256, the second at 238/256.
    share = (254 / 256 - 0.95) / (254 / 256 - 238 / 256)
    inward = 7 * share / (1 + 6 * share)
    low, high = median_interval(np.arange(8.0), 0.95) or (0, 0)
    assert (low, high) == pytest.approx((inward, 7 - inward))
    exact = median_interval(np.arange(8.0), 238 / 256)
    assert exact == pytest.approx((1, 6))


@pytest.mark.parametrize("level", [0.01, 0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("count", [2, 5, 6, 7, 8, 9])
def test_median_interval_holds_the_median_at_every_level(count: int, level: float) -> None:
    low, high = median_interval(np.arange(count) ** 1.0, level) or (math.nan, math.nan)
    assert low <= (count - 1) / 2 <= high


def test_middle_interval_is_that_of_ratios_in_one_process_for_each_column() -> None:
    rng = np.random.default_rng(14)
    for count in (2, 3, 8):
        shifts = rng.standard_normal((count, 4))
        value, low, high = middle_interval(shifts)
        assert low is not None and high is not None
        for column in range(4):
            new = [[[math.exp(s)]] for s in shifts[:, column]]
            expected = compare_blocks([[[1.0]]] * count, new, same_process=True)
            logs = (value[column], low[column], high[column])
            assert np.exp(logs) == pytest.approx((expected.ratio, expected.low, expected.high))
            alone = middle_interval(shifts[:, column])
            assert [float(x) for x in alone if x is not None] == pytest.approx(logs)


def test_side_interval_is_that_of_ratios_of_processes_of_their_own() -> None:
    rng = np.random.default_rng(15)
    for count in (2, 3, 8):
        x, y = rng.standard_normal(count), rng.standard_normal(count)
        sides = [[[[math.exp(s)]] for s in side] for side in (x, y)]
        expected = compare_blocks(*sides)
        found = [math.exp(bound) for bound in side_interval(x, y) if bound is not None]
        assert found == pytest.approx([expected.ratio, expected.low, expected.high])


def test_one_process_has_a_middle_without_an_interval_and_none_is_refused() -> None:
    value, low, high = middle_interval(np.array([3.0]))
    assert (float(value), low, high) == (3.0, None, None)
    assert side_interval(np.array([1.0]), np.array([3.0, 3.0])) == (2.0, None, None)
    with pytest.raises(ValueError, match="no process"):
        middle_interval(np.array([]))
    with pytest.raises(ValueError, match="no process"):
        side_interval(np.array([]), np.array([1.0]))
    with pytest.raises(ValueError, match="level"):
        middle_interval(np.array([1.0, 2.0]), level=0)


# Sessions


def test_one_session_is_no_session() -> None:
    rng = np.random.default_rng(16)
    for count in (2, 3, 8):
        x, y = rng.standard_normal((2, count))
        assert side_interval(x, y, sessions=[4] * count) == side_interval(x, y)


def test_limits_of_several_sessions_are_those_of_all_arrangements() -> None:
    sizes = ((3, 3), (2, 4), (4, 3))
    limits = rank_sum_limits(sizes, 0.9)
    assert limits is not None
    each = [
        [sum(rank_scores(n, m)[list(c)]) for c in itertools.combinations(range(n + m), n)]
        for n, m in sizes
    ]
    sums = np.array([sum(chosen) for chosen in itertools.product(*each)])
    least, most = limits
    assert np.mean(sums <= least) <= 0.05 < np.mean(sums <= min(sums[sums > least]))
    assert np.mean(sums >= most) <= 0.05 < np.mean(sums >= max(sums[sums < most]))


def test_what_a_session_has_in_common_is_in_no_ratio() -> None:
    rng = np.random.default_rng(17)
    x, y = 0.01 * rng.standard_normal((2, 24))
    sessions = np.repeat([3, 1, 2], 8)
    slower = np.array([0.0, 0.4, -0.3, 0.2])[sessions]
    plain = side_interval(x, y, 0.98, sessions.tolist())
    shifted = side_interval(x + slower, y + slower, 0.98, sessions.tolist())
    assert shifted == pytest.approx(plain, abs=1e-9)
    _, low, high = side_interval(x + slower, y + slower, 0.98)
    assert low is not None and high is not None
    assert plain[1] is not None and plain[2] is not None
    assert high - low > 2 * (plain[2] - plain[1]), "taken as one they hide what they say"


@pytest.mark.parametrize("counts", [(3, 3), (4, 2, 5), (8, 8), (1, 1, 1, 1, 1, 1, 1, 1)])
def test_intervals_over_sessions_hold_the_true_ratio(counts: tuple[int, ...]) -> None:
    rng = np.random.default_rng([18, *counts])
    sessions = np.repeat(np.arange(len(counts)), counts)
    held, widths = [], []
    for _ in range(REPEATS):
        change = 0.2 * rng.standard_normal(len(counts))[sessions]
        x, y = 0.012 * rng.standard_exponential((2, len(sessions))) + change
        value, low, high = side_interval(x, y + 0.1, 0.9, sessions.tolist())
        assert low is not None and high is not None
        assert low <= value <= high
        held.append(low <= 0.1 <= high)
        widths.append(high - low)
    assert np.mean(held) >= least_plausible_share(0.9)
    assert np.median(widths) < 0.1, "the change between sessions is not in them"


def test_too_few_processes_in_sessions_give_welch_or_no_interval() -> None:
    x, y = np.array([[0.0, 0.1, 5.0, 5.2], [0.0, 0.3, 5.1, 5.1]])
    parts = [(y[:2], x[:2]), (y[2:], x[2:])]
    _, low, high = side_interval(x, y, 0.95, [0, 0, 1, 1])
    variance = sum(side.var(ddof=1) / 2 for part in parts for side in part) / 4
    freedom = variance**2 / sum((side.var(ddof=1) / 8) ** 2 for part in parts for side in part)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    middle = float(np.mean([a.mean() - b.mean() for a, b in parts]))
    assert (low, high) == pytest.approx((middle - half, middle + half))
    assert side_interval(x, y, 0.95, [0, 1, 2, 3])[1:] == (None, None)
    assert side_interval(x, x, 0.95, [0, 1, 2, 3]) == (0.0, None, None)


def test_blocks_of_several_sessions_are_compared_within_each() -> None:
    rng = np.random.default_rng(19)
    base, new = draw_processes(rng, 16), draw_processes(rng, 16, seconds=0.0021)
    later = [*base[:8], *scaled(base[8:], 1.3)], [*new[:8], *scaled(new[8:], 1.3)]
    sessions = [0] * 8 + [1] * 8
    plain = compare_blocks(base, new, sessions=sessions)
    changed = compare_blocks(*later, sessions=sessions)
    assert (changed.ratio, changed.low, changed.high) == pytest.approx(
        (plain.ratio, plain.low, plain.high)
    )
    assert changed.verdict == "slower"
    with pytest.raises(ValueError, match="sessions has 3 numbers for 16 and 16 processes"):
        compare_blocks(base, new, sessions=[0, 1, 2])


def test_a_quantile_is_that_of_all_rounds_of_a_process_and_its_middle_that_of_processes() -> None:
    processes = [[[1.0, 2.0], [3.0, 4.0, 101.0]], [[2.0, 3.0], [5.0, 7.0, 9.0]], [[5.0] * 5]]
    found = estimate_quantile(processes, 0.5)
    assert found.value == 5.0  # of 3, 5 and 5
    assert found.low is not None and found.high is not None
    assert found.low < 5.0 <= found.high
    assert (found.processes, found.blocks) == (3, 5)
    largest = estimate_quantile(processes, 0.99)
    assert largest.value == pytest.approx(np.quantile([2.0, 3.0, 5.0, 7.0, 9.0], 0.99))


def test_the_interval_of_a_quantile_covers_that_of_the_middle_process() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(REPEATS):
        middles = np.exp(0.1 * rng.standard_normal(8))
        processes = [[m * np.exp(0.2 * rng.standard_normal(400))] for m in middles]
        found = estimate_quantile(processes, 0.95)
        assert found.low is not None and found.high is not None
        held += found.low <= math.exp(0.2 * 1.6449) <= found.high
    assert held / REPEATS >= least_plausible_share(0.94)


def test_one_process_has_a_quantile_without_an_interval() -> None:
    found = estimate_quantile([[[1.0, 2.0, 3.0]]], 0.5)
    assert (found.value, found.low, found.high) == (2.0, None, None)


@pytest.mark.parametrize("quantile", [0.0, 1.0, -1.0, math.nan])
def test_what_is_no_quantile_is_refused(quantile: float) -> None:
    with pytest.raises(ValueError, match="give one between 0 and 1"):
        estimate_quantile([[[1.0]]], quantile)


def test_processes_without_rounds_have_no_quantile() -> None:
    with pytest.raises(ValueError, match=r"processes\[1\] has no block"):
        estimate_quantile([[[1.0]], []], 0.5)


def test_one_number_a_process_is_estimated_as_one_round_is() -> None:
    values = [3.0, 1.0, 2.0, 5.0]
    assert estimate_processes(values) == estimate_blocks([[[value]] for value in values])
