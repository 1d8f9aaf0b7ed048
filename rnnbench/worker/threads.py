"""Binds the threads of a computation to cores, one to each.

Threads that may use the same two cores are at times both put on one of them, and stay there for a
whole turn, because each turn wakes them anew: then a call takes twice as long and more. In a
program that computes without a pause the scheduler moves one of them away after a while.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from rnnbench.worker.process import run_on

__all__ = ["bind_threads"]

_TASKS = Path("/proc/self/task")
_SPINNING = 0.02  # seconds after which threads that have nothing more to do have come to rest
_CALLS = 3
_ELEMENTS = 1 << 18
"""Elements for each thread; PyTorch gives a thread 32,768 at the least."""

_OTHERS: dict[int, list[int]] = {}
"""The threads beside the main one that compute, by how many compute; to find them takes two pauses.
They live until another number of threads is asked for."""


def bind_threads(cores: Sequence[int], threads: int) -> list[int]:
    """Give each of a computation's threads one of ``cores``, the calling thread the first.

    Returns the cores as `run_on` does. Where the threads cannot be told from others, or there is
    not a core for each, all of them may use all of the cores.
    """
    given = run_on(cores)
    for other in _OTHERS.keys() - {threads}:
        del _OTHERS[other]
    if len(given) != threads or threads < 2:
        return given
    torch.set_num_threads(threads)
    others = _OTHERS.get(threads, [])
    if not others or not all((_TASKS / str(thread)).exists() for thread in others):
        others = _working_threads(threads)
    if len(others) == threads - 1:
        _OTHERS[threads] = others
        for thread, core in zip((threading.get_native_id(), *others), given, strict=True):
            os.sched_setaffinity(thread, {core})
    return given


def _working_threads(threads: int) -> list[int]:
    """The threads beside this one that compute when PyTorch is asked for that many."""
    numbers = torch.zeros(threads * _ELEMENTS).add_(1)  # the first call may start threads
    time.sleep(_SPINNING)
    before = _cpu_times()
    for _ in range(_CALLS):
        numbers.add_(1)
    time.sleep(_SPINNING)  # what a thread has used is told when it rests
    after = _cpu_times()
    return sorted(
        thread
        for thread, used in after.items()
        if thread != threading.get_native_id() and used > before.get(thread, 0)
    )


def _cpu_times() -> dict[int, int]:
    """Nanoseconds that each thread of this process has computed; empty where that is not told."""
    times = {}
    try:
        for task in _TASKS.iterdir():
            times[int(task.name)] = int((task / "schedstat").read_text().split()[0])
    except OSError:  # no such kernel, or a thread that has just ended
        return {}
    return times
