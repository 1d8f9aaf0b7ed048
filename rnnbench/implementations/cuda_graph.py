"""``cuda_graph``: the loop captured once as a CUDA graph and replayed.

Each call copies its input and initial states to the graph's own memory; the results lie in the
graph's memory too, where the next call overwrites them. Written with care on a machine without a
GPU: nothing here has run on one yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import OPTIONS, Layer, implementation
from rnnbench.implementations._cells import one_step, step_by_step
from rnnbench.implementations._layers import by_mode, stacked, why_no_masks
from rnnbench.schema import CELLS

__all__ = ["build"]

_WARM_UPS = 3  # as torch.cuda.make_graphed_callables: libraries choose and allocate before capture


def _unsupported(case: Case) -> str | None:
    if not case.device.startswith("cuda"):
        return f"CUDA graphs need a CUDA device, not {case.device}"
    if case.autocast:
        return "torch captures no CUDA graph of what uses autocast's cache of cast weights"
    return why_no_masks(case, "a CUDA graph")


@implementation(
    "cuda_graph",
    "loop captured as a CUDA graph",
    cells=CELLS,
    options=OPTIONS,
    compiler="cuda_graph",
    unsupported=_unsupported,
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""

    def capture(x: Tensor, *state: Tensor) -> Layer:
        way = _training if torch.is_grad_enabled() else _inference
        return way(case, weights, x, *state)

    return by_mode(capture)


def _loop(case: Case, weights: Sequence[Tensor]) -> Layer:
    return stacked(case, weights, step_by_step(one_step(case), len(case.states)))


def _inference(case: Case, weights: Sequence[Tensor], x: Tensor, *state: Tensor) -> Layer:
    loop = _loop(case, weights)
    static = [given.detach().clone() for given in (x, *state)]
    # A capture must not happen on the default stream, nor be the first use of a library.
    stream = torch.cuda.Stream(x.device)  # type: ignore[no-untyped-call]  # torch has none there
    stream.wait_stream(torch.cuda.current_stream(x.device))
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            loop(*static)
    torch.cuda.current_stream(x.device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(x.device), torch.cuda.graph(graph):
        results = loop(*static)

    def replay(*given: Tensor) -> tuple[Tensor, ...]:
        for mine, theirs in zip(static, given, strict=True):
            mine.copy_(theirs)
        graph.replay()
        return results

    return replay


def _training(case: Case, weights: Sequence[Tensor], x: Tensor, *state: Tensor) -> Layer:
    inputs = 1 + len(state)

    # The weights are arguments, because of a plain function only arguments get gradients. They are
    # the example arguments themselves, so a call finds them in place and copies only its inputs.
    def loop(*given: Tensor) -> tuple[Tensor, ...]:
        return _loop(case, given[inputs:])(*given[:inputs])

    example = tuple(t.detach().clone().requires_grad_(t.requires_grad) for t in (x, *state))
    with torch.cuda.device(x.device):
        graphed = cast(Any, torch.cuda.make_graphed_callables)(loop, (*example, *weights))

    def replay(*given: Tensor) -> tuple[Tensor, ...]:
        return tuple(graphed(*given, *weights))

    return replay
