"""Clocks: a wall clock for all, a device's events beside it, both in seconds and never mixed."""

import time

import pytest
import torch

from rnnbench.worker import clocks
from rnnbench.worker.blocks import run_block
from rnnbench.worker.clocks import DeviceClock, SynchronisedClock, WallClock, clock_for
from tests.devices import StandIn


@pytest.fixture
def device(monkeypatch):
    monkeypatch.setattr(clocks, "_perf_counter_resolution", lambda: 5e-8)
    return StandIn(monkeypatch)


@pytest.fixture
def clock(device):
    return DeviceClock(device, torch.device("cuda", 1))


class TestDeviceClock:
    def test_the_device_is_idle_before_the_wall_clock_starts_and_after_it_stops(
        self, clock, device
    ):
        clock.time(lambda: device.launch(1.0, 2.0))
        idle = ("synchronize", "cuda:1")
        assert device.log == [idle, "read", "record", "call", "record", idle, "read"]

    def test_both_columns_are_seconds(self, clock, device):
        wall, on_device, result = clock.time(lambda: device.launch(0.25, 2.0))
        assert wall == pytest.approx(2.25), "host and device: nothing overlaps here"
        assert on_device == pytest.approx(2.0), "events answer in milliseconds"
        assert result == "result"

    def test_work_that_was_queued_before_is_in_neither(self, clock, device):
        device.launch(0.0, 100.0)
        wall, on_device, _ = clock.time(lambda: device.launch(0.5, 1.0))
        assert (wall, on_device) == (pytest.approx(1.5), pytest.approx(1.0))

    def test_settling_waits_for_this_device(self, clock, device):
        clock.settle()
        assert device.log == [("synchronize", "cuda:1")]

    def test_it_says_which_clocks_it_has(self, clock):
        assert clock.name == "perf_counter"
        assert clock.device_clock == "cuda_event"
        assert DeviceClock(None, torch.device("xpu")).device_clock == "xpu_event"

    def test_its_resolution_is_the_coarser_of_the_two(self, clock, device, monkeypatch):
        assert clock.resolution == 1e-6
        monkeypatch.setattr(clocks, "_perf_counter_resolution", lambda: 1e-3)
        assert DeviceClock(device, torch.device("cuda")).resolution == 1e-3

    def test_a_block_keeps_the_columns_apart(self, clock, device):
        class Pass:
            def context(self):
                return torch.enable_grad()

            def prepare(self):
                return None

            def run(self, prepared):
                return device.launch(0.25, 1.0)

        block = run_block(Pass(), clock, seconds=10.0, iterations=2, monotonic=lambda: device.now)
        assert block.rounds == pytest.approx([1.25] * len(block.rounds))
        assert block.device_rounds == pytest.approx([1.0] * len(block.rounds))
        assert device.log[-1] == ("synchronize", "cuda:1")
        assert device.queue == 0


class TestSynchronisedClock:
    def test_it_waits_before_and_after_and_has_no_device_time(self, device):
        clock = SynchronisedClock(device.synchronize)
        wall, on_device, result = clock.time(lambda: device.launch(0.25, 2.0))
        waited = ("synchronize", "None")
        assert device.log == [waited, "read", "call", waited, "read"]
        assert (wall, on_device, result) == (pytest.approx(2.25), None, "result")
        assert clock.device_clock is None

    def test_settling_waits(self, device):
        SynchronisedClock(device.synchronize).settle()
        assert device.log == [("synchronize", "None")]


class TestWallClock:
    def test_it_times_the_call_alone_and_hands_its_result_on(self, device):
        clock = WallClock()
        wall, on_device, result = clock.time(lambda: device.launch(0.5, 0.0))
        assert device.log == ["read", "call", "read"]
        assert (wall, on_device, result) == (0.5, None, "result")

    def test_there_is_nothing_to_wait_for(self, device):
        WallClock().settle()
        assert device.log == []

    def test_its_resolution_is_the_smallest_step_that_was_seen(self, monkeypatch):
        readings = iter([0, 0, 0, 3, *[n for k in range(1, 200) for n in (10 * k, 10 * k + 5)]])
        monkeypatch.setattr(clocks.time, "perf_counter", lambda: next(readings))
        assert WallClock().resolution == 3

    def test_here_it_is_less_than_a_round(self):
        assert 0 < WallClock().resolution <= 1e-3
        assert WallClock().resolution >= time.get_clock_info("perf_counter").resolution / 2


class TestClockFor:
    def test_a_cpu_has_a_wall_clock(self):
        assert type(clock_for("cpu")) is WallClock

    @pytest.mark.parametrize("device", ["cuda", "cuda:1", "xpu"])
    def test_devices_with_timed_events_have_both(self, device):
        clock = clock_for(device)
        assert type(clock) is DeviceClock
        assert clock._module is getattr(torch, device.split(":")[0])
        assert clock._device == torch.device(device)

    def test_others_are_waited_for(self, device):
        torch_mps = pytest.importorskip("torch.mps", reason="this torch has no torch.mps")
        clock = clock_for("mps")
        assert type(clock) is SynchronisedClock
        assert clock._synchronize is torch_mps.synchronize


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
class TestOnAGpu:
    def test_the_events_time_is_within_the_wall_time(self):
        clock = clock_for("cuda")
        x = torch.randn(2048, 2048, device="cuda")
        (x @ x).sum().item()
        for _ in range(5):
            wall, on_device, _ = clock.time(lambda: x @ x)
            assert 0 < on_device <= wall * 1.001

    def test_a_kernel_is_waited_for(self):
        clock = clock_for("cuda")
        short, _, _ = min(clock.time(lambda: torch.cuda._sleep(1000)) for _ in range(5))
        long, on_device, _ = clock.time(lambda: torch.cuda._sleep(100_000_000))
        assert long > 10 * short
        assert on_device > 0.5 * long

    def test_a_turn_ends_with_the_device_idle(self):
        clock = clock_for("cuda")
        torch.cuda._sleep(50_000_000)
        clock.settle()
        assert torch.cuda.current_stream().query()
