"""Peak memory of a call: what is allocated at one time, and not in total."""

import contextlib

import torch

from rnnbench.cases import Case
from rnnbench.worker.clocks import clock_for
from rnnbench.worker.memory import peak_bytes

KIB = 256  # floats of a kibibyte


class Call:
    """A pass that allocates what a function says."""

    def __init__(self, run, prepare=lambda: None):
        self.run_, self.prepare = run, prepare

    def context(self):
        return contextlib.nullcontext()

    def run(self, prepared):
        return self.run_()


CLOCK = clock_for("cpu")


def peak(*given):
    return peak_bytes(Case(), Call(*given), CLOCK)


def test_tensors_that_live_together_add_up():
    assert peak(lambda: [torch.empty(100 * KIB), torch.empty(50 * KIB)]) == 150 * 1024


def test_tensors_that_follow_each_other_do_not():
    def one_after_the_other():
        for size in (100, 300, 200):
            torch.empty(size * KIB)

    assert peak(one_after_the_other) == 300 * 1024


def test_what_is_prepared_does_not_count():
    assert peak(lambda: torch.empty(10 * KIB), lambda: torch.empty(500 * KIB)) == 10 * 1024


def test_the_graph_of_a_forward_counts():
    weight = torch.ones(64 * KIB, requires_grad=True)
    with_graph = peak(lambda: ((weight * 2).exp() * 3).sum())
    with torch.no_grad():
        without = peak(lambda: ((weight * 2).exp() * 3).sum())
    assert with_graph > without >= 2 * 64 * 1024


def test_what_an_earlier_profile_saw_at_an_address_changes_nothing():
    """The allocator gives an address away again, and the profiler remembers what it saw there."""
    before = []

    def prepare():
        before.extend(torch.empty(KIB) for _ in range(64))

    def run():
        before.clear()
        return torch.empty(10 * KIB)

    found = set()
    for _ in range(3):
        # What this profile sees allocated is freed after it has ended, and so given away again.
        assert peak(lambda: [torch.empty(KIB) for _ in range(64)]) == 64 * 1024
        found.add(peak(run, prepare))
    assert found == {10 * 1024}


def test_another_device_tells_nothing():
    assert peak_bytes(Case(device="mps"), Call(lambda: None), clock_for("cpu")) is None
