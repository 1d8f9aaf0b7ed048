"""Turns: everybody once in each slot, there and back, and the same again for the same seed."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.measuring.turns import sweeps

counts = st.integers(1, 6)


def first(number, *arguments):
    return list(itertools.islice(sweeps(*arguments), number))


@given(counts, counts, st.integers(0, 10**9))
def test_every_competitor_has_one_turn_in_every_slot(competitors, slots, seed):
    who = [f"c{k}" for k in range(competitors)]
    for sweep in first(6, who, slots, seed):
        assert sorted(sweep) == sorted(itertools.product(who, range(slots)))


@given(counts, counts, st.integers(0, 10**9))
def test_each_second_sweep_is_the_one_before_reversed(competitors, slots, seed):
    ordered = first(8, range(competitors), slots, seed)
    for there, back in zip(ordered[::2], ordered[1::2], strict=True):
        assert back == there[::-1]


@given(counts, counts, st.integers(0, 10**9))
def test_turns_that_are_compared_lie_together(competitors, slots, seed):
    for sweep in first(4, range(competitors), slots, seed):
        visited = [slot for slot, _ in itertools.groupby(slot for _, slot in sweep)]
        assert sorted(visited) == list(range(slots))


def test_equal_seeds_give_equal_orders_and_others_give_others():
    orders = [first(10, "abcde", 3, seed) for seed in (1, 1, 2)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


@pytest.mark.parametrize("seed", range(3))
def test_over_many_sweeps_each_place_falls_to_each_alike(seed):
    number, who, slots = 2000, "abcd", 3
    places = Counter(
        (place, turn)
        for sweep in first(number, who, slots, seed)
        for place, turn in enumerate(sweep)
    )
    expected = number / (len(who) * slots)
    assert len(places) == (len(who) * slots) ** 2
    # A there-and-back pair is one draw, so 1000 draws: 6 deviations of a binomial count.
    for count in places.values():
        assert abs(count - expected) < 6 * (2 * expected) ** 0.5


@given(st.integers(2, 5), st.integers(1, 4), st.integers(0, 10**6))
def test_over_a_pair_of_sweeps_each_comes_before_each_other_as_often_as_after(k, slots, seed):
    there, back = first(2, range(k), slots, seed)
    for one, other in itertools.combinations(sorted(there), 2):
        before = [sweep.index(one) < sweep.index(other) for sweep in (there, back)]
        assert sorted(before) == [False, True]
