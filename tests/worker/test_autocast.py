"""Autocast acts in the forward alone, and is refused where a version has none."""

import dataclasses
import warnings

import pytest
import torch

from rnnbench.cases import Case
from rnnbench.worker import autocast
from rnnbench.worker.autocast import under_autocast, why_no_autocast

CASE = Case(dtype="autocast_bfloat16")


@pytest.fixture(autouse=True)
def _ask_anew():
    autocast._casts.cache_clear()
    yield
    autocast._casts.cache_clear()


def product() -> torch.dtype:
    return torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype


def test_the_call_runs_under_autocast_and_what_follows_does_not():
    assert under_autocast(CASE, product)() == torch.bfloat16
    assert product() == torch.float32


def test_another_dtype_is_called_as_it_is():
    assert under_autocast(dataclasses.replace(CASE, dtype="float32"), product) is product


def test_a_version_that_casts_is_supported():
    assert why_no_autocast(CASE) is None
    assert why_no_autocast(dataclasses.replace(CASE, dtype="float16")) is None


def test_a_version_that_warns_and_computes_in_float32_is_not(monkeypatch):
    class Disabled:
        def __init__(self, device, dtype):
            warnings.warn("autocast is disabled", stacklevel=1)

        def __enter__(self): ...

        def __exit__(self, *raised): ...

    monkeypatch.setattr(torch, "autocast", Disabled)
    assert why_no_autocast(CASE) == (
        f"PyTorch {torch.__version__} has no autocast to bfloat16 on cpu"
    )


def test_a_version_that_raises_is_not_either(monkeypatch):
    def refuse(device, dtype):
        raise RuntimeError("User specified an unsupported autocast device_type")

    monkeypatch.setattr(torch, "autocast", refuse)
    assert "has no autocast to bfloat16" in why_no_autocast(CASE)
