"""``layer``: the bare layer, its loss given as gradients of the output and of the final states.

A batch whose sequences have lengths of their own is done by `rnnbench.workloads._ragged`.
"""

from __future__ import annotations

from rnnbench.cases import Case
from rnnbench.implementations import Implementation, Layer
from rnnbench.implementations.reference import oracle
from rnnbench.worker.data import Data, make_data
from rnnbench.worker.expected import Expected
from rnnbench.worker.masks import inferred_name
from rnnbench.workloads import Model, Outputs
from rnnbench.workloads._forms import Form
from rnnbench.workloads._ragged import (
    Ragged,
    ragged_data,
    ragged_expected,
    ragged_model,
    why_not_ragged,
)

__all__ = ["WORKLOAD", "model_of"]

_OUTPUTS = ("output", "h_n", "c_n")


class _LayerWorkload(Form):
    def unsupported(self, case: Case, implementation: Implementation) -> str | None:
        return why_not_ragged(case) if _is_ragged(case) else None

    def data(self, case: Case) -> Data | Ragged:
        return ragged_data(case) if _is_ragged(case) else make_data(case)

    def expected(self, case: Case, data: Data | Ragged) -> Expected:
        return ragged_expected(case, data) if isinstance(data, Ragged) else oracle(case, data)

    def model(self, case: Case, implementation: Implementation, data: Data | Ragged) -> Model:
        if isinstance(data, Ragged):
            return ragged_model(case, implementation, data)
        return model_of(implementation.build(case, data.weights), data, drops=case.dropout > 0)


def _is_ragged(case: Case) -> bool:
    return case.lengths != "full"


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
