"""What a forward pass keeps for its backward, and what a call allocates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.forms import steps_of
from rnnbench.schema import WIDTHS
from rnnbench.worker.autocast import under_autocast
from rnnbench.worker.blocks import Timed
from rnnbench.worker.clocks import Clock
from rnnbench.worker.memory import changes_of_call, peak_bytes, peak_of
from rnnbench.workloads import Model

__all__ = ["memory_of", "must_keep", "saved_bytes"]

_STATES_KEPT = {
    "rnn_tanh": (1, 0),
    "rnn_relu": (1, 0),
    "lstm": (6, 1),
    "gru": (5, 1),
}
"""By cell, tensors (B, H) of a step that the backward needs, and how many of them the last step
does without: its h, which no further step multiplies with W_hh, where the derivative of the cell
does not need it."""


def must_keep(case: Case) -> int | None:
    """Bytes that the backward of a layer needs and that were not there before the forward.

    From the formula, for each layer and direction, of B·H numbers each: of a simple cell its T
    states, of which φ' is computed too. Of an LSTM the four gates and c of each step and the h
    that a further step multiplies with: 6·T - 1. Of a GRU r, z, n, the product that r gates and h
    in the same way: 5·T - 1. Inputs, initial states and weights are there before, and what can be
    computed from these by a function of single numbers, such as tanh(c), need not be kept. Of more
    than one layer the outputs of one are the inputs of the next, kept once: the h above, and the
    last step's too.

    None for another workload than the layer, under autocast, which keeps weights in another dtype,
    and with dropout, which keeps its masks.
    """
    if case.workload != "layer" or case.autocast or case.dropout:
        return None
    each, less = _STATES_KEPT[case.cell]
    tensors = each * case.seq_len * case.num_layers - less
    return case.directions * tensors * case.batch * case.hidden_size * WIDTHS[case.stored_dtype]


def saved_bytes(forward: Callable[[], Any], leaves: Iterable[Tensor]) -> dict[str, int]:
    """Bytes that one forward pass with autograd keeps for its backward, each storage once.

    ``kept``: what the pass has made; ``given``: the leaves, inputs and weights, which it merely
    points to.
    """
    given = {_address(leaf) for leaf in leaves}
    seen: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        # The storage itself is held: a freed one's address would be another's next.
        seen[_address(tensor)] = tensor.untyped_storage()
        return tensor

    with (
        torch.enable_grad(),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        outputs = forward()
    sizes = {address: storage.nbytes() for address, storage in seen.items()}
    del outputs
    return {
        "kept": sum(size for address, size in sizes.items() if address not in given),
        "given": sum(size for address, size in sizes.items() if address in given),
    }


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def memory_of(case: Case, model: Model, timed: Timed, clock: Clock) -> dict[str, Any]:
    """Memory of a case, as a result holds it; what cannot be told is None.

    ``saved`` and ``must_keep`` are about the forward that the case's backward would need, whatever
    its pass; ``peak`` and ``allocations`` are of one call of the pass.
    """
    forward = under_autocast(case, model.forward) if case.autocast else model.forward
    saved = saved_bytes(forward, (*model.inputs, *model.parameters))
    steps = steps_of(case)
    changes = changes_of_call(timed, clock) if case.device == "cpu" else None
    allocations = None if changes is None else sum(change > 0 for change in changes)
    return {
        "saved": saved["kept"],
        "saved_per_step": saved["kept"] / steps,
        "saved_given": saved["given"],
        "must_keep": must_keep(case),
        "peak": peak_bytes(case, timed, clock) if changes is None else peak_of(changes),
        "allocations": allocations,
        "allocations_per_step": None if allocations is None else allocations / steps,
    }
