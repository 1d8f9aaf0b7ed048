"""The team: a worker for each environment and slot, no more than fit, new numbers for new ones."""

import dataclasses
from pathlib import Path

import pytest

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.measuring import team as team_module
from rnnbench.measuring.options import Options
from rnnbench.measuring.team import Team
from rnnbench.measuring.workers import NoWorker

GIB = 2**30
ENVIRONMENTS = {"old": "/old/python", "new": "/new/python"}


class FakeProcess:
    """Stands in for ProcessWorker."""

    started: list["FakeProcess"]
    memory: int | None = GIB
    no_device: str | None = None

    def __init__(self, environment, python, replicate, hello):
        self.environment, self.python, self.replicate, self.told = (
            environment,
            python,
            replicate,
            hello,
        )
        self.closed = False
        self.waited_cpu, self.waited_wall, self.cpu = 0.5, 10.0, 3.0
        self.hello = {
            "environment": {"torch": f"torch of {environment}"},
            "memory": self.memory,
            "no_device": dict.fromkeys(hello["devices"], self.no_device),
            "implementations": {f"only_{environment}": {}, "both": {}},
            "plugins": ["mine", f"mine_{environment}"],
        }
        FakeProcess.started.append(self)

    def close(self):
        self.closed = True


@pytest.fixture
def started(monkeypatch):
    FakeProcess.started = []
    monkeypatch.setattr(FakeProcess, "memory", GIB)
    monkeypatch.setattr(FakeProcess, "no_device", None)
    monkeypatch.setattr(team_module, "ProcessWorker", FakeProcess)
    monkeypatch.setattr(team_module, "available_memory", lambda: 100 * GIB)
    return FakeProcess.started


@pytest.fixture
def make(started):
    teams = []

    def make(first_replicate=0, **options) -> Team:
        options = {"environments": ENVIRONMENTS, "replicates": 3, **options}
        teams.append(Team(Options(**options), first_replicate))
        return teams[-1]

    yield make
    for team in teams:
        team.close()


class TestStarting:
    def test_first_one_of_each_environment_then_the_replicates(self, make, started):
        team = make()
        team.start_first()
        assert [(w.environment, w.python, w.replicate) for w in started] == [
            ("old", "/old/python", 0),
            ("new", "/new/python", 0),
        ]
        assert team.slots == 1
        team.start_rest([Case()])
        assert team.slots == 3
        assert [(w.environment, w.replicate) for w in started[2:]] == [
            ("old", 1),
            ("new", 1),
            ("old", 2),
            ("new", 2),
        ]
        assert team.note is None
        assert team.worker("new", 2).replicate == 2

    def test_each_environment_compiles_into_a_cache_of_its_own_in_the_runs_folder(
        self, make, started
    ):
        team = make()
        team.start_first()
        team.start_rest([Case()])
        caches = {
            w.environment: {x.told["cache"] for x in started if x.environment == w.environment}
                  for w in started}  # fmt: skip
        assert all(len(folders) == 1 for folders in caches.values())
        assert caches["old"] != caches["new"]
        folders = {Path(folder).parent for found in caches.values() for folder in found}
        assert len(folders) == 1
        assert make()._scratch.folder not in folders, "another run has another folder"

    def test_workers_are_told_plugins_memory_and_devices(
        self, make, started, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        make(plugins=("mine.py",), devices=("cuda",)).start_first()
        assert started[0].told["plugins"] == [str(tmp_path / "mine.py")]
        assert started[0].told["memory_limit"] == 100 * GIB
        assert started[0].told["devices"] == ["cuda"]

    def test_a_resumed_run_numbers_its_replicates_after_the_earlier_ones(self, make, started):
        team = make(first_replicate=7)
        team.start_first()
        assert [w.replicate for w in started] == [7, 7]


class TestMemory:
    def test_fewer_replicates_run_where_fewer_fit_and_it_is_said(self, make, started, monkeypatch):
        monkeypatch.setattr(team_module, "available_memory", lambda: 7 * GIB)
        team = make()
        team.start_first()
        team.start_rest([Case()])
        assert team.slots == 2
        assert len(started) == 4
        assert team.note == (
            "memory holds 2 workers of each environment, so there are 2 replicates and not 3"
        )

    def test_where_not_one_fits_the_run_is_refused(self, make, monkeypatch):
        monkeypatch.setattr(team_module, "available_memory", lambda: GIB)
        team = make()
        team.start_first()
        with pytest.raises(UserError, match="memory holds fewer than 2 workers with these cases;"):
            team.start_rest([Case()])

    def test_the_largest_worker_counts(self, make, started):
        team = make()
        team.start_first()
        started[1].hello["memory"] = 20 * GIB
        team.start_rest([Case()])
        assert team.slots == 1

    def test_workers_that_do_not_know_limit_nothing(self, make, started, monkeypatch):
        monkeypatch.setattr(FakeProcess, "memory", None)
        monkeypatch.setattr(team_module, "available_memory", lambda: GIB)
        team = make()
        team.start_first()
        team.start_rest([Case()])
        assert team.slots == 3


class TestDevices:
    def test_one_that_is_nowhere_is_refused_with_the_reason(self, make, monkeypatch):
        monkeypatch.setattr(FakeProcess, "no_device", "PyTorch 2.13 finds no cuda device here")
        with pytest.raises(UserError) as refused:
            make(devices=("cuda",)).start_first()
        assert str(refused.value) == (
            "--rnn-device cuda: PyTorch 2.13 finds no cuda device here; leave it out"
        )

    def test_one_that_some_environment_has_is_accepted(self, make, started, monkeypatch):
        team = make(devices=("cuda",))
        real = team._start

        def start(environment, slot):
            worker = real(environment, slot)
            worker.hello["no_device"]["cuda"] = None if environment == "new" else "no"
            return worker

        monkeypatch.setattr(team, "_start", start)
        team.start_first()
        assert team.slots == 1


class TestReplacing:
    def test_a_fresh_process_has_a_fresh_number_and_the_old_slot(self, make, started):
        team = make()
        team.start_first()
        team.start_rest([Case()])
        lost = team.worker("old", 1)
        fresh = team.replace("old", 1)
        assert lost.closed
        assert team.worker("old", 1) is fresh
        assert fresh.replicate == 3
        assert team.replace("old", 1).replicate == 4
        assert team.worker("new", 1).replicate == 1

    def test_its_time_is_not_lost_from_the_accounts(self, make):
        team = make()
        team.start_first()
        before = team.cpu_seconds()
        team.replace("old", 0)
        assert team.cpu_seconds() >= before + 3.0
        assert team.waiting_cpu_share() == pytest.approx(1.5 / 30)

    def test_an_environment_stays_described_when_its_worker_cannot_be_replaced(
        self, make, monkeypatch
    ):
        team = make(replicates=1)
        team.start_first()

        def refuse(*_):
            raise UserError("its Python is gone")

        monkeypatch.setattr(team_module, "ProcessWorker", refuse)
        missing = team.replace("old", 0)
        assert team.worker("old", 0) is missing
        reason = "no worker could be started again: its Python is gone"
        assert team.environments()["old"] == {
            "torch": "torch of old",
            "processes": 1,
            "broken": reason,
        }
        assert team.environments()["new"] == {"torch": "torch of new", "processes": 1}
        assert missing.alive()
        with pytest.raises(NoWorker, match="its Python is gone") as refused:
            missing.ask("check", 1.0, cases=[])
        assert refused.value.status == "crashed"
        assert team.waiting_cpu_share() == pytest.approx(1.0 / 20), "accounts go on"


class TestAccounts:
    def test_environments_are_described_once_with_their_number_of_processes(self, make):
        team = make()
        team.start_first()
        team.start_rest([Case()])
        team.replace("new", 0)
        assert team.environments() == {
            "old": {"torch": "torch of old", "processes": 3},
            "new": {"torch": "torch of new", "processes": 4},
        }

    def test_plugin_names_are_those_of_any_environment(self, make):
        team = make()
        team.start_first()
        assert team.plugin_implementations() == ["mine", "mine_new", "mine_old"]

    def test_before_any_worker_waited_there_is_no_share(self, make):
        assert make().waiting_cpu_share() is None


class TestClosing:
    def test_all_workers_end_and_the_runs_folder_goes(self, make, started):
        team = make()
        team.start_first()
        team.start_rest([Case()])
        folder = team._scratch.folder
        assert folder.is_dir()
        team.close()
        assert all(worker.closed for worker in started)
        assert not folder.exists()
        team.close()


def test_in_process_there_is_one_worker_here_and_the_note_says_so(make, started, monkeypatch):
    class Inside(FakeProcess):
        def __init__(self, environment, hello):
            super().__init__(environment, "this process", 0, hello)

    monkeypatch.setattr(team_module, "InProcessWorker", Inside)
    team = make(in_process=True, environments={"default": "/python"})
    team.start_first()
    team.start_rest([dataclasses.replace(Case(), seq_len=10)])
    assert [w.python for w in started] == ["this process"]
    assert team.slots == 1
    assert team.note == "run in the pytest process: its numbers have no replicates"
