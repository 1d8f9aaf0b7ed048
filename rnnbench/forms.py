"""Sizes of the sequence forms that follow from a case and are no column of it.

Standard library only: the worker draws its data by them, the coordinator counts work by them.
"""

from __future__ import annotations

import math

from rnnbench.cases import Case
from rnnbench.classifier.settings import Settings
from rnnbench.lengths import lengths_of

__all__ = [
    "CLASSES",
    "PADDING",
    "START",
    "VOCABULARY",
    "batches_of",
    "segments_of",
    "source_lengths",
    "steps_of",
    "stop_lengths",
    "target_lengths",
    "target_steps",
    "valid_lengths",
]

CLASSES = 10
"""Classes of a sequence in `many_to_one`, of each step in `many_to_many` and `training`."""

VOCABULARY = 32
"""Tokens that the decoder of `encoder_decoder` chooses from, the two below among them."""

PADDING, START = 0, 1
"""Tokens that no target is: what fills a target up, and what the decoder is given first."""

_MOST_SEGMENTS = 4


def valid_lengths(case: Case) -> tuple[int, ...]:
    """Valid steps of each sequence of the bare layer: T, or as the column lengths says."""
    return lengths_of(case.lengths, case.seq_len, case.batch, case.seed)


def target_steps(case: Case) -> int:
    """S, the steps of the decoder of `encoder_decoder`: half of T, and one."""
    return case.seq_len // 2 + 1


def source_lengths(case: Case) -> tuple[int, ...]:
    """Valid steps of each sequence that the encoder reads: from T down to about half of it."""
    return _spread(case.seq_len, case.batch)


def target_lengths(case: Case) -> tuple[int, ...]:
    """Valid steps of each target of the decoder: the longest belongs to the shortest source."""
    return _spread(target_steps(case), case.batch)[::-1]


def stop_lengths(case: Case) -> tuple[int, ...]:
    """Steps after which each sequence of `one_to_many.stop` has ended; the longest takes T."""
    return _spread(case.seq_len, case.batch)


def segments_of(case: Case) -> int:
    """Parts of equal length that `training.tbptt` and `.checkpointed` cut a sequence into.

    As many as there can be up to four; 1 where T has no such divisor.
    """
    return max(k for k in range(1, _MOST_SEGMENTS + 1) if case.seq_len % k == 0)


def batches_of(case: Case) -> int:
    """Training steps of an epoch of `classifier`; the last one has fewer sequences if need be."""
    return math.ceil(Settings.samples / case.batch)


def steps_of(case: Case) -> int:
    """Steps that follow each other in what is profiled of a call.

    In `streaming` a call is one step; of an epoch of `classifier` one training step is profiled.
    """
    if case.family == "streaming":
        return 1
    decodes = case.family == "encoder_decoder"
    return case.seq_len + (target_steps(case) if decodes else 0)


def _spread(longest: int, batch: int) -> tuple[int, ...]:
    return tuple(max(1, longest - longest * k // (2 * batch)) for k in range(batch))
