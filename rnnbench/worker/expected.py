"""The oracle's answer for a setting, computed by one replicate and read by the others."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import torch

from rnnbench.cases import Case
from rnnbench.implementations.reference import Expected, oracle
from rnnbench.worker.data import Data

__all__ = ["expected_of"]


def expected_of(case: Case, data: Data, folder: Path) -> Expected:
    """What a case must give; from the last answer kept in ``folder`` if it is to these very data.

    Replicates of an environment prepare the same setting one after the other, so one kept answer
    is enough, however large the grid.
    """
    path = folder / "oracle.pt"
    key = {"setting": case.setting.id, "data": _fingerprint(data)}
    if path.exists():
        kept = torch.load(path, weights_only=True)
        if kept["key"] == key:
            return Expected(**kept["expected"])
    expected = oracle(case, data)
    parts = {field.name: getattr(expected, field.name) for field in dataclasses.fields(expected)}
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"oracle.{os.getpid()}"
    torch.save({"key": key, "expected": parts}, unfinished)
    os.replace(unfinished, path)
    return expected


def _fingerprint(data: Data) -> list[float]:
    """Sums that differ when the data do."""
    tensors = (*data.weights, data.x, data.h0, data.grad_output, data.grad_h_n)
    return [tensor.detach().cpu().double().abs().sum().item() for tensor in tensors]
