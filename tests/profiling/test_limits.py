"""Limits have the form that bounds are made of; how large they are is this machine's affair."""

import pytest
import torch

from rnnbench.limits import Launches
from rnnbench.profiling import limits
from rnnbench.profiling.limits import launches_of, measure_launches, measure_limits
from tests.devices import StandIn


@pytest.fixture
def small(monkeypatch):
    """Nothing that takes longer than a moment."""
    monkeypatch.setattr(limits, "_SQUARES", (16, 32))
    monkeypatch.setattr(limits, "_LARGEST", 1 << 18)
    monkeypatch.setattr(limits, "_last_cache", lambda: None)
    monkeypatch.setattr(limits, "_BLOCK", 1e-4)


class TestLimits:
    @pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
    def test_all_that_a_bound_needs_has_seconds(self, small, dtype):
        shapes = [[40, 6, 8], [1, 8, 8], [64, 64, 64]]
        found = measure_limits(shapes, dtype, 1, seconds=1e-3)
        assert len(found["products"]) == 3
        assert set(found["calls"]) == {"python", "product", "entries", "list", "longer_list"}
        assert [square["rows"] for square in found["squares"]] == [16, 32]
        assert [move["bytes"] for move in found["moves"]] == [1 << 16, 1 << 18]
        seconds = [
            *found["products"],
            *found["nothing"],
            *(value for name, value in found["calls"].items() if name != "entries"),
            *(square["seconds"] for square in found["squares"]),
            *(value for move in found["moves"] for value in move["seconds"]),
        ]
        assert all(0 < value < 10 for value in seconds)

    def test_squares_end_where_they_take_long(self, small, monkeypatch):
        monkeypatch.setattr(limits, "_LONG", 0.0)
        found = measure_limits([[2, 2, 2]], "float32", 1, seconds=0.0)
        assert [square["rows"] for square in found["squares"]] == [16]


class TestCalls:
    def test_a_list_calls_the_operator_once_for_each_entry(self):
        """What the cost of a call from C++ rests on: so many calls, each on what the last left."""
        one = torch.ones(1)
        with torch.profiler.profile() as seen:
            torch._foreach_neg_([one] * 5)
        assert one.item() == -1.0, "an odd number of changes of sign"
        counts = {event.key: event.count for event in seen.key_averages()}
        assert counts["aten::neg_"] == 5

    def test_the_longer_list_has_twice_the_entries(self, monkeypatch):
        monkeypatch.setattr(limits, "_least", lambda call, seconds: len(call.args[0]))
        found = limits._lists(torch.float32, 1.0)
        assert (found["list"], found["longer_list"]) == (found["entries"], 2 * found["entries"])

    def test_amounts_that_the_last_cache_holds_a_part_of_are_left_out(self):
        every = [1 << bits for bits in (16, 18, 20, 22, 24, 26, 28)]
        assert limits._sizes(None) == every
        assert limits._sizes(32 << 20) == [size for size in every if size != 1 << 26]
        assert limits._sizes(1 << 24) == every, (
            "neither as large nor four times as large is between"
        )

    def test_half_of_the_bytes_are_copied_and_all_are_added_up(self, small, monkeypatch):
        monkeypatch.setattr(limits, "_least", lambda call, seconds: call.args[0].nbytes)
        for move in limits._moves(torch.float32, 1.0):
            assert move["seconds"] == [move["bytes"] / 2, move["bytes"]]


class TestLaunches:
    def measured(self, monkeypatch, host, device, waiting=0.0):
        there = StandIn(monkeypatch)

        def synchronize():
            there.now += waiting
            there.synchronize()

        return there, measure_launches(lambda: there.launch(host, device), synchronize, 1.0)

    def test_a_launch_is_the_hosts_share_and_a_step_is_all(self, monkeypatch):
        _, found = self.measured(monkeypatch, 0.25, 2.0)
        assert set(found) == set(Launches.NAMES)
        assert found["launch"] == pytest.approx(0.25)
        assert found["step"] == pytest.approx(2.25), "host and device: nothing overlaps here"

    def test_a_synchronisation_waits_for_nothing_but_itself(self, monkeypatch):
        there, found = self.measured(monkeypatch, 0.25, 2.0, waiting=0.5)
        assert found["synchronisation"] == pytest.approx(0.5)
        assert there.queue == 0, "the device is left idle"

    def test_what_was_queued_before_is_in_none_of_them(self, monkeypatch):
        there = StandIn(monkeypatch)
        there.launch(0.0, 1e6)
        found = measure_launches(lambda: there.launch(0.25, 1.0), there.synchronize, 1.0)
        assert found["step"] == pytest.approx(1.25)

    def test_where_there_is_no_device_the_reason_is_told(self):
        assert launches_of("nonsense", 0.0) == {
            "device": "nonsense",
            "reason": f"PyTorch {torch.__version__} knows no device nonsense",
        }

    def test_without_any_device_that_of_cuda_is_told(self, monkeypatch):
        monkeypatch.setattr(limits, "why_no_device", lambda kind: f"no {kind}")
        assert limits.devices_to_ask() == ["cuda"]
        monkeypatch.setattr(limits, "why_no_device", lambda kind: None)
        assert limits.devices_to_ask() == ["cuda", "xpu", "mps"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_a_device_answers_with_all_of_them():
    found = launches_of("cuda", 0.1)
    assert 0 < found["launch"] <= found["step"]
    assert found["synchronisation"] > 0
