"""Verification: whether an implementation's results are the oracle's, up to its dtype's rounding.

**What is compared.** The dtype, shape and device of every tensor, that every entry is finite, and
every entry's value: the outputs of the workload (output and final states, or loss and logits), and
the gradients with respect to the input, the given states and each weight. Whole numbers, such as
decoded tokens, must be equal, except where the oracle says that rounding decides between them.
Where dropout acts between layers, training is compared with the masks fixed
(`rnnbench.worker.masks`), and inference with what nothing was dropped from.

**The tolerance.** Errors of a right implementation come from rounding only, and follow from the
dtype's unit roundoff u (2⁻²⁴ in float32, 2⁻⁵³ in float64, 2⁻⁸ in bfloat16, 2⁻¹¹ in float16) and
from how many numbers are summed. A sum of n products has an error of at most about n u Σ|terms|
(Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., 2002, sections 3.1 and 4.2), but
rounding errors behave like independent random numbers, so that it grows like sqrt(n) u and exceeds
a small multiple of that only with negligible probability (Higham and Mary, *A New Approach to
Probabilistic Rounding Error Analysis*, SIAM J. Sci. Comput. 41, 2019). The oracle therefore carries
along each number the variance of its error, by the rule of section 3.3 of Higham's book (a running
error analysis, with the terms that this very case has, rather than a bound a priori):

- A product of a matrix with n terms in a sum adds ``u_a² n/2 + 3 u²`` times the sum of the squared
  terms and of the squared result. ``u_a`` belongs to the accumulator: u, but at most float32's,
  because matrix products of float16 and bfloat16 are summed in float32. The 3 u² are the rounding
  of the two products and of their sum to the dtype.
- A state is rounded in every step: float16 and bfloat16 implementations keep it in 16 bits. With
  the error of tanh itself, a few units in the last place, that adds (2 u h)².
- An error in h_{t-1} passes to h_t through W_hh and φ'. Variances pass through the squares of both,
  for T steps and L layers, so the tolerance grows with T and L as much as this case's weights let
  an error grow: usually not at all, because W_hh contracts. With up to 16 units, whose W_hh may let
  a direction grow, covariances take the place of variances.
- Backward: the same through the transposed products. φ' of tanh, 1 - h², adds 4 h² times the
  variance of h, and 2 u². φ' of relu is 0 or 1: an entry so near to 0 that its sign is not certain
  has the other slope with the probability that a normal error (of three times the deviation) gives,
  and adds the square of what it passes. In 16 bits that is what counts most, and gradients of relu
  are verified loosely there.
- A weight's gradient is a sum over T steps and B sequences. Some implementations take it in one
  product, others in one for each step, added up in the dtype one after the other. Together that
  adds u_a² T B/2 + u² (T/2 + 3) times the sum of the squared terms and of the squared result.
- Numbers below the normal range, as gradients in float16 are, are rounded to multiples of the
  smallest number; half of it, squared, is added wherever one is stored.

The tolerance of an entry is `SAFETY` times the standard deviation, and a rounding of the largest
entry on top. Errors and tolerances are given relative to the largest magnitude of the oracle's
tensor. In about 5,000 verifications of `nn_rnn` and eager loops on a CPU (random shapes with T 1
to 500, B 1 to 64, H 1 to 512, L 1 to 3, both directions, all dtypes, the very largest combinations
left out) the largest error was a quarter of its tolerance, and 0.41 of it for gradients of relu in
16 bits. There a tolerance can be as large as the gradient, so that a wrong gradient of relu may
pass in float16 and bfloat16; in float32 the tolerances are about 1e-6 to 1e-4.

**Gates and options.** For LSTM and GRU, and for whatever the oracle by hand does not have, the same
terms are drawn as random errors of each operation of the formula (`rnnbench.worker.arithmetic`),
and the deviation of an entry comes from what they did to it. Both ways agree within a factor of two
for the simple cells, and within four for gradients of relu in 16 bits, which drawn errors verify
more loosely. In 764 verifications of `nn_rnn` and eager loops on a CPU (all cells and dtypes,
random shapes with T 1 to 200, B 1 to 64, H 1 to 256, L 1 to 3, both directions, at most one option
of a layer; the larger combinations left out) the largest error was 0.41 of its tolerance, and 0.30
in float32 and float64, where each gradient that was off by 1 % was refused unless it was zero.

**Under autocast** weights and inputs are float32 and are cast for each product, which is one more
rounding of each; all else has the terms of the dtype that is cast to. What the products give stays
in that dtype or is promoted by what it meets: with nn.RNN and nn.LSTM of PyTorch 2.13 on a CPU the
outputs are in 16 bits, with nn.GRU, with loops over gates and with TorchScript in float32. So an
output may be of either dtype, and gradients must be float32. Because float32 throughout would pass
every such tolerance, outputs whose errors are far below what casting makes are refused: another
computation ran than the case says.

**On a GPU** float32 must mean float32: with ``torch.backends.cudnn.allow_tf32`` (on by default) or
``torch.backends.cuda.matmul.allow_tf32``, products have a unit roundoff of 2⁻¹¹, and are refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.worker.expected import Expected

if TYPE_CHECKING:
    from rnnbench.workloads._optimizers import Rule

__all__ = ["SAFETY", "Incorrect", "Verification", "verify", "verify_step", "verify_tensors"]

SAFETY = 12.0
"""Tolerance over standard deviation. Among 10⁸ normal numbers the largest is about 6 deviations."""


class Incorrect(Exception):
    """An implementation's result is not the oracle's; the message names the worst entry."""


@dataclass(frozen=True)
class Verification:
    """How near the results came: for each tensor, the entry that came nearest to its tolerance.

    Both numbers belong to that entry and are relative to the largest magnitude of the oracle's
    tensor.
    """

    tolerance: dict[str, float]
    error: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """As a result file holds it."""
        return {
            "oracle": "float64 formula",
            "tolerance": dict(self.tolerance),
            "error": dict(self.error),
        }


def verify(
    case: Case,
    expected: Expected,
    outputs: Mapping[str, Tensor],
    gradients: Sequence[Tensor | None] | None,
) -> Verification:
    """Check a model's results: outputs by name, ``gradients`` in the oracle's order, or None.

    Raises:
        Incorrect: any of them is not what the oracle says.
    """
    pairs: list[tuple[str, Tensor | None, Tensor]] = [
        (name, got, expected.outputs[name]) for name, got in outputs.items()
    ]
    if gradients is not None:
        if len(gradients) != len(expected.gradients):
            raise Incorrect(
                f"the layer has {len(gradients)} gradients, and {len(expected.gradients)} tensors "
                f"need one: {', '.join(expected.gradients)}"
            )
        pairs += [
            (name, gradient, oracle)
            for (name, oracle), gradient in zip(expected.gradients.items(), gradients, strict=True)
        ]
    compared = {
        name: _compare(
            case, name, got, oracle, expected.deviations[name], gradient=k >= len(outputs)
        )
        for k, (name, got, oracle) in enumerate(pairs)
    }
    if case.autocast:
        _refuse_uncast(case, expected, outputs)
    return Verification(
        tolerance={name: tolerance for name, (_, tolerance) in compared.items()},
        error={name: error for name, (error, _) in compared.items()},
    )


def verify_tensors(
    case: Case,
    got: Mapping[str, Tensor | None],
    expected: Mapping[str, Tensor],
    deviations: Mapping[str, Tensor],
) -> Verification:
    """Check tensors by their names; the first is a result, the others are gradients.

    Raises:
        Incorrect: any of them is not what it must be, or is missing.
    """
    compared = {
        name: _compare(case, name, got.get(name), oracle, deviations[name], gradient=k > 0)
        for k, (name, oracle) in enumerate(expected.items())
    }
    return Verification(
        tolerance={name: tolerance for name, (_, tolerance) in compared.items()},
        error={name: error for name, (error, _) in compared.items()},
    )


def verify_step(
    case: Case,
    expected: Expected,
    rule: Rule,
    before: Sequence[Tensor],
    after: Sequence[Tensor],
    *,
    learning_rate: float,
) -> dict[str, float]:
    """Check that a step moved each weight as its rule says; returns the errors.

    The weights are the last of the oracle's gradients. What stands in their ``.grad`` must be the
    gradient as the optimizer got it.

    Raises:
        Incorrect: a weight is not where its gradient and the rule lead it.
    """
    names = list(expected.gradients)[-len(before) :]
    unit = _unit(case.stored_dtype)
    moved = rule.moved(
        [expected.gradients[name] for name in names],
        [expected.deviations[name] for name in names],
        learning_rate,
        SAFETY,
        unit,
    )
    errors = {}
    for name, old, new, step in zip(names, before, after, moved, strict=True):
        if rule.most_norm is not None:
            label = f"{name}, clipped"
            found = _compare(
                case, label, new.grad, step.gradient, step.gradient_deviation, gradient=True
            )
            errors[label] = found[0]
        oracle = old.detach().cpu().to(torch.float64) + step.change
        deviation = (step.change_deviation**2 + (unit * oracle) ** 2).sqrt()
        label = f"{name} after a step"
        errors[label] = _compare(case, label, new, oracle, deviation, stored=True)[0]
    return errors


def _compare(
    case: Case,
    name: str,
    got: Tensor | None,
    oracle: Tensor,
    deviation: Tensor,
    *,
    gradient: bool = False,
    stored: bool = False,
) -> tuple[float, float]:
    """Error and tolerance of the entry that is nearest to its tolerance, or beyond it.

    ``stored`` is what has the dtype of the weights and was not computed in another.
    """
    what = f"the gradient of {name}" if gradient else name
    if got is None:
        raise Incorrect(f"{what} is missing: no gradient reached it")
    device = torch.device(case.device)
    whole = not oracle.is_floating_point()
    if whole and got.dtype != oracle.dtype:
        raise Incorrect(f"{what} is {_word(got.dtype)}; it must be {_word(oracle.dtype)}")
    right = {case.stored_dtype}
    if not gradient and not stored:
        right.add(case.computed_dtype)
    if not whole and _word(got.dtype) not in right:
        raise Incorrect(f"{what} is {_word(got.dtype)}; the case is {case.dtype}")
    if got.shape != oracle.shape:
        raise Incorrect(f"{what} has shape {tuple(got.shape)}; it must be {tuple(oracle.shape)}")
    if got.device.type != device.type or device.index not in (None, got.device.index):
        raise Incorrect(f"{what} is on {got.device}; the case is on {case.device}")
    if whole:
        return _compare_whole(what, got.detach().cpu(), oracle, deviation)
    values = got.detach().cpu().to(torch.float64)
    largest = oracle.abs().max().item() or 1.0
    unit = _unit(case.stored_dtype if stored else case.computed_dtype)
    tolerance = SAFETY * deviation + unit * largest
    error = (values - oracle).abs()
    # A NaN would be lost in a maximum on some versions, and no error of one is a number.
    ratio = torch.where(torch.isfinite(values), error / tolerance, math.inf)
    here = _index(int(ratio.argmax()), ratio.shape)
    relative_error = error[here].item() / largest
    relative_tolerance = tolerance[here].item() / largest
    # Not "above 1": a tolerance that is no number would let everything pass.
    if not ratio[here] <= 1:
        entry = f"{_entry(what, here)} is {values[here].item():.6g}"
        if not math.isfinite(relative_error):
            raise Incorrect(f"{entry}, the oracle says {oracle[here].item():.6g}")
        raise Incorrect(
            f"{entry}, the oracle says {oracle[here].item():.6g}; error {relative_error:.1e} of "
            f"the largest entry is over the tolerance {relative_tolerance:.1e}"
        )
    return relative_error, relative_tolerance


def _compare_whole(
    what: str, values: Tensor, oracle: Tensor, deviation: Tensor
) -> tuple[float, float]:
    """Whole numbers must be equal wherever their deviation is 0; elsewhere rounding may decide."""
    wrong = (values != oracle) & (deviation == 0)
    if bool(wrong.any()):
        here = _index(int(wrong.int().argmax()), wrong.shape)
        raise Incorrect(
            f"{_entry(what, here)} is {int(values[here])}, the oracle says {int(oracle[here])}"
        )
    return 0.0, 0.0


def _entry(what: str, here: Sequence[int]) -> str:
    return f"{what}[{', '.join(map(str, here))}]" if here else what


_CAST = 3e-3
"""Of a deviation, the least error that shows that autocast acted. In float32 the largest error of
an output is some 1e-5 deviations of bfloat16 and some 1e-4 of float16; with it some tenths or more.
"""


def _refuse_uncast(case: Case, expected: Expected, outputs: Mapping[str, Tensor]) -> None:
    """Refuse outputs that are as exact as if nothing had been cast: another computation."""
    for name, got in outputs.items():
        error = (got.detach().cpu().to(torch.float64) - expected.outputs[name]).abs()
        if (error > _CAST * expected.deviations[name]).any():
            return
    raise Incorrect(
        f"the outputs are as exact as in float32, so nothing was computed in "
        f"{case.computed_dtype}, as {case.dtype} says"
    )


def _index(flat: int, shape: Sequence[int]) -> tuple[int, ...]:
    """The indices of an entry that was found by its number; torch.unravel_index came with 2.2."""
    indices: list[int] = []
    for size in reversed(shape):
        flat, index = divmod(flat, size)
        indices.insert(0, index)
    return tuple(indices)


def _unit(dtype: str) -> float:
    return torch.finfo(getattr(torch, dtype)).eps / 2


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
