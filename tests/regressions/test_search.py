"""The search between versions: few looks, the right neighbours, and versions that tell nothing."""

import math

import hypothesis
import hypothesis.strategies as st
import pytest

from rnnbench.regressions.search import most_steps, search, shares_of_looks


def chain(count):
    return [f"2.{number}.0" for number in range(count)]


def step_at(versions, place, looked=None, cannot=()):
    """What a version is like where the one change came with `versions[place]`."""

    def look(version):
        if looked is not None:
            looked.append(version)
        if version in cannot:
            return "cannot tell", "no wheel"
        return ("as bad" if versions.index(version) >= place else "as good"), "measured"

    return look


@hypothesis.given(st.integers(2, 40), st.data())
def test_the_place_is_found_in_as_few_looks_as_can_be(count, data):
    versions = chain(count)
    place = data.draw(st.integers(1, count - 1))
    looked = []
    found = search(versions, step_at(versions, place, looked))
    assert (found.good, found.bad) == (versions[place - 1], versions[place])
    assert found.untold == () and not found.several
    assert len(looked) == len(set(looked)) <= most_steps(count)
    assert [step.version for step in found.steps] == looked


@hypothesis.given(st.integers(3, 20), st.data())
def test_versions_that_tell_nothing_are_left_out_and_named(count, data):
    versions = chain(count)
    place = data.draw(st.integers(1, count - 1))
    cannot = data.draw(st.sets(st.sampled_from(versions[1:-1])))
    found = search(versions, step_at(versions, place, cannot=cannot))
    low, high = versions.index(found.good), versions.index(found.bad)
    assert low < place <= high
    assert set(found.untold) == set(versions[low + 1 : high]) <= cannot
    assert found.good not in cannot and found.bad not in cannot


def test_neighbours_need_no_look():
    found = search(["a", "b"], lambda version: pytest.fail("nothing is between"))
    assert (found.good, found.bad, found.steps) == ("a", "b", ())


def test_the_larger_part_of_a_change_in_two_steps_is_followed():
    answers = {"b": "as good", "c": "mostly before", "d": "as bad"}
    found = search(["a", "b", "c", "d", "e"], lambda version: (answers[version], ""))
    assert (found.good, found.bad, found.several) == ("b", "c", True)
    answers = {"b": "as good", "c": "mostly after", "d": "as good"}
    found = search(["a", "b", "c", "d", "e"], lambda version: (answers[version], ""))
    assert (found.good, found.bad, found.several) == ("d", "e", True)


@pytest.mark.parametrize("versions", [[], ["a"], ["a", "b", "a"]])
def test_fewer_than_two_or_one_twice_is_refused(versions):
    with pytest.raises(ValueError, match="two versions or more"):
        search(versions, lambda version: ("as good", ""))


def test_the_most_steps_are_those_of_halving():
    assert [most_steps(count) for count in (0, 1, 2, 3, 4, 5, 6, 9, 10, 17)] == [
        *(0, 0, 0, 1, 2, 2, 3, 3, 4, 4)
    ]


ANSWERS = ["as good", "as bad", "mostly before", "mostly after", "cannot tell"]


@hypothesis.given(st.integers(2, 40), st.data())
def test_whatever_the_answers_the_shares_of_all_looks_add_up_to_no_more_than_the_rate(count, data):
    found = search(chain(count), lambda version: (data.draw(st.sampled_from(ANSWERS)), ""))
    shares = shares_of_looks(count)
    looks = 1 + len(found.steps)  # the first at the ends
    assert looks <= len(shares)
    assert 0 < math.fsum(shares[:looks]) <= 1 + 1e-12


@pytest.mark.parametrize("count", range(2, 41))
def test_where_nothing_is_told_the_whole_rate_is_spent_and_no_more(count):
    found = search(chain(count), lambda version: ("cannot tell", ""))
    shares = shares_of_looks(count)
    assert len(shares) == 1 + len(found.steps) == count - 1
    assert math.fsum(shares) == pytest.approx(1)


@pytest.mark.parametrize("count", range(2, 41))
def test_the_looks_of_halving_have_nine_tenths_of_it_at_least(count):
    shares = shares_of_looks(count)
    likely = 1 + most_steps(count)
    assert set(shares[:likely]) == {shares[0]}
    assert math.fsum(shares[:likely]) >= 0.9 - 1e-12
    assert all(0 < share < shares[0] for share in shares[likely:])
