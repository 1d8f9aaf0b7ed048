r"""What the first step must give: the loss and its gradients in float64, by the formula.

With h the last hidden state of the layer, which `rnnbench.implementations.reference` computes, and
with W and b of the linear layer, for each of B sequences with its class y:

    z = W h + b,   p = softmax(z),   loss = mean(-log p_y)
    ∂z = (p - onehot(y)) / B,   ∂W = Σ ∂z hᵀ,   ∂b = Σ ∂z,   ∂h = Wᵀ ∂z

and from ∂h on the gradients of the layer follow by the reference's back-propagation. Beside each
number stands the standard deviation of the error that rounding explains, by the rules of
`rnnbench.worker.verification`. The error of ∂h that comes from that of the scores is passed on to
the layer's gradients in proportion to their largest entry: they are linear in ∂h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations.reference import oracle
from rnnbench.worker.data import Data
from rnnbench.worker.expected import Expected

__all__ = ["ExpectedStep", "expected_step"]


@dataclass(frozen=True, eq=False)
class ExpectedStep:
    """Values in float64 by name, ``loss`` first, and the deviation of each entry.

    So are ``scores``, those of each sequence, which the loss is made of.
    """

    values: dict[str, Tensor]
    deviations: dict[str, Tensor]
    scores: Tensor
    scores_deviation: Tensor


def expected_step(case: Case, weights: Sequence[Tensor], x: Tensor, labels: Tensor) -> ExpectedStep:
    """The loss of a batch, and its gradients with respect to the classifier's six weights.

    ``x`` is laid out as the case says; ``weights`` are `Scorer.weights`.
    """
    *layer, head, bias = (w.detach().cpu().to(torch.float64) for w in weights)
    state = torch.zeros(1, case.batch, case.hidden_size, dtype=torch.float64)
    forward = _layer(case, layer, x, state)
    h, h_variance = forward.outputs["h_n"][-1], forward.deviations["h_n"][-1] ** 2

    unit = torch.finfo(getattr(torch, case.dtype)).eps / 2
    over_state = unit**2 * (case.hidden_size / 2 + 3)
    over_batch = unit**2 * (case.batch / 2 + 3)

    z = h @ head.t() + bias
    z_variance = (h_variance + over_state * h**2) @ (head**2).t()
    z_variance = z_variance + over_state * (bias**2 + z**2)
    p = torch.softmax(z, 1)
    rows = torch.arange(case.batch)
    wanted = labels.detach().cpu()
    onehot = torch.zeros_like(p)
    onehot[rows, wanted] = 1
    each = -torch.log_softmax(z, 1)[rows, wanted]
    loss = each.mean()
    d_z = (p - onehot) / case.batch
    # ∂p_c/∂z_k = p_c (δ_ck - p_k); p itself is rounded, and subtracting 1 does not lessen that.
    slope = p[:, :, None] * (torch.eye(p.shape[1], dtype=p.dtype) - p[:, None, :])
    d_z_variance = (slope**2 @ z_variance[:, :, None])[:, :, 0] / case.batch**2
    d_z_variance = d_z_variance + (2 * unit * (p + onehot) / case.batch) ** 2
    rounded = 2 * unit * (z.abs().amax(1) + each) / case.batch
    loss_variance = (d_z**2 * z_variance).sum() + (rounded**2).sum() + over_batch * loss**2

    d_h = (d_z @ head)[None]
    backward = _layer(case, layer, x, d_h)
    values = {"loss": loss}
    deviations = {"loss": loss_variance.sqrt()}
    passed_on = float((d_z_variance.sum() / (d_z**2).sum()).sqrt()) + float(over_state**0.5)
    for name, gradient in list(backward.gradients.items())[2:]:
        values[name] = gradient
        more = passed_on * gradient.abs().max()
        deviations[name] = (backward.deviations[name] ** 2 + more**2).sqrt()
    values["head.weight"] = d_z.t() @ h
    values["head.bias"] = d_z.sum(0)
    d_z_variance = d_z_variance + over_batch * d_z**2
    deviations["head.weight"] = (
        d_z_variance.t() @ h**2 + (d_z**2).t() @ h_variance + unit**2 * values["head.weight"] ** 2
    ).sqrt()
    deviations["head.bias"] = (d_z_variance.sum(0) + unit**2 * values["head.bias"] ** 2).sqrt()
    alike = _alike(case, x) ** 0.5
    deviations = {name: alike * deviation for name, deviation in deviations.items()}
    return ExpectedStep(values, deviations, z, z_variance.sqrt())


def _alike(case: Case, x: Tensor) -> float:
    """How many sequences of a batch are equal to one of it, in the mean, itself among them.

    Equal sequences have equal errors, so that m of them add m² to a variance and not m: of 1,000
    sequences of length 3 there are 8 kinds.
    """
    rows = (x if case.batch_first else x.transpose(0, 1)).flatten(1)
    counts = torch.unique(rows, dim=0, return_counts=True)[1]
    return float(counts.square().sum() / counts.sum())


def _layer(case: Case, weights: list[Tensor], x: Tensor, grad_h_n: Tensor) -> Expected:
    """The layer's results and gradients, the loss taking its last state alone."""
    output = torch.zeros(*x.shape[:2], case.hidden_size, dtype=torch.float64)
    state = torch.zeros_like(grad_h_n)
    return oracle(case, Data(tuple(weights), x, (state,), output, (grad_h_n,)))
