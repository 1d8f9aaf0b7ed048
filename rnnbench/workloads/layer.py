"""``layer``: the bare layer, its loss given as gradients of the output and of the final state."""

from __future__ import annotations

from rnnbench.cases import Case
from rnnbench.implementations import Implementation, Layer
from rnnbench.implementations.reference import oracle
from rnnbench.schema import PASSES
from rnnbench.worker.blocks import Timed
from rnnbench.worker.data import Data, make_data
from rnnbench.worker.expected import Expected
from rnnbench.workloads import Model, Outputs
from rnnbench.workloads._passes import make_timed

__all__ = ["WORKLOAD", "model_of"]

_OUTPUTS = ("output", "h_n")


class _LayerWorkload:
    passes = PASSES

    def unsupported(self, case: Case, implementation: Implementation) -> str | None:
        return None

    def data(self, case: Case) -> Data:
        return make_data(case)

    def expected(self, case: Case, data: Data) -> Expected:
        return oracle(case, data)

    def model(self, case: Case, implementation: Implementation, data: Data) -> Model:
        return model_of(implementation.build(case, data.weights), data)

    def timed(self, case: Case, model: Model) -> Timed:
        return make_timed(case, model)


def model_of(layer: Layer, data: Data) -> Model:
    """The layer by itself, called with its data."""

    def call() -> Outputs:
        return layer(data.x, data.h0)

    return Model(
        forward=call,
        names=_OUTPUTS,
        infer=call,
        inferred=_OUTPUTS,
        inputs=(data.x, data.h0),
        parameters=tuple(getattr(layer, "weights", data.weights)),
        cotangents=(data.grad_output, data.grad_h_n),
    )


WORKLOAD = _LayerWorkload()
