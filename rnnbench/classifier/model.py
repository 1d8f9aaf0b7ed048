"""The model: a recurrent layer of the registry and a linear layer on its last hidden state."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from rnnbench import implementations
from rnnbench.cases import Case
from rnnbench.classifier.settings import CLASSES, Settings
from rnnbench.implementations import Layer

__all__ = ["Classifier", "Scorer", "scores"]


class Scorer(torch.nn.Module):
    """Two scores for each sequence; ``weights`` are the layer's tensors, then the head's two.

    ``layer`` was built for the case with the weights ``given``; it is given zeros to
    begin with.
    """

    def __init__(
        self, case: Case, layer: Layer, given: Sequence[Tensor], head: Sequence[Tensor]
    ) -> None:
        super().__init__()
        self.layer = layer
        self.weights: list[Tensor] = [*getattr(layer, "weights", given), *head]
        self._hidden = case.hidden_size
        self._batch_dim = 0 if case.batch_first else 1

    def forward(self, x: Tensor) -> Tensor:
        h0 = x.new_zeros(1, x.shape[self._batch_dim], self._hidden)
        _, h_n = self.layer(x, h0)
        return linear(h_n[-1], *self.weights[-2:])


class Classifier(Scorer):
    """That of the settings.

    The initial numbers are those of ``torch.manual_seed(seed)`` followed by ``nn.RNN(1, hidden)``
    and ``nn.Linear(hidden, 2)``, whatever implementation computes the layer.
    """

    def __init__(self, settings: Settings) -> None:
        case = settings.case(settings.batch_sizes[0])
        found = implementations.registered()[settings.implementation]
        # Every layer that is built draws numbers; a program around it keeps its own.
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(settings.seed)
            initial = [w.detach() for w in torch.nn.RNN(1, settings.hidden).parameters()]
            head = torch.nn.Linear(settings.hidden, CLASSES)
            given = [w.to(settings.device).requires_grad_() for w in initial]
            layer = found.build(case, given)
        super().__init__(case, layer, given, list(head.to(settings.device).parameters()))


def scores(settings: Settings, weights: list[Tensor], x: Tensor) -> Tensor:
    """What the classifier with these weights gives, by a plain loop, whatever implements it.

    ``x`` is (T, N, 1). So that accuracy can be looked at between epochs without making an
    implementation compile for other sizes and without gradients.
    """
    columns = {**settings.case(x.shape[1]).columns(), "layout": "time_major"}
    case = Case.from_columns({**columns, "implementation": "python_loop"})
    *layer, head, bias = weights
    with torch.inference_mode():
        loop = implementations.registered()["python_loop"].build(case, layer)
        _, h_n = loop(x, x.new_zeros(1, x.shape[1], settings.hidden))
        return torch.nn.functional.linear(h_n[-1], head, bias)
