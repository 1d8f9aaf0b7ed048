"""What a job does on its node: the right code or a reason, canaries around the shard, going on."""

import time

import pytest

from rnnbench.fleet import identity, job
from rnnbench.fleet.folder import Folder, KindOfNode, Plan, ShardPlan
from rnnbench.fleet.holding import hold
from rnnbench.fleet.identity import digest_of_file, digest_of_package
from rnnbench.measuring.journal import journal_path
from rnnbench.regressions.processes import Interrupted


@pytest.fixture
def made(tmp_path):
    def make(code=None, plugins=None):
        folder = Folder(tmp_path / "fleet")
        folder.begin(
            Plan(
                executor="local",
                grid={"name": "quick"},
                arguments=["--rnn-seconds=9.0", "--rnn-replicates=3", "--rnn-cores=0"],
                kinds=[KindOfNode("a100", {}, ())],
                shards=[ShardPlan(0, "a100", 1, 1.0)],
                version="0.1",
                code=code or digest_of_package(),
                plugins=plugins or {},
                variables={},
                made=0.0,
            )
        )
        folder.write(folder.grid_of(0), "")
        folder.write(folder.canaries_of("a100"), "")
        return folder

    return make


@pytest.fixture
def commands(monkeypatch):
    """Commands that were run; each writes its result, as the suites would."""
    met = []

    def run(command):
        met.append(command)
        (result,) = [c.partition("=")[2] for c in command if c.startswith("--benchmark-json=")]
        open(result, "w").close()
        return 0

    monkeypatch.setattr(job, "run_through", run)
    return met


def grids(commands):
    return [
        next(c for c in command if c.startswith("--rnn-grid=")).rpartition("/")[2]
        for command in commands
    ]


class TestShard:
    def test_canaries_run_before_and_after_it(self, made, commands):
        folder = made()
        assert job.run_shard(str(folder.path), 0) == "done"
        assert grids(commands) == ["canaries-a100.toml", "grid.toml", "canaries-a100.toml"]
        assert [f.name for f in folder.canary_results(0)] == [
            "canaries-001-after.json",
            "canaries-001-before.json",
        ]
        assert "--rnn-seconds=9.0" in commands[1] and "--rnn-seconds=9.0" not in commands[0]
        assert all("--rnn-cores=0" in command for command in commands)
        assert all(any(c.startswith("--rnn-python=a100=") for c in each) for each in commands)

    def test_it_goes_on_from_a_journal_and_only_from_one(self, made, commands):
        folder = made()
        journal_path(folder.result_of(0)).write_text('{"type": "run", "identity": {}}\n')
        job.run_shard(str(folder.path), 0)
        assert ["--rnn-resume" in command for command in commands] == [False, True, False]

    def test_it_goes_on_from_a_journal_whose_last_line_was_cut(self, made, commands):
        folder = made()
        whole = '{"type": "run"}\n{"type": "finished"}\n'
        journal_path(folder.result_of(0)).write_text(whole + '{"type": "finished"')
        assert folder.finished(0) == 1, "what was cut is not finished"
        assert job.run_shard(str(folder.path), 0) == "done"
        assert "--rnn-resume" in commands[1]
        assert folder.history(0).events[0]["finished"] == 1

    def test_what_is_done_is_not_done_again(self, made, commands):
        folder = made()
        job.run_shard(str(folder.path), 0)
        assert job.run_shard(str(folder.path), 0) == "done"
        assert len(commands) == 3

    def test_an_attempt_that_nobody_ended_is_closed_by_the_next(self, made, commands):
        folder = made()
        folder.note(0, "started", node="gone", finished=0)
        job.run_shard(str(folder.path), 0)
        events = [event["event"] for event in folder.history(0).events]
        assert events == ["started", "ended", "started", "done"]

    def test_after_three_in_a_row_it_gives_up_by_itself(self, made, commands):
        folder = made()
        for _ in range(3):
            folder.note(0, "started", node="n", finished=0)
            folder.note(0, "ended", how="lost", reason="killed", finished=0)
        assert job.run_shard(str(folder.path), 0) == "given up"
        assert folder.history(0).reason == "killed"
        assert commands == []


class TestRefused:
    def test_another_rnnbench_is_refused_with_both_named(self, made, commands):
        folder = made(code="f" * 64)
        assert job.run_shard(str(folder.path), 0) == "ended"
        reason = folder.history(0).reason
        assert digest_of_package()[:12] in reason and "rnnbench 0.1 (code ffffffffffff)" in reason
        assert commands == []

    def test_another_state_of_a_plugin_is_refused_with_both_named(self, made, commands, tmp_path):
        plugin = tmp_path / "cell.py"
        plugin.write_text("a = 1\n")
        folder = made(plugins={str(plugin): digest_of_file(plugin)})
        before = digest_of_file(plugin)
        plugin.write_text("a = 2\n")
        job.run_shard(str(folder.path), 0)
        reason = folder.history(0).reason
        assert reason.startswith("the plug-in cell.py is " + digest_of_file(plugin)[:12])
        assert before[:12] in reason
        assert commands == []

    def test_a_plugin_that_the_node_does_not_see_is_named(self, made, commands, tmp_path):
        folder = made(plugins={str(tmp_path / "cell.py"): "0" * 64})
        job.run_shard(str(folder.path), 0)
        assert "the plug-in cell.py is missing on this node" in folder.history(0).reason

    def test_a_foreign_journal_is_a_reason_and_is_kept(self, made, commands):
        folder = made()
        journal = journal_path(folder.result_of(0))
        journal.write_text("not ours\n")
        job.run_shard(str(folder.path), 0)
        assert "does not begin as a journal of rnnbench does" in folder.history(0).reason
        assert journal.read_text() == "not ours\n"
        assert commands == []

    def test_a_journal_that_is_damaged_in_the_middle_is_a_reason_and_is_kept(self, made, commands):
        folder = made()
        journal = journal_path(folder.result_of(0))
        text = '{"type": "run"}\n{"type": "fin\n{"type": "finished"}\n'
        journal.write_text(text)
        job.run_shard(str(folder.path), 0)
        assert "is damaged in line 2" in folder.history(0).reason
        assert journal.read_text() == text
        assert commands == []

    def test_suites_that_fail_are_a_reason(self, made, monkeypatch):
        folder = made()
        monkeypatch.setattr(job, "run_through", lambda command: 4)
        job.run_shard(str(folder.path), 0)
        assert "`pytest suites` ended with status 4" in folder.history(0).reason

    def test_a_signal_ends_the_job_and_says_so(self, made, monkeypatch):
        folder = made()

        def interrupted(command):
            raise Interrupted(15)

        monkeypatch.setattr(job, "run_through", interrupted)
        with pytest.raises(SystemExit):
            job.run_shard(str(folder.path), 0)
        assert folder.history(0).events[-1]["how"] == "interrupted"

    def test_two_jobs_of_a_shard_do_not_both_measure(self, made, commands, monkeypatch):
        folder = made()
        monkeypatch.setattr(job, "_PATIENCE", 0.0)
        with hold(folder, folder.lock_of(0), "", patience=0.0):
            assert job.run_shard(str(folder.path), 0) == "ended"
        assert folder.history(0).reason == "an earlier job of this shard is still running"
        assert commands == []

    def test_a_clock_that_is_off_is_on_record(self, made, commands, monkeypatch):
        folder = made()
        real = time.time
        monkeypatch.setattr(job.time, "time", lambda: real() + 3600)
        job.run_shard(str(folder.path), 0)
        started = folder.history(0).events[0]
        assert started["clock"] == pytest.approx(3600, abs=60)


def test_one_changed_byte_of_the_code_is_another_code(tmp_path, monkeypatch):
    package = tmp_path / "rnnbench"
    package.mkdir()
    (package / "__init__.py").write_text("a = 1\n")
    monkeypatch.setattr(identity.rnnbench, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(identity, "suites_folder", lambda: tmp_path / "suites")
    before = digest_of_package()
    (package / "__init__.py").write_text("a = 2\n")
    assert digest_of_package() != before
    (package / "__init__.py").write_text("a = 1\n")
    assert digest_of_package() == before
    (package / "notes.txt").write_text("no code")
    assert digest_of_package() == before
