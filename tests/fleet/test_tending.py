"""Looking after shards: what dies goes on, what does not get on is given up, nobody interferes."""

import json
from pathlib import Path

import pytest

from rnnbench.errors import UserError
from rnnbench.fleet import tending
from rnnbench.fleet.folder import Folder, KindOfNode, Plan, ShardPlan
from rnnbench.fleet.holding import hold
from rnnbench.fleet.status import state_of, status_lines
from rnnbench.fleet.tending import cancel, submit_all, tend
from rnnbench.measuring.journal import journal_path


def plan(shards=2, cases=4):
    return Plan(
        executor="local",
        grid={"name": "quick"},
        arguments=[],
        kinds=[KindOfNode("default")],
        shards=[ShardPlan(number, "default", cases, 10.0) for number in range(shards)],
        version="0",
        code="0" * 64,
        plugins={},
        variables={},
        made=0.0,
    )


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "fleet")
    made.begin(plan())
    for shard in made.plan.shards:
        made.shard(shard.number).mkdir(parents=True)
    return made


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch):
    monkeypatch.setattr(tending, "_GRACE", {"local": 0.0, "slurm": 0.0})


def finish(folder, number, cases):
    """The journal of a shard gets so many finished cases."""
    path = journal_path(folder.result_of(number))
    with path.open("a") as journal:
        journal.writelines('{"type": "finished", "case": {}}\n' for _ in range(cases))


def begins(folder, number):
    folder.note(number, "started", node="n", finished=folder.finished(number))


def does_all(folder, number):
    begins(folder, number)
    finish(folder, number, 4)
    folder.note(number, "done", finished=4)


def dies(folder, number):
    begins(folder, number)


def dies_after_a_case(folder, number):
    begins(folder, number)
    finish(folder, number, 1)


def refuses(folder, number):
    begins(folder, number)
    folder.note(number, "ended", how="failed", reason="another rnnbench", finished=0)


def never_begins(folder, number):
    pass


class Jobs:
    """A queue that does at each look what a shard's script says next, and then is done with it."""

    def __init__(self, folder, scripts):
        self.folder = folder
        self.scripts = scripts
        self.submitted = []
        self.cancelled = []
        self.waiting = {}

    def submit(self, kind, numbers, cost):
        jobs = [f"job-{len(self.submitted) + n}" for n, _ in enumerate(numbers)]
        self.submitted += numbers
        self.waiting |= dict(zip(jobs, numbers))
        return jobs

    def states(self, jobs):
        found = dict.fromkeys(self.waiting, "running")
        for number in self.waiting.values():
            steps = self.scripts[number]
            (steps.pop(0) if len(steps) > 1 else steps[0])(self.folder, number)
        self.waiting = {}
        return found

    def cancel(self, jobs):
        self.cancelled += jobs

    def close(self):
        pass


def look_after(folder, *scripts):
    jobs = Jobs(folder, [list(script) for script in scripts])
    tend(folder, jobs, lambda states: None, pause=0.0)
    return jobs


class TestTending:
    def test_each_shard_is_submitted_once_where_nothing_happens(self, folder):
        jobs = look_after(folder, [does_all], [does_all])
        assert jobs.submitted == [0, 1]
        assert [folder.history(n).outcome for n in (0, 1)] == ["done", "done"]

    def test_what_dies_without_a_word_goes_on(self, folder):
        jobs = look_after(folder, [dies, dies, does_all], [does_all])
        assert jobs.submitted == [0, 1, 0, 0]
        history = folder.history(0)
        assert (history.outcome, history.attempts) == ("done", 3)
        assert (
            history.reason == "its job ended without a word: it was killed, or its node went down"
        )

    def test_what_never_gets_on_is_given_up_with_its_reason_and_the_others_finish(self, folder):
        jobs = look_after(folder, [refuses], [dies, does_all])
        assert jobs.submitted.count(0) == 3
        assert folder.history(0).outcome == "given up"
        assert folder.history(0).reason == "another rnnbench"
        assert folder.history(1).outcome == "done"

    def test_attempts_that_finish_a_case_are_no_strikes(self, folder):
        often = [dies_after_a_case] * 4
        look_after(folder, [*often, does_all], [does_all])
        assert folder.history(0).outcome == "done"
        assert folder.history(0).attempts == 5

    def test_strikes_are_counted_in_a_row(self, folder):
        script = [dies, dies, dies_after_a_case, dies, dies, does_all]
        look_after(folder, script, [does_all])
        assert folder.history(0).outcome == "done"
        assert folder.history(0).attempts == 6

    def test_a_job_that_never_begins_is_given_up_too(self, folder):
        look_after(folder, [never_begins], [does_all])
        history = folder.history(0)
        assert (history.outcome, history.attempts) == ("given up", 0)
        assert history.reason.startswith("its job ended before it began")

    def test_while_nobody_knows_what_runs_nothing_is_submitted_again(self, folder):
        class Deaf(Jobs):
            looks = 0

            def states(self, jobs):
                self.looks += 1
                found = super().states(jobs)
                return None if 2 < self.looks < 20 else found

        jobs = Deaf(folder, [[dies, does_all], [does_all]])
        tend(folder, jobs, lambda states: None, pause=0.0)
        assert jobs.submitted == [0, 1, 0]

    def test_what_a_killed_coordinator_left_running_here_is_let(self, folder):
        class Orphaned(Jobs):
            looks = 0

            def states(self, jobs):
                self.looks += 1
                if self.looks == 5:
                    folder.note(0, "done", finished=4)
                return super().states(jobs)

        folder.note(0, "submitted", job="of another coordinator")
        begins(folder, 0)
        jobs = Orphaned(folder, [[], [does_all]])
        with hold(folder, folder.lock_of(0), "", patience=0.0):
            tend(folder, jobs, lambda states: None, pause=0.0)
        assert jobs.submitted == [1]
        assert folder.history(0).attempts == 1

    def test_a_second_coordinator_is_refused(self, folder):
        class Meddled(Jobs):
            def states(self, jobs):
                with pytest.raises(UserError, match="another coordinator looks after the fleet"):
                    tend(folder, self, lambda states: None)
                return super().states(jobs)

        tend(folder, Meddled(folder, [[does_all], [does_all]]), lambda s: None, pause=0.0)
        assert folder.history(0).outcome == "done"

    def test_left_to_itself_each_is_submitted_once(self, folder):
        jobs = Jobs(folder, [[does_all], [does_all]])
        submit_all(folder, jobs)
        submit_all(folder, jobs)
        assert jobs.submitted == [0, 1]


class TestCancelled:
    def test_nothing_is_submitted_again_and_what_was_measured_stays(self, folder):
        does_all(folder, 0)
        folder.note(1, "submitted", job="job-7")
        begins(folder, 1)
        finish(folder, 1, 2)
        jobs = Jobs(folder, [])
        assert cancel(folder, jobs) == 1
        assert jobs.cancelled == ["job-7"]
        # The job itself writes its own end after that.
        folder.note(1, "ended", how="interrupted", reason="signal 15 ended it", finished=2)
        tend(folder, jobs, lambda states: None, pause=0.0)
        assert jobs.submitted == []
        assert [folder.history(n).outcome for n in (0, 1)] == ["done", "cancelled"]
        assert folder.finished(1) == 2

    def test_who_looks_after_it_ends_the_job(self, folder):
        class Watched(Jobs):
            def states(self, jobs):
                found = super().states(jobs)
                if folder.history(1).last == "started":
                    folder.note(1, "cancelled")
                return found

        jobs = Watched(folder, [[does_all], [begins]])
        tend(folder, jobs, lambda states: None, pause=0.0)
        assert jobs.cancelled == ["job-1"]
        assert folder.history(1).outcome == "cancelled"

    def test_resumed_it_goes_on(self, folder):
        does_all(folder, 0)
        folder.note(1, "cancelled")
        folder.note(1, "resumed")
        jobs = look_after(folder, [], [does_all])
        assert jobs.submitted == [1]
        assert folder.history(1).outcome == "done"


class TestFolder:
    def test_two_fleets_into_one_folder_are_refused(self, folder):
        with pytest.raises(UserError, match="holds a fleet already"):
            Folder(folder.path).begin(plan())
        assert Folder(folder.path).plan == folder.plan
        assert not list(folder.path.glob(".fleet-*"))

    def test_a_folder_that_is_full_or_gone_is_one_sentence(self, folder):
        events = folder.shard(0) / "events.jsonl"
        events.mkdir()
        with pytest.raises(UserError, match=r"events\.jsonl: cannot be written: Is a directory"):
            folder.note(0, "started")

    def test_a_fleet_that_was_never_submitted_can_be_begun_again(self, folder):
        kept = folder.path / "mine.txt"
        kept.write_text("mine")
        folder.forget()
        assert sorted(folder.path.iterdir()) == [kept]
        Folder(folder.path).begin(plan())

    def test_a_fleet_with_a_job_is_never_forgotten(self, folder):
        folder.note(1, "submitted", job="j")
        folder.forget()
        assert Folder(folder.path).history(1).job == "j"

    def test_a_folder_without_a_fleet_is_none(self, tmp_path):
        with pytest.raises(UserError, match="holds no fleet"):
            _ = Folder(tmp_path).plan

    def test_a_plan_of_another_format_is_refused(self, folder):
        found = json.loads(folder.plan_file.read_text())
        folder.plan_file.write_text(json.dumps({**found, "format": 99}))
        with pytest.raises(UserError, match="is no plan of a fleet that this rnnbench can read"):
            _ = Folder(folder.path).plan

    def test_a_line_that_was_cut_is_as_if_it_were_not_there(self, folder):
        does_all(folder, 0)
        events = folder.shard(0) / "events.jsonl"
        with events.open("a") as lines:
            lines.write('{"event": "canc')
        assert folder.history(0).outcome == "done"

    def test_what_is_written_after_a_cut_line_is_not_lost_with_it(self, folder):
        events = folder.shard(0) / "events.jsonl"
        events.write_text('{"event": "star')
        does_all(folder, 0)
        assert [event["event"] for event in folder.history(0).events] == ["started", "done"]

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_a_full_disk_is_one_sentence(self, folder):
        (folder.shard(0) / "events.jsonl").symlink_to("/dev/full")
        with pytest.raises(UserError, match="cannot be written: No space left on device; what was"):
            folder.note(0, "started")

    def test_a_line_that_was_written_in_part_is_told(self, folder, monkeypatch):
        monkeypatch.setattr("os.write", lambda descriptor, line: len(line) - 1)
        with pytest.raises(UserError, match="No space left on device"):
            folder.note(0, "started")

    def test_a_lock_that_cannot_be_made_is_one_sentence(self, folder):
        folder.lock.mkdir()
        with pytest.raises(UserError, match="lock: cannot be written: Is a directory"):
            tend(folder, Jobs(folder, []), lambda states: None)

    def test_what_cannot_be_noted_does_not_run(self, folder, monkeypatch):
        jobs = Jobs(folder, [[does_all], [does_all]])
        note = Folder.note

        def full(self, number, event, **facts):
            if number == 1:
                raise UserError("full")
            note(self, number, event, **facts)

        monkeypatch.setattr(Folder, "note", full)
        with pytest.raises(UserError, match="full"):
            submit_all(folder, jobs)
        assert jobs.cancelled == ["job-0", "job-1"]


class TestStatus:
    def test_it_shows_every_shard_and_all_of_them(self, folder):
        does_all(folder, 0)
        folder.note(1, "submitted", job="job-1")
        refuses(folder, 1)
        finish(folder, 1, 1)
        lines = list(status_lines(folder, {"job-1": "waiting"}))
        assert lines[0].split() == [
            *("shard", "kind", "state", "attempts", "cases", "node", "reason")
        ]
        assert lines[1].split() == ["0", "default", "done", "1", "4", "of", "4", "n"]
        assert "requeued" in lines[2] and lines[2].endswith("another rnnbench")
        assert lines[3].startswith("2 shards: 1 done, 1 requeued; 5 of 8 cases done")

    def test_a_job_that_slurm_says_waits_is_not_running_whatever_was_written_last(self, folder):
        folder.note(0, "submitted", job="j")
        begins(folder, 0)
        assert state_of(folder.history(0), {"j": "waiting"}) == "requeued"
        assert state_of(folder.history(0), {"j": "running"}) == "running"
        assert state_of(folder.history(0), {}) == "died"
        assert state_of(folder.history(0), None) == "running"
        assert state_of(folder.history(1), {}) == "waiting"


def test_paths_are_absolute_so_that_jobs_find_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Folder(Path("here")).path == tmp_path / "here"
