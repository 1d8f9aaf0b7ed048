"""The command: bad input is one sentence, and a fleet on this machine brings back its grid."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

from rnnbench.cli import main
from rnnbench.errors import UserError
from rnnbench.fleet.folder import Folder, KindOfNode, Plan, ShardPlan
from rnnbench.fleet.planning import choose_executor, kinds_of
from rnnbench.fleet.submitting import slurm_parameters
from rnnbench.measuring.journal import journal_path
from rnnbench.validation import validate
from tests.conftest import environment, finished

RNNBENCH = (sys.executable, "-m", "rnnbench")


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["fleet", *map(str, arguments)])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


class TestRefused:
    def test_without_a_folder_or_with_two(self, capsys, tmp_path):
        for arguments in (["quick"], ["quick", "--output", tmp_path, "--status", tmp_path]):
            assert "give one of --output, --status" in refused(capsys, *arguments)

    def test_slurm_where_there_is_none(self, capsys, tmp_path, monkeypatch):
        monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
        said = refused(capsys, "quick", "--output", tmp_path / "out", "--slurm", "partition=gpu")
        assert "there is no Slurm here: sbatch is not found" in said
        assert not (tmp_path / "out").exists()

    def test_a_folder_that_holds_no_fleet(self, capsys, tmp_path):
        for option in ("--status", "--resume", "--cancel"):
            assert "holds no fleet" in refused(capsys, option, tmp_path)

    def test_a_fleet_that_was_never_begun_as_a_whole(self, capsys, tmp_path):
        said = refused(capsys, "--resume", _begun(tmp_path / "out"))
        assert "its shards lack their grids" in said

    def test_no_shard(self, capsys, tmp_path):
        said = refused(capsys, "quick", "--output", tmp_path / "out", "--shards", "0", "--local")
        assert "--shards is 0; give 1 or more" in said

    def test_a_kind_without_a_case(self, capsys, tmp_path, monkeypatch):
        monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
        said = refused(capsys, "quick", "--output", tmp_path / "out", "--on", "a100: device=cuda")
        assert "--on a100: the grid has no case for cuda" in said

    def test_a_folder_that_cannot_be_made(self, capsys, tmp_path):
        said = refused(capsys, "quick", "--output", tmp_path / "no" / "out", "--local")
        assert "does not exist; make it first" in said


def _begun(path):
    """A folder whose coordinator died between its plan and the grids."""
    shards = [ShardPlan(0, "default", 1, 1.0)]
    kinds = [KindOfNode("default")]
    plan = Plan("local", {}, [], kinds, shards, "0", "0", {}, {}, 0.0)
    Folder(path).begin(plan)
    return path


class TestKinds:
    def test_without_on_there_is_one_kind_with_what_slurm_is_asked(self):
        assert kinds_of(["partition=gpu", "--time=30"], []) == [
            KindOfNode("default", {"partition": "gpu", "time": "30"})
        ]

    def test_each_on_is_a_kind_of_its_own_and_may_be_for_one_device(self):
        a, b = kinds_of(
            ["account=me"],
            ["a100: partition=gpu,gres=gpu:a100:1,device=cuda", "cpu: partition=cpu,exclusive=1"],
        )
        assert a == KindOfNode(
            "a100", {"account": "me", "partition": "gpu", "gres": "gpu:a100:1"}, ("cuda",)
        )
        assert b == KindOfNode("cpu", {"account": "me", "partition": "cpu", "exclusive": "1"})

    @pytest.mark.parametrize(
        ("slurm", "on", "said"),
        [
            (["partition"], [], "--slurm 'partition' is not key=value"),
            ([], ["a100"], "--on 'a100' is not NAME: key=value,…"),
            ([], ["a: x=1", "a: y=2"], "--on names 'a' twice"),
            ([], ["a b: x=1"], "column 'environment' is 'a b'"),
            ([], ["a: x"], "--on 'x' is not key=value"),
        ],
    )
    def test_another_form_is_refused(self, slurm, on, said):
        with pytest.raises(UserError) as raised:
            kinds_of(slurm, on)
        assert said in str(raised.value)

    def test_this_machine_and_slurm_exclude_each_other(self):
        with pytest.raises(UserError, match="--local and --slurm exclude each other"):
            choose_executor(slurm_asked=True, local=True)
        assert choose_executor(slurm_asked=False, local=True) == "local"

    def test_what_submitit_does_not_know_goes_to_sbatch_as_it_is(self):
        pytest.importorskip("submitit")
        made = slurm_parameters(
            {"partition": "gpu", "exclusive": "1", "cpus-per-task": "4", "reservation": "r"}, 45
        )
        assert made["partition"] == "gpu" and made["exclusive"] is True
        assert made["cpus_per_task"] == 4 and made["time"] == 45
        assert made["additional_parameters"] == {"requeue": True, "reservation": "r"}


TINY = (
    *("--implementation=nn_rnn,python_loop", "--pass=inference", "--hidden=8", "--input=4"),
    *("--batch=2,3", "--seq-len=3", "--layout=time_major", "--seconds=0.1", "--replicates=1"),
)


@pytest.mark.slow
def test_on_this_machine_a_fleet_is_left_and_resumed_and_comes_back_as_one(tmp_path):
    pytest.importorskip("submitit")
    folder = Folder(tmp_path / "out")
    begin = ("quick", f"--output={folder.path}", "--local", "--shards=2", *TINY)
    run = subprocess.Popen(
        [*RNNBENCH, "fleet", *begin],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env=environment(),
    )
    try:
        deadline = time.monotonic() + 300
        while folder.finished(0) < 2 and run.poll() is None:
            assert time.monotonic() < deadline, "the first shard did not get on"
            time.sleep(0.2)
        run.send_signal(signal.SIGTERM)
        said, _ = run.communicate(timeout=60)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 130, said
    assert "default: 4 cases in 2 shards on this machine, one after the other" in said
    assert f"`rnnbench fleet --resume {folder.path}` looks after the fleet again" in said
    left = finished([*RNNBENCH, "fleet", f"--status={folder.path}"], tmp_path, {})
    assert "2 of 4 cases done" in left.stdout and "running" not in left.stdout
    again = finished([*RNNBENCH, "fleet", *begin], tmp_path, {})
    assert again.returncode == 2 and "holds a fleet already" in again.stderr

    done = finished([*RNNBENCH, "fleet", f"--resume={folder.path}"], tmp_path, {}, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert validate(folder.result) == []
    document = json.loads(folder.result.read_text())
    ids = sorted(found["param"] for found in document["benchmarks"])
    assert len(ids) == len(set(ids)) == 4
    assert {visit["moment"] for visit in document["rnnbench"]["canaries"]} == {"before", "after"}
    finished_cases = [
        line
        for line in journal_path(folder.result_of(0)).read_text().splitlines()
        if line.startswith('{"type": "finished"')
    ]
    assert len(finished_cases) == 2, "nothing was measured twice"
    shown = finished([*RNNBENCH, "fleet", f"--status={folder.path}"], tmp_path, {})
    assert "2 shards: 2 done; 4 of 4 cases done" in shown.stdout
