"""The run's account of who else used the machine."""

import os
from pathlib import Path

import pytest

from rnnbench.measuring import load
from rnnbench.measuring.load import Load, between, load_note, sample

STAT = "cpu  100 10 40 900 50 3 2 25 0 0\ncpu0 1 2 3\n"


@pytest.fixture
def files(monkeypatch):
    def write(contents):
        class FakePath(type(Path())):
            def read_text(self, *_):
                if str(self) not in contents:
                    raise FileNotFoundError(str(self))
                return contents[str(self)]

        monkeypatch.setattr(load, "Path", FakePath)

    return write


class TestSample:
    def test_busy_and_stolen_time_come_from_the_kernels_counters(self, files):
        files(
            {"/proc/stat": STAT, "/sys/fs/cgroup/cpu.stat": "usage_usec 5\nthrottled_usec 2500000"}
        )
        tick = os.sysconf("SC_CLK_TCK")
        now = sample(own=7.0)
        # user + nice + system + irq + softirq; neither idle nor waiting for a disk
        assert now.busy == (100 + 10 + 40 + 3 + 2) / tick
        assert now.stolen == 25 / tick
        assert now.throttled == 2.5
        assert now.own == 7.0

    @pytest.mark.parametrize("stat", [None, "", "cpu a b c\n", "cpu 1 2\n"])
    def test_what_the_system_does_not_say_is_unknown_and_not_zero(self, files, stat):
        files({} if stat is None else {"/proc/stat": stat})
        now = sample(own=0.0)
        assert (now.busy, now.stolen, now.throttled) == (None, None, None)

    def test_a_cgroup_without_throttling_is_unknown(self, files):
        files({"/proc/stat": STAT, "/sys/fs/cgroup/cpu.stat": "usage_usec 5\n"})
        assert sample(own=0.0).throttled is None


class TestBetween:
    START = Load(wall=100.0, busy=50.0, stolen=1.0, throttled=0.5, own=10.0, average=0.25)
    END = Load(wall=110.0, busy=66.0, stolen=2.0, throttled=1.0, own=24.0, average=1.5)

    def test_shares_are_of_all_cores_time_and_others_are_what_is_not_our_own(self):
        told = between(self.START, self.END, cores=2)
        assert told == {
            "seconds": 10.0,
            "own_share": 14 / 20,
            "others_share": 2 / 20,
            "stolen_share": 1 / 20,
            "throttled_share": 0.5 / 20,
            "load_average": [0.25, 1.5],
        }

    def test_what_either_end_did_not_know_stays_unknown(self):
        blind = Load(wall=110.0, busy=None, stolen=None, throttled=None, own=24.0, average=None)
        for start, end in ((self.START, blind), (blind, self.START)):
            told = between(start, end, cores=2)
            assert told["others_share"] is told["stolen_share"] is told["throttled_share"] is None

    def test_a_counter_that_lags_behind_is_no_negative_share(self):
        lagging = Load(wall=110.0, busy=51.0, stolen=1.0, throttled=0.5, own=24.0, average=1.0)
        assert between(self.START, lagging, cores=2)["others_share"] == 0.0


class TestNote:
    QUIET = {"others_share": 0.05, "stolen_share": 0.02, "throttled_share": 0.01}

    def test_a_quiet_machine_needs_none(self):
        assert load_note(self.QUIET) is None
        assert load_note(dict.fromkeys(self.QUIET)) is None
        assert load_note({}) is None

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("others_share", "other processes used 30% of the processor"),
            ("stolen_share", "the hypervisor withheld 30% of the processor"),
            ("throttled_share", "a cgroup throttled the run for 30% of its time"),
        ],
    )
    def test_each_disturbance_is_named(self, name, says):
        assert load_note({**self.QUIET, name: 0.3}) == f"busy machine: while it measured, {says}"

    def test_several_come_in_one_sentence(self):
        note = load_note(dict.fromkeys(self.QUIET, 0.5))
        assert note is not None
        assert note.count("50%") == 3
        assert note.count(" and ") == 2
