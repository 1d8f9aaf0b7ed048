"""The command: bad input is one sentence, and options are what Slurm is asked for."""

import os
import shutil

import pytest

from rnnbench.cli import main
from rnnbench.errors import UserError
from rnnbench.fleet import submitting
from rnnbench.fleet.folder import Folder, KindOfNode, Plan, ShardPlan
from rnnbench.fleet.planning import choose_executor, kinds_of
from rnnbench.fleet.submitting import slurm_parameters


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

    @pytest.mark.parametrize(
        ("ping", "why"),
        [
            ("echo 'scontrol: error: no such file' >&2; exit 1", "no such file"),
            ("echo 'Slurmctld(primary) at a is DOWN'", "Slurmctld(primary) at a is DOWN"),
            ("exec sleep 30", "no answer within 0.5 s"),
            ("echo 'scontrol: error: retrying' >&2; exec sleep 30", "retrying"),
        ],
    )
    def test_a_slurm_that_does_not_answer(self, capsys, tmp_path, monkeypatch, ping, why):
        pytest.importorskip("submitit")
        for name in ("sbatch", "srun", "scontrol"):
            command = tmp_path / name
            command.write_text(f"#!/bin/sh\n{ping if name == 'scontrol' else 'exit 1'}\n")
            command.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.setattr(submitting, "_PING_SECONDS", 0.5)
        said = refused(capsys, "quick", "--output", tmp_path / "out")
        assert f"Slurm does not answer (scontrol ping: {why})" in said
        assert "begin a fleet with --local" in said
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

    def test_a_folder_that_gets_full_when_it_is_begun(self, capsys, tmp_path, monkeypatch):
        def full(folder, path, text):
            raise UserError(f"{path}: cannot be written: No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Folder, "write", full)
            said = refused(capsys, "quick", "--output", tmp_path / "out", "--local")
        assert "No space left on device" in said
        assert not (tmp_path / "out").exists(), "so that it can be begun there again"


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
