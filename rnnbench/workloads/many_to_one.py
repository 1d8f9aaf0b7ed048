"""``many_to_one``: the last hidden state to a linear head, and the loss of one label a sequence.

The variant ``every_step`` returns and uses all: the head is applied to each step's output, and each
step is to say the sequence's label (target replication: Lipton et al., *Learning to Diagnose with
LSTM Recurrent Neural Networks*, ICLR 2016). Side by side they show what it costs to use every
step's output where the last hidden state would do. `rnnbench.forms.CLASSES` classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.workloads._heads import Classifier
from rnnbench.workloads._recurrent import last_state

__all__ = ["VARIANTS", "WORKLOAD"]


def _last(case: Case, output: Tensor, final: tuple[Tensor, ...]) -> Tensor:
    return last_state(case, final)


def _last_formula(case: Case, output: Tensor) -> Tensor:
    # The direction that runs in reverse has its last state at the first step.
    h = case.hidden_size
    return torch.cat((output[-1, :, :h], output[0, :, h:]), -1)


WORKLOAD = Classifier(_last, _last_formula, every_step=False)
VARIANTS = {
    "every_step": Classifier(
        lambda case, output, final: output,
        lambda case, output: output,
        every_step=True,
        one_label=True,
    )
}
