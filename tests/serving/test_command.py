"""`rnnbench streaming` as a user runs it, small: what it prints, writes, refuses and leaves."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnnbench.cli import main
from rnnbench.cores import usable_cores
from rnnbench.measuring.workers import CaseProblem
from rnnbench.serving import crew as crew_module
from rnnbench.serving.crew import Crew
from rnnbench.serving.plan import Plan, default_workers
from tests.conftest import environment
from tests.serving.test_measure import CASE

TINY = ("--hidden-size", "8", "--input-size", "4", "--seconds", "0.1", "--turns", "1", "--no-lock")
CORE = ("--cores", str(usable_cores()[-1]))


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run the command in this process; the workers have their own. Returns status and output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["streaming", *arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_it_measures_prints_and_writes_both_files(run):
    status, out, err = run(
        *TINY,
        *CORE,
        *("--workers", "1,2", "--oversubscribe", "--replicates", "2", "--cell", "lstm"),
        *("--implementation", "python_loop,cuda_graph", "--json", "s.json", "--plot", "s.svg"),
    )
    assert (status, err) == (0, "")
    said = " ".join(out.split())
    assert "Streams of lstm, B=1 I=4 H=8 L=1" in said
    assert "2 on 1 core" in said
    assert "cuda_graph is unsupported: CUDA graphs need a CUDA device, not cpu." in said
    document = json.loads(Path("s.json").read_text())
    assert document["complete"] is True
    assert document["plan"]["workers"] == [1, 2]
    assert document["plan"]["case"]["cell"] == "lstm"
    assert document["environment"]["torch"]
    one, two, *unsupported = document["crowds"]
    assert [crowd["status"] for crowd in unsupported] == ["unsupported"] * 2
    errors, tolerances = (one["verification"][key] for key in ("error", "tolerance"))
    assert set(errors) == {"output", "h_n", "c_n"}
    assert all(errors[name] <= tolerances[name] for name in errors)
    assert one["efficiency"]["value"] == 1
    assert two["efficiency"]["low"] <= two["efficiency"]["value"] <= two["efficiency"]["high"]
    for crowd in (one, two):
        assert [turn["replicate"] for turn in crowd["turns"]] == [0, 1]
        for turn in crowd["turns"]:
            assert [w["core"] for w in turn["workers"]] == [usable_cores()[-1]] * crowd["workers"]
            for worker in turn["workers"]:
                assert worker["steps"] > 10
                assert 0 < worker["p50"] <= worker["p95"] <= worker["p99"] <= worker["longest"]
        assert crowd["p50"]["value"] < crowd["p99"]["value"]
    assert Path("s.svg").read_text().startswith("<svg")
    assert sorted(path.name for path in Path().iterdir()) == ["s.json", "s.svg"]


class TestRefused:
    CORES = len(usable_cores())

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--workers", "0"), "--workers holds 0; give 1 or more of them"),
            (("--workers", "two"), "--workers is 'two'; give whole numbers with commas"),
            (("--workers", ""), "--workers is ''; give whole numbers with commas"),
            (("--workers", str(CORES + 1)), f"--workers holds {CORES + 1}, and there "),
            (("--implementation", "nn_rn"), "--implementation holds 'nn_rn', which there is not; "),
            (("--implementation", ""), "--implementation holds '', which there is not; "),
            (("--cell", "rnn"), "--cell is 'rnn'; give one of rnn_tanh, rnn_relu, lstm, gru"),
            (("--dtype", "int8"), "--dtype is 'int8'; give one of float32"),
            (("--batch", "0"), "--batch is 0; give 1 or more"),
            (("--layers", "0"), "--layers is 0; give 1 or more"),
            (("--hidden-size", "-3"), "--hidden-size is -3; give 1 or more"),
            (("--input-size", "0"), "--input-size is 0; give 1 or more"),
            (("--seed", "-1"), "--seed is -1; give 0 or more"),
            (("--seconds", "0"), "--seconds is 0; give seconds above 0"),
            (("--seconds", "nan"), "--seconds is nan; give seconds above 0"),
            (("--replicates", "0"), "--replicates is 0; give 1 or more"),
            (("--turns", "0"), "--turns is 0; give 1 or more"),
            (("--timeout", "0"), "--timeout is 0; give seconds above 0"),
            (("--cores", "9999"), "--cores names core 9999, which this process may not use"),
            (("--cores", "a"), "--cores is 'a'; give whole numbers with commas"),
            (("--plot", "a.jpg"), "--plot a.jpg: its ending names no picture; give .png or .svg"),
            (("--json", "no/a.json"), "--json no/a.json: its parent no does not exist"),
            (("--python", "no-python"), "--python default: 'no-python' is not a program"),
        ],
    )
    def test_it_is_one_line_before_anything_starts(self, run, monkeypatch, arguments, said):
        monkeypatch.setattr(crew_module, "ProcessWorker", None)
        status, out, err = run(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith(f"rnnbench: {said}")
        assert err.count("\n") == 1

    def test_more_workers_than_cores_name_the_option_that_allows_it(self, run, monkeypatch):
        monkeypatch.setattr(crew_module, "ProcessWorker", None)
        _, _, err = run(*CORE, "--workers", "1,3")
        assert err == (
            "rnnbench: --workers holds 3, and there is 1 core to pin them to: give 1 or fewer, or "
            "--oversubscribe to put several on a core\n"
        )

    def test_what_nobody_can_step(self, run, monkeypatch):
        monkeypatch.setattr(crew_module, "ProcessWorker", StandIn)
        given = ("--implementation", "cuda_graph", "--workers", "1", "--json", "s.json")
        status, out, err = run(*TINY, *CORE, *given)
        assert (status, out) == (2, "")
        assert err == ("rnnbench: cuda_graph cannot be stepped here, unsupported: it cannot\n")


class StandIn:
    """A worker that answers what it is told to; the clock is this process's."""

    made: list["StandIn"] = []
    late = 0
    memory = 1000
    latencies: list[float] = [0.01]
    began = None

    def __init__(self, environment, python, replicate, hello):
        self.hello = {"memory": self.memory, "environment": {"torch": "9.9"}}
        self.closed: list[bool] = []
        self.asked: list[dict] = []
        StandIn.made.append(self)

    def ask(self, op, timeout, **fields):
        assert op == "check"
        return {"unsupported": ["it cannot"]}

    def send(self, op, **fields):
        self.asked.append(fields)

    def answer(self, timeout):
        StandIn.late -= 1
        return {
            "began": time.monotonic() if self.began is None else self.began,
            "late": StandIn.late >= 0,
            "latencies": self.latencies,
            "cores": self.asked[-1]["cores"],
        }

    def close(self, *, at_once=False):
        self.closed.append(at_once)


class TestCrew:
    @pytest.fixture(autouse=True)
    def _stand_ins(self, monkeypatch):
        monkeypatch.setattr(crew_module, "ProcessWorker", StandIn)
        monkeypatch.setattr(StandIn, "made", [])
        monkeypatch.setattr(StandIn, "late", 0)
        monkeypatch.setattr(crew_module, "available_memory", lambda: 2**30)

    def crew(self, workers=2):
        core = usable_cores()[:1]
        return Crew(
            Plan(CASE, ("nn_rnn",), (workers,), cores=core, oversubscribe=True, seconds=0.5),
            sys.executable,
            Path(),
            timeout=5,
        )

    def test_all_are_told_of_the_same_window_which_has_not_begun(self):
        crew = self.crew()
        crew.window(CASE, [0, 1], [3, 4])
        one, other = (worker.asked[0] for worker in StandIn.made)
        assert one["start"] == other["start"] and one["end"] == other["end"] == one["start"] + 0.5
        assert (one["cores"], other["cores"]) == ([3], [4])

    def test_a_window_to_which_one_came_late_is_begun_again_with_twice_the_time(self):
        StandIn.late = 1
        found = self.crew().window(CASE, [0, 1], [0, 0])
        first, second = StandIn.made[0].asked
        assert second["start"] > first["start"]
        assert [each.latencies.tolist() for each in found] == [[0.01]] * 2

    def test_who_is_always_late_fails(self):
        StandIn.late = 1000
        with pytest.raises(CaseProblem, match="did not step 1.2 s after it was told to"):
            self.crew().window(CASE, [0], [0])

    def test_a_window_without_a_step_fails(self, monkeypatch):
        monkeypatch.setattr(StandIn, "latencies", [])
        with pytest.raises(CaseProblem, match="longer than the window of 0.5 s"):
            self.crew().window(CASE, [0], [0])

    def test_another_clock_is_refused(self, monkeypatch):
        from rnnbench.errors import UserError

        monkeypatch.setattr(StandIn, "began", 17.0)
        with pytest.raises(UserError, match="clock is not this process's"):
            self.crew().window(CASE, [0], [0])

    def test_all_answers_are_read_before_one_is_blamed(self, monkeypatch):
        read = []
        crew = self.crew()

        def answer(self, timeout):
            read.append(self)
            raise CaseProblem("failed", f"number {StandIn.made.index(self)}")

        monkeypatch.setattr(StandIn, "answer", answer)
        with pytest.raises(CaseProblem, match="number 0"):
            crew.window(CASE, [0, 1], [0, 0])
        assert read == StandIn.made

    def test_memory_that_does_not_hold_them_is_said_after_the_first(self, monkeypatch):
        from rnnbench.errors import UserError

        monkeypatch.setattr(StandIn, "memory", 2**29)
        with pytest.raises(UserError, match="memory holds 1 workers, and --workers holds 4"):
            self.crew(4)
        assert [worker.closed for worker in StandIn.made] == [[True]]

    def test_what_goes_wrong_ends_all_of_them_at_once(self):
        with pytest.raises(KeyboardInterrupt), self.crew():
            raise KeyboardInterrupt
        with self.crew():
            pass
        assert [worker.closed for worker in StandIn.made] == [[True]] * 2 + [[False]] * 2


@pytest.mark.parametrize(
    ("cores", "workers"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (12, (1, 2, 4, 8, 12))],
)
def test_workers_double_up_to_one_for_each_core(cores, workers):
    assert default_workers(cores) == workers


def test_an_interrupt_leaves_no_worker(tmp_path, workers_of, is_alive):
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "rnnbench", "streaming", *CORE, "--oversubscribe"),
            *("--workers", "2", "--seconds", "100", "--no-lock", "--json", "s.json"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env=environment(),
    )
    try:
        deadline = time.monotonic() + 60
        while len(workers := workers_of(process.pid)) < 2:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode not in (0, 2)
    assert not [pid for pid in workers if is_alive(pid)]
    assert list(tmp_path.iterdir()) == []
