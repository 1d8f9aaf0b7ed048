"""The bare layer on sequences of different lengths: packed, padded, or padded and masked by hand.

A batch has T steps, and each sequence its own length (`rnnbench.lengths`); behind its end x is 0,
x (T, B, I) in all layouts. What a case must give, of which the loss is taken of the first two:

    output    after each valid step; behind the end 0 in `packed` and `masked`, and in `padded`
              whatever comes, which nobody compares and which gets no gradient
    last      (B, D H): h of the topmost layer after the last valid step, of a reverse direction
              after the first step, which is its last
    h_n, c_n  (L D, B, H): where the layout has them; each after its sequence's last step

The layouts, all of them inside of what is timed, because who uses them pays for it in each call:

    packed  ``pack_padded_sequence``, the layer, ``pad_packed_sequence``. The lengths lie on the
            CPU, as packing wants them. Without ``_sorted`` lengths it is told
            ``enforce_sorted=False``: it sorts, and the batch comes back in its own order
    padded  the layer over all T steps of all sequences, and ``output[lengths - 1, rows]``
    masked  the mask is made from the lengths. A loop by hand holds its state where a sequence has
            ended (``torch.where`` in each step). ``torch.nn`` cannot, so its output is masked and
            its last valid state picked, as in `padded`

x gets a gradient of 0 behind the end. The oracle is the formula of each sequence alone, up to its
length, in float64. How far rounding may move an entry comes from the whole batch, of which each
step has those sequences alone that have it; both must give the same numbers without rounding.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnbench.cases import Case
from rnnbench.forms import valid_lengths
from rnnbench.implementations import Implementation, Layer
from rnnbench.implementations._formulas import layer_formula
from rnnbench.lengths import is_sorted
from rnnbench.worker.arithmetic import Arithmetic, Results, expected_of_formula
from rnnbench.worker.data import make_data
from rnnbench.worker.expected import Expected
from rnnbench.workloads import Model, Outputs
from rnnbench.workloads._recurrent import double, last_state, layer_names, refuse_bad, state_names

__all__ = [
    "Ragged",
    "last_valid",
    "ragged_data",
    "ragged_expected",
    "ragged_model",
    "why_not_ragged",
]


@dataclasses.dataclass(frozen=True)
class Ragged:
    """What the layer gets; ``lengths`` (B) lie on the CPU, the gradients are those of the loss."""

    weights: tuple[Tensor, ...]
    x: Tensor
    states: tuple[Tensor, ...]
    grad_output: Tensor
    grad_last: Tensor
    lengths: Tensor


def why_not_ragged(case: Case) -> str | None:
    """Why a case of different lengths has no formula here, or None."""
    if case.dropout:
        return "dropout draws its masks by layout, so that no layouts could be compared"
    if case.autocast:
        return "sequences of different lengths have no formula under autocast; give another dtype"
    return None


def ragged_data(case: Case) -> Ragged:
    """Draw what a full batch has, and take away what is behind the end of each sequence."""
    data = make_data(case)
    lengths = torch.tensor(valid_lengths(case))
    behind = _behind(case.seq_len, lengths.to(data.x.device))
    refuse_bad(case.workload, inputs=(data.x, *data.states))
    return Ragged(
        data.weights,
        data.x.detach().masked_fill(behind, 0).requires_grad_(),
        data.states,
        data.grad_output.masked_fill(behind, 0),
        last_state(case, data.grad_states),
        lengths,
    )


def _behind(steps: int, lengths: Tensor) -> Tensor:
    """Which steps are behind the end of a sequence: (T, B, 1)."""
    step = torch.arange(steps, device=lengths.device)
    return (step.unsqueeze(1) >= lengths).unsqueeze(-1)


def last_valid(output: Tensor, lengths: Tensor) -> Tensor:
    """The output after the last valid step of each sequence: (B, H)."""
    return output[lengths - 1, torch.arange(len(lengths), device=lengths.device)]


# --- what is timed


def ragged_model(case: Case, implementation: Implementation, data: Ragged) -> Model:
    """The layer of an implementation, called as the layout says."""
    layer = implementation.build(case, data.weights)
    call = _padded(case, layer, data)
    names: tuple[str, ...] = ("output", "last")
    if case.layout == "packed" or (case.layout == "masked" and implementation.masked == "held"):
        call = _with_states(case, layer, data)
        names += tuple(f"{name}_n" for name in case.states)
    return Model(
        forward=call,
        names=names,
        infer=call,
        inferred=names,
        inputs=(data.x, *data.states),
        parameters=tuple(getattr(layer, "weights", data.weights)),
        cotangents=(data.grad_output, data.grad_last),
    )


def _with_states(case: Case, layer: Layer, data: Ragged) -> Callable[[], Outputs]:
    """Of a layer that ends each sequence itself: a loop that holds its states, or packed."""
    in_order, steps = is_sorted(case.lengths), case.seq_len

    def packed() -> Outputs:
        given = pack_padded_sequence(data.x, data.lengths, enforce_sorted=in_order)
        ran: tuple[Any, ...] = layer(given, *data.states)
        output, _ = pad_packed_sequence(ran[0], total_length=steps)
        final = ran[1:]
        return output, last_state(case, final), *final

    def held() -> Outputs:
        output, *final = layer(data.x, *data.states)
        return output, last_state(case, final), *final

    return packed if case.layout == "packed" else held


def _padded(case: Case, layer: Layer, data: Ragged) -> Callable[[], Outputs]:
    lengths = data.lengths.to(data.x.device)

    def call() -> Outputs:
        output, *_ = layer(data.x, *data.states)
        last = last_valid(output, lengths)
        if case.layout == "masked":
            output = output.masked_fill(_behind(case.seq_len, lengths), 0)
        return output, last

    return call


# --- what must come out


def ragged_expected(case: Case, data: Ragged) -> Expected:
    """What the case must give; see the module.

    Raises:
        RuntimeError: the two ways to compute it differ, which would be a mistake of rnnbench.
    """
    whole = _formula(case, data, _together)
    alone = _formula(case, data, _alone)
    found = expected_of_formula(case, lambda how: (alone if how.exact else whole)(how))
    _require_alike({**found.outputs, **found.gradients}, whole(Arithmetic(case)))
    valid = _valid(case, data.lengths)

    def placed(values: Mapping[str, Tensor], name: str, behind: float = 0.0) -> dict[str, Tensor]:
        full = torch.full((*valid.shape, values[name].shape[-1]), behind, dtype=torch.float64)
        full[valid] = values[name]
        return {**values, name: full}

    ignored = math.inf if case.layout == "padded" else 0.0
    return Expected(
        placed(found.outputs, "output"),
        placed(found.gradients, "x"),
        placed(placed(found.deviations, "x"), "output", ignored),
    )


def _valid(case: Case, lengths: Tensor) -> Tensor:
    """Which steps a sequence has: (T, B)."""
    return ~_behind(case.seq_len, lengths).squeeze(-1)


_Batch = Callable[
    [Arithmetic, Case, Tensor, Sequence[Tensor], Sequence[Tensor], Sequence[int]],
    tuple[Tensor, tuple[Tensor, ...]],
]
"""Output and final states of x, initial states, weights and lengths."""


def _alone(
    how: Arithmetic,
    case: Case,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Sequence[int],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Each sequence by itself, up to its length."""
    outputs, finals = [], []
    for k, length in enumerate(lengths):
        mine = [state[:, k : k + 1] for state in states]
        output, final = layer_formula(how, case, x[:length, k : k + 1], mine, weights)
        outputs.append(pad(output, (0, 0, 0, 0, 0, case.seq_len - length)))
        finals.append(final)
    return torch.cat(outputs, 1), tuple(torch.cat(s, 1) for s in zip(*finals, strict=True))


def _together(
    how: Arithmetic,
    case: Case,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Sequence[int],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The whole batch, step by step."""
    valid = _valid(case, torch.tensor(lengths))
    return layer_formula(how, case, x, states, weights, valid=valid)


def _formula(case: Case, data: Ragged, batch: _Batch) -> Callable[[Arithmetic], Results]:
    """Outputs and gradients; those of output and x at the valid steps alone, in a row."""
    valid = _valid(case, data.lengths)
    given = [double(tensor) for tensor in (data.x, *data.states, *data.weights)]
    cotangents = [double(data.grad_output), double(data.grad_last)]
    names = ["x", *state_names(data.states), *layer_names(case)]
    outputs = ["output", "last", *(f"{name}_n" for name in case.states)]
    parted = 1 + len(data.states)

    def formula(how: Arithmetic) -> Results:
        leaves = [value.clone().requires_grad_() for value in given]
        with torch.enable_grad():
            states, weights = leaves[1:parted], leaves[parted:]
            output, final = batch(how, case, leaves[0], states, weights, data.lengths.tolist())
            found = [how.rounded(v) for v in (output, last_state(case, final), *final)]
            gradients = torch.autograd.grad(found[:2], leaves, cotangents)
        named = dict(zip(outputs, (value.detach() for value in found), strict=True))
        of = dict(zip(names, gradients, strict=True))
        return named | {"output": named["output"][valid]}, of | {"x": of["x"][valid]}

    return formula


_ALIKE = 1e-9
"""Relative to the largest entry, in float64: sums in another order differ by some 1e-15."""


def _require_alike(one: Mapping[str, Tensor], results: Results) -> None:
    for name, other in {**results[0], **results[1]}.items():
        largest = one[name].abs().max().item()
        if not (one[name] - other).abs().max().item() <= _ALIKE * (largest or 1.0):
            raise RuntimeError(
                f"the formula of each sequence alone and that of the batch differ in {name}; "
                "this is a mistake of rnnbench, please report it"
            )
