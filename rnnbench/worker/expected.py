"""What must come out of a setting, computed by one replicate and read by the others."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rnnbench.cases import Case

__all__ = ["Expected", "expected_of"]


@dataclass(frozen=True, eq=False)
class Expected:
    """What a case must give: float64, or whole numbers, on the CPU, shaped as the case's own.

    ``outputs`` and ``gradients`` by name, the gradients in the order of the model's leaves.
    ``deviations`` has the keys of both: standard deviations of the error that rounding in the
    case's dtype leads to, entry by entry; of a whole number 0 where it is certain, and infinite
    where rounding may decide.
    """

    outputs: dict[str, Tensor]
    gradients: dict[str, Tensor]
    deviations: dict[str, Tensor]


def expected_of(
    case: Case, tensors: Iterable[Tensor], compute: Callable[[], Expected], folder: Path
) -> Expected:
    """What a case must give; from the last answer kept in ``folder`` if it is to these very data.

    Replicates of an environment prepare the same group one after the other, so its answers are
    enough, however large the grid: those of another are removed. ``tensors`` are those of the data.
    """
    group = f"oracle-{_short(case.ground.id)}-"
    path = folder / f"{group}{_short(case.setting.id)}.pt"
    key = {"setting": case.setting.id, "data": _fingerprint(tensors)}
    if path.exists():
        kept = torch.load(path, weights_only=True)
        if kept["key"] == key:
            return Expected(**kept["expected"])
    expected = compute()
    parts = {field.name: getattr(expected, field.name) for field in dataclasses.fields(expected)}
    folder.mkdir(parents=True, exist_ok=True)
    for other in folder.glob("oracle-*.pt"):
        if not other.name.startswith(group):
            other.unlink(missing_ok=True)
    unfinished = folder / f"oracle.{os.getpid()}"
    torch.save({"key": key, "expected": parts}, unfinished)
    os.replace(unfinished, path)
    return expected


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _fingerprint(tensors: Iterable[Tensor]) -> list[float]:
    """Sums that differ when the data do."""
    return [tensor.detach().cpu().double().abs().sum().item() for tensor in tensors]
