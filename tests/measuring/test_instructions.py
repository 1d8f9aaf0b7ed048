"""Instructions: Valgrind is asked what it is before anything starts, and counts repeat."""

import shutil
import sys

import pytest

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.measuring.instructions import Counter, find_valgrind
from rnnbench.measuring.workers import CaseProblem
from rnnbench.validation import validate


@pytest.fixture
def valgrind(tmp_path, monkeypatch):
    """A program of that name that prints something."""

    def make(says):
        program = tmp_path / "valgrind"
        program.write_text(f"#!/bin/sh\necho {says}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return str(program)

    return make


class TestFinding:
    def test_none_is_one_sentence(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(UserError, match="not on the PATH; install it"):
            find_valgrind()

    @pytest.mark.parametrize("version", ["valgrind-3.18.1", "valgrind-2.99"])
    def test_a_too_old_one_is_refused(self, valgrind, version):
        valgrind(version)
        with pytest.raises(UserError, match=f"is {version}; instructions need Valgrind 3.19"):
            find_valgrind()

    @pytest.mark.parametrize("version", ["valgrind-3.19.0", "valgrind-3.24.0.GIT", "valgrind-4.0"])
    def test_newer_ones_are_taken(self, valgrind, version):
        program = valgrind(version)
        assert find_valgrind() == (program, version)

    def test_what_says_no_version_is_refused(self, valgrind):
        valgrind("hello")
        with pytest.raises(UserError, match="does not say its version"):
            find_valgrind()


@pytest.mark.slow
@pytest.mark.usefixtures("unwatched")
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="there is no Valgrind here")
def test_counts_repeat_and_grow_with_the_work(tmp_path):
    """One start for all: 1 % more steps are 1 % more instructions, and equal calls are equal."""
    with Counter("default", sys.executable, tmp_path, plugins=[], timeout=600) as counter:
        counts = {}
        middles = []
        for steps in (100, 101, 100):
            case = Case(
                implementation="python_loop",
                pass_="inference",
                seq_len=steps,
                batch=4,
                input_size=8,
                hidden_size=16,
            )
            found = counter.count(case, repeats=5)
            counts[steps] = sorted(found["counts"])
            assert counts[steps][-1] / counts[steps][0] < 1.01
            names = " ".join(row["name"] for row in found["functions"])
            assert "libtorch_cpu.so" in names
            # Some Pythons, such as Debian's, are linked into the program and have no library.
            assert "libpython" in names or "[python3" in names
            assert "_int_malloc" not in names and found["allocator"] > 0
            middles.append(counts[steps][2])
        # Without the allocator's search, what was counted before makes no difference.
        assert middles[2] / middles[0] == pytest.approx(1, abs=0.001)
        assert middles[1] / middles[0] == pytest.approx(1.01, abs=0.003)
        two = Case(threads=2)
        assert "with one thread" in counter.unsupported(two)
        with pytest.raises(CaseProblem):
            counter.count(Case(implementation="no_such"), repeats=1)


class TestSuites:
    def test_without_valgrind_nothing_is_measured(self, suite, tmp_path):
        done = suite("--rnn-instructions", variables={"PATH": str(tmp_path)})
        assert done.status == 4
        assert "instructions are counted by Valgrind, which is not on the PATH" in done.said
        assert "Traceback" not in done.said and not done.json.exists()

    @pytest.mark.slow
    @pytest.mark.usefixtures("unwatched")
    @pytest.mark.skipif(shutil.which("valgrind") is None, reason="there is no Valgrind here")
    def test_counts_stand_beside_the_times(self, suite):
        done = suite(
            "--rnn-instructions",
            implementation="nn_rnn",
            threads="1,2",
            timeout=900,
        )
        assert done.status == 0, done.said
        one, two = done.results()
        assert one["instructions"]["instructions"] > 10_000
        assert one["instructions"]["functions"]
        assert "with one thread" in two["instructions"]["reason"]
        assert [r["type"] for r in done.journal()].count("instructions") == 2
        assert validate(done.json) == []
