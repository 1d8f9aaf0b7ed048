"""``reference``: the oracle, never timed: of the simple cells the formula by hand, in float64.

`rnnbench.implementations._formulas` has the other cells and the options. Of the simple cells, for
each layer and direction, with φ tanh or relu and h_0 the given state:

    a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh,    h_t = φ(a_t)

The gradients are those of sum(output * grad_output) + sum(h_n * grad_h_n), by back-propagation
through time. With D_t = ∂loss/∂h_t:

    D_t = (what comes from above) + W_hhᵀ dA_{t+1},    dA_t = D_t φ'(a_t),
    ∂W_ih = Σ dA_t x_tᵀ,   ∂W_hh = Σ dA_t h_{t-1}ᵀ,   ∂b = Σ dA_t,   ∂x_t = W_ihᵀ dA_t

Beside each number stands the variance of the error with which a right implementation in the case's
dtype may compute it: `rnnbench.worker.verification` says where its terms come from. A variance
moves through the same formulas: through a matrix W with the squares of W, through
φ with φ'². The two are kept apart: no line of the formula depends on a variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations._formulas import oracle_of_formula, weight_names
from rnnbench.worker.data import Data
from rnnbench.worker.expected import Expected

__all__ = ["oracle", "oracle_by_hand"]


@dataclass(frozen=True)
class _Rounding:
    """How the case's dtype rounds: see rnnbench.worker.verification."""

    unit: float  # u of the dtype: results, states, and sums over steps
    accumulator: float  # u of the sum inside a matrix product
    smallest: float  # half the distance of the smallest numbers

    @classmethod
    def of(cls, case: Case) -> _Rounding:
        info = torch.finfo(getattr(torch, case.dtype))
        unit = info.eps / 2
        inner = min(unit, torch.finfo(torch.float32).eps / 2)
        return cls(unit, inner, info.tiny * unit)

    def product(self, terms: int) -> float:
        """Variance that a sum of products adds, relative to the sum of the squared terms."""
        return self.accumulator**2 * terms / 2 + 3 * self.unit**2

    def over_time(self, steps: int, batch: int) -> float:
        """The same for a sum over sequences and steps, the steps perhaps one by one."""
        return self.accumulator**2 * steps * batch / 2 + self.unit**2 * (steps / 2 + 3)


@dataclass(frozen=True)
class _Estimate:
    """A tensor and the variances of its errors."""

    value: Tensor
    variance: Tensor

    def __getitem__(self, index: int | slice) -> _Estimate:
        return _Estimate(self.value[index], self.variance[index])

    def flip(self) -> _Estimate:
        return _Estimate(self.value.flip(0), self.variance.flip(0))


@dataclass(frozen=True)
class _Weights:
    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor
    b_hh: Tensor


@dataclass(frozen=True)
class _Run:
    """One direction of one layer, in the direction's own time."""

    weights: _Weights
    inputs: _Estimate  # (T, B, features)
    previous: _Estimate  # h_{t-1}: (T, B, H)
    pre_activations: _Estimate
    states: _Estimate  # h_t


@dataclass(frozen=True)
class _Gradients:
    inputs: _Estimate
    h0: _Estimate
    weights: list[_Estimate]


def oracle(case: Case, data: Data) -> Expected:
    """What a case must give, computed in float64 on the CPU, whatever its device and dtype.

    The gradients have the keys ``x``, ``h0`` (and ``c0``) where a state is given, and then
    ``torch.nn``'s names of the weights, in the order of the contract. Where dropout acts, what
    inference must give has names of its own (`rnnbench.worker.masks.inferred_name`).
    """
    plain = case.bias and case.initial_state == "given" and not case.dropout and not case.autocast
    if plain and case.cell in ("rnn_tanh", "rnn_relu"):
        return oracle_by_hand(case, data)
    return oracle_of_formula(case, data)


def oracle_by_hand(case: Case, data: Data) -> Expected:
    """The oracle of the simple cells with biases and a given state: see the module."""
    x, grad_output = _double(data.x), _double(data.grad_output)
    if case.batch_first:
        x, grad_output = x.transpose(0, 1), grad_output.transpose(0, 1)
    h0, grad_h_n = _double(data.h0), _double(data.grad_h_n)
    weights = [_double(w) for w in data.weights]
    rounding = _Rounding.of(case)
    directions = range(case.directions)

    runs: list[_Run] = []
    inputs = _exact(x)
    for layer in range(case.num_layers):
        for direction in directions:
            k = layer * case.directions + direction
            runs.append(
                _forward(
                    case,
                    rounding,
                    _Weights(*weights[4 * k : 4 * k + 4]),
                    inputs.flip() if direction else inputs,
                    _exact(h0[k]),
                )
            )
        inputs = _join([_in_order(run.states, d) for d, run in enumerate(runs[-len(directions) :])])
    output, h_n = inputs, [run.states[-1] for run in runs]

    from_above = _exact(grad_output)
    gradients: list[_Gradients] = []
    for layer in reversed(range(case.num_layers)):
        of_layer = []
        for direction in directions:
            k = layer * case.directions + direction
            columns = slice(direction * case.hidden_size, (direction + 1) * case.hidden_size)
            mine = _Estimate(from_above.value[..., columns], from_above.variance[..., columns])
            of_layer.append(
                _backward(case, rounding, runs[k], _in_order(mine, direction), grad_h_n[k])
            )
        gradients = of_layer + gradients
        from_above = _add(
            rounding, [_in_order(g.inputs, direction) for direction, g in enumerate(of_layer)]
        )

    named = {"output": output, "h_n": _stack(h_n), "x": from_above}
    named["h0"] = _stack([g.h0 for g in gradients])
    named |= zip(weight_names(case), [w for g in gradients for w in g.weights], strict=True)
    if case.batch_first:
        for name in ("output", "x"):
            estimate = named[name]
            named[name] = _Estimate(
                estimate.value.transpose(0, 1), estimate.variance.transpose(0, 1)
            )
    values = {name: estimate.value for name, estimate in named.items()}
    return Expected(
        {name: values.pop(name) for name in ("output", "h_n")},
        values,
        {name: estimate.variance.sqrt() for name, estimate in named.items()},
    )


def _forward(
    case: Case, rounding: _Rounding, weights: _Weights, inputs: _Estimate, h0: _Estimate
) -> _Run:
    w = weights
    bias = w.b_ih + w.b_hh
    projected = inputs.value @ w.w_ih.t() + bias
    recurrent = w.w_hh.t()

    relative = rounding.product(case.hidden_size + inputs.value.shape[-1])
    projected_variance = (inputs.variance + relative * inputs.value**2) @ (w.w_ih**2).t()
    projected_variance += relative * (w.b_ih**2 + w.b_hh**2) + rounding.smallest**2
    h_error = _no_error(h0.value)

    previous, pre_activations, states = [], [], []
    h = h0
    for t in range(case.seq_len):
        previous.append(h)
        a = projected[t] + h.value @ recurrent
        error = _through(_plus(h_error, relative * h.value**2), recurrent)
        error = _plus(error, projected_variance[t] + relative * a**2)
        variance = _variance(error)
        if case.cell == "rnn_tanh":
            value = torch.tanh(a)
            slope = 1 - value**2
        else:
            value = torch.relu(a)
            slope = _probably_positive(a, variance).sqrt()
        h_error = _plus(_times(error, slope), (2 * rounding.unit * value) ** 2)
        h = _Estimate(value, _variance(h_error))
        pre_activations.append(_Estimate(a, variance))
        states.append(h)
    return _Run(weights, inputs, _stack(previous), _stack(pre_activations), _stack(states))


def _backward(
    case: Case, rounding: _Rounding, run: _Run, from_above: _Estimate, grad_h_n: Tensor
) -> _Gradients:
    w, h, a = run.weights, run.states, run.pre_activations
    if case.cell == "rnn_tanh":
        slope = 1 - h.value**2
        slope_variance = 4 * h.value**2 * h.variance + 2 * rounding.unit**2
    else:
        slope = (a.value > 0).to(a.value)
        # A state that rounding may push over the kink has the other slope with that probability;
        # for three times the deviation, because a single flip is all or nothing.
        slope_variance = _probably_positive(-a.value.abs(), 9 * a.variance)

    relative = rounding.product(case.hidden_size)
    steps = []
    grad_h, error = grad_h_n, _no_error(grad_h_n)
    for t in reversed(range(case.seq_len)):
        grad_h = from_above.value[t] + grad_h
        error = _plus(error, from_above.variance[t] + (rounding.unit * grad_h) ** 2)
        d_a = grad_h * slope[t]
        # The variance of a product of two independent numbers, exactly: where relu's slope is 0
        # and may be 1, the product of the two variances is all there is.
        added = (_variance(error) + grad_h**2) * slope_variance[t]
        added = added + (2 * rounding.unit * d_a) ** 2 + rounding.smallest**2
        error = _plus(_times(error, slope[t]), added)
        steps.append(_Estimate(d_a, _variance(error)))
        grad_h = d_a @ w.w_hh
        error = _through(_plus(error, relative * d_a**2), w.w_hh)
        error = _plus(error, relative * grad_h**2 + rounding.smallest**2)
    d_as = _stack(steps[::-1])

    value = d_as.value @ w.w_ih
    relative = rounding.product(case.hidden_size)
    variance = (d_as.variance + relative * d_as.value**2) @ w.w_ih**2 + relative * value**2
    grad_inputs = _Estimate(value, variance + rounding.smallest**2)

    ones = torch.ones(case.seq_len, case.batch, 1, dtype=torch.float64)
    bias = _summed(case, rounding, d_as, _exact(ones))
    grad_bias = _Estimate(bias.value[:, 0], bias.variance[:, 0])
    return _Gradients(
        grad_inputs,
        _Estimate(grad_h, _variance(error)),
        [
            _summed(case, rounding, d_as, run.inputs),
            _summed(case, rounding, d_as, run.previous),
            grad_bias,
            grad_bias,
        ],
    )


def _summed(case: Case, rounding: _Rounding, d_as: _Estimate, factor: _Estimate) -> _Estimate:
    """Σ over steps and sequences of dA ⊗ factor: a weight's gradient."""
    d_a, d_a_variance = d_as.value.flatten(0, 1), d_as.variance.flatten(0, 1)
    f, f_variance = factor.value.flatten(0, 1), factor.variance.flatten(0, 1)
    value = d_a.t() @ f
    relative = rounding.over_time(case.seq_len, case.batch)
    # Of the products of two independent numbers, exactly, as in `_backward`.
    variance = (d_a_variance + relative * d_a**2).t() @ f**2
    variance += (d_a**2 + d_a_variance).t() @ f_variance
    variance += relative * value**2 + case.seq_len * rounding.smallest**2
    return _Estimate(value, variance)


# The error of a state is its variances (B, H), or, for few units, its covariances (B, H, H). Errors
# that a step makes are independent, and products with many units keep them about so. With few, W_hh
# often lets one direction of the error grow and hardly the others, which variances cannot see.
_COVARIANCES_UP_TO = 16


def _no_error(state: Tensor) -> Tensor:
    batch, units = state.shape
    few = units <= _COVARIANCES_UP_TO
    return torch.zeros((batch, units, units) if few else (batch, units), dtype=torch.float64)


def _variance(error: Tensor) -> Tensor:
    return error if error.dim() == 2 else error.diagonal(dim1=-2, dim2=-1)


def _plus(error: Tensor, variance: Tensor) -> Tensor:
    """With an independent error added."""
    return error + (variance if error.dim() == 2 else torch.diag_embed(variance))


def _times(error: Tensor, factor: Tensor) -> Tensor:
    """Of the numbers times ``factor``."""
    if error.dim() == 2:
        return error * factor**2
    return error * factor.unsqueeze(-1) * factor.unsqueeze(-2)


def _through(error: Tensor, matrix: Tensor) -> Tensor:
    """Of ``numbers @ matrix``."""
    return error @ matrix**2 if error.dim() == 2 else matrix.t() @ error @ matrix


def _probably_positive(a: Tensor, variance: Tensor) -> Tensor:
    """The probability that ``a`` with a normal error is above 0."""
    tiny = torch.finfo(torch.float64).tiny
    return 0.5 * torch.erfc(-a / (2 * variance + tiny).sqrt())


def _double(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().to(torch.float64)


def _exact(value: Tensor) -> _Estimate:
    return _Estimate(value, torch.zeros_like(value))


def _stack(parts: list[_Estimate]) -> _Estimate:
    return _Estimate(
        torch.stack([part.value for part in parts]), torch.stack([part.variance for part in parts])
    )


def _join(parts: list[_Estimate]) -> _Estimate:
    return _Estimate(
        torch.cat([part.value for part in parts], -1),
        torch.cat([part.variance for part in parts], -1),
    )


def _add(rounding: _Rounding, parts: list[_Estimate]) -> _Estimate:
    value = torch.stack([part.value for part in parts]).sum(0)
    variance = torch.stack([part.variance for part in parts]).sum(0)
    return _Estimate(value, variance + rounding.unit**2 * value**2)


def _in_order(estimate: _Estimate, direction: int) -> _Estimate:
    """From the layer's time to a direction's own and back: direction 1 runs in reverse."""
    return estimate.flip() if direction else estimate
