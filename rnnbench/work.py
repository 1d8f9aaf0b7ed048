"""Closed forms of what a case must compute and move, on which every rate is based."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from rnnbench.cases import Case
from rnnbench.classifier.settings import CLASSES as TWO_CLASSES
from rnnbench.classifier.settings import Settings
from rnnbench.forms import (
    CLASSES,
    VOCABULARY,
    batches_of,
    segments_of,
    source_lengths,
    stop_lengths,
    target_lengths,
    target_steps,
    valid_lengths,
)
from rnnbench.schema import WIDTHS

__all__ = ["work_of"]

_FACTORS = {
    "inference": (1, 1),
    "forward": (1, 1),
    "backward": (2, 2),
    "forward_backward": (3, 2),
    "training_step": (3, 3),
}
"""By pass, what the forward's products and its bytes are taken times."""


@dataclass(frozen=True)
class _Forward:
    """Of one forward: products in operations, parameters and what moves in numbers, and tokens.

    ``inputs`` are what moves in beside the parameters, ``outputs`` what moves out. ``cut`` are
    products that a backward saves which stops at cut places.
    """

    flops: int
    recurrent: int
    parameters: int
    inputs: int
    outputs: int
    tokens: int
    valid_tokens: int
    cut: int = 0


def work_of(case: Case) -> dict[str, int]:
    """Floating-point operations, bytes and tokens of one call, counted from the formula.

    ``flops``: matrix products alone (a multiplication and an addition count as two; biases,
    activations, products of gates, softmax and loss are left out). Backward takes two products for
    each of the forward's, one for the gradient of each of its factors, so twice the forward; what
    `training.checkpointed` computes again is not needed for the result and not counted.
    ``flops_recurrent``: the part of them that must wait for the step before, 2·T·B·G·H·H for each
    layer and direction.

    ``bytes``: weights, inputs, given states and outputs, each moved once, and in a backward pass
    their gradients too: the least that must move with an unlimited cache. Under autocast what goes
    in is float32, and what comes out is counted in the dtype that it casts to. Labels and tokens, a
    number each where all else has hundreds, are left out.

    ``tokens``: steps of all sequences; ``valid_tokens``: those of them that are no padding.

    By workload, with D directions, W = H·D the width of the layer's output, and G = 1 for a simple
    cell, 4 for an LSTM and 3 for a GRU:

    - the recurrent layer: 2·T·B·G·H·(I + H) for each direction of the first layer and
      2·T·B·G·H·(D·H + H) for each of the others. Where sequences have lengths of their own, N, the
      sum of them, stands for T·B, in bytes too, whatever the layout: what is computed of padding is
      needed for no result.
    - ``many_to_one``: a head of C classes on the last state, 2·B·W·C; with ``every_step`` and in
      ``many_to_many`` and ``training`` on each step, 2·T·B·W·C.
    - ``one_to_many``: a head back to the input's width on each step, 2·T·B·H·I; with ``stop`` one
      more output, 2·T·B·H. All sequences are computed until the longest has ended.
    - ``encoder_decoder``: the layer over T steps and another of the same shape over S; attention,
      two products of 2·S·B·T·H, over padding too; a head of V tokens on state and context,
      2·S·B·2·H·V. Greedy decoding computes the same step by step.
    - ``streaming``: one step, the layer with T = 1.
    - ``classifier``: an epoch, over all of its sequences in place of B: the layer and a head of two
      classes on the last state. Weights move once for each of its training steps.
    """
    forward = _FORWARDS[case.family](case)
    flops_factor, bytes_factor = _FACTORS[case.pass_]
    cut = forward.cut if flops_factor > 1 else 0
    moved_in = (forward.parameters + forward.inputs) * WIDTHS[case.stored_dtype]
    moved_out = forward.outputs * WIDTHS[case.computed_dtype]
    return {
        "flops": flops_factor * forward.flops - cut,
        "flops_recurrent": flops_factor * forward.recurrent - cut,
        "bytes": bytes_factor * (moved_in + moved_out),
        "parameters": forward.parameters,
        "tokens": forward.tokens,
        "valid_tokens": forward.valid_tokens,
    }


def _recurrent(case: Case, tokens: int) -> tuple[int, int, int]:
    """Products, those of them that wait, and parameters of the layer over so many tokens."""
    d, h = case.directions, case.hidden_size
    rows = case.gates * h
    projections = recurrent = parameters = 0
    features = case.input_size
    for _ in range(case.num_layers):
        projections += d * 2 * tokens * rows * features
        recurrent += d * 2 * tokens * rows * h
        parameters += d * rows * (features + h + (2 if case.bias else 0))
        features = d * h
    return projections + recurrent, recurrent, parameters


def _states(case: Case) -> int:
    """Numbers of all states of all layers."""
    each = case.num_layers * case.directions * case.batch * case.hidden_size
    return len(case.states) * each


def _given(case: Case) -> int:
    """Those that the layer is given to begin with."""
    return _states(case) if case.initial_state == "given" else 0


def _layer(case: Case) -> _Forward:
    valid, width = sum(valid_lengths(case)), case.directions * case.hidden_size
    flops, recurrent, parameters = _recurrent(case, valid)
    inputs = valid * case.input_size + _given(case)
    outputs = valid * width + _states(case)
    tokens = case.seq_len * case.batch
    return _Forward(flops, recurrent, parameters, inputs, outputs, tokens, valid)


def _labelling(case: Case, steps: int, classes: int = CLASSES) -> _Forward:
    """The layer, and a head of some classes on so many of its steps."""
    t, b, width = case.seq_len, case.batch, case.directions * case.hidden_size
    flops, recurrent, parameters = _recurrent(case, t * b)
    return _Forward(
        flops + 2 * steps * b * width * classes,
        recurrent,
        parameters + (width + 1) * classes,
        t * b * case.input_size + _given(case),
        steps * b * classes,
        t * b,
        t * b,
        # No gradient goes back from a segment to the state that it was given.
        2 * (segments_of(case) - 1) * case.num_layers * b * case.gates * case.hidden_size**2
        if case.workload == "training.tbptt"
        else 0,
    )


def _many_to_one(case: Case) -> _Forward:
    return _labelling(case, case.seq_len if case.workload == "many_to_one.every_step" else 1)


def _every_step(case: Case) -> _Forward:
    return _labelling(case, case.seq_len)


def _one_to_many(case: Case) -> _Forward:
    t, b, h = case.seq_len, case.batch, case.hidden_size
    stops = case.workload == "one_to_many.stop"
    outputs = case.input_size + (1 if stops else 0)
    flops, recurrent, parameters = _recurrent(case, t * b)
    return _Forward(
        flops + 2 * t * b * h * outputs,
        recurrent,
        parameters + (h + 1) * outputs,
        b * case.input_size + _given(case),
        t * b * case.input_size,
        t * b,
        sum(stop_lengths(case)) if stops else t * b,
    )


def _encoder_decoder(case: Case) -> _Forward:
    t, s, b, h = case.seq_len, target_steps(case), case.batch, case.hidden_size
    encoder, decoder = _recurrent(case, t * b), _recurrent(case, s * b)
    attention = 2 * 2 * s * b * t * h
    head = 2 * s * b * 2 * h * VOCABULARY
    greedy = case.workload == "encoder_decoder.greedy"
    return _Forward(
        encoder[0] + decoder[0] + attention + head,
        encoder[1] + decoder[1],
        encoder[2] + decoder[2] + VOCABULARY * (case.input_size + 2 * h + 1),
        t * b * case.input_size + _given(case),
        0 if greedy else s * b * VOCABULARY,
        (t + s) * b,
        sum(source_lengths(case)) + (s * b if greedy else sum(target_lengths(case))),
    )


def _streaming(case: Case) -> _Forward:
    return _layer(dataclasses.replace(case, seq_len=1))


def _classifier(case: Case) -> _Forward:
    epoch = _labelling(dataclasses.replace(case, batch=Settings.samples), 1, TWO_CLASSES)
    again = (batches_of(case) - 1) * epoch.parameters
    return dataclasses.replace(epoch, inputs=epoch.inputs + again)


_FORWARDS: dict[str, Callable[[Case], _Forward]] = {
    "classifier": _classifier,
    "encoder_decoder": _encoder_decoder,
    "layer": _layer,
    "many_to_many": _every_step,
    "many_to_one": _many_to_one,
    "one_to_many": _one_to_many,
    "streaming": _streaming,
    "training": _every_step,
}
