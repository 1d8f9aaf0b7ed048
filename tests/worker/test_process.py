"""What a worker asks of the operating system, each tried in a process of its own."""

import os
import sys
import time

import pytest

from rnnbench.cores import usable_cores
from rnnbench.worker import process
from rnnbench.worker.process import limit_memory, run_on

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this")


@linux
class TestMemory:
    def test_an_allocation_beyond_the_limit_fails_and_one_below_does_not(self, python_with):
        script = (
            "from rnnbench.worker.process import limit_memory\n"
            "limit_memory(1 << 30)\n"
            "small = bytearray(1 << 28)\n"
            "try: bytearray(1 << 31)\n"
            "except MemoryError: print('refused')\n"
        )
        done = python_with(script)
        assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr

    def test_a_limit_that_the_system_has_set_is_never_raised(self, python_with):
        script = (
            "import resource as r\n"
            "from rnnbench.worker.process import limit_memory\n"
            "r.setrlimit(r.RLIMIT_DATA, (1 << 30, 1 << 30))\n"
            "limit_memory(1 << 40)\n"
            "print(r.getrlimit(r.RLIMIT_DATA) == (1 << 30, 1 << 30))\n"
        )
        assert python_with(script).stdout == "True\n"

    def test_without_a_limit_nothing_changes(self):
        import resource

        before = resource.getrlimit(resource.RLIMIT_DATA)
        limit_memory(None)
        assert resource.getrlimit(resource.RLIMIT_DATA) == before


@linux
class TestCores:
    def test_every_thread_moves_and_the_answer_is_where_they_are(self, python_with):
        core = usable_cores()[-1]
        script = (
            "import os, threading\n"
            "from rnnbench.worker.process import run_on\n"
            "wait = threading.Event()\n"
            "threads = [threading.Thread(target=wait.wait) for _ in range(3)]\n"
            "[t.start() for t in threads]\n"
            f"print(run_on([{core}]))\n"
            "print({c for t in threads for c in os.sched_getaffinity(t.native_id)})\n"
            "wait.set()\n"
        )
        done = python_with(script)
        assert done.stdout.splitlines() == [f"[{core}]", f"{{{core}}}"], done.stderr

    def test_a_thread_that_ends_meanwhile_is_passed_over(self, monkeypatch):
        real, moved = os.sched_getaffinity(0), []

        def move(thread, cores):
            moved.append(thread)
            if len(moved) == 1:
                raise ProcessLookupError

        monkeypatch.setattr(os, "listdir", lambda path: ["1", "2"])
        monkeypatch.setattr(os, "sched_setaffinity", move)
        assert run_on(real) == sorted(real)
        assert moved == [1, 2]


def test_where_the_system_has_no_affinity_there_are_no_cores(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert run_on([0]) == []


@linux
def test_a_worker_ends_with_its_parent_however_that_ends(python_with, tmp_path):
    note = tmp_path / "pid"
    child = (
        "import time; from rnnbench.worker.process import die_with_parent; die_with_parent(); "
        f"open({str(note)!r}, 'w').write(str(__import__('os').getpid())); time.sleep(600)"
    )
    script = (
        "import os, signal, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        f"while not (os.path.exists({str(note)!r}) and os.path.getsize({str(note)!r})):\n"
        "    time.sleep(0.01)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert python_with(script).returncode == -9
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _running(int(note.read_text())):
        time.sleep(0.01)
    assert not _running(int(note.read_text()))


def _running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_elsewhere_nothing_is_asked_of_the_system(monkeypatch):
    monkeypatch.setattr(process.sys, "platform", "darwin")
    monkeypatch.setattr(process.ctypes, "CDLL", lambda *_, **__: pytest.fail("asked Linux"))
    process.die_with_parent()
    monkeypatch.setattr(process.resource, "setrlimit", lambda *_: pytest.fail("asked Linux"))
    limit_memory(1)
