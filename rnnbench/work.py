"""Closed forms of what a case must compute and move, on which every rate is based."""

from __future__ import annotations

from rnnbench.cases import Case
from rnnbench.schema import WIDTHS

__all__ = ["work_of"]


def work_of(case: Case) -> dict[str, int]:
    """Floating-point operations, bytes and tokens of one call, counted from the formula.

    ``flops``: matrix products alone, 2·T·B·G·H·(I + H) for each direction of the first layer and
    2·T·B·G·H·(D·H + H) for each of the others, with G = 1 for a simple cell, 4 for an LSTM and 3
    for a GRU (a multiplication and an addition count as two; biases, activations and products of
    gates are left out). Backward takes two products for each of the forward's, one for the gradient
    of the input and one for that of the weight, so twice the forward. ``flops_recurrent``: the part
    of it that must wait for the step before, 2·T·B·G·H·H each.

    ``bytes``: weights, input, given states, output and final states, each moved once, and in a
    backward pass their gradients too: the least that must move with an unlimited cache. Under
    autocast what goes in is float32, and what comes out is counted in the dtype that it casts to.
    """
    t, b, h = case.seq_len, case.batch, case.hidden_size
    d, gates = case.directions, case.gates
    projections = recurrent = parameters = 0
    features = case.input_size
    for _ in range(case.num_layers):
        projections += d * 2 * t * b * gates * h * features
        recurrent += d * 2 * t * b * gates * h * h
        parameters += d * gates * h * (features + h + (2 if case.bias else 0))
        features = d * h
    states = len(case.states) * case.num_layers * d * b * h
    given = states if case.initial_state == "given" else 0
    moved_in = parameters + t * b * case.input_size + given
    moved_out = t * b * d * h + states
    moved = moved_in * WIDTHS[case.stored_dtype] + moved_out * WIDTHS[case.computed_dtype]
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
        "bytes": bytes_factor * moved,
        "parameters": parameters,
        "tokens": t * b,
        "valid_tokens": t * b,
    }
