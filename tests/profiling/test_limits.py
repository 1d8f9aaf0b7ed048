"""Limits have the form that bounds are made of; how large they are is this machine's affair."""

import pytest
import torch

from rnnbench.limits import CALLS, Launches
from rnnbench.profiling import limits
from rnnbench.profiling.limits import launches_of, measure_launches, measure_limits
from tests.devices import StandIn


@pytest.fixture
def small(monkeypatch):
    """Nothing that takes longer than a moment."""
    monkeypatch.setattr(limits, "_SQUARES", (16, 32))
    monkeypatch.setattr(limits, "_LARGEST", 1 << 18)
    monkeypatch.setattr(limits, "_BLOCK", 1e-4)


class TestLimits:
    @pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
    def test_all_that_a_bound_needs_has_seconds(self, small, dtype):
        shapes = [[40, 6, 8], [1, 8, 8], [64, 64, 64]]
        found = measure_limits(shapes, dtype, 1, seconds=1e-3)
        assert len(found["products"]) == 3
        assert set(found["calls"]) == set(CALLS)
        assert [square["rows"] for square in found["squares"]] == [16, 32]
        assert [move["bytes"] for move in found["moves"]] == [1 << 16, 1 << 18]
        seconds = [
            *found["products"],
            *found["calls"].values(),
            *(entry["seconds"] for entry in [*found["squares"], *found["moves"]]),
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

    def test_the_cost_of_the_list_falls_out(self, monkeypatch):
        """A call that takes 7 s, and 2 s for each entry, is one of 2 s."""
        monkeypatch.setattr(limits, "_least", lambda call, seconds: 7 + 2 * len(call.args[0]))
        assert limits._call_from_cpp(torch.float32, 1.0) == 2.0

    def test_moving_is_without_the_call(self, small, monkeypatch):
        """Copying takes 5 s and a second for each number, adding up so much that it is no bound."""

        def least(call, seconds):
            if call.func is torch.sum:
                return 1e9
            return 5.0 + call.args[0].numel()

        monkeypatch.setattr(limits, "_least", least)
        assert list(limits._moves(torch.float32, 1.0)) == [
            {"bytes": 1 << 16, "seconds": (1 << 13) - 1.0},
            {"bytes": 1 << 18, "seconds": (1 << 15) - 1.0},
        ]


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
