"""Submits shards through submitit, to Slurm or one after the other to this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rnnbench.errors import UserError
from rnnbench.fleet.folder import Folder, KindOfNode
from rnnbench.fleet.job import run_shard

__all__ = [
    "LocalSubmitter",
    "ShardJob",
    "SlurmSubmitter",
    "Submitter",
    "make_submitter",
    "require_answer",
]

_LEAST_MINUTES = 30
_LONGER = 3.0
"""A job may take so many times its estimated cost, where the user gave no time."""

_FOREVER_MINUTES = 60 * 24 * 365
_QUERY_SECONDS = 60.0

_PING_SECONDS = 15.0
"""How long the controller may take to answer. Commands without one try again for minutes."""

_LONGEST_ARRAY = 1000
"""Jobs of an array: Slurm's own default takes no more."""

_TO_END_SECONDS = 10.0

WAITING, RUNNING = "waiting", "running"


class ShardJob:
    """What submitit pickles: the folder and the number of a shard.

    ``checkpoint`` is what submitit calls when Slurm is about to take the node away: nothing needs
    to be kept that the journal does not hold, and the same job goes on from it.
    """

    def __init__(self, path: str, number: int) -> None:
        self.path = path
        self.number = number

    def __call__(self) -> str:
        return run_shard(self.path, self.number)

    def checkpoint(self) -> Any:
        """The job that is queued again."""
        import submitit

        folder = Folder(Path(self.path))
        folder.note(
            self.number,
            "ended",
            how="preempted",
            reason="Slurm took the node away, or its time was over",
            finished=folder.finished(self.number),
        )
        return submitit.helpers.DelayedSubmission(self)


class Submitter(Protocol):
    """Where shards are run."""

    def submit(self, kind: KindOfNode, numbers: Sequence[int], cost: float) -> list[str]:
        """Submit shards of a kind, of which the longest costs that much; returns their jobs."""
        ...

    def states(self, jobs: Sequence[str]) -> Mapping[str, str] | None:
        """Which jobs wait and which run; those that are gone are missing. None: nobody knows."""
        ...

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs, running or not."""
        ...

    def close(self) -> None:
        """What must end when the coordinator does."""
        ...


def make_submitter(folder: Folder) -> Submitter:
    """The submitter that a fleet's plan asks for.

    Raises:
        UserError: submitit or Slurm is missing.
    """
    _require_submitit()
    if folder.plan.executor == "slurm":
        return SlurmSubmitter(folder)
    return LocalSubmitter(folder)


def _require_submitit() -> None:
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise UserError(
            "a fleet needs the package submitit; install it with `pip install rnnbench[fleet]`"
        ) from None


class LocalSubmitter:
    """Runs shards one after the other here: two at a time would measure each other."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._waiting: list[tuple[str, int]] = []
        self._running: tuple[str, Any] | None = None
        self._count = 0

    def submit(self, kind: KindOfNode, numbers: Sequence[int], cost: float) -> list[str]:
        """Put shards behind those that wait."""
        jobs = []
        for number in numbers:
            self._count += 1
            jobs.append(f"local-{os.getpid()}-{self._count}")
            self._waiting.append((jobs[-1], number))
        return jobs

    def states(self, jobs: Sequence[str]) -> Mapping[str, str]:
        """Start the next one if none runs, and say what there is."""
        if self._running is not None and self._running[1].done():
            self._running = None
        if self._running is None and self._waiting:
            job, number = self._waiting.pop(0)
            self._running = (job, self._start(number))
        found = {job: WAITING for job, _ in self._waiting}
        if self._running is not None:
            found[self._running[0]] = RUNNING
        return found

    def cancel(self, jobs: Sequence[str]) -> None:
        """Forget those that wait, and interrupt the one that runs."""
        self._waiting = [(job, number) for job, number in self._waiting if job not in jobs]
        if self._running is not None and self._running[0] in jobs:
            self.close()

    def close(self) -> None:
        """Interrupt what runs: the next coordinator goes on from its journal."""
        if self._running is None:
            return
        process = self._running[1]._process
        while process.poll() is None:
            # Between two of its own commands the job does not listen: submitit bypasses the signal.
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_TO_END_SECONDS)
        self._running = None

    def _start(self, number: int) -> Any:
        import submitit

        job = ShardJob(str(self._folder.path), number)
        with self._folder.usable(self._folder.jobs):
            executor = submitit.LocalExecutor(folder=self._folder.jobs)
            executor.update_parameters(timeout_min=_FOREVER_MINUTES, stderr_to_stdout=True)
            return executor.submit(job)


class SlurmSubmitter:
    """Submits shards as a job array; what runs is asked of squeue, which needs no accounting."""

    def __init__(self, folder: Folder) -> None:
        if shutil.which("sbatch") is None or shutil.which("srun") is None:
            raise UserError(
                "there is no Slurm here: sbatch is not found; run the fleet where jobs are "
                "submitted, or leave out --slurm and --on to measure on this machine"
            )
        self._folder = folder

    def submit(self, kind: KindOfNode, numbers: Sequence[int], cost: float) -> list[str]:
        """Submit shards as an array, or as several where Slurm takes no longer one.

        Raises:
            UserError: Slurm does not take them; the message is its own.
        """
        import submitit

        executor = submitit.SlurmExecutor(folder=self._folder.jobs, max_num_timeout=10**6)
        minutes = max(_LEAST_MINUTES, round(_LONGER * cost / 60))
        executor.update_parameters(**slurm_parameters(kind.asked, minutes))
        submitted: list[Any] = []
        try:
            for start in range(0, len(numbers), _LONGEST_ARRAY):
                with executor.batch():
                    submitted += [
                        executor.submit(ShardJob(str(self._folder.path), number))
                        for number in numbers[start : start + _LONGEST_ARRAY]
                    ]
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as e:
            # Of those that were taken nobody would know.
            self.cancel([str(job.job_id) for job in submitted if _is_known(job)])
            raise UserError(f"Slurm does not take the jobs of {kind.name}: {_told(e)}") from None
        except OSError:
            self.cancel([str(job.job_id) for job in submitted if _is_known(job)])
            raise
        return [str(job.job_id) for job in submitted]

    def states(self, jobs: Sequence[str]) -> Mapping[str, str] | None:
        """As squeue says; None where it does not answer."""
        command = ["squeue", "--noheader", "--array", "--me", "--format=%i|%T"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_QUERY_SECONDS, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        pairs = [line.strip().partition("|")[::2] for line in done.stdout.splitlines()]
        wanted = set(jobs)
        return {
            job: WAITING if state in ("PENDING", "REQUEUED", "REQUEUE_HOLD") else RUNNING
            for job, state in pairs
            if job in wanted
        }

    def cancel(self, jobs: Sequence[str]) -> None:
        """Cancel jobs; those that have ended are no mistake."""
        for start in range(0, len(jobs), 500):
            subprocess.run(
                ["scancel", *jobs[start : start + 500]], capture_output=True, check=False
            )

    def close(self) -> None:
        """Jobs go on without the coordinator."""


def slurm_parameters(asked: Mapping[str, str], minutes: int) -> dict[str, Any]:
    """What was asked for as submitit takes it; what it does not know goes to sbatch as it is."""
    from submitit.slurm.slurm import _get_default_parameters

    known = _get_default_parameters()
    parameters: dict[str, Any] = {
        "job_name": "rnnbench-fleet",
        "time": minutes,
        "stderr_to_stdout": True,
        "array_parallelism": 10**4,
    }
    others: dict[str, Any] = {"requeue": True}
    for key, text in asked.items():
        name = key.replace("-", "_")
        value: Any = int(text) if text.isdigit() else text
        if name == "exclusive":
            value = text if text not in ("1", "true", "yes") else True
        if name in known:
            parameters[name] = value
        else:
            others[key] = value
    return {**parameters, "additional_parameters": others}


def require_answer() -> None:
    """Refuse to begin a fleet on a Slurm that is not there; one that was begun waits for its own.

    Raises:
        UserError: Slurm's controller does not answer.
    """
    silent = _why_silent()
    if silent is not None:
        raise UserError(
            f"Slurm does not answer (scontrol ping: {silent}); mend that first, or begin a fleet "
            "with --local, whose shards run one after the other on this machine"
        )


def _why_silent() -> str | None:
    """Why Slurm's controller does not answer; None where it does, or where it cannot be asked."""
    try:
        done = subprocess.run(
            ["scontrol", "ping"], capture_output=True, timeout=_PING_SECONDS, check=False
        )
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired as late:
        return _complaint(late.stderr or b"") or f"no answer within {_PING_SECONDS:g} s"
    if b"is UP" in done.stdout:
        return None
    return _complaint(done.stderr or done.stdout) or f"exit status {done.returncode}"


def _complaint(said: bytes) -> str:
    """The first line of a command's errors, without its name."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    return lines[0].removeprefix("scontrol: ").removeprefix("error: ") if lines else ""


def _is_known(job: Any) -> bool:
    """Whether a job of a batch has its number: it gets it when the batch is submitted."""
    try:
        return bool(job.job_id)
    except AttributeError:
        return False


def _told(error: Exception) -> str:
    """The line of sbatch's own words."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if "error:" in line]
    return (said or lines or ["sbatch failed without a word"])[-1]
