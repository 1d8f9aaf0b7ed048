"""``layer``: the bare layer, its loss given as gradients of the output and of the final states."""

from __future__ import annotations

from rnnbench.cases import Case
from rnnbench.implementations import Implementation, Layer
from rnnbench.implementations.reference import oracle
from rnnbench.worker.data import Data, make_data
from rnnbench.worker.expected import Expected
from rnnbench.worker.masks import inferred_name
from rnnbench.workloads import Model, Outputs
from rnnbench.workloads._forms import Form

__all__ = ["WORKLOAD", "model_of"]

_OUTPUTS = ("output", "h_n", "c_n")


class _LayerWorkload(Form):
    def unsupported(self, case: Case, implementation: Implementation) -> str | None:
        return None

    def data(self, case: Case) -> Data:
        return make_data(case)

    def expected(self, case: Case, data: Data) -> Expected:
        return oracle(case, data)

    def model(self, case: Case, implementation: Implementation, data: Data) -> Model:
        return model_of(implementation.build(case, data.weights), data, drops=case.dropout > 0)


def model_of(layer: Layer, data: Data, *, drops: bool = False) -> Model:
    """The layer by itself, called with its data; ``drops`` says that it has dropout."""
    inputs = (data.x, *data.states)
    names = _OUTPUTS[: 1 + len(data.grad_states)]

    def call() -> Outputs:
        return layer(*inputs)

    return Model(
        forward=call,
        names=names,
        infer=call,
        inferred=tuple(map(inferred_name, names)) if drops else names,
        inputs=inputs,
        parameters=tuple(getattr(layer, "weights", data.weights)),
        cotangents=(data.grad_output, *data.grad_states),
    )


WORKLOAD = _LayerWorkload()
