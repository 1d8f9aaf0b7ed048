"""The worker's end of the pipe: one clean line for each request, with what it used waiting."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rnnbench

BOOTSTRAP = Path(rnnbench.__file__).parent / "worker" / "bootstrap.py"


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """One real worker; a function that asks it and gives back the reply."""
    folder = tmp_path_factory.mktemp("pipe")
    (folder / "loud.py").write_text(
        "import os, sys\nprint('a print'); os.write(1, b'a write\\n'); os.system('echo a child')\n"
    )
    worker = subprocess.Popen(
        [sys.executable, str(BOOTSTRAP)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )

    def ask(op, **fields):
        worker.stdin.write(json.dumps({"op": op, **fields}) + "\n")
        worker.stdin.flush()
        return json.loads(worker.stdout.readline())

    ask.worker = worker
    ask.hello = ask(
        "hello",
        plugins=[str(folder / "loud.py")],
        cache=str(folder),
        devices=[],
        memory_limit=None,
    )
    yield ask
    worker.kill()
    worker.communicate()


def test_what_anything_prints_does_not_land_among_the_replies(talk):
    assert talk.hello["result"]["pid"] == talk.worker.pid


def test_each_reply_tells_what_was_used_while_it_waited(talk):
    first = talk("check", cases=[])
    second = talk("check", cases=[])
    for reply in (first, second):
        assert set(reply["waited"]) == {"cpu", "wall"}
        assert reply["waited"]["cpu"] >= 0
        assert reply["waited"]["wall"] > 0
    assert second["cpu"] >= first["cpu"] > 0


def test_a_request_that_fails_is_answered_and_the_next_one_too(talk):
    assert talk("block", case={})["status"] in ("failed", "user_error")
    assert talk("check", cases=[])["result"] == {"unsupported": []}


def test_exit_ends_it_and_what_was_printed_is_in_the_log(talk):
    talk.worker.stdin.write('{"op": "exit"}\n')
    talk.worker.stdin.flush()
    out, log = talk.worker.communicate(timeout=20)
    assert talk.worker.returncode == 0
    assert out == ""
    assert {"a print", "a write", "a child"} <= set(log.splitlines())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_busy_worker_ends_with_its_coordinator(python_with, tmp_path, is_alive):
    """One that hangs in a case never reads that its pipe has closed."""
    note, plugin = tmp_path / "pid", tmp_path / "hangs.py"
    plugin.write_text(
        f"import os, time\nopen({str(note)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    )
    hello = {"op": "hello", "plugins": [str(plugin)], "cache": str(tmp_path), "devices": []}
    coordinator = (
        "import os, signal, subprocess, sys, time\n"
        f"worker = subprocess.Popen([sys.executable, {str(BOOTSTRAP)!r}], stdin=-1)\n"
        f"worker.stdin.write({(json.dumps(hello) + chr(10)).encode()!r}); worker.stdin.flush()\n"
        f"while not (os.path.exists({str(note)!r}) and os.path.getsize({str(note)!r})):\n"
        "    time.sleep(0.01)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert python_with(coordinator).returncode == -signal.SIGKILL
    worker = int(note.read_text())
    deadline = time.monotonic() + 5
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(worker)
