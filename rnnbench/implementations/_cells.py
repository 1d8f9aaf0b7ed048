"""The formula of each cell, once, and one direction of a layer as a loop over its steps.

TorchScript compiles these very functions, so they keep to what TorchScript can read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from rnnbench.cases import Case

__all__ = [
    "OneDirection",
    "Step",
    "activation",
    "hoisted",
    "hoisted_step",
    "one_step",
    "step_by_step",
]

Step = Callable[..., Any]
"""One step of a cell: ``step(x_t, h, w_ih, w_hh, b_ih, b_hh)`` -> next h, and of an LSTM
``step(x_t, h, c, w_ih, w_hh, b_ih, b_hh)`` -> (next h, next c).

x_t is (B, features), a state (B, H), a weight as in the contract; a bias is None where
``case.bias`` is false.
"""

OneDirection = Callable[..., tuple[list[Tensor] | Tensor, list[Tensor]]]
"""``run(x, state, w_ih, w_hh, b_ih, b_hh)`` -> (outputs, final state).

x is (T, B, features), ``state`` and the final state are lists of one tensor (B, H) for each of
``case.states``; the outputs are a list of T tensors (B, H) or one tensor (T, B, H).
"""


def activation(case: Case) -> Callable[[Tensor], Tensor]:
    """φ of a simple cell: tanh or relu."""
    return {"rnn_tanh": torch.tanh, "rnn_relu": torch.relu}[case.cell]


def _lstm(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The next h and c: c = σ(f) c + σ(i) tanh(g), h = σ(o) tanh(c); gates are i, f, g, o."""
    i, f, g, o = gates.chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _gru(projected: Tensor, recurrent: Tensor, h: Tensor) -> Tensor:
    """The next h, (1 - z) n + z h, n = tanh(n_x + r n_h), r and z sigmoids; gates are r, z, n."""
    r_x, z_x, n_x = projected.chunk(3, -1)
    r_h, z_h, n_h = recurrent.chunk(3, -1)
    z = torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + torch.sigmoid(r_x + r_h) * n_h)
    return (1 - z) * n + z * h


def _linear_without_bias(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return linear(x, weight)


def one_step(case: Case) -> Step:
    """The cell as a user writes it, both projections inside; a new function for each call.

    φ(W_ih x_t + b_ih + W_hh h + b_hh) for the simple cells.
    """
    # TorchScript cannot differentiate a linear whose bias is an argument that turns out to be None.
    affine = linear if case.bias else _linear_without_bias
    if case.cell == "lstm":

        def lstm(
            x_t: Tensor,
            h: Tensor,
            c: Tensor,
            w_ih: Tensor,
            w_hh: Tensor,
            b_ih: Tensor | None,
            b_hh: Tensor | None,
        ) -> tuple[Tensor, Tensor]:
            return _lstm(affine(x_t, w_ih, b_ih) + affine(h, w_hh, b_hh), c)

        return lstm
    if case.cell == "gru":

        def gru(
            x_t: Tensor,
            h: Tensor,
            w_ih: Tensor,
            w_hh: Tensor,
            b_ih: Tensor | None,
            b_hh: Tensor | None,
        ) -> Tensor:
            return _gru(affine(x_t, w_ih, b_ih), affine(h, w_hh, b_hh), h)

        return gru
    phi = activation(case)

    def simple(
        x_t: Tensor,
        h: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None,
        b_hh: Tensor | None,
    ) -> Tensor:
        return phi(affine(x_t, w_ih, b_ih) + affine(h, w_hh, b_hh))

    return simple


def step_by_step(step: Step, states: int = 1) -> OneDirection:
    """One direction as a loop that calls ``step`` for each time step; an LSTM has two states."""

    # unbind, not x[t]: the backward of T indexings would fill T tensors as large as x with zeros.
    def one(
        x: Tensor,
        state: list[Tensor],
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None,
        b_hh: Tensor | None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        h = state[0]
        outputs: list[Tensor] = []
        for x_t in x.unbind(0):
            h = step(x_t, h, w_ih, w_hh, b_ih, b_hh)
            outputs.append(h)
        return outputs, [h]

    def two(
        x: Tensor,
        state: list[Tensor],
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None,
        b_hh: Tensor | None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        h, c = state[0], state[1]
        outputs: list[Tensor] = []
        for x_t in x.unbind(0):
            h, c = step(x_t, h, c, w_ih, w_hh, b_ih, b_hh)
            outputs.append(h)
        return outputs, [h, c]

    return two if states == 2 else one


def hoisted(case: Case) -> OneDirection:
    """One direction whose input projections come first, in one product, with what can be added.

    That is both biases, except of a GRU, whose b_hh belongs inside of the product with r.
    """
    if case.cell == "lstm":

        def lstm(
            x: Tensor,
            state: list[Tensor],
            w_ih: Tensor,
            w_hh: Tensor,
            b_ih: Tensor | None,
            b_hh: Tensor | None,
        ) -> tuple[list[Tensor], list[Tensor]]:
            h, c = state
            recurrent = w_hh.t()
            outputs = []
            for projected in linear(x, w_ih, _sum(b_ih, b_hh)).unbind(0):
                h, c = _lstm(torch.addmm(projected, h, recurrent), c)
                outputs.append(h)
            return outputs, [h, c]

        return lstm
    if case.cell == "gru":

        def gru(
            x: Tensor,
            state: list[Tensor],
            w_ih: Tensor,
            w_hh: Tensor,
            b_ih: Tensor | None,
            b_hh: Tensor | None,
        ) -> tuple[list[Tensor], list[Tensor]]:
            (h,) = state
            outputs = []
            for projected in linear(x, w_ih, b_ih).unbind(0):
                h = _gru(projected, linear(h, w_hh, b_hh), h)
                outputs.append(h)
            return outputs, [h]

        return gru
    phi = activation(case)

    def simple(
        x: Tensor,
        state: list[Tensor],
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None,
        b_hh: Tensor | None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        (h,) = state
        recurrent = w_hh.t()
        outputs = []
        for projected in linear(x, w_ih, _sum(b_ih, b_hh)).unbind(0):
            h = phi(torch.addmm(projected, h, recurrent))
            outputs.append(h)
        return outputs, [h]

    return simple


def hoisted_step(case: Case) -> Step:
    """A step of `hoisted` by itself: x_t is what the first product has made of it."""

    def lstm(x_t: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, *_: Any) -> Any:
        return _lstm(torch.addmm(x_t, h, w_hh.t()), c)

    def gru(x_t: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any) -> Any:
        return _gru(x_t, linear(h, w_hh, b_hh), h)

    def simple(x_t: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, *_: Any) -> Any:
        return phi(torch.addmm(x_t, h, w_hh.t()))

    if case.cell in ("lstm", "gru"):
        return lstm if case.cell == "lstm" else gru
    phi = activation(case)
    return simple


def _sum(b_ih: Tensor | None, b_hh: Tensor | None) -> Tensor | None:
    return None if b_ih is None or b_hh is None else b_ih + b_hh
