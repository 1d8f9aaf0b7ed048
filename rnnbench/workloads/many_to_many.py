"""``many_to_many``: a head on every step, and the loss of one label a step: sequence labelling.

`rnnbench.forms.CLASSES` classes; input and labels are aligned, and no sequence is padded.
"""

from __future__ import annotations

from rnnbench.workloads._heads import Classifier

__all__ = ["WORKLOAD"]

WORKLOAD = Classifier(
    lambda case, output, final: output, lambda case, output: output, every_step=True
)
