"""A worker seen from the coordinator; here a stand-in that speaks the protocol without a torch."""

import os
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from rnnbench.errors import UserError
from rnnbench.measuring import workers
from rnnbench.measuring.workers import (
    CaseProblem,
    InProcessWorker,
    ProcessWorker,
    WorkerKilled,
    WorkerLost,
    own_environment,
)
from tests.processes import is_there

STAND_IN = """#!{python}
import json, os, signal, sys, threading, time

def answer(**reply):
    print(json.dumps({{"waited": {{"cpu": 0.25, "wall": 2.0}}, "cpu": 1.5, **reply}}), flush=True)

for line in sys.stdin:
    request = json.loads(line)
    op = request.pop("op")
    if op == "exit":
        break
    {extra}
    if op == "die slowly":
        print("first words\\nlast words", file=sys.stderr, flush=True)
        os.close(1)
        time.sleep(0.3)
        os._exit(3)
    if op == "die":
        print("first words\\nlast words", file=sys.stderr, flush=True)
        sys.exit(3)
    elif op == "kill":
        os.kill(os.getpid(), getattr(signal, request["signal"]))
    elif op == "sleep":
        child = os.fork()
        if child == 0:
            time.sleep(600)
        open(request["note"], "w").write(f"{{os.getpid()}} {{child}}")
        time.sleep(600)
    elif op == "halves":
        text = json.dumps({{"waited": {{"cpu": 0, "wall": 0}}, "cpu": 0, "result": "x" * 300000}})
        sys.stdout.write(text[:1000]); sys.stdout.flush(); time.sleep(0.05)
        print(text[1000:], flush=True)
    elif op == "spin":
        answer(result=None)
        end = time.process_time() + 0.2
        while time.process_time() < end:
            pass
    elif op == "fail":
        answer(**request)
    else:
        answer(result={{"op": op, **request}})
"""


@pytest.fixture
def python(tmp_path):
    """Make a program that stands in for a Python with a torch."""

    def make(extra="pass", text=None):
        path = tmp_path / "python"
        path.write_text(text or STAND_IN.format(python=sys.executable, extra=extra))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


@pytest.fixture
def worker(python):
    started = ProcessWorker("old", python(), 5, {"plugins": ["p"]})
    yield started
    started.close()


def gone(pid: int) -> bool:
    return not is_there(pid)


def wait_until(condition, seconds=5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


class TestAsking:
    def test_it_says_hello_first(self, worker):
        assert worker.hello == {"op": "hello", "plugins": ["p"]}
        assert (worker.environment, worker.replicate) == ("old", 5)

    def test_requests_and_answers_pass_unchanged(self, worker):
        fields = {"case": {"batch": 1}, "seconds": 0.5, "word": "größer\n"}
        assert worker.ask("block", 5, **fields) == {"op": "block", **fields}

    def test_a_long_answer_that_comes_in_pieces_is_whole(self, worker):
        assert worker.ask("halves", 5) == "x" * 300000

    def test_what_it_used_while_it_waited_adds_up(self, worker):
        worker.ask("block", 5)
        worker.ask("block", 5)
        assert (worker.waited_cpu, worker.waited_wall, worker.cpu) == (0.75, 6.0, 1.5)

    @pytest.mark.skipif(sys.platform != "linux", reason="the clocks of other processes are Linux's")
    def test_what_it_spins_in_the_pause_after_its_turn_is_not_waiting(self, worker):
        before = worker.waited_cpu
        worker.ask("spin", 5)
        spun = workers._cpu_seconds_of(worker._process.pid)
        assert wait_until(lambda: workers._cpu_seconds_of(worker._process.pid) - spun > 0.15)
        worker.settled()
        worker.ask("block", 5)  # says that it used 0.25 s since its last answer
        worker.ask("block", 5)  # and here that it was not in a pause
        told = worker.waited_cpu - before - 0.25 - 0.25
        assert 0 <= told < 0.25 - 0.15

    def test_a_process_that_has_ended_has_no_clock(self, python):
        worker = ProcessWorker("old", python(), 5, {})
        worker.close()
        assert workers._cpu_seconds_of(worker._process.pid) is None
        worker.settled()

    def test_a_problem_of_the_case_leaves_the_worker_alive(self, worker):
        with pytest.raises(CaseProblem) as raised:
            worker.ask("fail", 5, status="incorrect", reason="off by one")
        assert not isinstance(raised.value, WorkerLost)
        assert (raised.value.status, raised.value.reason) == ("incorrect", "off by one")
        assert worker.ask("block", 5) == {"op": "block"}

    def test_a_mistake_of_the_users_is_no_problem_of_a_case(self, worker):
        with pytest.raises(UserError, match="mend it"):
            worker.ask("fail", 5, status="user_error", reason="mend it")


class TestLosing:
    @pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
    def test_a_signal_is_named(self, worker, name):
        with pytest.raises(WorkerLost) as lost:
            worker.ask("kill", 5, signal=name)
        assert lost.value.status == "crashed"
        assert lost.value.reason == f"the worker was ended by {name}"
        assert isinstance(lost.value, WorkerKilled) == (name == "SIGKILL"), "the others say more"

    def test_one_that_ended_while_nobody_asked_is_seen_to_be_gone(self, worker, python):
        assert worker.alive()
        idle = ProcessWorker(
            "new", python(extra="threading.Timer(0.2, os._exit, [1]).start()"), 0, {}
        )
        assert wait_until(lambda: not idle.alive())
        idle.close()

    def test_a_kill_for_want_of_memory_is_told_apart(self, worker, monkeypatch):
        before = workers._oom_kills()
        monkeypatch.setattr(workers, "_oom_kills", lambda: before + 1)
        with pytest.raises(WorkerLost) as lost:
            worker.ask("kill", 5, signal="SIGKILL")
        assert lost.value.status == "out_of_memory"
        assert not isinstance(lost.value, WorkerKilled)

    def test_another_signal_while_memory_runs_out_elsewhere_stays_a_crash(
        self, worker, monkeypatch
    ):
        before = workers._oom_kills()
        monkeypatch.setattr(workers, "_oom_kills", lambda: before + 1)
        with pytest.raises(WorkerLost) as lost:
            worker.ask("kill", 5, signal="SIGSEGV")
        assert lost.value.status == "crashed"

    @pytest.mark.parametrize("op", ["die", "die slowly"])
    def test_an_exit_is_told_with_its_status_and_last_words(self, worker, op):
        with pytest.raises(WorkerLost) as lost:
            worker.ask(op, 5)
        assert lost.value.status == "crashed"
        assert lost.value.reason == "the worker ended with status 3: last words"

    def test_one_that_only_closes_its_pipe_is_ended(self, python, monkeypatch):
        monkeypatch.setattr(workers, "_END_TIMEOUT", 0.1)
        worker = ProcessWorker("old", python(extra="if op == 'mute': os.close(1); time.sleep(600)"),
                               0, {})  # fmt: skip
        with pytest.raises(WorkerLost, match="ended by SIGKILL"):
            worker.ask("mute", 5)
        worker.close()

    def test_no_answer_in_time_ends_it_with_its_children(self, worker, tmp_path):
        note = tmp_path / "note"
        with pytest.raises(WorkerLost) as lost:
            worker.ask("sleep", 1, note=str(note))
        assert lost.value.status == "timed_out"
        assert lost.value.reason == "no answer within 1 s"
        for pid in map(int, note.read_text().split()):
            assert wait_until(lambda pid=pid: gone(pid)), f"process {pid} lives on"

    def test_one_that_died_while_it_waited_is_lost_at_the_next_request(self, worker):
        os.kill(worker._process.pid, signal.SIGKILL)
        worker._process.wait()
        with pytest.raises(WorkerLost) as lost:
            worker.ask("block", 5)
        assert lost.value.status == "crashed"

    def test_closing_a_dead_one_is_quiet(self, worker):
        os.kill(worker._process.pid, signal.SIGKILL)
        worker._process.wait()
        with pytest.raises(WorkerLost):
            worker.ask("block", 5)
        worker.close()
        assert worker._process.stdin.closed

    def test_the_counter_of_kills_is_the_kernels(self, monkeypatch):
        class Vmstat(type(Path())):
            def read_text(self, *_):
                return "nr_free_pages 1\noom_kill 7\nother 2\n"

        monkeypatch.setattr(workers, "Path", Vmstat)
        assert workers._oom_kills() == 7

    def test_where_the_system_has_no_such_counter_it_stays_zero(self, monkeypatch):
        class Nothing(type(Path())):
            def read_text(self, *_):
                raise FileNotFoundError

        monkeypatch.setattr(workers, "Path", Nothing)
        assert workers._oom_kills() == 0


class TestStartingAndEnding:
    def test_closing_ends_it(self, python):
        worker = ProcessWorker("old", python(), 0, {})
        worker.close()
        assert worker._process.returncode == 0

    def test_one_that_does_not_end_when_asked_is_ended(self, python, monkeypatch):
        worker = ProcessWorker("old", python(extra="if op == 'deaf': time.sleep(600)"), 0, {})
        worker._process.stdin.write(b'{"op": "deaf"}\n')
        worker._process.stdin.flush()
        monkeypatch.setattr(workers, "_END_TIMEOUT", 0.1)
        worker.close()
        assert worker._process.returncode == -signal.SIGKILL

    def test_a_program_that_is_no_python_is_named_with_what_is_needed(self, python):
        program = python(text="#!/bin/sh\necho 'no such thing' >&2\nexit 7\n")
        with pytest.raises(UserError) as refused:
            ProcessWorker("odd", program, 0, {})
        assert str(refused.value) == (
            "environment 'odd': its Python does not start as a worker (the worker ended with "
            "status 7: no such thing); it needs Python 3.10 or newer with PyTorch 2.1 or newer"
        )

    def test_a_hello_that_fails_is_the_environments_and_ends_the_process(self, python):
        program = python(extra="if op == 'hello': answer(status='failed', reason='odd'); continue")
        with pytest.raises(UserError, match="environment 'odd': odd"):
            ProcessWorker("odd", program, 0, {})

    def test_a_users_mistake_in_hello_ends_the_process_too(self, python, tmp_path):
        note = tmp_path / "pid"
        program = python(
            extra=f"open({str(note)!r}, 'w').write(str(os.getpid())); "
            "answer(status='user_error', reason='no such plug-in'); continue"
        )
        with pytest.raises(UserError, match="^no such plug-in$"):
            ProcessWorker("odd", program, 0, {})
        assert wait_until(lambda: gone(int(note.read_text())))

    def test_it_has_a_session_of_its_own(self, worker):
        assert os.getsid(worker._process.pid) == worker._process.pid != os.getsid(0)


class TestVariables:
    MIXING = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")

    def test_another_python_gets_none_that_would_mix_two(self, monkeypatch):
        for name in self.MIXING:
            monkeypatch.setenv(name, "x")
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        variables = own_environment("/elsewhere/bin/python")
        assert not set(self.MIXING) & set(variables)
        assert variables["OMP_NUM_THREADS"] == "3"

    def test_the_same_python_keeps_them(self, monkeypatch):
        monkeypatch.setenv("PYTHONPATH", "x")
        assert own_environment(sys.executable)["PYTHONPATH"] == "x"

    def test_compilers_stay_in_the_worker_unless_the_user_wants_a_pool(self, monkeypatch):
        monkeypatch.delenv("TORCHINDUCTOR_COMPILE_THREADS", raising=False)
        assert own_environment(sys.executable)["TORCHINDUCTOR_COMPILE_THREADS"] == "1"
        monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "4")
        assert own_environment(sys.executable)["TORCHINDUCTOR_COMPILE_THREADS"] == "4"

    def test_this_process_is_not_changed(self, monkeypatch):
        monkeypatch.setenv("PYTHONPATH", "x")
        own_environment("/elsewhere/bin/python")
        assert os.environ["PYTHONPATH"] == "x"


class TestInProcess:
    @pytest.fixture
    def inside(self, monkeypatch):
        import rnnbench.worker.server as server

        class Stand:
            def handle(self, request):
                if request["op"] == "bad":
                    return {"status": "failed", "reason": "planted"}
                return {"result": request}

        monkeypatch.setattr(server, "Server", Stand)
        return InProcessWorker("default", {"plugins": []})

    def test_the_same_requests_go_to_the_same_code(self, inside):
        assert inside.hello == {"op": "hello", "in_process": True, "plugins": []}
        assert inside.ask("block", 1, seconds=2) == {"op": "block", "seconds": 2}
        with pytest.raises(CaseProblem, match="failed: planted"):
            inside.ask("bad", 1)

    def test_it_has_nothing_to_end(self, inside):
        inside.close()
        assert inside.ask("block", 1) == {"op": "block"}
        assert (inside.waited_cpu, inside.waited_wall, inside.cpu) == (0.0, 0.0, 0.0)
