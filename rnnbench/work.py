"""Closed forms of what a case must compute and move, on which every rate is based."""

from __future__ import annotations

from rnnbench.cases import Case

__all__ = ["work_of"]

_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


def work_of(case: Case) -> dict[str, int]:
    """Floating-point operations, bytes and tokens of one call, counted from the formula.

    ``flops``: matrix products alone, 2·T·B·H·(I + H) for each direction of the first layer and
    2·T·B·H·(D·H + H) for each of the others (a multiplication and an addition count as two; biases
    and activation are left out). Backward takes two products for each of the forward's, one for the
    gradient of the input and one for that of the weight, so twice the forward. ``flops_recurrent``:
    the part of it that must wait for the step before, 2·T·B·H·H each.

    ``bytes``: weights, input and output, each moved once, and in a backward pass their gradients
    too: the least that must move with an unlimited cache.
    """
    t, b, h = case.seq_len, case.batch, case.hidden_size
    d = case.directions
    projections = recurrent = parameters = 0
    features = case.input_size
    for _ in range(case.num_layers):
        projections += d * 2 * t * b * h * features
        recurrent += d * 2 * t * b * h * h
        parameters += d * (h * features + h * h + 2 * h)
        features = d * h
    moved = parameters + t * b * (case.input_size + d * h) + 2 * case.num_layers * d * b * h
    passes = {
        "inference": (1, 1),
        "forward": (1, 1),
        "backward": (2, 2),
        "forward_backward": (3, 2),
        "training_step": (3, 3),
    }
    flops_factor, bytes_factor = passes[case.pass_]
    return {
        "flops": flops_factor * (projections + recurrent),
        "flops_recurrent": flops_factor * recurrent,
        "bytes": bytes_factor * moved * _BYTES[case.dtype],
        "parameters": parameters,
        "tokens": t * b,
        "valid_tokens": t * b,
    }
