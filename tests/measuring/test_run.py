"""A run owns its journal: what it keeps, what it takes over, and when it refuses to."""

import json

import pytest

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.limits import ceilings_in, kept_limits
from rnnbench.measuring import run as run_module
from rnnbench.measuring.journal import Journal, journal_path, read_journal
from rnnbench.measuring.options import Options
from rnnbench.measuring.progress import Silent
from rnnbench.measuring.run import Run
from rnnbench.measuring.workers import CaseProblem, WorkerLost
from rnnbench.schema import SCHEMA_VERSION
from tests.synthetic import ceiling, limits

CASES = [Case(batch=batch, implementation=name) for batch in (1, 2) for name in ("a", "nn_rnn")]
DESCRIBED = {
    "torch": "2.13.0",
    "torch_git": "abc",
    "torch_build": "GCC 13",
    "cpu_capability": "AVX512",
    "variables": {},
    "python": "3.11.7",
    "system": "Linux",
    "cpu": {"model": "EPYC", "count": 2},
    "devices": {"cuda": {"toolkit": "13.0", "driver": [{"temperature.gpu": "40"}]}},
    "memory": 1,
    "processes": 3,
}


class FakeTeam:
    latest: "FakeTeam"
    described = DESCRIBED
    note: str | None = None
    error: Exception | None = None

    def __init__(self, options, first_replicate):
        FakeTeam.latest = self
        self.options, self.first_replicate = options, first_replicate
        self.started, self.closed, self.slots = [], False, 2
        self.broken = {}

    def start_first(self):
        self.started.append("first")
        if self.error:
            raise self.error

    def start_rest(self, cases):
        self.started.append(("rest", len(cases)))

    def environments(self):
        return {"default": self.described}

    def cpu_seconds(self):
        return 1.0

    def waiting_cpu_share(self):
        return 0.001

    def close(self):
        self.closed = True


class FakeEngine:
    """Measures a group by giving each of its runs one block more."""

    killed_after: int | None = None
    statuses: dict[str, str] = {}

    def __init__(self, options, team, journal, progress):
        self.journal, self.progress, self.team = journal, progress, team
        self.turn = 0
        self.notes = []
        self.timed_seconds = 0.0
        self.groups = FakeEngine.groups = []

    def continue_after(self, turn):
        self.turn = turn

    def measure(self, runs, *, time_them=True):
        self.groups.append([run.case for run in runs])
        for run in runs:
            self.progress("verify", run)
            self.progress("time", run)
            if time_them:
                if FakeEngine.killed_after is not None and self.turn >= FakeEngine.killed_after:
                    raise KeyboardInterrupt
                block = {
                    "replicate": self.team.first_replicate,
                    "turn": self.turn,
                    "rounds": [0.5],
                    "seconds": 1.0,
                }
                self.journal.append({"type": "block", "case": run.case.columns(), **block})
                run.blocks.append(block)
                self.turn += 1
            run.status = FakeEngine.statuses.get(run.case.implementation, "measured")
            run.reason = "" if run.measured else "planted"
            run.prepared = {"iterations": 3}
            run.stopped = "precise"
            if not run.measured:
                run.blocks.clear()
        self.journal.append(*(run.record() for run in runs))


@pytest.fixture(autouse=True)
def _fakes(monkeypatch):
    monkeypatch.setattr(run_module, "Team", FakeTeam)
    monkeypatch.setattr(run_module, "Engine", FakeEngine)
    monkeypatch.setattr(FakeTeam, "described", DESCRIBED)
    monkeypatch.setattr(FakeTeam, "note", None)
    monkeypatch.setattr(FakeTeam, "error", None)
    monkeypatch.setattr(FakeEngine, "killed_after", None)
    monkeypatch.setattr(FakeEngine, "statuses", {})


@pytest.fixture
def start(tmp_path):
    """Start a run on the same result file."""

    def start(cases=CASES, path=tmp_path / "r.json", progress=None, **options) -> Run:
        run = Run(Options(**options), {"name": "g"}, cases, path, progress or Silent())
        run.start()
        return run

    return start


@pytest.fixture
def journal(tmp_path):
    return journal_path(tmp_path / "r.json")


def finish(run):
    for case in run.runs:
        run.result(case)
    run.close()


class TestMeasuring:
    def test_the_first_item_of_a_group_has_all_of_it_measured(self, start):
        run = start()
        run.result(CASES[0])
        assert FakeEngine.groups == [CASES[:2]]
        run.result(CASES[1])
        assert len(FakeEngine.groups) == 1
        run.result(CASES[3])
        assert FakeEngine.groups == [CASES[:2], CASES[2:]]

    def test_only_cases_whose_items_ran_are_reported(self, start):
        run = start()
        run.result(CASES[1])
        assert [x.case for x in run.reported()] == [CASES[1]]

    def test_workers_end_with_the_run_and_also_when_it_cannot_start(self, start, monkeypatch):
        run = start()
        assert FakeTeam.latest.started == ["first", ("rest", 4)]
        run.close()
        assert FakeTeam.latest.closed
        monkeypatch.setattr(FakeTeam, "error", UserError("no torch"))
        with pytest.raises(UserError, match="no torch"):
            start()
        assert FakeTeam.latest.closed

    def test_the_teams_note_is_the_runs(self, start, monkeypatch):
        monkeypatch.setattr(FakeTeam, "note", "memory holds 2")
        assert start().notes == ["memory holds 2"]

    def test_progress_begins_and_stops_around_each_group(self, start):
        calls = []

        class Recorder(Silent):
            def start(self):
                calls.append("start")

            def update(self, done, total, what):
                calls.append((done, total, what.split()[0]))

            def stop(self):
                calls.append("stop")

        run = start(progress=Recorder(), seconds=2.0)
        run.result(CASES[0])
        assert calls[0] == "start"
        assert calls[-1] == "stop"
        # Two cases with 2 s each; the first has spent 1 of those 4 s when the second is at it.
        assert calls[1:-1] == [
            (0, 4, "verifying"),
            (0, 4, "timing"),
            (0.5, 4, "verifying"),
            (0.5, 4, "timing"),
        ]

    def test_progress_stops_when_measuring_is_interrupted(self, start, monkeypatch):
        stopped = []
        progress = Silent()
        progress.stop = lambda: stopped.append(1)
        monkeypatch.setattr(FakeEngine, "killed_after", 0)
        with pytest.raises(KeyboardInterrupt):
            start(progress=progress).result(CASES[0])
        assert stopped == [1]


class TestDocument:
    def test_it_has_the_schemas_parts(self, start, monkeypatch):
        monkeypatch.setattr(FakeEngine, "statuses", {"a": "incorrect"})
        run = start()
        for case in CASES[:3]:
            run.result(case)
        document = run.document()
        assert document["schema"] == SCHEMA_VERSION
        assert document["grid"] == {"name": "g"}
        (described,) = document["environments"].values()
        assert described.pop("no_limits").startswith("no share of a limit is known")
        assert described == DESCRIBED
        assert document["options"]["replicates_run"] == 2
        assert document["not_measured"] == [
            {"case": case.columns(), "status": "incorrect", "reason": "planted"}
            for case in (CASES[0], CASES[2])
        ]
        assert json.loads(json.dumps(document)) == document

    def test_what_was_lost_while_it_was_measured_is_noted(self, start):
        run = start()
        run.notes.append("first")
        run._engine.notes.append("second")
        FakeTeam.latest.broken["new"] = "its Python is gone"
        *others, last = run.document()["notes"]
        assert others == ["first", "second"]
        assert "'new' broke in the middle of the run (its Python is gone)" in last
        assert "--rnn-resume" in last

    def test_before_anything_is_measured_there_are_no_accounts(self, start):
        run = start()
        assert run.load() == {}
        run.result(CASES[0])
        accounts = run.load()
        assert accounts["waiting_cpu_share"] == 0.001
        assert accounts["resumed_cases"] == 0
        assert accounts["timed_share"] == 0.0


class TestJournal:
    def test_it_begins_with_the_runs_identity_and_ends_when_all_is_finished(self, start, journal):
        finish(start())
        records, cut = read_journal(journal)
        assert not cut
        assert records[0]["type"] == "run"
        assert records[-1] == {"type": "end"}
        assert [r["type"] for r in records].count("finished") == 4

    def test_it_does_not_end_where_an_environment_has_broken(self, start, journal):
        run = start()
        for case in CASES:
            run.result(case)
        run.runs[CASES[0]].unfinished = True
        run.close()
        assert read_journal(journal)[0][-1] != {"type": "end"}, "there is something to resume"

    def test_it_does_not_end_where_items_are_left(self, start, journal):
        run = start()
        run.result(CASES[0])
        run.close()
        assert read_journal(journal)[0][-1]["type"] == "finished"

    def test_without_a_json_there_is_none(self, start, tmp_path):
        finish(start(path=None))
        assert list(tmp_path.iterdir()) == []

    def test_a_finished_runs_journal_makes_room(self, start, journal, tmp_path):
        finish(start())
        run = start()
        assert [r["type"] for r in read_journal(journal)[0]] == ["run"]
        assert run.notes == []
        assert list(tmp_path.iterdir()) == [journal]

    def test_an_unfinished_runs_journal_is_kept_and_the_note_says_where(self, start, journal):
        run = start()
        for number in (1, 2):
            run.result(CASES[0])
            run.close()
            before = journal.read_bytes()
            run = start()
            kept = journal.with_name(f"{journal.name}.{number}")
            assert kept.read_bytes() == before
            (note,) = run.notes
            assert f"kept as {kept.name}; --rnn-resume" in note


class TestResume:
    @pytest.fixture
    def killed(self, start, journal, monkeypatch):
        """A run that was killed in its second group, with its turns 0 to 2 done."""
        monkeypatch.setattr(FakeEngine, "killed_after", 3)
        run = start()
        run.result(CASES[0])
        with pytest.raises(KeyboardInterrupt):
            run.result(CASES[2])
        run._journal.close()
        monkeypatch.setattr(FakeEngine, "killed_after", None)
        return journal

    def test_what_had_finished_is_not_measured_again(self, start, killed):
        before = killed.read_bytes()
        run = start(resume=True)
        assert run.result(CASES[0]).resumed
        assert FakeEngine.groups == []
        run.result(CASES[2])
        assert FakeEngine.groups == [CASES[2:]]
        assert killed.read_bytes().startswith(before), "the journal only grows"

    def test_a_finished_case_comes_back_whole(self, start, killed):
        one = start(resume=True).runs[CASES[1]]
        assert (one.status, one.stopped, one.prepared) == ("measured", "precise", {"iterations": 3})
        assert one.blocks == [{"replicate": 0, "turn": 1, "rounds": [0.5], "seconds": 1.0}]

    def test_blocks_of_an_unfinished_case_count(self, start, killed):
        run = start(resume=True)
        assert [block["turn"] for block in run.runs[CASES[2]].blocks] == [2]
        blocks = run.result(CASES[2]).blocks
        assert [block["turn"] for block in blocks] == [2, 3]
        assert [block["replicate"] for block in blocks] == [0, 1], "a fresh process, a fresh number"

    def test_a_case_without_a_number_stays_without_and_is_not_tried_again(
        self, start, journal, monkeypatch
    ):
        monkeypatch.setattr(FakeEngine, "statuses", {"a": "crashed"})
        monkeypatch.setattr(FakeEngine, "killed_after", 2)
        run = start()
        run.result(CASES[0])
        run._journal.close()
        resumed = start(resume=True).runs[CASES[0]]
        assert (resumed.status, resumed.reason, resumed.blocks) == ("crashed", "planted", [])

    def test_a_whole_run_starts_no_more_than_one_worker_and_measures_nothing(self, start, journal):
        finish(start())
        run = start(resume=True)
        assert FakeTeam.latest.started == ["first"]
        finish(run)
        assert FakeEngine.groups == []
        assert run.document()["not_measured"] == []

    def test_it_can_be_resumed_again_and_again(self, start, killed, monkeypatch):
        monkeypatch.setattr(FakeEngine, "killed_after", 3)
        run = start(resume=True)
        with pytest.raises(KeyboardInterrupt):
            run.result(CASES[2])
        run._journal.close()
        monkeypatch.setattr(FakeEngine, "killed_after", None)
        finish(start(resume=True))
        records = read_journal(killed)[0]
        finished = [Case.from_columns(r["case"]) for r in records if r["type"] == "finished"]
        assert sorted(finished) == sorted(CASES)
        turns = [r["turn"] for r in records if r["type"] == "block"]
        assert turns == sorted(set(turns))

    def test_a_cut_last_line_is_told_in_a_note(self, start, killed):
        with killed.open("ab") as file:
            file.write(b'{"type": "block", "turn": 3, "rou')
        run = start(resume=True)
        (note,) = run.notes
        assert "the last line of r.json.journal was cut" in note
        assert len(run.runs[CASES[2]].blocks) == 1

    def test_it_needs_a_json_path(self, start):
        with pytest.raises(UserError, match="--rnn-resume needs --benchmark-json"):
            start(path=None, resume=True)

    def test_without_a_journal_it_starts_anew_and_says_so(self, start, tmp_path):
        run = start(resume=True)
        assert run.notes == ["there was nothing to resume in r.json.journal: this run started anew"]
        assert (tmp_path / "r.json.journal").exists()

    def test_an_empty_journal_is_used_and_not_set_aside(self, start, tmp_path):
        (tmp_path / "r.json.journal").write_bytes(b"")
        start(resume=True)
        assert [file.name for file in tmp_path.iterdir()] == ["r.json.journal"]


class TestRefusingToResume:
    @pytest.fixture
    def earlier(self, start, journal, tmp_path):
        plugin = tmp_path / "mine.py"
        plugin.write_text("one")
        start(plugins=(str(plugin),)).close()
        return plugin

    def refused(self, start, earlier, journal, **options):
        before = journal.read_bytes()
        with pytest.raises(UserError) as refused:
            start(resume=True, **{"plugins": (str(earlier),), **options})
        assert journal.read_bytes() == before, "nothing may be overwritten"
        assert FakeTeam.latest.closed
        text = str(refused.value)
        assert text.startswith("--rnn-resume: the journal is of another run; different are ")
        return text

    def test_the_same_run_is_not_refused(self, start, earlier):
        assert start(resume=True, plugins=(str(earlier),)).notes == []

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"seconds": 9.0}, "options.seconds"),
            ({"replicates": 9}, "options.replicates"),
            ({"seed": 9}, "options.seed"),
            ({"precision": 0.5}, "options.precision"),
            ({"cases": CASES[:3]}, "cases"),
            ({"cases": [*CASES, Case(batch=3)]}, "cases"),
            ({"plugins": ()}, "plugins.mine.py"),
        ],
    )
    def test_other_options_or_cases_are_named(self, start, earlier, journal, options, name):
        said = self.refused(start, earlier, journal, **options)
        assert f"different are {name}. Give the same options" in said

    def test_an_edited_plugin_is_named(self, start, earlier, journal):
        earlier.write_text("two")
        assert "different are plugins.mine.py. " in self.refused(start, earlier, journal)

    @pytest.mark.parametrize(
        ("changed", "name"),
        [
            ({"torch": "2.15.0"}, "torch"),
            ({"torch_git": "def"}, "torch_git"),
            ({"variables": {"OMP_WAIT_POLICY": "passive"}}, "variables.OMP_WAIT_POLICY"),
            ({"cpu_capability": "AVX2"}, "cpu_capability"),
            ({"python": "3.12.0"}, "python"),
            ({"cpu": {"model": "Xeon", "count": 2}}, "cpu.model"),
            ({"devices": {}}, "devices.cuda"),
        ],
    )
    def test_another_environment_is_named(
        self, start, earlier, journal, monkeypatch, changed, name
    ):
        monkeypatch.setattr(FakeTeam, "described", {**DESCRIBED, **changed})
        said = self.refused(start, earlier, journal)
        assert f"different are environments.default.{name}. " in said

    def test_what_changes_from_minute_to_minute_does_not_matter(
        self, start, earlier, journal, monkeypatch
    ):
        hotter = {"cuda": {"toolkit": "13.0", "driver": [{"temperature.gpu": "80"}]}}
        changed = {**DESCRIBED, "devices": hotter, "memory": 2, "processes": 1}
        monkeypatch.setattr(FakeTeam, "described", changed)
        assert start(resume=True, plugins=(str(earlier),)).notes == []

    def test_several_differences_are_all_named(self, start, earlier, journal):
        said = self.refused(start, earlier, journal, seed=1, seconds=3.0)
        assert "different are options.seconds, options.seed. " in said

    def test_a_foreign_file_is_refused(self, start, journal):
        Journal(journal).append({"type": "block"})
        with pytest.raises(UserError, match="does not begin as a journal of rnnbench does"):
            start(resume=True)


class FakeCounter:
    """Counts a million, or fails as planted."""

    problems: dict[str, Exception] = {}
    started: list["FakeCounter"] = []
    cpu = 1.5

    def __init__(self, environment, python, cache, *, plugins, timeout):
        self.cases, self.closed = [], False
        FakeCounter.started.append(self)

    def counted(self, case):
        self.cases.append(case)
        if case.implementation in FakeCounter.problems:
            raise FakeCounter.problems[case.implementation]
        return {"instructions": 1_000_000}

    def close(self):
        self.closed = True


class TestInstructions:
    @pytest.fixture(autouse=True)
    def _fake_counter(self, monkeypatch):
        monkeypatch.setattr(run_module, "Counter", FakeCounter)
        monkeypatch.setattr(FakeCounter, "problems", {})
        monkeypatch.setattr(FakeCounter, "started", [])

    def test_one_process_counts_what_was_measured(self, start):
        FakeEngine.statuses = {"a": "failed"}
        run = start(instructions=True)
        finish(run)
        (counter,) = FakeCounter.started
        assert counter.cases == [case for case in CASES if case.implementation == "nn_rnn"]
        assert counter.closed
        assert [r.instructions for r in run.runs.values()] == [{}, {"instructions": 1_000_000}] * 2

    def test_without_the_option_none_is_started(self, start):
        finish(start())
        assert FakeCounter.started == []

    def test_nothing_is_counted_where_nothing_is_timed(self, start):
        run = start(instructions=True)
        run.result(CASES[0], time_it=False)
        run.close()
        assert FakeCounter.started == []

    def test_what_cannot_be_counted_has_its_reason(self, start):
        FakeCounter.problems = {"a": CaseProblem("unsupported", "two threads")}
        run = start(instructions=True)
        finish(run)
        assert run.runs[CASES[0]].instructions == {"reason": "two threads"}
        assert run.runs[CASES[1]].instructions == {"instructions": 1_000_000}
        assert len(FakeCounter.started) == 1

    def test_a_lost_process_is_replaced(self, start):
        FakeCounter.problems = {"a": WorkerLost("timed_out", "no answer within 1 s")}
        run = start(instructions=True)
        finish(run)
        assert run.runs[CASES[0]].instructions == {"reason": "no answer within 1 s"}
        assert len(FakeCounter.started) == 3
        assert all(counter.closed for counter in FakeCounter.started)

    def test_a_resumed_run_counts_nothing_twice(self, start):
        run = start(instructions=True)
        run.result(CASES[0])
        run.close()
        again = start(instructions=True, resume=True)
        finish(again)
        assert FakeCounter.started[1].cases == CASES[1:]
        assert again.runs[CASES[0]].instructions == {"instructions": 1_000_000}


class TestLimits:
    @pytest.fixture
    def keep(self):
        def keep(*ceilings, **changes):
            found = limits(*ceilings, described={**DESCRIBED, **changes})
            file = kept_limits(found.key)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(found.document())
            kept.append(file)

        kept = []
        yield keep
        for file in kept:
            file.unlink()

    def test_those_of_this_machine_are_in_the_result_and_bound_its_cases(self, start, keep):
        keep(ceiling(call=1.0))
        run = start()
        (described,) = run.document()["environments"].values()
        assert ceilings_in(described) == [ceiling(call=1.0)]
        assert "no_limits" not in described
        assert run.bound(CASES[0]).least.seconds == CASES[0].seq_len

    def test_those_of_other_threads_bound_nothing_and_it_is_said(self, start, keep):
        keep(ceiling(threads=2))
        run = start()
        assert "for float32 with 1 thread" in run.limits()["default"]["no_limits"]
        assert run.bound(CASES[0]) is None

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"torch": "2.12.0"}, r"another PyTorch (2.12.0 and 2.13.0)"),
            ({"cpu": {"model": "Xeon", "count": 2}}, "another machine (other: processor)"),
        ],
    )
    def test_those_of_something_else_are_not_used_and_it_is_said(self, start, keep, changes, says):
        keep(ceiling(), **changes)
        run = start()
        (told,) = run.limits().values()
        assert set(told) == {"no_limits"} and says in told["no_limits"]
        assert run.bound(CASES[0]) is None

    def test_limits_are_no_part_of_what_a_run_is_known_by(self, start, keep, journal):
        """A run may be resumed after limits were measured in between."""
        start().close()
        keep(ceiling())
        assert start(resume=True).bound(CASES[0]) is not None
