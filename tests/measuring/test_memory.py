"""No more workers are started than memory holds."""

import dataclasses
from pathlib import Path

import pytest

from rnnbench.cases import Case
from rnnbench.measuring import memory
from rnnbench.measuring.memory import available_memory, largest_case, replicates_that_fit

GIB = 2**30
CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=5)


@pytest.fixture
def files(monkeypatch, tmp_path):
    """Stand in for the kernel's files; what is not given is not there."""

    def write(**contents):
        names = {
            "meminfo": "/proc/meminfo",
            "limit": "/sys/fs/cgroup/memory.max",
            "used": "/sys/fs/cgroup/memory.current",
        }
        given = {names[key]: text for key, text in contents.items()}

        class FakePath(type(Path())):
            def read_text(self, *_):
                if str(self) not in given:
                    raise FileNotFoundError(str(self))
                return given[str(self)]

        monkeypatch.setattr(memory, "Path", FakePath)

    return write


class TestAvailable:
    MEMINFO = "MemTotal:  8388608 kB\nMemFree: 1 kB\nMemAvailable:    4194304 kB\n"

    def test_it_is_what_the_kernel_says_can_be_had(self, files):
        files(meminfo=self.MEMINFO)
        assert available_memory() == 4 * GIB

    def test_a_tighter_cgroup_is_the_limit(self, files):
        files(meminfo=self.MEMINFO, limit=f"{3 * GIB}\n", used=f"{GIB}\n")
        assert available_memory() == 2 * GIB

    def test_a_wider_cgroup_or_one_without_limit_is_none(self, files):
        files(meminfo=self.MEMINFO, limit=f"{30 * GIB}\n", used=f"{GIB}\n")
        assert available_memory() == 4 * GIB
        files(meminfo=self.MEMINFO, limit="max\n", used=f"{GIB}\n")
        assert available_memory() == 4 * GIB

    def test_where_the_system_does_not_say_it_is_unknown(self, files):
        files()
        assert available_memory() is None

    @pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="only Linux has /proc/meminfo")
    def test_on_this_machine_it_is_some_of_its_memory(self):
        total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
        available = available_memory()
        assert available is not None
        assert 0 < available <= total


class TestLargestCase:
    def test_competitors_are_held_together_and_groups_one_after_the_other(self):
        rival = dataclasses.replace(CASE, implementation="python_loop")
        longer = dataclasses.replace(CASE, seq_len=15)
        assert largest_case([CASE, rival]) == 2 * largest_case([CASE])
        assert largest_case([CASE, rival, longer]) == 2 * largest_case([CASE])
        assert largest_case([CASE, longer]) == 15 / 10 * largest_case([CASE])

    def test_it_grows_with_layers_directions_and_width_of_the_dtype(self):
        states = 10 * 4 * 5 * 8 * 4
        inputs = 10 * 4 * 3 * 4
        assert largest_case([CASE]) == states + inputs
        deep = dataclasses.replace(CASE, num_layers=3, bidirectional=True)
        assert largest_case([deep]) == 6 * states + inputs
        assert largest_case([dataclasses.replace(CASE, dtype="float64")]) == 2 * (states + inputs)

    def test_nothing_needs_nothing(self):
        assert largest_case([]) == 0


class TestReplicatesThatFit:
    def test_all_where_there_is_room(self):
        assert replicates_that_fit(3, 2, GIB, [CASE], 100 * GIB) == 3

    def test_fewer_where_there_is_less_and_none_where_one_is_too_many(self):
        each = GIB + largest_case([CASE]) + (256 << 20)
        for fit in (0, 1, 2):
            available = int((fit + 0.5) * each * 2 / 0.8)
            assert replicates_that_fit(3, 2, GIB, [CASE], available) == fit

    def test_more_fit_where_nothing_is_compiled(self):
        available = 100 * GIB
        compiling = replicates_that_fit(1000, 1, GIB // 4, [CASE], available)
        assert replicates_that_fit(1000, 1, GIB // 4, [CASE], available, compiles=False) > compiling

    def test_what_is_unknown_limits_nothing(self):
        assert replicates_that_fit(3, 1, None, [CASE], GIB) == 3
        assert replicates_that_fit(3, 1, GIB, [CASE], None) == 3

    def test_a_case_on_another_device_takes_none_of_the_hosts(self):
        huge = dataclasses.replace(CASE, seq_len=10**9)
        assert replicates_that_fit(3, 1, GIB, [huge], 100 * GIB) == 0
        elsewhere = dataclasses.replace(huge, device="cuda")
        assert replicates_that_fit(3, 1, GIB, [elsewhere], 100 * GIB) == 3
