"""Each thread of a computation gets a core of its own, and is free again afterwards."""

import os
import threading

import pytest
import torch

from rnnbench.worker import threads as threads_module
from rnnbench.worker.process import run_on
from rnnbench.worker.threads import bind_threads

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores and a system with affinity",
)


@pytest.fixture(autouse=True)
def _restored(monkeypatch):
    monkeypatch.setattr(threads_module, "_OTHERS", {})
    cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
    yield
    run_on(cores)
    torch.set_num_threads(threads)


def two_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))[:2]


def affinities() -> dict[int, set[int]]:
    return {int(t): os.sched_getaffinity(int(t)) for t in os.listdir("/proc/self/task")}


def test_two_threads_have_a_core_each():
    first, second = cores = two_cores()
    assert bind_threads(cores, 2) == cores
    working = threads_module._working_threads(2)
    assert len(working) == 1
    assert os.sched_getaffinity(threading.get_native_id()) == {first}
    assert affinities()[working[0]] == {second}


def test_a_later_call_frees_them_again():
    cores = two_cores()
    bind_threads(cores, 2)
    run_on(cores)
    assert all(allowed == set(cores) for allowed in affinities().values())


def test_threads_are_found_once(monkeypatch):
    cores = two_cores()
    bind_threads(cores, 2)
    (other,) = threads_module._OTHERS[2]
    monkeypatch.setattr(threads_module, "_working_threads", lambda threads: pytest.fail("again"))
    run_on(cores)
    bind_threads(cores, 2)
    assert affinities()[other] == {cores[1]}


def test_threads_that_have_ended_are_looked_for_again():
    threads_module._OTHERS[2] = [0]
    cores = two_cores()
    bind_threads(cores, 2)
    (other,) = threads_module._OTHERS[2]
    assert affinities()[other] == {cores[1]}


def test_another_number_of_threads_is_another_pool():
    cores = two_cores()
    bind_threads(cores, 2)
    bind_threads(cores[:1], 1)
    assert threads_module._OTHERS == {}


def test_one_thread_may_use_what_it_is_given():
    core = two_cores()[:1]
    assert bind_threads(core, 1) == core
    assert affinities()[threading.get_native_id()] == set(core)


@pytest.mark.parametrize("found", [[], [1, 2]])
def test_threads_that_cannot_be_told_share_the_cores(monkeypatch, found):
    monkeypatch.setattr(threads_module, "_working_threads", lambda threads: found)
    cores = two_cores()
    assert bind_threads(cores, 2) == cores
    assert affinities()[threading.get_native_id()] == set(cores)


def test_a_kernel_that_does_not_tell_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "1").mkdir()
    monkeypatch.setattr(threads_module, "_TASKS", tmp_path)
    assert threads_module._cpu_times() == {}
    cores = two_cores()
    assert bind_threads(cores, 2) == cores
