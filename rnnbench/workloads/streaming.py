"""``streaming``: one step at a time with the state carried, as a service answers what comes in.

A call is one step: the layer is given the next input, (1, B, I) or (B, 1, I), and the states that
the call before it returned. The inputs are the T steps of a sequence, over and over; the state goes
on without end, from call to call and from block to block. Inference only.

What is verified is a whole run of T such calls from the initial states: each step's output, and the
states after the last, against the oracle of the layer over the sequence. A round is one call, so
that percentiles over rounds are those of single steps, on every clock that can tell a twentieth of
a step; on others rounds hold some calls, and a result says how many.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import Implementation, Layer
from rnnbench.implementations.reference import oracle
from rnnbench.worker.blocks import Timed
from rnnbench.worker.data import Data, make_data
from rnnbench.worker.expected import Expected
from rnnbench.workloads import Model, Outputs
from rnnbench.workloads._forms import Form, own_weights, without_loss
from rnnbench.workloads._passes import make_timed
from rnnbench.workloads._recurrent import (
    called,
    one_step_case,
    refuse_bad,
    time_dim,
    why_not_formed,
    why_not_stepped,
)

__all__ = ["WORKLOAD", "Step", "Stream"]

_CLOCK_STEPS = 20


class Stream:
    """A layer that is called for one step after the other, and the states that it has come to."""

    def __init__(self, case: Case, layer: Layer, data: Data) -> None:
        self._layer = layer
        self._dim = time_dim(case)
        # What comes in has a memory of its own: it is no part of a sequence that is there already.
        self._inputs = [x.detach().clone() for x in torch.split(data.x, 1, self._dim)]
        self._initial = tuple(state.detach() for state in data.states)
        self.states = self._initial
        self._next = 0

    def next_input(self) -> Tensor:
        """The input of the next step."""
        x = self._inputs[self._next]
        self._next = (self._next + 1) % len(self._inputs)
        return x

    def step(self, x: Tensor) -> Tensor:
        """Answer an input, and keep the states for the next one."""
        output, self.states = called(self._layer, x, self.states)
        return output

    def run(self) -> Outputs:
        """Begin anew and take all steps of the sequence: their outputs, and the last states."""
        self.states, self._next = self._initial, 0
        outputs = [self.step(self.next_input()) for _ in self._inputs]
        return torch.cat(outputs, self._dim), *self.states


class Step:
    """One step; the states that it leaves are those that the next one begins with."""

    def __init__(self, model: Model, stream: Stream) -> None:
        self.model = model
        self._stream = stream

    def context(self) -> AbstractContextManager[Any]:
        return torch.inference_mode()

    def prepare(self) -> Tensor:
        return self._stream.next_input()

    def run(self, prepared: Tensor) -> Tensor:
        return self._stream.step(prepared)


@dataclass(frozen=True, eq=False)
class _Streamed(Model):
    stream: Stream | None = None


class _Streaming(Form):
    passes = ("inference",)
    resolutions = _CLOCK_STEPS

    def unsupported(self, case: Case, implementation: Implementation) -> str | None:
        if case.layout == "batch_first_view":
            return "one step has no layout of its own to be seen through a view"
        return why_not_formed(case, one_direction=True) or why_not_stepped(implementation)

    def data(self, case: Case) -> Data:
        data = make_data(case)
        refuse_bad(case.workload, inputs=(data.x, *data.states))
        return data

    def expected(self, case: Case, data: Data) -> Expected:
        return oracle(case, data)

    def model(self, case: Case, implementation: Implementation, data: Data) -> Model:
        layer = implementation.build(one_step_case(case), data.weights)
        stream = Stream(case, layer, data)
        names = ("output", *(f"{name}_n" for name in case.states))
        inputs = (data.x, *data.states)
        plain = without_loss(stream.run, names, inputs, own_weights(layer, data.weights))
        return _Streamed(**vars(plain), stream=stream)

    def timed(self, case: Case, model: Model) -> Timed:
        assert isinstance(model, _Streamed)
        assert model.stream is not None
        return Step(model, model.stream)

    def verified(self, case: Case, timed: Timed) -> Timed:
        assert isinstance(timed, Step)
        return make_timed(case, timed.model)


WORKLOAD = _Streaming()
