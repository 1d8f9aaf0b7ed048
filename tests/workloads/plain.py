"""What tests of the forms share: a plain float64 model of PyTorch's own, and cases of them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from rnnbench import implementations
from rnnbench.cases import Case
from rnnbench.worker.bench import Bench
from rnnbench.worker.verification import Incorrect
from rnnbench.workloads import tensors_of, workload

implementations.load_builtin()

SMALL = Case(seq_len=4, batch=3, input_size=3, hidden_size=5, dtype="float64")
SHAPES = {
    "time_major": {},
    "batch_first": dict(layout="batch_first", num_layers=2),
    "view": dict(layout="batch_first_view", cell="rnn_relu"),
    "lstm": dict(cell="lstm", num_layers=2),
    "gru": dict(cell="gru", layout="batch_first", bias=False),
}
BOTH_DIRECTIONS = dict(layout="batch_first", num_layers=2, bidirectional=True)
EAGER = ("nn_rnn", "python_loop", "hoisted_loop")


def of(name: str, **columns) -> Case:
    return dataclasses.replace(SMALL, workload=name, **columns)


class Lstm(torch.nn.LSTM):
    """With the states one by one, as all layers of rnnbench have them."""

    def forward(self, x, h, c):
        output, (h, c) = super().forward(x, (h, c))
        return output, h, c


def nn_rnn(case: Case, weights) -> torch.nn.Module:
    """PyTorch's own layer with these weights."""
    kinds = {"lstm": Lstm, "gru": torch.nn.GRU}
    words = {} if case.cell in kinds else {"nonlinearity": case.cell.removeprefix("rnn_")}
    module = kinds.get(case.cell, torch.nn.RNN)(
        case.input_size,
        case.hidden_size,
        case.num_layers,
        bias=case.bias,
        **words,
        batch_first=case.batch_first,
        bidirectional=case.bidirectional,
        dtype=torch.float64,
    )
    with torch.no_grad():
        for parameter, weight in zip(module.parameters(), weights, strict=True):
            parameter.copy_(weight)
    return module


def assert_oracle_is(expected, outputs, loss, leaves) -> None:
    """The oracle's outputs and gradients are those of a plain model, in their order."""
    for name, value in outputs.items():
        torch.testing.assert_close(expected.outputs[name], value.detach(), rtol=1e-9, atol=1e-12)
    gradients = torch.autograd.grad(loss, leaves)
    assert len(gradients) == len(expected.gradients)
    for (name, oracle), gradient in zip(expected.gradients.items(), gradients, strict=True):
        torch.testing.assert_close(oracle, gradient, rtol=1e-9, atol=1e-12, msg=f"of {name}")


def assert_finite_difference(case: Case) -> None:
    """The loss changes along a random direction of all leaves as the oracle's gradients say."""
    chosen = workload(case.workload)
    data = chosen.data(case)
    expected = chosen.expected(case, data)
    generator = torch.Generator().manual_seed(3)
    leaves = [tensor for tensor in tensors_of(data) if tensor.requires_grad]
    steps = {id(leaf): torch.randn(leaf.shape, generator=generator).double() for leaf in leaves}

    def moved(sign):
        def move(value):
            if isinstance(value, tuple):
                return tuple(move(entry) for entry in value)
            return (value + sign * 1e-6 * steps[id(value)]) if id(value) in steps else value

        fields = {f.name: move(getattr(data, f.name)) for f in dataclasses.fields(data)}
        return chosen.expected(case, dataclasses.replace(data, **fields)).outputs["loss"]

    slope = (moved(1) - moved(-1)).item() / 2e-6
    ordered = [data.x, *data.states, *data.weights]
    predicted = sum(
        (gradient * steps[id(leaf)]).sum().item()
        for gradient, leaf in zip(expected.gradients.values(), ordered, strict=True)
    )
    assert abs(predicted) > 1e-3, "the direction must show something"
    assert slope == pytest.approx(predicted, rel=1e-5)


def prepared(folder, case: Case) -> dict:
    """What a worker says of a case that it has verified."""
    return Bench(folder).prepare(case)["verification"]


def assert_refused(folder, case: Case, words: str) -> None:
    with pytest.raises(Incorrect, match=words):
        Bench(folder).prepare(case)
