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

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.worker.expected import Expected

__all__ = ["SAMPLES", "Arithmetic", "Results", "expected_of_formula"]

SAMPLES = 6
"""Runs with errors. A deviation from so few is itself uncertain by a third, which the factor
between deviation and tolerance (`rnnbench.worker.verification.SAFETY`) leaves room for."""

_NORMAL = 1 << 20
"""Normal numbers that errors are read from."""

_NEAR_KINK = 12.0
"""Roundings of a typical pre-activation within which the slope of relu is not certain."""

Results = tuple[dict[str, Tensor], dict[str, Tensor]]
"""Outputs and gradients by name."""


@functools.lru_cache(maxsize=1)
def _normal() -> Tensor:
    return torch.randn(_NORMAL, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Arithmetic:
    """Operations on float64 tensors, exact without a generator."""

    def __init__(self, case: Case, generator: torch.Generator | None = None) -> None:
        info = torch.finfo(getattr(torch, case.computed_dtype))
        self.unit = info.eps / 2
        self.accumulator = min(self.unit, torch.finfo(torch.float32).eps / 2)
        self.smallest = info.tiny * self.unit
        self.steps = case.seq_len
        self.batch = case.batch
        self.casts = case.autocast
        self._generator = generator

    @property
    def exact(self) -> bool:
        """Whether no error is drawn."""
        return self._generator is None

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """``x @ weight.T + bias``; x (…, n), weight (m, n), bias (m) -> (…, m)."""
        result = x @ weight.t() if self.exact else _Linear.apply(x, weight, self)  # type: ignore[no-untyped-call]
        return result if bias is None else self.add(result, self.shared(bias))

    def over_steps(self, weight: Tensor, bias: Tensor | None = None) -> Callable[[Tensor], Tensor]:
        """`linear` with these for each step or for many: their gradient is one sum over all.

        The sum of the squared terms is taken as if the sizes of the two factors were unrelated,
        which saves half of the products.
        """
        if self.exact:
            return lambda x: torch.nn.functional.linear(x, weight, bias)
        uses: list[tuple[Tensor, Tensor]] = []
        token = _OfSteps.apply(weight, bias, self, uses)  # type: ignore[no-untyped-call]
        parts = _Affine.of(weight, bias)
        return lambda x: _Step.apply(x, token, parts, self, uses)  # type: ignore[no-untyped-call]

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
        return self.rounded(function(x), times=2.0)

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

    def cast(self, x: Tensor) -> Tensor:
        """What goes in, as autocast casts it; as it is where there is no autocast."""
        return self.rounded(x) if self.casts else x

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
        """Normal numbers, read from a random place among many: to draw them takes longer."""
        size = like.numel()
        if 2 * size > _NORMAL:
            return torch.randn(like.shape, generator=self._generator, dtype=torch.float64)
        start = int(torch.randint(_NORMAL - size, (), generator=self._generator))
        return _normal()[start : start + size].view(like.shape)

    def draw(self, variance: Tensor) -> Tensor:
        """Errors of that variance, and of the smallest numbers' own rounding."""
        return self.error(variance) * (variance + self.smallest**2).sqrt_()

    def moved(self, x: Tensor, times: float) -> Tensor:
        """``x``, ``times`` roundings off."""
        deviation = x.abs().mul_(times * self.unit).add_(self.smallest)
        return torch.addcmul(x, self.error(x), deviation)

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
        return how.moved(x, there) if there else x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.how.moved(grad, ctx.back), None, None, None


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
        result = how.moved(exact, 2.0)
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
        return how.moved(product, 1.0), None, None


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


@dataclass(frozen=True)
class _Affine:
    """A weight and its bias, with sums of their squares over inputs and over outputs."""

    weight: Tensor
    bias: Tensor | float
    of_output: Tensor
    of_input: Tensor
    bias_squares: Tensor | float

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None) -> _Affine:
        w, squares = weight.detach(), weight.detach().square()
        b = 0.0 if bias is None else bias.detach()
        return cls(w, b, squares.sum(1), squares.sum(0), b**2)


class _OfSteps(torch.autograd.Function):
    """Stands for a weight and its bias in the graph, and gets the gradient of all their uses."""

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        bias: Tensor | None,
        how: Arithmetic,
        uses: list[tuple[Tensor, Tensor]],
    ) -> Tensor:
        ctx.has_bias, ctx.how, ctx.uses = bias is not None, how, uses
        return weight.new_zeros(())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        how: Arithmetic = ctx.how
        rows = torch.cat([row.flatten(0, -2) for _, row in ctx.uses])
        inputs = torch.cat([x.flatten(0, -2) for x, _ in ctx.uses])
        ctx.uses.clear()
        squares = rows.square().sum(0)
        value = rows.t() @ inputs
        terms = squares.unsqueeze(1) * inputs.square().mean(0)
        grad_weight = value + how.draw(how.over_time() * (terms + value.square()))
        if not ctx.has_bias:
            return grad_weight, None, None, None
        value = rows.sum(0)
        return (
            grad_weight,
            value + how.draw(how.over_time() * (squares + value.square())),
            None,
            None,
        )


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        token: Tensor,
        affine: _Affine,
        how: Arithmetic,
        uses: list[tuple[Tensor, Tensor]],
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.affine, ctx.how, ctx.uses = affine, how, uses
        result = x @ affine.weight.t() + affine.bias
        size = x.square().mean(-1, keepdim=True)
        terms = size * affine.of_output + affine.bias_squares
        return result + how.draw(how.of_product(x.shape[-1]) * (terms + result.square()))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        how: Arithmetic = ctx.how
        ctx.uses.append((x, grad))
        grad_x = grad @ ctx.affine.weight
        terms = grad.square().mean(-1, keepdim=True) * ctx.affine.of_input
        grad_x = grad_x + how.draw(how.of_product(grad.shape[-1]) * (terms + grad_x.square()))
        return grad_x, grad.new_zeros(()), None, None, None


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
