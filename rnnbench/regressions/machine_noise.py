"""What is known of a machine's noise: `rnnbench noise` stores it, comparisons rest on it."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from rnnbench.errors import UserError
from rnnbench.regressions.machines import machine_key

__all__ = [
    "MachineNoise",
    "NoiseSession",
    "Share",
    "between_sessions",
    "known_noise",
    "load_noise",
    "noise_path",
    "save_noise",
]

_FORMAT = 1
_MOST_SESSIONS = 50


@dataclass(frozen=True)
class Share:
    """How many of how many, with the interval of Clopper and Pearson (1934) at 95 %."""

    found: int
    of: int

    @property
    def value(self) -> float:
        """The share itself; NaN of nothing."""
        return self.found / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Its ends, from 0 to 1; all of that where there is nothing."""
        if not self.of:
            return 0.0, 1.0
        # Half a second to import, which a report without any noise need not wait for.
        from scipy.stats import binomtest

        ends = binomtest(self.found, self.of).proportion_ci(0.95, method="exact")
        return float(ends.low), float(ends.high)


@dataclass(frozen=True)
class NoiseSession:
    """One run of the same code against itself.

    ``times`` are typical seconds of a call by case; ``false_alarms`` counts unchanged cases that
    were called slower or faster; ``power`` counts, by planted share such as ``0.05``, slowed cases
    that were called slower; ``covered`` counts intervals that hold 1 where nothing changed.
    ``process_deviation`` is the standard deviation of log-times between processes, a typical one.
    """

    measured_at: str
    torch: str
    threads: Sequence[int]
    replicates: int
    seconds: float
    margin: float
    times: Mapping[str, float]
    false_alarms: Share
    same: Share
    covered: Share
    power: Mapping[str, Share]
    process_deviation: float


@dataclass(frozen=True)
class MachineNoise:
    """All sessions of one machine, oldest first."""

    machine: str
    sessions: Sequence[NoiseSession] = field(default_factory=tuple)

    @property
    def latest(self) -> NoiseSession | None:
        """The newest session."""
        return self.sessions[-1] if self.sessions else None

    def with_session(self, session: NoiseSession) -> MachineNoise:
        """The same and one session more; the oldest are dropped beyond some tens."""
        return MachineNoise(self.machine, (*self.sessions, session)[-_MOST_SESSIONS:])


def between_sessions(noise: MachineNoise | None) -> tuple[float, int] | None:
    """Standard deviation of a case's log-time between sessions, and its degrees of freedom.

    The mean variance over the cases that at least two sessions share, by PyTorch version. Sessions
    are few, and all cases of one were measured together: the degrees of freedom are those of the
    sessions alone. None below two sessions with a case in common.
    """
    if noise is None:
        return None
    by_torch: dict[str, list[NoiseSession]] = {}
    for session in noise.sessions:
        by_torch.setdefault(session.torch, []).append(session)
    squares, weights, freedom = 0.0, 0, 0
    for sessions in by_torch.values():
        shared = [_log_times(sessions, case) for case in dict.fromkeys(_cases(sessions))]
        shared = [logs for logs in shared if len(logs) > 1]
        if not shared:
            continue
        freedom += max(map(len, shared)) - 1
        for logs in shared:
            middle = sum(logs) / len(logs)
            squares += sum((value - middle) ** 2 for value in logs)
            weights += len(logs) - 1
    return (math.sqrt(squares / weights), freedom) if freedom else None


def _cases(sessions: Sequence[NoiseSession]) -> list[str]:
    return [case for session in sessions for case in session.times]


def _log_times(sessions: Sequence[NoiseSession], case: str) -> list[float]:
    return [math.log(session.times[case]) for session in sessions if case in session.times]


def noise_path(machine: str) -> Path:
    """Where the noise of a machine is kept: in the user's data folder."""
    return platformdirs.user_data_path("rnnbench") / "noise" / f"{machine}.json"


def load_noise(machine: str, path: Path | None = None) -> MachineNoise | None:
    """What is stored of a machine, or None.

    Raises:
        UserError: the file is there and is not what `save_noise` writes.
    """
    file = path or noise_path(machine)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); mend or remove it") from None
    try:
        return _from_document(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{file}: is no record of noise that this version reads; remove it and run `rnnbench "
            "noise` again"
        ) from None


def known_noise(environment: Mapping[str, Any]) -> MachineNoise | None:
    """What is stored of the machine that an environment of a result describes.

    Raises:
        UserError: as `load_noise`.
    """
    return load_noise(machine_key(environment))


def save_noise(noise: MachineNoise, path: Path | None = None) -> Path:
    """Store it, as a whole or not at all.

    Raises:
        UserError: the folder cannot be written.
    """
    file = path or noise_path(noise.machine)
    document = {"format": _FORMAT, **asdict(noise)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(document, stream, indent=1)
            os.replace(temporary, file)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise UserError(
            f"{file}: the noise of this machine cannot be stored ({error.strerror}); make the "
            "folder writable"
        ) from None
    return file


def _from_document(document: Mapping[str, Any]) -> MachineNoise:
    if document["format"] != _FORMAT:
        raise ValueError("another format")
    return MachineNoise(
        str(document["machine"]), tuple(_session(entry) for entry in document["sessions"])
    )


def _session(entry: Mapping[str, Any]) -> NoiseSession:
    times = {str(case): float(seconds) for case, seconds in entry["times"].items()}
    if not all(0 < seconds < math.inf for seconds in times.values()):
        raise ValueError("times are seconds above 0")
    return NoiseSession(
        measured_at=str(entry["measured_at"]),
        torch=str(entry["torch"]),
        threads=tuple(int(count) for count in entry["threads"]),
        replicates=int(entry["replicates"]),
        seconds=float(entry["seconds"]),
        margin=float(entry["margin"]),
        times=times,
        false_alarms=_share(entry["false_alarms"]),
        same=_share(entry["same"]),
        covered=_share(entry["covered"]),
        power={str(size): _share(share) for size, share in entry["power"].items()},
        process_deviation=float(entry["process_deviation"]),
    )


def _share(entry: Mapping[str, Any]) -> Share:
    found, of = int(entry["found"]), int(entry["of"])
    if not 0 <= found <= of:
        raise ValueError("a share is found of all")
    return Share(found, of)
