"""Blocks: which rounds are warm-up, how many are kept, and that nothing is freed while it is timed.

Time is made up: the clock and the work share one counter, so every number here is exact.
"""

import contextlib
import gc
import itertools
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.worker.blocks import Parts, calibrate, run_block


class World:
    """A clock, and a pass that takes made-up seconds; what happens stands in ``events``."""

    name = "made up"
    device_clock = None

    def __init__(self, seconds=(0.001,), prepare_seconds=0.0, device=False, resolution=1e-9):
        self.now = 1000.0
        self.durations = itertools.chain(seconds, itertools.repeat(tuple(seconds)[-1]))
        self.prepare_seconds = prepare_seconds
        self.device = device
        self.resolution = resolution
        self.events = []
        self.timing = False
        self.number = itertools.count()

    def monotonic(self):
        return self.now

    # the clock
    def time(self, call):
        self.timing = True
        start = self.now
        result = call()
        wall = self.now - start
        self.timing = False
        self.events.append("stop")
        return wall, wall / 2 if self.device else None, result

    def settle(self):
        self.events.append("settle")

    # the pass
    @contextlib.contextmanager
    def context(self):
        self.events.append("enter")
        yield
        self.events.append("leave")

    def prepare(self):
        assert not self.timing, "prepared inside the timed region"
        self.now += self.prepare_seconds
        self.events.append("prepare")
        return next(self.number)

    def run(self, prepared):
        assert self.timing, "run outside of the timed region"
        self.now += next(self.durations)
        self.events.append(("run", prepared))
        return prepared

    def block(self, seconds=0.05, iterations=1):
        return run_block(
            self, self, seconds=seconds, iterations=iterations, monotonic=self.monotonic
        )


class TestWarmUp:
    def test_short_rounds_have_four(self):
        block = World([0.005, 0.002, 0.0015, 0.0011, 0.001]).block()
        assert block.warmup == pytest.approx([0.005, 0.002, 0.0015, 0.0011])
        assert block.rounds[:2] == pytest.approx([0.001, 0.001])

    @pytest.mark.parametrize(
        ("seconds", "warmup"), [(0.0026, 4), (0.004, 3), (0.006, 2), (0.010001, 1), (5.0, 1)]
    )
    def test_it_ends_once_it_has_lasted_ten_milliseconds(self, seconds, warmup):
        assert len(World([seconds]).block().warmup) == warmup

    def test_what_prepares_a_round_warms_up_as_well(self):
        assert len(World([0.001], prepare_seconds=0.006).block().warmup) == 2

    def test_there_is_always_one(self):
        assert len(World([100.0]).block(seconds=1e-9).warmup) == 1


class TestLength:
    def test_a_block_is_as_long_as_it_was_promised_warm_up_included(self):
        block = World([0.001]).block(seconds=0.05)
        assert len(block.warmup) + len(block.rounds) == pytest.approx(50, abs=1)
        assert block.seconds == pytest.approx(0.05, abs=0.0011)

    def test_it_begins_on_the_monotonic_clock(self):
        assert World().block().start == 1000.0

    def test_preparation_counts_towards_the_block_and_not_towards_its_rounds(self):
        world = World([0.001], prepare_seconds=0.004)
        block = world.block(seconds=0.05)
        assert set(map(lambda s: round(s, 9), block.rounds)) == {0.001}
        assert len(block.warmup) + len(block.rounds) == pytest.approx(10, abs=1)

    @given(
        st.floats(1e-6, 1.0),
        st.lists(st.floats(1e-4, 0.5), min_size=1, max_size=20),
        st.integers(1, 3),
    )
    def test_at_least_two_rounds_are_kept_however_long_one_takes(self, seconds, rounds, iterations):
        block = World([*rounds, 0.05]).block(seconds, iterations)
        assert len(block.rounds) >= 2
        assert 1 <= len(block.warmup) <= 4
        assert block.seconds >= seconds

    def test_every_round_is_in_warm_up_or_kept(self):
        world = World([0.001])
        block = world.block()
        runs = [event for event in world.events if event[0] == "run"]
        assert len(block.warmup) + len(block.rounds) == len(runs)
        assert block.seconds == pytest.approx(sum(block.warmup) + sum(block.rounds))


class TestIterations:
    def test_a_round_is_that_many_calls_and_its_seconds_are_per_call(self):
        world = World([0.0001])
        block = world.block(seconds=0.01, iterations=5)
        assert set(map(lambda s: round(s, 12), block.rounds + block.warmup)) == {0.0001}
        rounds = len(block.rounds) + len(block.warmup)
        assert len([event for event in world.events if event[0] == "run"]) == 5 * rounds

    def test_each_call_gets_what_was_prepared_for_it_before_the_clock_starts(self):
        world = World([0.01])
        world.block(seconds=0.01, iterations=3)
        assert world.events[1:8] == [
            "prepare", "prepare", "prepare", ("run", 0), ("run", 1), ("run", 2), "stop",
        ]  # fmt: skip

    def test_a_devices_time_is_per_call_too(self):
        block = World([0.001], device=True).block(iterations=4)
        assert block.device_rounds == pytest.approx([0.0005] * len(block.rounds))
        assert World([0.001]).block().device_rounds == []


class TestEnd:
    def test_the_device_is_idle_when_the_turn_ends(self):
        world = World()
        world.block()
        assert world.events[0] == "enter"
        assert world.events[-2:] == ["leave", "settle"]

    def test_rounds_run_in_the_passs_own_context(self):
        world = World()
        world.block()
        assert world.events.count("enter") == world.events.count("leave") == 1


class Tracked:
    """An object that notes whether a clock ran when it was freed."""


class Freeing(World):
    """A pass whose preparation and results are watched: when is each freed?"""

    def __init__(self, **options):
        super().__init__(**options)
        self.made = 0
        self.freed_in_timing = []
        self.alive_at_stop = []
        self.alive = 0

    def _track(self, kind):
        thing = Tracked()
        self.made += 1
        self.alive += 1
        weakref.finalize(thing, self._free, kind)
        return thing

    def _free(self, kind):
        self.alive -= 1
        if self.timing:
            self.freed_in_timing.append(kind)

    def time(self, call):
        assert self.alive == self.expected_before, "the round before must be freed by now"
        result = super().time(call)
        self.alive_at_stop.append(self.alive)
        return result

    def prepare(self):
        super().prepare()
        return self._track("graph")

    def run(self, prepared):
        super().run(None)  # its log must not keep anything alive
        return self._track("output")


class TestFreeing:
    @pytest.mark.parametrize("iterations", [1, 2, 7])
    def test_nothing_is_freed_in_the_timed_region_and_all_before_the_next_round(self, iterations):
        world = Freeing(seconds=[0.001])
        world.expected_before = iterations  # what this round prepared, and nothing else
        gc.disable()
        try:
            block = world.block(iterations=iterations)
            assert world.alive == 0, "without a collection: nothing may hang in a cycle"
        finally:
            gc.enable()
        assert world.freed_in_timing == []
        rounds = len(block.warmup) + len(block.rounds)
        assert world.made == 2 * iterations * rounds
        assert world.alive_at_stop == [2 * iterations] * rounds

    def test_the_watch_itself_sees_what_is_freed_too_early(self):
        class Careless(Freeing):
            def run(self, prepared):
                self._track("temporary")
                return super().run(prepared)

        world = Careless(seconds=[0.01])
        world.expected_before = 1
        world.block()
        assert set(world.freed_in_timing) == {"temporary"}


class TestCalibrate:
    @pytest.mark.parametrize(
        ("seconds", "iterations"), [(1e-3, 1), (1e-4, 1), (1e-5, 10), (3e-6, 34), (1e-7, 1000)]
    )
    def test_a_round_lasts_a_hundred_steps_of_the_clock(self, seconds, iterations):
        world = World([seconds], resolution=1e-6)
        assert calibrate(world, world) == pytest.approx(iterations, abs=1)

    def test_a_slow_first_call_does_not_hide_how_short_the_others_are(self):
        world = World([1.0, 1e-5], resolution=1e-6)
        assert calibrate(world, world) == pytest.approx(10, abs=1)

    def test_a_call_that_the_clock_cannot_see_is_no_division_by_zero(self):
        world = World([0.0], resolution=1e-6)
        assert calibrate(world, world) == pytest.approx(10_000, abs=1)

    def test_it_runs_in_the_passs_context(self):
        world = World()
        calibrate(world, world)
        assert world.events[0] == "enter"
        assert world.events[-1] == "leave"


class TestParts:
    class Telling(World):
        """Each call tells that its first part took as many seconds as its number."""

        def run(self, prepared):
            super().run(prepared)
            return Parts({"first": float(prepared), "second": 0.5})

    def test_each_kept_round_has_those_of_its_call(self):
        block = self.Telling([0.001]).block(seconds=0.01)
        assert list(block.parts) == ["first", "second"]
        kept = range(len(block.warmup), len(block.warmup) + len(block.rounds))
        assert block.parts["first"] == list(map(float, kept))
        assert block.parts["second"] == [0.5] * len(block.rounds)

    def test_of_several_calls_it_is_their_mean(self):
        block = self.Telling([0.001]).block(seconds=0.01, iterations=2)
        first = 2 * len(block.warmup)
        assert block.parts["first"][0] == first + 0.5

    def test_others_have_none(self):
        assert World().block().parts == {}
