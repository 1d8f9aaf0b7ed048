"""Crowds take turns in balanced order, what fails is blamed alone, efficiency is of one run.

The crew is made up: every worker's steps take as long as is said here.
"""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from rnnbench.cases import Case
from rnnbench.cores import usable_cores
from rnnbench.measuring.workers import CaseProblem, WorkerLost
from rnnbench.serving.crew import Stepped
from rnnbench.serving.measure import QUANTILES, Outcome, efficiency, measure
from rnnbench.serving.plan import Crowd, Plan
from rnnbench.serving.tables import about, alone_of, crowds_table, remarks

CASE = Case(workload="streaming", pass_="inference")
RATES = {1: 1000, 2: 1600, 4: 2400}
"""Steps in a window of a second of so many workers together."""


class MadeUpCrew:
    """Answers as a crew does, and notes what it was asked."""

    def __init__(self, number, asked, troubles):
        self.number, self.asked, self.troubles = number, asked, troubles

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.asked.append(("closed", self.number))

    def prepare(self, case):
        self.asked.append(("prepare", self.number, case.implementation))
        self._maybe_fail("prepare", case)
        return {"verification": {"oracle": "made up"}}

    def window(self, case, members, cores):
        self.asked.append(("window", self.number, case.implementation, len(members), tuple(cores)))
        self._maybe_fail("window", case)
        assert len(set(members)) == len(members)
        speed = 1 + 0.01 * self.number
        each = int(RATES[len(members)] * speed / len(members))
        return [Stepped(core, np.full(each, 1 / each)) for core in cores]

    def _maybe_fail(self, op, case):
        for problem in self.troubles.pop((op, self.number, case.implementation), []):
            raise problem


def plan(**changes):
    given = dict(
        case=CASE,
        implementations=("nn_rnn", "python_loop"),
        workers=(1, 2, 4),
        cores=usable_cores()[:1],
        oversubscribe=True,
        replicates=3,
    )
    return Plan(**{**given, **changes})


def ran(plan, troubles=None):
    asked, kept = [], []
    outcomes = measure(
        plan,
        lambda number: MadeUpCrew(number, asked, dict(troubles or {})),
        lambda done, what: None,
        lambda found: kept.append(len(found[0].turns)),
    )
    return outcomes, asked, kept


def by_crowd(outcomes):
    return {(o.crowd.implementation, o.crowd.workers): o for o in outcomes}


class TestOrder:
    def test_every_crowd_has_as_many_turns_and_they_are_counterbalanced(self):
        outcomes, asked, kept = ran(plan())
        for outcome in outcomes:
            assert [turn.replicate for turn in outcome.turns] == [0, 0, 1, 1, 2, 2]
        for number in range(3):
            order = [a[2:4] for a in asked if a[:2] == ("window", number)]
            assert order[:6] == order[6:][::-1], "the second sweep is the first reversed"
            assert sorted(order[:6]) == sorted(itertools.product(plan().implementations, RATES))
        orders = [tuple(a[2:4] for a in asked if a[:2] == ("window", n)) for n in range(3)]
        assert len(set(orders)) > 1
        assert kept == [2, 4, 6]

    def test_the_same_seed_gives_the_same_order_and_places(self):
        assert ran(plan())[1] == ran(plan())[1] != ran(plan(seed=5))[1]

    @pytest.mark.skipif(len(usable_cores()) < 2, reason="needs two cores")
    def test_workers_have_a_core_each_as_long_as_there_are_some(self):
        two = plan(cores=usable_cores()[:2])
        for _, _, _, workers, cores in (a for a in ran(two)[1] if a[0] == "window"):
            counts = Counter(cores).values()
            assert max(counts) - min(counts) == 0 if workers > 1 else len(cores) == 1


class TestFailing:
    def test_who_cannot_be_prepared_is_out_and_the_others_go_on(self):
        refusal = CaseProblem("unsupported", "it cannot")
        outcomes, asked, _ = ran(plan(), {("prepare", 0, "python_loop"): [refusal]})
        for outcome in outcomes:
            mine = outcome.crowd.implementation == "python_loop"
            assert (outcome.status, outcome.reason) == (
                ("unsupported", "it cannot") if mine else ("measured", "")
            )
            assert len(outcome.turns) == (0 if mine else 6)
        assert not [a for a in asked if a[0] == "window" and a[2] == "python_loop"]

    def test_what_was_measured_before_is_dropped_with_it(self):
        outcomes, *_ = ran(plan(), {("window", 1, "nn_rnn"): [CaseProblem("failed", "late")]})
        assert [len(outcome.turns) for outcome in outcomes] == [0, 0, 0, 6, 6, 6]

    def test_who_takes_a_worker_along_is_out_and_the_replicate_begins_anew(self):
        lost = {("window", 1, "python_loop"): [WorkerLost("crashed", "gone")]}
        outcomes, asked, _ = ran(plan(), lost)
        found = by_crowd(outcomes)
        assert found["python_loop", 1].status == "crashed"
        assert [t.replicate for t in found["nn_rnn", 1].turns] == [0, 0, 1, 1, 2, 2]
        assert [a for a in asked if a[0] == "closed"] == [("closed", n) for n in (0, 1, 1, 2)]

    def test_when_nobody_is_left_it_ends(self):
        troubles = {
            ("prepare", 0, name): [CaseProblem("incorrect", "wrong")]
            for name in plan().implementations
        }
        outcomes, asked, _ = ran(plan(), troubles)
        assert {outcome.status for outcome in outcomes} == {"incorrect"}
        assert [a for a in asked if a[0] == "closed"] == [("closed", 0)]


class TestNumbers:
    def test_rates_are_those_of_all_workers_and_efficiency_is_over_as_many_lone_ones(self):
        outcomes, *_ = ran(plan())
        found = by_crowd(outcomes)
        rate = found["nn_rnn", 4].steps_per_second()
        assert rate.value == pytest.approx(2400 * 1.01, rel=1e-2)
        assert rate.low < rate.value < rate.high
        assert rate.processes == 3
        share = efficiency(found["nn_rnn", 4], found["nn_rnn", 1])
        assert share.value == pytest.approx(0.6, rel=1e-2)
        assert share.high - share.low < 0.02, "what slows a whole replicate cancels"
        assert efficiency(found["nn_rnn", 1], found["nn_rnn", 1]).value == 1
        assert efficiency(found["nn_rnn", 1], None) is None

    def test_percentiles_are_over_all_workers_and_turns_of_a_replicate(self):
        outcome = Outcome(Crowd("nn_rnn", 2))
        for replicate in range(3):
            steps = [np.array([1.0, 2.0]) + replicate, np.array([3.0, 100.0]) + replicate]
            outcome.turns.append(made_turn(replicate, steps))
        assert outcome.latency(0.5).value == pytest.approx(2.5 + 1)
        assert outcome.latency(0.5).processes == 3
        assert outcome.latency(0.99).value == pytest.approx(np.quantile([2, 3, 4, 101], 0.99))

    def test_a_result_holds_every_turn_with_its_workers(self):
        outcomes, *_ = ran(plan())
        found = by_crowd(outcomes)
        columns = found["nn_rnn", 2].columns(found["nn_rnn", 1])
        assert columns["efficiency"]["value"] == pytest.approx(0.8, rel=1e-2)
        assert columns["verification"] == {"oracle": "made up"}
        assert len(columns["turns"]) == 6
        for turn in columns["turns"]:
            assert sum(w["steps"] for w in turn["workers"]) == turn["steps_per_second"]
            assert {"core", "steps", *QUANTILES, "longest"} == set(turn["workers"][0])
        for name in QUANTILES:
            assert columns[name]["low"] <= columns[name]["value"] <= columns[name]["high"]

    def test_without_replicates_there_is_no_interval(self):
        outcomes, *_ = ran(plan(replicates=1))
        rate = outcomes[0].steps_per_second()
        assert (rate.low, rate.high) == (None, None)
        share = efficiency(outcomes[1], outcomes[0])
        assert (share.low, share.high) == (None, None)
        assert not math.isnan(share.value)


class TestTable:
    def test_it_has_a_row_for_each_crowd(self):
        made = plan()
        refusal = CaseProblem("unsupported", "it cannot")
        outcomes, *_ = ran(made, {("prepare", 0, "python_loop"): [refusal]})
        table = crowds_table(made, outcomes)
        texts = [[cell.text for cell in row] for row in table.rows]
        assert [row[:2] for row in texts[:3]] == [
            ["nn_rnn", "1"],
            ["nn_rnn", "2 on 1 core"],
            ["nn_rnn", "4 on 1 core"],
        ]
        assert texts[0][4].startswith("1") and texts[1][4].startswith("0.8")
        assert texts[3][2:] == ["unsupported", "unsupported", "none", *["unsupported"] * 3]
        assert table.data["steps_per_second"].isna().tolist() == [False] * 3 + [True] * 3
        said = " ".join(remarks(made, outcomes))
        assert "python_loop is unsupported: it cannot." in said
        assert "Efficiency needs" not in said

    def test_without_a_lone_worker_it_says_what_is_missing(self):
        made = plan(workers=(2,))
        outcomes, *_ = ran(made)
        assert "give --workers 1 as well" in " ".join(remarks(made, outcomes))
        assert alone_of(outcomes[0], outcomes) is None
        assert crowds_table(made, outcomes).rows[0][4].text == "none"

    def test_it_says_what_steps(self):
        said = about(plan(), {"torch": "9.9"})
        assert "Streams of rnn_tanh, B=32 I=64 H=128 L=1" in said
        assert "PyTorch 9.9" in said


def made_turn(replicate, latencies):
    from rnnbench.serving.measure import Turn

    return Turn(replicate, 0, 1.0, tuple(Stepped(0, each) for each in latencies))
