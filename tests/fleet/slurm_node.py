"""A real Slurm of one node on this machine, for tests: made in a folder, and taken down again.

    python tests/fleet/slurm_node.py up FOLDER      # prints the SLURM_CONF to export
    python tests/fleet/slurm_node.py down FOLDER

Needs root and Debian's slurm-wlm and munge, and neither systemd nor a network: munged, slurmctld
and slurmd are ordinary processes with all their files in the folder, on ports of their own. Jobs
run one after the other, as on a node of one's own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
PARTITION = "work"

_CONF = """\
ClusterName=rnnbench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/linear
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=5
SlurmdTimeout=15
SlurmctldTimeout=30
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName={partition} Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Why there can be no Slurm here; None where there can."""
    missing = [name for name in PROGRAMS if _found(name) is None]
    if missing:
        return f"needs Debian's slurm-wlm and munge: no {', '.join(missing)}"
    if os.geteuid() != 0:
        return "needs root, to run slurmd"
    return None


_HIDING = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"')
"""Hides a folder from a command: that folder and the command follow."""


def can_hide(folder: Path) -> bool:
    """Whether folders can be hidden here: not every container lets its root mount."""
    done = subprocess.run([*_HIDING, str(folder), "true"], capture_output=True, check=False)
    return done.returncode == 0


class SlurmNode:
    """The node in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.conf = self.folder / "slurm.conf"

    def up(self) -> None:
        """Start all three programs, and wait until the node takes jobs."""
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        (self.folder / "munge").chmod(0o755)
        key = self.folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        self.conf.write_text(
            _CONF.format(
                host=_host(),
                folder=self.folder,
                ports=_free_ports(2),
                cores=os.cpu_count(),
                partition=PARTITION,
            )
        )
        munge = self.folder / "munge"
        self._run(
            *("munged", "--force", f"--socket={munge}/socket", f"--key-file={key}"),
            *(f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed"),
        )
        self._run("slurmctld", "-f", str(self.conf))
        self.start_slurmd()
        self.wait_until_idle()

    def start_slurmd(self, *within: str) -> None:
        """Start the node's own program, at first or after it was killed, within another command."""
        self._run("slurmd", "-f", str(self.conf), within=within)

    @contextlib.contextmanager
    def blind_to(self, folder: Path) -> Iterator[None]:
        """A while in which the node finds a folder empty, as one that it does not share."""
        _end(self.folder / "slurmd.pid")
        self.start_slurmd(*_HIDING, str(folder))
        self.wait_until_idle()
        try:
            yield
        finally:
            _end(self.folder / "slurmd.pid")
            self.start_slurmd()
            self.wait_until_idle()

    def wait_until_idle(self, seconds: float = 60.0) -> None:
        """Wait until the node takes jobs."""
        deadline = time.monotonic() + seconds
        while True:
            state = self.ask("sinfo", "--noheader", "--format=%T").strip()
            if state in ("idle", "allocated", "mixed"):
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the node is {state!r}; {self._logs()}")
            time.sleep(0.2)

    def kill_slurmd(self) -> None:
        """Kill the node's own program at once; what it started lives on, as when it crashes."""
        os.kill(int((self.folder / "slurmd.pid").read_text()), signal.SIGKILL)

    def ask(self, *command: str) -> str:
        """Run one of Slurm's commands."""
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=self.variables()
        )
        return done.stdout + done.stderr

    def variables(self) -> dict[str, str]:
        """Environment variables with which commands find this Slurm."""
        return {**os.environ, "SLURM_CONF": str(self.conf)}

    def down(self) -> None:
        """End all jobs and programs."""
        if self.conf.exists():
            self.ask("scancel", "--full", "--me")
            self.ask("scontrol", "shutdown")
        for name in ("slurmd.pid", "slurmctld.pid", "munge/pid"):
            _end(self.folder / name)

    def __enter__(self) -> SlurmNode:
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def _run(self, name: str, *arguments: str, within: Sequence[str] = ()) -> None:
        program = _found(name)
        assert program is not None
        done = subprocess.run(
            [*within, program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=self.variables(),
        )
        if done.returncode:
            raise RuntimeError(f"{name} did not start: {done.stderr.strip()}; {self._logs()}")

    def _logs(self) -> str:
        texts = []
        for file in sorted(self.folder.glob("*.log")):
            texts.append(f"{file.name}: " + " | ".join(file.read_text().splitlines()[-5:]))
        return "; ".join(texts)


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _end(pid_file: Path, seconds: float = 10.0) -> None:
    """End the process that a file names, by its number."""
    try:
        pid = int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    node = SlurmNode(Path(sys.argv[2]))
    if sys.argv[1] == "up":
        reason = why_not()
        if reason is not None:
            sys.exit(reason)
        node.up()
        sys.stdout.write(f"export SLURM_CONF={node.conf}\n")
    else:
        node.down()
