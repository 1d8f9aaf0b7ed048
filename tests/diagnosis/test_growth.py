"""A power law is found again with its interval, and what could not be compiled leaves the rest."""

import json

import numpy as np
import pytest

from rnnbench.cases import Case
from rnnbench.diagnosis.growth import Growth, compile_growth, growth_said, growths_of
from rnnbench.measuring.workers import CaseProblem, WorkerLost
from tests.diagnosis.made import profile

LENGTHS = (5, 10, 20, 40)


def grown(seconds, lengths=LENGTHS):
    return Growth(tuple(lengths), tuple(float(s) for s in seconds), (None,) * len(lengths))


class TestPowerLaw:
    def test_it_has_its_exponent_and_its_factor(self):
        found = grown(3 * n**1.5 for n in LENGTHS)
        assert found.exponent == pytest.approx(1.5)
        assert found.factor == pytest.approx(3)
        assert found.interval == pytest.approx((1.5, 1.5))
        assert found.last_exponent == pytest.approx(1.5)

    def test_a_fixed_cost_hides_in_the_first_exponent_and_less_in_the_last(self):
        found = grown(50.0 + n for n in LENGTHS)
        assert 0 < found.exponent < found.last_exponent < 1

    def test_the_interval_holds_the_exponent_as_often_as_it_says(self):
        rng = np.random.default_rng(0)
        held = 0
        for _ in range(1000):
            noise = np.exp(rng.normal(0, 0.1, 5))
            low, high = grown(
                2 * np.array((5, 10, 20, 40, 80)) * noise, (5, 10, 20, 40, 80)
            ).interval
            held += low <= 1 <= high
        assert held == pytest.approx(950, abs=25)

    def test_a_file_gives_it_back(self):
        found = profile()
        found.growth = grown(2.0 * n for n in LENGTHS)
        columns = json.loads(json.dumps(found.columns()))
        without = profile().columns()
        ((case, again),) = growths_of({"rnnbench": {"profiles": [columns, without]}})
        assert (case, again) == (found.case, found.growth)
        assert growths_of({"rnnbench": {}}) == []

    def test_it_is_said_in_a_sentence_and_passes_are_told_apart(self):
        one = Case(implementation="compiled_loop", pass_="inference")
        other = Case(implementation="compiled_loop", pass_="forward")
        (said,) = growth_said([(one, grown(2.0 * n for n in LENGTHS))])
        assert said.startswith("compiled_loop: 10.0 s at T5, 80.0 s at T40; seconds ∝ T^1.00 [1.00")
        both = list(
            growth_said([(c, grown(2.0 * n for n in LENGTHS)) for c in (one, other, other)])
        )
        assert [text.partition(":")[0] for text in both] == [
            "compiled_loop, inference",
            "compiled_loop, forward",
            "compiled_loop, forward (2)",
        ]


class Process:
    """Compiles in as many seconds as there are steps, up to a length; counts those that ended."""

    ended = 0

    def __init__(self, most, error=None):
        self._most = most
        self._error = error or CaseProblem("unsupported", "the loop is too long")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        type(self).ended += 1

    def prepare(self, case):
        if case.seq_len > self._most:
            raise self._error
        return {"compile": {"seconds": case.seq_len}, "compiled": {"phases": None}}


class TestCompiling:
    CASE = Case(implementation="compiled_loop", seq_len=7)

    def test_each_length_has_a_process_of_its_own(self):
        Process.ended = 0
        started = []

        def start():
            started.append(Process(1000))
            return started[-1]

        found, missing = compile_growth(start, self.CASE, LENGTHS)
        assert found.lengths == LENGTHS and found.seconds == LENGTHS and missing == ""
        assert len(started) == Process.ended == 4

    @pytest.mark.parametrize(
        "error",
        [CaseProblem("unsupported", "it is too long"), WorkerLost("timed_out", "it is too long")],
    )
    def test_a_length_that_cannot_be_compiled_leaves_the_shorter_ones(self, error):
        found, missing = compile_growth(lambda: Process(20, error), self.CASE, LENGTHS)
        assert found.lengths == (5, 10, 20)
        assert missing == "T40: it is too long"

    def test_fewer_than_three_are_no_growth(self):
        found, missing = compile_growth(lambda: Process(10), self.CASE, LENGTHS)
        assert found is None and missing == "T20: the loop is too long"
