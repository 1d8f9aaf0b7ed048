"""A planted slowdown lasts as long as it says, by a clock that the test turns."""

import contextlib

import pytest

from rnnbench.worker.planted import Slowed


class Clock:
    """A clock that stands still but for what is said to take time; looking at it takes a tick."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1e-7
        return self.now


class Timed:
    def __init__(self, clock, seconds):
        self.clock = clock
        self.seconds = seconds
        self.prepared = []

    def context(self):
        return contextlib.nullcontext("context")

    def prepare(self):
        return "prepared"

    def run(self, prepared):
        self.prepared.append(prepared)
        self.clock.now += self.seconds
        return "result"


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 1.0])
def test_a_call_takes_the_share_longer(share):
    clock = Clock()
    slowed = Slowed(Timed(clock, 1e-3), share, clock)
    start = clock.now
    assert slowed.run("prepared") == "result"
    assert clock.now - start == pytest.approx(1e-3 * (1 + share), rel=1e-3)


def test_everything_else_is_passed_on():
    clock = Clock()
    timed = Timed(clock, 1e-3)
    slowed = Slowed(timed, 0.05, clock)
    with slowed.context() as context:
        assert context == "context"
    slowed.run(slowed.prepare())
    assert timed.prepared == ["prepared"]
