"""The engine on made-up workers: who is asked what, in which order, and what comes of it."""

import dataclasses
import itertools
from collections import Counter
from typing import ClassVar

import pytest

from rnnbench.cases import Case
from rnnbench.measuring import engine as engine_module
from rnnbench.measuring.engine import CaseRun, Engine, baseline_of, result_of, timed_seconds
from rnnbench.measuring.journal import Journal, by_type, read_journal
from rnnbench.measuring.options import Options
from rnnbench.measuring.workers import CaseProblem, MissingWorker, WorkerKilled, WorkerLost
from rnnbench.work import work_of

CASE = Case(seq_len=10, batch=5, input_size=4, hidden_size=8)
NAMES = ("nn_rnn", "b", "c")
OPTIONS = Options(seconds=1.0, precision=1e-9)


class FakeWorker:
    """Answers as a worker does; what it is asked stands in its team's log."""

    hello: ClassVar[dict] = {}

    def __init__(self, team, environment, slot, replicate):
        self.team, self.environment, self.slot, self.replicate = team, environment, slot, replicate
        self.prepared = set()
        self.lost = False
        self.blocks = 0
        self.settlings = 0

    def ask(self, op, timeout, **fields):
        if self.lost and self.team.asked_when_dead:
            raise self.team.asked_when_dead
        assert not self.lost, "a worker that is gone was asked again"
        case = fields.get("case")
        name = case["implementation"] if case else None
        self.team.log.append((op, self.environment, self.slot, name))
        self.team.asked.append((op, timeout, fields))
        self.team.calls[op, name] += 1
        fault = self.team.faults.get((op, name, self.team.calls[op, name]))
        if (self.environment, op) == self.team.loses:
            fault = WorkerLost("crashed", "gone")
        if fault is not None:
            self.lost = isinstance(fault, WorkerLost)
            raise fault
        if case and op != "prepare":
            assert name in self.prepared, f"{op} of {name}, which this worker never prepared"
        return getattr(self, f"_{op}")(fields)

    def settled(self):
        self.settlings += 1

    def alive(self):
        if self.blocks >= self.team.dies_after.get(self.replicate, float("inf")):
            self.lost = True
        return not self.lost

    def _check(self, fields):
        reasons = self.team.unsupported
        return {"unsupported": [reasons.get(case["implementation"]) for case in fields["cases"]]}

    def _prepare(self, fields):
        name = fields["case"]["implementation"]
        self.prepared.add(name)
        compiled = None
        if name in self.team.compiles:
            warm = name in self.team.compiled_before
            self.team.compiled_before.add(name)
            compiled = {"seconds": 1.0 + self.replicate, "warm_cache": warm}
        return {
            "verification": {"oracle": "made up"},
            "compile": compiled,
            "iterations": self.team.iterations,
            "clock": {"rounds": "perf_counter"},
        }

    def _describe(self, fields):
        name = fields["case"]["implementation"]
        return {"backend": "eager", **({"graphs": 1} if name in self.team.compiles else {})}

    def _block(self, fields):
        self.blocks += 1
        seconds = self.team.round_seconds(self.replicate, next(self.team.counter))
        return {
            "start": float(self.team.calls["block", fields["case"]["implementation"]]),
            "seconds": fields["seconds"],
            "cores": fields["cores"],
            "warmup": [seconds * 2],
            "rounds": [seconds] * 3,
            "device_rounds": [],
        }

    def _finish(self, fields):
        return {"recompilations": self.team.recompilations}


class FakeTeam:
    def __init__(self, slots=2, environments=("default",)):
        self.slots = slots
        self.log, self.asked, self.replaced = [], [], []
        self.calls = Counter()
        self.faults, self.unsupported = {}, {}
        self.asked_when_dead = None
        self.loses = None  # the environment and request at which each of its workers is gone
        self.breaks = set()  # environments of which no worker starts again
        self.dies_after = {}  # replicate -> blocks after which it is gone
        self.compiles, self.compiled_before = set(), set()
        self.recompilations = 0
        self.iterations = 1
        self.counter = itertools.count()
        self._next = dict.fromkeys(environments, 0)
        self._workers = {}
        for slot in range(slots):
            for environment in environments:
                self._start(environment, slot)

    def round_seconds(self, replicate, turn):
        return 1e-3 * (1 + 0.1 * replicate + 0.01 * (turn % 7))

    def _start(self, environment, slot):
        worker = FakeWorker(self, environment, slot, self._next[environment])
        self._next[environment] += 1
        self._workers[environment, slot] = worker
        return worker

    def worker(self, environment, slot):
        return self._workers[environment, slot]

    def replace(self, environment, slot):
        assert self._workers[environment, slot].lost
        self.replaced.append((environment, slot))
        if environment in self.breaks:
            missing = MissingWorker(self._workers[environment, slot], "its Python is gone")
            self._workers[environment, slot] = missing
            return missing
        return self._start(environment, slot)

    def ops(self, op):
        return [entry for entry in self.log if entry[0] == op]


@pytest.fixture
def team():
    return FakeTeam()


@pytest.fixture
def slept(monkeypatch):
    pauses = []
    monkeypatch.setattr(engine_module.time, "sleep", pauses.append)
    return pauses


@pytest.fixture
def measure(tmp_path, slept):
    """Measure a group; returns its runs by implementation (and environment), and the journal."""

    def measure(team, names=NAMES, options=OPTIONS, **columns):
        runs = [
            CaseRun(dataclasses.replace(CASE, implementation=name, **columns)) for name in names
        ]
        return measure_runs(team, runs, options)

    def measure_runs(team, runs, options=OPTIONS, turn=0, **arguments):
        journal = Journal(tmp_path / "journal")
        journal.append({"type": "run"})
        measure.engine = Engine(options, team, journal)
        measure.engine.continue_after(turn)
        measure.engine.measure(runs, **arguments)
        journal.close()
        measure.records = read_journal(tmp_path / "journal")[0]
        return {run.case.implementation: run for run in runs}

    measure.runs = measure_runs
    return measure


class TestOrder:
    def test_all_are_checked_then_prepared_in_every_slot_then_timed_in_turns(self, team, measure):
        measure(team)
        kinds = [kind for kind, _ in itertools.groupby(op for op, *_ in team.log)]
        assert kinds[0] == "check"
        assert kinds[-2:] == ["block", "finish"]
        assert kinds.count("block") == 1, "no case is prepared between turns"
        first_block = [op for op, *_ in team.log].index("block")
        before = [
            ("check", "default", 0, None),
            *[(op, "default", 0, name) for name in NAMES for op in ("prepare", "describe")],
        ]
        assert team.log[: len(before)] == before
        # The other slots prepare in an order of their own, so that memory is laid out otherwise.
        others = team.log[len(before) : first_block]
        assert sorted(others) == sorted(("prepare", "default", 1, name) for name in NAMES)
        assert team.ops("finish") == [("finish", "default", slot, None) for slot in (0, 1)]

    def test_later_slots_prepare_in_other_orders(self, measure):
        team = FakeTeam(slots=6)
        measure(team)
        orders = {
            tuple(name for _, _, where, name in team.ops("prepare") if where == slot)
            for slot in range(6)
        }
        assert len(orders) > 1

    def test_turns_are_balanced_and_second_sweeps_are_reversed(self, team, measure):
        measure(team)
        turns = team.ops("block")
        sweep = len(NAMES) * team.slots
        assert len(turns) % sweep == 0
        assert len(turns) >= 2 * sweep
        first, second = turns[:sweep], turns[sweep : 2 * sweep]
        assert len(set(first)) == sweep
        assert second == first[::-1]

    def test_the_seed_decides_the_order(self, measure):
        orders = []
        for seed in (1, 1, 2):
            team = FakeTeam(slots=3)
            measure(team, options=dataclasses.replace(OPTIONS, seed=seed))
            orders.append(team.ops("block")[:9])
        assert orders[0] == orders[1] != orders[2]

    def test_every_request_about_a_case_has_the_cases_time_out(self, team, measure):
        measure(team, options=dataclasses.replace(OPTIONS, case_timeout=12.5))
        assert {timeout for _, timeout, _ in team.asked} == {12.5}

    def test_preparing_gets_all_cores_and_a_block_those_of_its_threads(self, team, measure):
        options = dataclasses.replace(OPTIONS)
        object.__setattr__(options, "cores", (4, 5, 6))
        measure(team, options=options, threads=2)
        given = {op: fields for op, _, fields in team.asked}
        assert given["prepare"]["all_cores"] == (4, 5, 6)
        assert given["block"]["cores"] == [5, 6]

    def test_calls_in_a_round_are_found_once_and_given_to_the_other_replicates(self, team, measure):
        team.iterations = 7
        measure(team)
        told = [fields["iterations"] for op, _, fields in team.asked if op == "prepare"]
        assert told == [None] * 3 + [7] * 3
        assert {f["iterations"] for op, _, f in team.asked if op == "block"} == {7}

    def test_environments_take_turns_with_each_other(self, measure):
        team = FakeTeam(slots=2, environments=("old", "new"))
        runs = [
            CaseRun(dataclasses.replace(CASE, implementation=name, environment=environment))
            for name in ("nn_rnn", "b")
            for environment in ("old", "new")
        ]
        measure.runs(team, runs)
        assert team.ops("check") == [("check", "old", 0, None), ("check", "new", 0, None)]
        sweep = {entry[1:] for entry in team.ops("block")[:8]}
        assert sweep == set(itertools.product(("old", "new"), (0, 1), ("nn_rnn", "b")))

    def test_without_timing_cases_are_only_verified(self, team, measure):
        runs = [CaseRun(dataclasses.replace(CASE, implementation=name)) for name in NAMES]
        measure.runs(team, runs, time_them=False)
        assert team.ops("block") == []
        assert len(team.ops("prepare")) == 6
        assert all(run.measured and not run.blocks and run.prepared for run in runs)

    def test_progress_is_told_what_happens_to_which_case(self, team):
        told = []
        run = CaseRun(CASE)
        Engine(
            OPTIONS, team, Journal(None), lambda stage, run: told.append((stage, run.case))
        ).measure([run])
        assert told[:2] == [("verify", CASE)] * 2
        assert set(told[2:]) == {("time", CASE)}


class TestBlocks:
    def test_each_is_in_the_journal_with_its_case_replicate_and_turn(self, team, measure):
        runs = measure(team)
        blocks = by_type(measure.records, "block")
        assert [block["turn"] for block in blocks] == list(range(len(blocks)))
        assert len(blocks) == len(team.ops("block"))
        for name, run in runs.items():
            mine = [b for b in blocks if b["case"] == run.case.columns()]
            assert [
                {"type": "block", "case": b["case"], **r} for b, r in zip(mine, run.blocks)
            ] == (mine)
            assert {block["replicate"] for block in mine} == {0, 1}, name

    def test_a_block_is_journalled_before_the_next_is_asked_for(self, tmp_path, team):
        path = tmp_path / "journal"
        real = team.worker

        def worker(environment, slot):
            if team.ops("block"):
                lines = path.read_text().count("\n")
                assert lines == len(team.ops("block"))
            return real(environment, slot)

        team.worker = worker
        journal = Journal(path)
        Engine(OPTIONS, team, journal).measure([CaseRun(CASE)])
        journal.close()

    def test_a_resumed_run_numbers_its_turns_after_the_earlier_ones(self, team, measure):
        measure.runs(team, [CaseRun(CASE)], turn=40)
        turns = [block["turn"] for block in by_type(measure.records, "block")]
        assert turns == list(range(40, 40 + len(turns)))

    def test_one_thread_needs_no_pause(self, team, measure, slept):
        measure(team, threads=1)
        assert slept == []
        assert {fields["seconds"] for op, _, fields in team.asked if op == "block"} == {0.05}

    def test_several_threads_get_a_pause_before_each_turn_and_longer_blocks(
        self, team, measure, slept
    ):
        measure(team, threads=2)
        assert slept == [0.005] * len(team.ops("block"))
        told = [worker.settlings for worker in team._workers.values()]
        assert sum(told) == len(team.ops("block")) - 1, "after every turn but the last"
        assert {fields["seconds"] for op, _, fields in team.asked if op == "block"} == {0.1}

    def test_timed_seconds_are_rounds_and_for_backward_what_prepared_them(self):
        block = {"seconds": 0.5, "rounds": [0.1, 0.2], "warmup": [0.05]}
        run = CaseRun(CASE, prepared={"iterations": 3})
        assert timed_seconds(run, block) == pytest.approx(3 * 0.35)
        backward = CaseRun(dataclasses.replace(CASE, pass_="backward"), prepared={"iterations": 3})
        assert timed_seconds(backward, block) == 0.5

    def test_they_add_up_over_a_run(self, team, measure):
        runs = measure(team)
        expected = sum(timed_seconds(run, b) for run in runs.values() for b in run.blocks)
        assert measure.engine.timed_seconds == pytest.approx(expected)


class TestStopping:
    def test_narrow_intervals_stop_the_group_after_the_least_sweeps(self, team, measure):
        team.round_seconds = lambda replicate, turn: 1e-3
        runs = measure(team)
        assert {run.stopped for run in runs.values()} == {"precise"}
        assert len(team.ops("block")) == engine_module._LEAST_SWEEPS * 3 * team.slots

    def test_wide_intervals_go_on_until_the_time_is_spent(self, team, measure):
        runs = measure(team, options=dataclasses.replace(OPTIONS, seconds=0.55))
        assert {run.stopped for run in runs.values()} == {"time spent"}
        # 0.1 s for each case in a sweep of two slots: the sixth is the first to pass 0.55 s.
        assert {len(run.blocks) for run in runs.values()} == {12}

    def test_a_wider_precision_stops_sooner(self, measure):
        numbers = []
        for precision in (1e-9, 0.9):
            team = FakeTeam(slots=3)
            runs = measure(team, options=dataclasses.replace(OPTIONS, precision=precision))
            numbers.append((len(team.ops("block")), runs["b"].stopped))
        assert numbers[0][1] == "time spent"
        assert numbers[1] == (engine_module._LEAST_SWEEPS * 3 * 3, "precise")

    def test_a_noisy_ratio_alone_keeps_the_group_going(self, measure, monkeypatch):
        team = FakeTeam(slots=3)
        team.round_seconds = lambda replicate, turn: 1e-3
        real = engine_module.compare_blocks

        def noisy(*arguments, **options):
            found = real(*arguments, **options)
            return dataclasses.replace(found, low=found.ratio * 0.5, high=found.ratio * 1.5)

        monkeypatch.setattr(engine_module, "compare_blocks", noisy)
        assert measure(team)["b"].stopped == "time spent"
        assert (
            measure(
                FakeTeam(slots=3), names=["b"], options=dataclasses.replace(OPTIONS, precision=0.9)
            )["b"].stopped
            == "precise"
        ), "without a baseline there is no ratio"

    def test_one_replicate_has_no_interval_and_is_never_precise(self, measure):
        team = FakeTeam(slots=1)
        team.round_seconds = lambda replicate, turn: 1e-3
        assert {run.stopped for run in measure(team).values()} == {"time spent"}

    def test_a_budget_below_one_sweep_still_gives_every_case_a_block_in_every_replicate(
        self, team, measure
    ):
        runs = measure(team, options=dataclasses.replace(OPTIONS, seconds=1e-6))
        for run in runs.values():
            assert run.stopped == "time spent"
            assert sorted(block["replicate"] for block in run.blocks) == [0, 1]

    def test_blocks_of_an_earlier_run_count_towards_the_time(self, team, measure):
        runs = [CaseRun(dataclasses.replace(CASE, implementation=name)) for name in NAMES]
        for run in runs:
            run.blocks.append(
                {"replicate": 9, "turn": 0, "rounds": [1e-3], "seconds": 5.0, "warmup": []}
            )
        measure.runs(team, runs, turn=1)
        assert {len(run.blocks) for run in runs} == {1 + 2}
        assert {run.stopped for run in runs} == {"time spent"}


class TestRefusals:
    def test_an_unsupported_case_is_never_prepared_and_keeps_its_reason(self, team, measure):
        team.unsupported = {"b": "b has no such cell"}
        runs = measure(team)
        assert (runs["b"].status, runs["b"].reason) == ("unsupported", "b has no such cell")
        assert not [entry for entry in team.log if entry[3] == "b"]
        assert all(runs[name].measured and runs[name].blocks for name in ("nn_rnn", "c"))

    @pytest.mark.parametrize("status", ["incorrect", "failed", "out_of_memory", "unsupported"])
    @pytest.mark.parametrize("op", ["prepare", "describe"])
    def test_a_case_that_is_refused_leaves_the_others_and_the_worker_alone(
        self, team, measure, op, status
    ):
        team.faults[op, "b", 1] = CaseProblem(status, "planted")
        runs = measure(team)
        assert (runs["b"].status, runs["b"].reason) == (status, "planted")
        assert runs["b"].blocks == []
        assert team.replaced == []
        assert all(runs[name].blocks and runs[name].stopped for name in ("nn_rnn", "c"))

    def test_one_refused_in_a_later_replicate_is_refused_in_all(self, team, measure):
        team.faults["prepare", "b", 2] = CaseProblem("incorrect", "only sometimes")
        runs = measure(team)
        assert runs["b"].status == "incorrect"
        assert not [entry for entry in team.ops("block") if entry[3] == "b"]

    def test_one_that_fails_in_a_block_loses_the_numbers_that_it_had(self, team, measure):
        team.faults["block", "b", 3] = CaseProblem("failed", "planted")
        runs = measure(team)
        assert (runs["b"].status, runs["b"].blocks) == ("failed", [])
        assert team.calls["block", "b"] == 3
        assert team.replaced == []

    def test_where_nothing_is_left_nothing_is_timed(self, team, measure):
        team.unsupported = dict.fromkeys(NAMES, "no")
        runs = measure(team)
        assert [op for op, *_ in team.log] == ["check"]
        assert {run.status for run in runs.values()} == {"unsupported"}

    def test_where_all_fail_in_their_blocks_the_group_ends(self, team, measure):
        for name in NAMES:
            team.faults["block", name, 1] = CaseProblem("failed", "planted")
        assert {run.status for run in measure(team).values()} == {"failed"}
        assert len(team.ops("block")) == 3

    def test_every_case_of_the_group_ends_in_the_journal_with_its_status(self, team, measure):
        team.unsupported = {"c": "no"}
        team.faults["prepare", "b", 1] = CaseProblem("incorrect", "wrong")
        measure(team)
        finished = by_type(measure.records, "finished")
        assert [(f["case"]["implementation"], f["status"], f["reason"]) for f in finished] == [
            ("nn_rnn", "measured", ""),
            ("b", "incorrect", "wrong"),
            ("c", "unsupported", "no"),
        ]
        assert finished[0]["prepared"]["iterations"] == 1
        assert finished[0]["ran"] == {"backend": "eager"}


class TestLosses:
    @pytest.mark.parametrize("status", ["crashed", "timed_out", "out_of_memory"])
    def test_a_case_that_takes_its_worker_down_in_preparation_is_given_up_alone(
        self, team, measure, status
    ):
        team.faults["prepare", "b", 1] = WorkerLost(status, "gone")
        runs = measure(team)
        assert (runs["b"].status, runs["b"].reason) == (status, "gone")
        assert team.replaced == [("default", 0)]
        # The fresh worker prepares again what the lost one held, then goes on.
        slot_0 = [entry[3] for entry in team.ops("prepare") if entry[2] == 0]
        assert slot_0 == ["nn_rnn", "b", "nn_rnn", "c"]
        for name in ("nn_rnn", "c"):
            assert runs[name].stopped
            assert {block["replicate"] for block in runs[name].blocks} == {1, 2}

    def test_one_that_is_lost_while_it_is_described_is_given_up_too(self, team, measure):
        team.faults["describe", "nn_rnn", 1] = WorkerLost("crashed", "gone")
        runs = measure(team)
        assert runs["nn_rnn"].status == "crashed"
        assert all(runs[name].blocks for name in ("b", "c"))

    def test_one_that_is_lost_in_a_block_leaves_the_others_their_blocks(self, team, measure):
        team.faults["block", "b", 4] = WorkerLost("crashed", "gone")
        runs = measure(team)
        assert (runs["b"].status, runs["b"].blocks) == ("crashed", [])
        assert len(team.replaced) == 1
        (_, slot) = team.replaced[0]
        old, new = slot, 2
        for name in ("nn_rnn", "c"):
            replicates = [block["replicate"] for block in runs[name].blocks]
            assert {old, new} < set(replicates), "blocks before and after the loss both count"
            assert replicates.index(new) > replicates.index(old)
            assert old not in replicates[replicates.index(new) :]
            assert runs[name].stopped == "time spent"
        lost_at = team.log.index(("block", "default", slot, "b"), _nth(team.log, "b", 4))
        again = [entry for entry in team.log[lost_at:] if entry[0] == "prepare"]
        assert sorted(again) == [("prepare", "default", slot, name) for name in ("c", "nn_rnn")]
        assert not [entry for entry in team.log[lost_at + 1 :] if entry[3] == "b"]

    def test_a_case_that_cannot_be_prepared_again_is_given_up_with_what_it_had(self, team, measure):
        team.faults["block", "b", 4] = WorkerLost("crashed", "gone")
        team.faults["prepare", "c", 3] = WorkerLost("timed_out", "no answer")
        runs = measure(team)
        assert {name: run.status for name, run in runs.items()} == {
            "nn_rnn": "measured",
            "b": "crashed",
            "c": "timed_out",
        }
        assert runs["c"].blocks == []
        assert len(team.replaced) == 2
        assert runs["nn_rnn"].stopped

    def test_another_environment_is_not_disturbed(self, measure):
        team = FakeTeam(slots=2, environments=("old", "new"))
        runs = [
            CaseRun(dataclasses.replace(CASE, implementation=name, environment=environment))
            for name in ("nn_rnn", "b")
            for environment in ("old", "new")
        ]
        team.faults["block", "b", 2] = WorkerLost("crashed", "gone")
        measure.runs(team, runs)
        ((environment, _),) = team.replaced
        spared = {"old": "new", "new": "old"}[environment]
        assert {run.status for run in runs if run.case.environment == spared} == {"measured"}
        prepared = [entry for entry in team.ops("prepare") if entry[1] == spared]
        assert len(prepared) == 4, "once in each slot"

    def test_a_worker_that_dies_while_it_waits_for_the_end_costs_no_numbers(self, team, measure):
        team.faults["finish", None, 1] = WorkerLost("crashed", "gone")
        runs = measure(team)
        assert all(run.measured and run.stopped and run.blocks for run in runs.values())
        assert team.replaced == [("default", 0)]
        assert len(by_type(measure.records, "finished")) == 3

    def test_one_that_dies_between_two_turns_costs_no_case(self, team, measure):
        team.dies_after = {1: 2}
        runs = measure(team)
        assert all(run.measured and run.stopped for run in runs.values())
        assert team.replaced == [("default", 1)]
        blocks = [block["replicate"] for run in runs.values() for block in run.blocks]
        assert blocks.count(1) == 2, "what it had measured stands"
        assert set(blocks) == {0, 1, 2}

    def test_one_that_died_between_two_groups_is_replaced_before_it_is_asked(self, team, measure):
        team.dies_after = {0: 0}
        runs = measure(team)
        assert all(run.measured for run in runs.values())
        assert team.replaced == [("default", 0)]

    def test_workers_that_die_again_and_again_end_the_group_and_not_the_run(self, team, measure):
        team.dies_after = dict.fromkeys(range(100), 1)
        team.asked_when_dead = WorkerLost("crashed", "gone")
        runs = measure(team)
        assert len(team.replaced) == 3 + len(NAMES), "three losses are excused, then each costs one"
        assert {run.status for run in runs.values()} == {"crashed"}


class TestKills:
    """SIGKILL from elsewhere, such as a user's or a supervisor's."""

    @pytest.mark.parametrize("op", ["prepare", "describe", "block"])
    def test_one_costs_no_case_and_no_block(self, team, measure, op):
        team.faults[op, "b", 1] = WorkerKilled("crashed", "the worker was ended by SIGKILL")
        runs = measure(team)
        assert all(run.measured and run.stopped for run in runs.values())
        assert len(team.replaced) == 1
        (note,) = measure.engine.notes
        assert runs["b"].case.id in note
        blocks = [block["turn"] for run in runs.values() for block in run.blocks]
        assert sorted(blocks) == list(range(len(blocks))), "all that were journalled are kept"
        assert {block["replicate"] for block in runs["b"].blocks} > {2}

    def test_again_and_again_they_end_the_case_and_not_the_run(self, team, measure):
        for number in range(1, 100):
            team.faults["block", "b", number] = WorkerKilled("crashed", "ended by SIGKILL")
        runs = measure(team)
        assert (runs["b"].status, runs["b"].reason) == ("crashed", "ended by SIGKILL")
        assert len(team.replaced) == 3 + 1, "three are excused"
        assert all(runs[name].measured and runs[name].stopped for name in ("nn_rnn", "c"))


class TestBrokenEnvironments:
    @pytest.fixture
    def broken(self):
        team = FakeTeam(slots=2, environments=("old", "new"))
        team.breaks = {"new"}
        return team

    def group(self, *names):
        return [
            CaseRun(dataclasses.replace(CASE, implementation=name, environment=environment))
            for name in names
            for environment in ("old", "new")
        ]

    @pytest.mark.parametrize("fault", ["check", "prepare", "describe", "block"])
    def test_its_cases_are_given_up_with_the_reason_and_the_others_go_on(
        self, broken, measure, fault
    ):
        runs = self.group("nn_rnn", "b")
        broken.loses = ("new", fault)
        measure.runs(broken, runs)
        found = {(run.case.implementation, run.case.environment): run for run in runs}
        for name in ("nn_rnn", "b"):
            assert found[name, "old"].measured
            assert found[name, "old"].blocks
            assert found[name, "new"].status == "crashed"
            assert found[name, "new"].blocks == []
        assert "its Python is gone" in {run.reason for run in runs}

    def test_groups_after_it_are_measured_where_they_can_be(self, broken, measure):
        broken.loses = ("new", "check")
        measure.runs(broken, self.group("nn_rnn"))
        later = self.group("b", "c")
        measure.engine.measure(later)
        assert {run.status for run in later if run.case.environment == "old"} == {"measured"}
        gone = {(run.status, run.reason) for run in later if run.case.environment == "new"}
        assert gone == {("crashed", "its Python is gone")}
        assert len(broken.replaced) == 1, "nobody tries to start it again and again"

    def test_nothing_of_its_groups_is_called_finished(self, broken, measure):
        broken.loses = ("new", "check")
        runs = self.group("nn_rnn", "b")
        measure.runs(broken, runs)
        assert all(run.unfinished for run in runs)
        assert by_type(measure.records, "finished") == []
        kept = by_type(measure.records, "block")
        assert {block["case"]["environment"] for block in kept} == {"old"}, "a resumed run has them"

    def test_one_that_breaks_at_the_end_loses_no_numbers(self, broken, measure):
        broken.loses = ("new", "finish")
        runs = self.group("nn_rnn")
        measure.runs(broken, runs)
        assert all(run.measured and run.blocks and not run.unfinished for run in runs)
        assert broken.replaced == [("new", 0), ("new", 1)]


class TestChecks:
    def test_a_check_that_raises_fails_its_own_case_alone(self, team, measure):
        problem = CaseProblem("failed", "ValueError: planted")
        # Asked for all together, then for nn_rnn, then for b.
        team.faults["check", None, 1] = team.faults["check", None, 3] = problem
        runs = measure(team)
        assert {name: run.status for name, run in runs.items()} == {
            "nn_rnn": "measured",
            "b": "failed",
            "c": "measured",
        }
        assert team.replaced == []

    def test_a_check_that_takes_the_worker_down_loses_its_own_case_alone(self, team, measure):
        lost = WorkerLost("crashed", "gone")
        team.faults["check", None, 1] = team.faults["check", None, 4] = lost
        runs = measure(team)
        assert {name: run.status for name, run in runs.items()} == {
            "nn_rnn": "measured",
            "b": "measured",
            "c": "crashed",
        }
        assert team.replaced == [("default", 0)] * 2


class TestCompilation:
    def test_the_first_replicate_is_cold_and_a_later_one_warm(self, team, measure):
        team.compiles = {"b"}
        compiled = result_of(measure(team)["b"])["compile"]
        assert compiled["cold"] == {"seconds": 1.0, "warm_cache": False}
        assert compiled["warm"] == {"seconds": 2.0, "warm_cache": True}

    def test_the_first_warm_one_is_kept(self, measure):
        team = FakeTeam(slots=3)
        team.compiles = {"b"}
        assert result_of(measure(team)["b"])["compile"]["warm"]["seconds"] == 2.0

    def test_a_run_that_only_found_a_warm_cache_claims_no_cold_one(self, team, measure):
        team.compiles = team.compiled_before = {"b"}
        compiled = result_of(measure(team)["b"])["compile"]
        assert compiled["cold"] is None
        assert compiled["warm"]["warm_cache"] is True

    def test_one_replicate_has_no_warm_one(self, measure):
        team = FakeTeam(slots=1)
        team.compiles = {"b"}
        assert result_of(measure(team)["b"])["compile"]["warm"] is None

    def test_what_is_not_compiled_has_none(self, team, measure):
        assert result_of(measure(team)["b"])["compile"] is None

    def test_graphs_compiled_in_blocks_are_recompilations_of_all_replicates(self, team, measure):
        team.compiles, team.recompilations = {"b"}, 2
        runs = measure(team)
        assert runs["b"].ran["recompilations"] == 4
        assert "recompilations" not in runs["nn_rnn"].ran


class TestResult:
    def test_blocks_tile_the_rounds(self, team, measure):
        run = measure(team)["b"]
        blocks = result_of(run)["blocks"]
        ends = [block["rounds"] for block in blocks]
        assert ends[0][0] == 0
        assert all(one[1] == other[0] for one, other in itertools.pairwise(ends))
        assert ends[-1][1] == sum(len(block["rounds"]) for block in run.blocks)
        for block, own in zip(blocks, run.blocks, strict=True):
            assert block["rounds"][1] - block["rounds"][0] == len(own["rounds"])
            for key in ("replicate", "turn", "start", "cores", "warmup"):
                assert block[key] == own[key]
            assert "device_rounds" not in block

    def test_a_devices_own_times_are_kept_beside(self):
        block = {"replicate": 0, "turn": 0, "start": 0.0, "cores": [], "warmup": [], "seconds": 1.0}
        run = CaseRun(
            CASE, prepared={"compile": None, "verification": {}, "clock": {}, "iterations": 1}
        )
        run.blocks = [{**block, "rounds": [1.0, 2.0], "device_rounds": [0.5, 1.5]}]
        (told,) = result_of(run)["blocks"]
        assert told["device_rounds"] == [0.5, 1.5]
        assert told["rounds"] == [0, 2]
        assert "parts" not in told

    def test_so_are_the_times_of_a_calls_parts(self):
        block = {"replicate": 0, "turn": 0, "start": 0.0, "cores": [], "warmup": [], "seconds": 1.0}
        run = CaseRun(
            CASE, prepared={"compile": None, "verification": {}, "clock": {}, "iterations": 1}
        )
        parts = {"copy": [0.25, 0.5]}
        run.blocks = [{**block, "rounds": [1.0, 2.0], "device_rounds": [], "parts": parts}]
        (told,) = result_of(run)["blocks"]
        assert told["parts"] == parts

    def test_it_has_everything_that_the_schema_names(self, team, measure):
        run = measure(team)["b"]
        result = result_of(run)
        assert result["case"] == run.case.columns()
        assert result["work"] == work_of(run.case)
        assert result["verification"] == {"oracle": "made up"}
        assert result["stopped"] == run.stopped != ""
        assert result["iterations"] == 1
        assert set(result) == {
            "case", "verification", "ran", "compile", "clock", "iterations", "blocks", "work",
            "stopped",
        }  # fmt: skip

    def test_processes_are_blocks_by_replicate_in_turn(self):
        run = CaseRun(CASE)
        for replicate, turn in ((3, 0), (1, 1), (3, 2), (1, 3)):
            run.blocks.append({"replicate": replicate, "turn": turn, "rounds": [turn]})
        assert run.processes() == [[[1], [3]], [[0], [2]]]


class TestBaseline:
    @staticmethod
    def run(name, environment="default", **fields):
        case = dataclasses.replace(CASE, implementation=name, environment=environment)
        return CaseRun(case, **{"blocks": [{}], **fields})

    def test_it_is_the_one_of_that_name(self):
        group = [self.run("a"), self.run("nn_rnn")]
        assert baseline_of(group[0], group, "nn_rnn") is group[1]
        assert baseline_of(group[1], group, "nn_rnn") is group[1]

    def test_the_cases_own_environment_comes_first(self):
        group = [self.run("nn_rnn", "old"), self.run("nn_rnn", "new"), self.run("a", "new")]
        assert baseline_of(group[2], group, "nn_rnn") is group[1]
        assert baseline_of(self.run("a", "other"), group, "nn_rnn") is group[0]

    @pytest.mark.parametrize("fields", [{"blocks": []}, {"status": "failed"}])
    def test_one_without_numbers_is_none(self, fields):
        group = [self.run("a"), self.run("nn_rnn", **fields)]
        assert baseline_of(group[0], group, "nn_rnn") is None


def _nth(log, name, number):
    """Where the n-th block of an implementation stands in a log."""
    at = [k for k, entry in enumerate(log) if entry[0] == "block" and entry[3] == name]
    return at[number - 1]


class TestRatios:
    @staticmethod
    def run_with(rounds_by_replicate, name="b"):
        run = CaseRun(dataclasses.replace(CASE, implementation=name))
        for turn, (replicate, seconds) in enumerate(rounds_by_replicate):
            run.blocks.append({"replicate": replicate, "turn": turn, "rounds": [seconds] * 5})
        return run

    def test_only_processes_that_hold_both_are_compared(self):
        # Killed in its first sweep: replicate 0 has a block of one competitor alone.
        speeds = {3: 1.0, 4: 2.0, 5: 4.0}
        base = self.run_with([(0, 1.0), *speeds.items()], "nn_rnn")
        other = self.run_with(list(speeds.items()))
        found = engine_module.ratio_of(base, other)
        assert found.ratio == pytest.approx(1.0)
        assert found.processes == 3

    def test_without_a_common_process_the_sides_are_compared_unpaired(self):
        base = self.run_with([(0, 1.0), (1, 1.0), (2, 1.0)], "nn_rnn")
        other = self.run_with([(3, 2.0), (4, 2.0), (5, 2.0)])
        assert engine_module.ratio_of(base, other).ratio == pytest.approx(2.0)
