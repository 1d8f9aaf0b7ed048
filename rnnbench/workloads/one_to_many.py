"""``one_to_many``: one vector unrolled into a sequence, each output fed back as the next input.

With x (B, I) the vector, y_0 = x and the layer called for one step at a time,

    h_t = layer(y_{t-1}, h_{t-1}),    y_t = W_y h_t + b_y,    loss = mean((y_t - target_t)²)

for a fixed length of T steps; the sequence is (T, B, I) or (B, T, I). Gradients go back through the
states and through the outputs that were fed back.

The variant ``stop`` has a stop condition, for inference: after each step a sequence spends
p_t = sigmoid(w_s h_t + b_s) of a budget that it is given, and ends when that is spent (a halting
unit: Graves, *Adaptive Computation Time for Recurrent Neural Networks*, 2016). What is behind a
sequence's end is 0, and the loop ends with the last sequence, for which it looks after each step.
Budgets are such that sequences end after `rnnbench.forms.stop_lengths` steps, the longest after T,
so that over the fixed length the ratio shows what the condition costs and not what it saves: w_s is
so small that all p_t are near 1/2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear, mse_loss

from rnnbench.cases import Case
from rnnbench.forms import stop_lengths
from rnnbench.implementations import Implementation
from rnnbench.implementations._formulas import layer_formula
from rnnbench.worker.arithmetic import Arithmetic, Results, expected_of_formula
from rnnbench.worker.expected import Expected
from rnnbench.worker.verification import SAFETY
from rnnbench.workloads import Model, Outputs
from rnnbench.workloads._forms import Form, own_weights, with_loss, without_loss
from rnnbench.workloads._heads import HEAD
from rnnbench.workloads._recurrent import (
    Draw,
    Recurrent,
    by_step,
    called,
    double,
    expected_of_loss,
    last_state,
    layer_names,
    one_step_case,
    refuse_bad,
    state_names,
    time_dim,
    why_not_decided,
    why_not_formed,
    why_not_stepped,
)

__all__ = ["VARIANTS", "WORKLOAD", "Unrolled"]

_STOP = ("stop.weight", "stop.bias")


@dataclass(frozen=True)
class Unrolled:
    """The layer's data for one step, with the vector that starts and what is to come of it.

    ``x`` (B, I); ``targets`` (T, B, I) or (B, T, I); ``budget`` (B). The last weights are the
    head's, (I, H) and (I), and for ``stop`` behind them the halting unit's, (1, H) and (1).
    """

    weights: tuple[Tensor, ...]
    x: Tensor
    states: tuple[Tensor, ...]
    targets: Tensor
    budget: Tensor


def _data(case: Case, *, stops: bool) -> Unrolled:
    layer = Recurrent.of(one_step_case(case))
    draw = Draw(case, layer.x)
    t, b, i, h = case.seq_len, case.batch, case.input_size, case.hidden_size
    head = draw.linear(i, h)
    targets = by_step(case, draw.normal(t, b, i)).contiguous()
    # |w_s h| is at most 1/(2 T) with states up to 1, which over T steps is a quarter of a step.
    halt = (draw.uniform(0.5 / (t * h), 1, h), draw.uniform(0.0, 1)) if stops else ()
    lengths = torch.tensor(stop_lengths(case), dtype=torch.float64)
    x = layer.x.detach().reshape(b, i).clone().requires_grad_()
    refuse_bad(case.workload, inputs=(x, *layer.states, targets))
    return Unrolled(
        (*layer.weights, *head, *halt), x, layer.states, targets, draw.place((lengths - 0.5) / 2)
    )


def _unrolled(
    how: Arithmetic, case: Case, leaf: Mapping[str, Tensor], states: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """The formula of T steps: outputs (T, B, I) and the topmost states (T, B, H)."""
    weights = [leaf[name] for name in layer_names(case)]
    y, ys, hs = leaf["x"], [], []
    for _ in range(case.seq_len):
        output, states = layer_formula(how, case, y.unsqueeze(0), states, weights)
        hs.append(output.squeeze(0))
        y = how.linear(hs[-1], *(leaf[name] for name in HEAD))
        ys.append(y)
    return torch.stack(ys), torch.stack(hs)


class _OneToMany(Form):
    """Both variants; what they share is how a step is made."""

    def unsupported(self, case: Case, implementation: Implementation) -> str | None:
        if case.layout == "batch_first_view":
            return "one vector has no layout of its own to be seen through a view"
        return why_not_formed(case, one_direction=True) or why_not_stepped(implementation)

    def data(self, case: Case) -> Unrolled:
        return _data(case, stops=False)

    def expected(self, case: Case, data: Unrolled) -> Expected:
        names = state_names(data.states)
        targets = double(by_step(case, data.targets))

        def compute(how: Arithmetic, leaf: Mapping[str, Tensor]) -> dict[str, Tensor]:
            ys, _ = _unrolled(how, case, leaf, tuple(leaf[name] for name in names))
            difference = how.add(ys, -targets)
            loss = how.mean(how.multiply(difference, difference))
            return {"loss": loss, "sequence": by_step(case, ys)}

        return expected_of_loss(
            case,
            dict(zip(("x", *names), (data.x, *data.states), strict=True)),
            dict(zip((*layer_names(case), *HEAD), data.weights, strict=True)),
            compute,
        )

    def model(self, case: Case, implementation: Implementation, data: Unrolled) -> Model:
        given, head = data.weights[:-2], data.weights[-2:]
        layer = implementation.build(one_step_case(case), given)
        dim = time_dim(case)

        def sequence() -> Tensor:
            y, states, ys = data.x, data.states, []
            for _ in range(case.seq_len):
                _, states = called(layer, y.unsqueeze(dim), states)
                y = linear(last_state(case, states), *head)
                ys.append(y)
            return torch.stack(ys, dim)

        return with_loss(
            sequence,
            lambda found: mse_loss(found, data.targets),
            "sequence",
            (data.x, *data.states),
            (*own_weights(layer, given), *head),
        )


class _Stop(_OneToMany):
    passes = ("inference",)

    def unsupported(self, case: Case, implementation: Implementation) -> str | None:
        return super().unsupported(case, implementation) or why_not_decided(case)

    def data(self, case: Case) -> Unrolled:
        return _data(case, stops=True)

    def expected(self, case: Case, data: Unrolled) -> Expected:
        names = (*layer_names(case), *HEAD, *_STOP)
        leaf = {name: double(w) for name, w in zip(names, data.weights, strict=True)}
        leaf["x"] = double(data.x)
        states = tuple(double(state) for state in data.states)
        budget = double(data.budget)
        lengths = torch.tensor(stop_lengths(case))
        # (T, B): whether a sequence has not ended before the step.
        runs = torch.arange(case.seq_len).unsqueeze(-1) < lengths

        def formula(how: Arithmetic) -> Results:
            ys, hs = _unrolled(how, case, leaf, states)
            scores = how.linear(hs, *(leaf[name] for name in _STOP)).squeeze(-1)
            spent = torch.zeros_like(budget)
            left = []
            for p in how.apply(torch.sigmoid, scores).unbind(0):
                spent = how.add(spent, p)
                left.append(budget - spent)
            sequence = by_step(case, ys * runs.unsqueeze(-1))
            return {"sequence": sequence, "left": torch.stack(left)}, {}

        found = expected_of_formula(case, formula)
        left, doubt = found.outputs.pop("left"), SAFETY * found.deviations.pop("left")
        goes_on = torch.arange(1, case.seq_len + 1).unsqueeze(-1) < lengths
        sure = torch.where(goes_on, left > doubt, left <= -doubt)
        if not bool(sure[runs].all()):
            raise ValueError(
                f"rounding in {case.dtype} could end a sequence at another step; take shorter ones"
            )
        found.outputs["lengths"] = lengths
        found.deviations["lengths"] = torch.zeros(case.batch, dtype=torch.float64)
        return found

    def model(self, case: Case, implementation: Implementation, data: Unrolled) -> Model:
        given, head, halt = data.weights[:-4], data.weights[-4:-2], data.weights[-2:]
        layer = implementation.build(one_step_case(case), given)
        dim = time_dim(case)

        def infer() -> Outputs:
            y, states, ys = data.x, data.states, []
            spent = torch.zeros_like(data.budget)
            running = torch.ones_like(spent, dtype=torch.bool)
            lengths = torch.zeros_like(spent, dtype=torch.int64)
            for _ in range(case.seq_len):
                _, states = called(layer, y.unsqueeze(dim), states)
                h = last_state(case, states)
                y = linear(h, *head)
                ys.append(y.masked_fill(~running.unsqueeze(-1), 0))
                lengths = lengths + running
                spent = spent + torch.sigmoid(linear(h, *halt)).squeeze(-1)
                running = running & (spent < data.budget)
                if not running.any():
                    break
            return torch.stack(ys, dim), lengths

        return without_loss(
            infer,
            ("sequence", "lengths"),
            (data.x, *data.states),
            (*own_weights(layer, given), *head, *halt),
        )


WORKLOAD = _OneToMany()
VARIANTS = {"stop": _Stop()}
