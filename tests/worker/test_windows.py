"""Windows: what ended between two moments, each call from the end of the one before it.

Time is made up, so every number here is exact.
"""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.worker.windows import run_window


class World:
    """A clock, and a pass whose calls take made-up seconds."""

    def __init__(self, seconds, now=100.0):
        self.now = now
        self.durations = itertools.chain(seconds, itertools.repeat(seconds[-1]))
        self.inside = False

    def monotonic(self):
        return self.now

    @contextlib.contextmanager
    def context(self):
        self.inside = True
        yield
        self.inside = False

    def prepare(self):
        self.now += 0.25

    def run(self, prepared):
        assert self.inside
        self.now += next(self.durations)

    def window(self, start, end):
        return run_window(self, start, end, self.monotonic)


def test_it_begins_at_once_and_keeps_what_ended_in_the_window():
    window = World([0.25, 0.75, 1.75, 0.25]).window(101.0, 104.0)
    assert window.began == 100.0
    assert not window.late
    # Ends: 100.5 and then 101.5, 103.5, 104.0, beyond which comes 104.5.
    assert window.latencies == [1.0, 2.0, 0.5]


def test_preparing_a_call_is_part_of_its_latency():
    assert set(World([0.25]).window(101.0, 103.0).latencies) == {0.5}


def test_who_was_not_stepping_before_the_start_is_late():
    assert World([5.0]).window(101.0, 120.0).late
    assert not World([0.75]).window(101.0, 120.0).late, "an end at the start itself is in time"


def test_a_call_that_outlasts_the_window_leaves_nothing():
    assert World([0.25, 50.0]).window(101.0, 104.0).latencies == []


@given(st.lists(st.floats(1e-3, 0.4), min_size=1, max_size=30), st.floats(0.5, 5.0))
def test_latencies_add_up_to_the_window_but_for_a_call_at_each_end(seconds, length):
    window = World(seconds).window(101.0, 101.0 + length)
    longest = max(seconds) + 0.25
    assert sum(window.latencies) == pytest.approx(length, abs=longest + 1e-6)
