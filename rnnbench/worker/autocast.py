"""Whether torch.autocast works here for a case, and the context that it gives."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from rnnbench.cases import Case

__all__ = ["under_autocast", "why_no_autocast"]

_R = TypeVar("_R")


def under_autocast(case: Case, call: Callable[[], _R]) -> Callable[[], _R]:
    """The call inside of the case's autocast, entered anew each time; else the call itself.

    A backward pass of its results runs outside of it, in the dtypes that the forward chose, as
    PyTorch advises.
    """
    if not case.autocast:
        return call
    device = torch.device(case.device).type
    dtype = getattr(torch, case.computed_dtype)

    def cast() -> _R:
        with torch.autocast(device, dtype=dtype):
            return call()

    return cast


def why_no_autocast(case: Case) -> str | None:
    """Why this version has no such autocast on the case's device; None where it has.

    A version that does not know a dtype warns, switches autocast off and computes in float32: so
    a product is asked for its dtype.
    """
    if case.autocast and not _casts(torch.device(case.device).type, case.computed_dtype):
        return (
            f"PyTorch {torch.__version__} has no autocast to {case.computed_dtype} on "
            f"{torch.device(case.device).type}"
        )
    return None


@functools.lru_cache
def _casts(device: str, name: str) -> bool:
    dtype = getattr(torch, name)
    ones = torch.ones(2, 2, device=device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with torch.autocast(device, dtype=dtype):
                return bool(torch.mm(ones, ones).dtype == dtype)
        except (RuntimeError, ValueError):
            return False
