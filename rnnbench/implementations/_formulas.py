"""The oracle of every cell and option: the formula with drawn errors, its gradients by autograd.

For each layer and direction, σ being the logistic function and ⊙ the product entry by entry:

    rnn_tanh  h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh); rnn_relu with relu
    lstm      i, f, g, o = the four parts of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
              c_t = σ(f) ⊙ c_{t-1} + σ(i) ⊙ tanh(g),   h_t = σ(o) ⊙ tanh(c_t)
    gru       r, z = σ of the first two of three parts of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
              n = tanh(the third of W_ih x_t + b_ih + r ⊙ the third of W_hh h_{t-1} + b_hh)
              h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}

Between layers dropout, where the case has it, with the masks of `rnnbench.worker.masks`. Nothing
here is shared with the implementations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.worker.arithmetic import Arithmetic, Results, expected_of_formula
from rnnbench.worker.data import Data
from rnnbench.worker.expected import Expected
from rnnbench.worker.masks import inferred_name, masks_between_layers

__all__ = ["layer_formula", "oracle_of_formula", "weight_names"]


def oracle_of_formula(case: Case, data: Data) -> Expected:
    """What a case must give; see `rnnbench.implementations.reference.oracle`."""
    masks = masks_between_layers(case)
    states = [f"{name}0" for name in case.states[: len(data.states)]]
    names = ["x", *states, *weight_names(case)]
    outputs = ["output", *(f"{name}_n" for name in case.states)]
    given = [_double(value) for value in (data.x, *data.states, *data.weights)]
    cotangents = [_double(value) for value in (data.grad_output, *data.grad_states)]

    def compute(how: Arithmetic, leaves: Sequence[Tensor], drops: Sequence[Tensor]) -> list[Tensor]:
        x, *others = [how.cast(leaf) for leaf in leaves]
        x = x.transpose(0, 1) if case.batch_first else x
        output, final = layer_formula(
            how, case, x, others[: len(states)], others[len(states) :], drops
        )
        output = output.transpose(0, 1) if case.batch_first else output
        return [how.rounded(value) for value in (output, *final)]

    def formula(how: Arithmetic) -> Results:
        leaves = [value.clone().requires_grad_() for value in given]
        with torch.enable_grad():
            found = compute(how, leaves, masks)
            gradients = torch.autograd.grad(found, leaves, cotangents)
        named = dict(zip(outputs, (value.detach() for value in found), strict=True))
        if masks:
            inferred = compute(how, given, ())
            named |= {
                inferred_name(name): value for name, value in zip(outputs, inferred, strict=True)
            }
        return named, dict(zip(names, gradients, strict=True))

    return expected_of_formula(case, formula)


def layer_formula(
    how: Arithmetic,
    case: Case,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    masks: Sequence[Tensor] = (),
    valid: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The layer; x (T, B, features) -> output (T, B, D * H) and the final states (L * D, B, H).

    Without ``states`` they are zero. ``masks`` are those of dropout between layers, if it acts.
    ``valid`` (T, B) says which steps a sequence has, if not all; the output of others is 0.
    """
    parts = 4 if case.bias else 2
    zero = x.new_zeros(x.shape[1], case.hidden_size)
    final: list[tuple[Tensor, ...]] = []
    inputs = x
    for layer in range(case.num_layers):
        outputs = []
        for direction in range(case.directions):
            k = layer * case.directions + direction
            before = tuple(state[k] for state in states) or (zero,) * len(case.states)
            ran, last = _direction(
                how,
                _CELLS[case.cell],
                inputs.flip(0) if direction else inputs,
                before,
                weights[parts * k : parts * (k + 1)],
                valid.flip(0) if valid is not None and direction else valid,
            )
            final.append(last)
            outputs.append(ran.flip(0) if direction else ran)
        inputs = torch.cat(outputs, -1)
        if masks and layer < case.num_layers - 1:
            inputs = how.multiply(inputs, how.rounded(masks[layer] / (1 - case.dropout)))
    return inputs, tuple(torch.stack(state) for state in zip(*final, strict=True))


_Cell = Callable[[Arithmetic, Tensor, Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]
"""``cell(how, projected, recurrent, state)`` -> the next state.

``projected`` is W_ih x_t + b_ih and ``recurrent`` W_hh h_{t-1} + b_hh.
"""


def _direction(
    how: Arithmetic,
    cell: _Cell,
    x: Tensor,
    state: tuple[Tensor, ...],
    weights: Sequence[Tensor],
    valid: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    w_ih, w_hh, *biases = weights
    b_ih, b_hh = biases or (None, None)
    if valid is not None:
        of_input, of_state = how.over_steps(w_ih, b_ih), how.over_steps(w_hh, b_hh)
        return _direction_of_valid(how, cell, x, state, of_input, of_state, valid)
    of_state = how.over_steps(w_hh, b_hh)
    outputs = []
    for projected in how.over_steps(w_ih, b_ih)(x).unbind(0):
        state = cell(how, projected, of_state(state[0]), state)
        outputs.append(state[0])
    return torch.stack(outputs), state


_Linear = Callable[[Tensor], Tensor]


def _direction_of_valid(
    how: Arithmetic,
    cell: _Cell,
    x: Tensor,
    state: tuple[Tensor, ...],
    of_input: _Linear,
    of_state: _Linear,
    valid: Tensor,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Each step of those sequences alone that have it: nothing is computed of the others."""
    outputs = []
    for x_t, has in zip(x.unbind(0), valid.unbind(0), strict=True):
        before = tuple(part[has] for part in state)
        after = cell(how, of_input(x_t[has]), of_state(before[0]), before)
        state = tuple(p.index_put((has,), new) for p, new in zip(state, after, strict=True))
        outputs.append(torch.zeros_like(state[0]).index_put((has,), after[0]))
    return torch.stack(outputs), state


def _tanh(
    how: Arithmetic, projected: Tensor, recurrent: Tensor, state: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    return (how.apply(torch.tanh, how.add(projected, recurrent)),)


def _relu(
    how: Arithmetic, projected: Tensor, recurrent: Tensor, state: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    return (how.relu(how.add(projected, recurrent)),)


def _lstm(
    how: Arithmetic, projected: Tensor, recurrent: Tensor, state: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    _, c = state
    i, f, g, o = how.add(projected, recurrent).chunk(4, -1)
    kept = how.multiply(how.apply(torch.sigmoid, f), c)
    added = how.multiply(how.apply(torch.sigmoid, i), how.apply(torch.tanh, g))
    c = how.add(kept, added)
    return how.multiply(how.apply(torch.sigmoid, o), how.apply(torch.tanh, c)), c


def _gru(
    how: Arithmetic, projected: Tensor, recurrent: Tensor, state: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    (h,) = state
    r_x, z_x, n_x = projected.chunk(3, -1)
    r_h, z_h, n_h = recurrent.chunk(3, -1)
    r = how.apply(torch.sigmoid, how.add(r_x, r_h))
    z = how.apply(torch.sigmoid, how.add(z_x, z_h))
    n = how.apply(torch.tanh, how.add(n_x, how.multiply(r, n_h)))
    return (how.add(how.multiply(how.rounded(1 - z), n), how.multiply(z, h)),)


_CELLS: dict[str, _Cell] = {"rnn_tanh": _tanh, "rnn_relu": _relu, "lstm": _lstm, "gru": _gru}


def weight_names(case: Case) -> list[str]:
    """``torch.nn``'s names of the weights, in the order of the contract."""
    parts = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if case.bias else ()))
    return [
        f"{part}_l{layer}{suffix}"
        for layer in range(case.num_layers)
        for suffix in ("", "_reverse")[: case.directions]
        for part in parts
    ]


def _double(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().to(torch.float64)
