"""Masks of dropout, fixed where results are verified: drawn alike by a layer and by the oracle."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import dropout

from rnnbench.cases import Case

__all__ = ["fix_masks", "inferred_name", "masks_between_layers"]


def fix_masks(case: Case) -> None:
    """Have the next forward pass draw the masks that the oracle draws; nothing without dropout."""
    if case.dropout:
        torch.manual_seed(case.seed)


def inferred_name(output: str) -> str:
    """What an output of a layer with dropout is called where nothing is dropped."""
    return f"{output} without dropout"


def masks_between_layers(case: Case) -> list[Tensor]:
    """For each layer but the last 1 where its output (T, B, D * H) is kept and 0 where dropped.

    ``torch.nn.RNN`` and loops with ``torch.nn.functional.dropout`` draw them one after the other
    from the device's generator, for a contiguous tensor that begins with time. The CPU's
    generator is as it was afterwards.
    """
    if not case.dropout:
        return []
    ones = torch.ones(
        (case.seq_len, case.batch, case.directions * case.hidden_size),
        dtype=getattr(torch, case.computed_dtype),
        device=case.device,
    )
    with torch.random.fork_rng(devices=[]):
        fix_masks(case)
        drawn = [dropout(ones, case.dropout) for _ in range(case.num_layers - 1)]
    return [mask.cpu().ne(0).to(torch.float64) for mask in drawn]
