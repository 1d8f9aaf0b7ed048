"""Float64 operations that can carry the rounding errors of another dtype, as random numbers.

A formula that is written in these operations runs twice: exactly, which gives what must come out,
and some times with an error drawn for each operation, which shows how far a right implementation in
the case's dtype may lie from that (Monte Carlo arithmetic: Parker, *Monte Carlo Arithmetic:
exploiting randomness in floating-point arithmetic*, UCLA CSD-970002, 1997; rounding errors behave
like independent random numbers: Higham and Mary, SIAM J. Sci. Comput. 41, 2019). Gradients come
from autograd over the same operations, each of which draws errors on its way back too.

How large the errors are follows the rules that `rnnbench.worker.verification` derives: a product of
n terms errs by ``u_a² n/2 + 3 u²`` times the squared terms and the squared result, in the variance;
a weight's gradient, which some implementations add up step by step, by ``u_a² T B/2 + u² (T/2 +
3)``; any other operation by the rounding of its result, functions by twice that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.worker.expected import Expected

__all__ = ["SAMPLES", "Arithmetic", "Results", "expected_of_formula"]

SAMPLES = 6
"""Runs with errors. A deviation from so few is itself uncertain by a third, which the factor
between deviation and tolerance (`rnnbench.worker.verification.SAFETY`) leaves room for."""

_NEAR_KINK = 30.0
"""Roundings of a typical pre-activation within which the slope of relu is not certain."""

Results = tuple[dict[str, Tensor], dict[str, Tensor]]
"""Outputs and gradients by name."""


class Arithmetic:
    """Operations on float64 tensors, exact without a generator."""

    def __init__(self, case: Case, generator: torch.Generator | None = None) -> None:
        info = torch.finfo(getattr(torch, case.dtype.removeprefix("autocast_")))
        self.unit = info.eps / 2
        self.accumulator = min(self.unit, torch.finfo(torch.float32).eps / 2)
        self.smallest = info.tiny * self.unit
        self.steps = case.seq_len
        self.batch = case.batch
        self._generator = generator

    @property
    def exact(self) -> bool:
        """Whether no error is drawn."""
        return self._generator is None

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """``x @ weight.T + bias``; x (…, n), weight (m, n), bias (m) -> (…, m)."""
        result = x @ weight.t() if self.exact else _Linear.apply(x, weight, self)  # type: ignore[no-untyped-call]
        return result if bias is None else self.add(result, self.shared(bias))

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """A batched matrix product; a (…, n, k), b (…, k, m) -> (…, n, m)."""
        return a @ b if self.exact else _Product.apply(a, b, self)  # type: ignore[no-untyped-call]

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """``a + b``."""
        return self.rounded(a + b)

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        """``a * b``."""
        return self.rounded(a * b)

    def apply(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """A smooth function of each entry or row, such as tanh, sigmoid or exp."""
        if function in _SLOPES and not self.exact:
            return _FromOutput.apply(x, self, function)  # type: ignore[no-untyped-call,no-any-return]
        return self.rounded(self.rounded(function(x)))

    def relu(self, x: Tensor) -> Tensor:
        """relu, whose slope is drawn where rounding may move an entry over the kink."""
        if self.exact:
            return torch.relu(x)
        return self.rounded(_Relu.apply(x, self))  # type: ignore[no-untyped-call]

    def mean(self, x: Tensor) -> Tensor:
        """The mean of all entries, summed in the dtype."""
        if self.exact:
            return x.mean()
        # Its gradient is a constant that is rounded once, however many entries there are.
        return _Rounded.apply(x.mean(), self, 1 + math.sqrt(x.numel()) / 2, 1.0)  # type: ignore[no-untyped-call,no-any-return]

    def shared(self, weight: Tensor) -> Tensor:
        """A weight that every step and sequence adds to its result: its gradient is a long sum."""
        if self.exact:
            return weight
        return _Rounded.apply(weight, self, 0.0, math.sqrt(self.steps / 2 + 3))  # type: ignore[no-untyped-call,no-any-return]

    def rounded(self, x: Tensor, times: float = 1.0) -> Tensor:
        """``x`` as it is stored, ``times`` roundings off; so is its gradient."""
        if self.exact:
            return x
        return _Rounded.apply(x, self, times, times)  # type: ignore[no-untyped-call,no-any-return]

    def error(self, like: Tensor) -> Tensor:
        """Normal numbers."""
        return torch.randn(like.shape, generator=self._generator, dtype=torch.float64)

    def draw(self, variance: Tensor) -> Tensor:
        """Errors of that variance, and of the smallest numbers' own rounding."""
        return self.error(variance) * (variance + self.smallest**2).sqrt()

    def of_product(self, terms: int) -> float:
        """Variance that a sum of products adds, relative to the squared terms."""
        return self.accumulator**2 * terms / 2 + 3 * self.unit**2

    def over_time(self) -> float:
        """The same for a sum over steps and sequences, the steps perhaps one by one."""
        return self.accumulator**2 * self.steps * self.batch / 2 + self.unit**2 * (
            self.steps / 2 + 3
        )


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, how: Arithmetic, there: float, back: float) -> Tensor:
        ctx.how, ctx.back = how, back
        return x + how.draw((there * how.unit * x) ** 2) if there else x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return grad + ctx.how.draw((ctx.back * ctx.how.unit * grad) ** 2), None, None, None


_SLOPES: dict[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]] = {
    torch.tanh: lambda y: 1 - y * y,
    torch.sigmoid: lambda y: y * (1 - y),
}
"""Slopes that are computed from the stored result: where that is near 1, the slope is small and has
lost most of its digits."""


class _FromOutput(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, how: Arithmetic, function: Callable[[Tensor], Tensor]
    ) -> Tensor:
        exact = function(x)
        result: Tensor = exact + how.draw(2 * (how.unit * exact) ** 2)
        ctx.save_for_backward(result)
        ctx.how, ctx.function = how, function
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (result,) = ctx.saved_tensors
        how: Arithmetic = ctx.how
        slope = _SLOPES[ctx.function](result)
        # Both the square and the difference are rounded, of which 1 is the larger part.
        slope = slope + how.draw(2 * (how.unit * result) ** 2)
        product = grad * slope
        return product + how.draw((how.unit * product) ** 2), None, None


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, how: Arithmetic) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = how
        return _with_error(how, x, weight.t(), how.of_product(x.shape[-1]))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        how: Arithmetic = ctx.how
        grad_x = _with_error(how, grad, weight, how.of_product(grad.shape[-1]))
        rows, inputs = grad.flatten(0, -2), x.flatten(0, -2)
        grad_weight = _with_error(how, rows.t(), inputs, how.over_time())
        return grad_x, grad_weight, None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, how: Arithmetic) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.how = how
        return _with_error(how, a, b, how.of_product(a.shape[-1]))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, b = ctx.saved_tensors
        how: Arithmetic = ctx.how
        grad_a = _with_error(how, grad, b.transpose(-1, -2), how.of_product(grad.shape[-1]))
        grad_b = _with_error(how, a.transpose(-1, -2), grad, how.of_product(grad.shape[-2]))
        return grad_a, grad_b, None


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, how: Arithmetic) -> Tensor:
        near = x.abs() < _NEAR_KINK * how.unit * x.square().mean().sqrt()
        # Either slope with the same chance where the sign is not certain.
        slope = torch.where(near, how.error(x) > 0, x > 0)
        ctx.save_for_backward(slope)
        return torch.relu(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        return grad * slope, None


def _with_error(how: Arithmetic, a: Tensor, b: Tensor, relative: float) -> Tensor:
    """``a @ b`` with an error of ``relative`` times the squared terms and the squared result."""
    result = a @ b
    error: Tensor = how.draw(relative * (a.square() @ b.square() + result.square()))
    return result + error


def expected_of_formula(case: Case, formula: Callable[[Arithmetic], Results]) -> Expected:
    """What a formula gives exactly, and how far rounding may move each entry.

    ``formula`` computes outputs and gradients, float64 on the CPU, in the arithmetic that it gets.
    An entry's variance is the mean of its own over the samples and of the whole tensor's, because
    few samples say little about one entry.
    """
    outputs, gradients = formula(Arithmetic(case))
    exact = {**outputs, **gradients}
    squares = {name: torch.zeros_like(value) for name, value in exact.items()}
    generator = torch.Generator().manual_seed(case.seed + 1)
    for _ in range(SAMPLES):
        found = formula(Arithmetic(case, generator))
        sampled: Mapping[str, Tensor] = {**found[0], **found[1]}
        for name, value in exact.items():
            squares[name] += (sampled[name] - value).square() / SAMPLES
    deviations = {name: ((square + square.mean()) / 2).sqrt() for name, square in squares.items()}
    return Expected(outputs, gradients, deviations)
