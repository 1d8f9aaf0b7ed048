"""``cuda_graph``: the loop captured once as a CUDA graph and replayed.

Each call copies its input and initial state to the graph's own memory; the results lie in the
graph's memory too, where the next call overwrites them. Written with care on a machine without a
GPU: nothing here has run on one yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import Layer, implementation
from rnnbench.implementations._layers import by_mode, one_step, stacked, step_by_step

__all__ = ["build"]

_WARM_UPS = 3  # as torch.cuda.make_graphed_callables: libraries choose and allocate before capture


def _unsupported(case: Case) -> str | None:
    if not case.device.startswith("cuda"):
        return f"CUDA graphs need a CUDA device, not {case.device}"
    return None


@implementation(
    "cuda_graph", "loop captured as a CUDA graph", compiler="cuda_graph", unsupported=_unsupported
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""

    def capture(x: Tensor, h0: Tensor) -> Layer:
        way = _training if torch.is_grad_enabled() else _inference
        return way(case, weights, x, h0)

    return by_mode(capture)


def _inference(case: Case, weights: Sequence[Tensor], x: Tensor, h0: Tensor) -> Layer:
    loop = stacked(case, weights, step_by_step(one_step(case)))
    static_x, static_h0 = x.detach().clone(), h0.detach().clone()
    # A capture must not happen on the default stream, nor be the first use of a library.
    stream = torch.cuda.Stream(x.device)  # type: ignore[no-untyped-call]  # torch has none there
    stream.wait_stream(torch.cuda.current_stream(x.device))
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            loop(static_x, static_h0)
    torch.cuda.current_stream(x.device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(x.device), torch.cuda.graph(graph):
        results = loop(static_x, static_h0)

    def replay(x: Tensor, h0: Tensor) -> tuple[Tensor, Tensor]:
        static_x.copy_(x)
        static_h0.copy_(h0)
        graph.replay()
        return results

    return replay


def _training(case: Case, weights: Sequence[Tensor], x: Tensor, h0: Tensor) -> Layer:
    # The weights are arguments, because of a plain function only arguments get gradients. They are
    # the example arguments themselves, so a call finds them in place and copies only x and h0.
    def loop(x: Tensor, h0: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        return stacked(case, weights, step_by_step(one_step(case)))(x, h0)

    example = tuple(t.detach().clone().requires_grad_(t.requires_grad) for t in (x, h0))
    with torch.cuda.device(x.device):
        graphed = cast(Any, torch.cuda.make_graphed_callables)(loop, (*example, *weights))

    def replay(x: Tensor, h0: Tensor) -> tuple[Tensor, Tensor]:
        output, h_n = graphed(x, h0, *weights)
        return output, h_n

    return replay
