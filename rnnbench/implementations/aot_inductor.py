"""``aot_inductor``: the loop exported and compiled ahead of time, for inference.

What replaces TorchScript for deployment. The same loop as ``compiled_loop`` and
``torchscript_loop``, so that only the way of compilation differs. The weights are built into the
artefact, as they are when a model is deployed. The artefact lies in ``TORCHINDUCTOR_CACHE_DIR``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from rnnbench.cases import Case
from rnnbench.implementations import OPTIONS, Layer, implementation
from rnnbench.implementations._cells import one_step, step_by_step
from rnnbench.implementations._layers import by_mode, stacked, why_not_compiled
from rnnbench.schema import CELLS

__all__ = ["build"]


class _Module(torch.nn.Module):
    """The layer as a module, because only modules can be exported."""

    def __init__(self, case: Case, weights: Sequence[Tensor]) -> None:
        super().__init__()
        own = torch.nn.ParameterList(
            torch.nn.Parameter(weight.detach().clone(), requires_grad=False) for weight in weights
        )
        self.own = own
        run = step_by_step(one_step(case), len(case.states))
        self._layer = stacked(case, list(own), run)

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        return self._layer(x, *state)


def _unsupported(case: Case) -> str | None:
    if not hasattr(torch._export, "aot_load"):
        return f"torch {torch.__version__} cannot load what AOTInductor made; 2.4 and newer can"
    return why_not_compiled(case)


@implementation(
    "aot_inductor",
    "loop compiled ahead of time by AOTInductor",
    cells=CELLS,
    options=OPTIONS,
    compiler="inductor",
    trains=False,
    unsupported=_unsupported,
)
def build(case: Case, weights: Sequence[Tensor]) -> Layer:
    """The layer; see `rnnbench.implementations` for the contract."""
    return by_mode(lambda x, *state: _ahead_of_time(case, weights, x, *state))


def _ahead_of_time(case: Case, weights: Sequence[Tensor], *inputs: Tensor) -> Layer:
    cache = Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR") or tempfile.gettempdir())
    cache.mkdir(parents=True, exist_ok=True)
    # A folder of its own: weights are part of the artefact, and a name made from the code alone
    # would hand one case the weights of another.
    folder = Path(tempfile.mkdtemp(prefix="rnnbench-aot-", dir=cache))
    # Export traces with its own modes; inference tensors would not survive it.
    with torch.inference_mode(False), torch.no_grad():
        module = _Module(case, weights).eval()
        example = tuple(given.detach().clone() for given in inputs)
        if hasattr(torch._inductor, "aoti_load_package"):
            program = torch.export.export(module, example)
            package = torch._inductor.aoti_compile_and_package(
                program, package_path=str(folder / "layer.pt2")
            )
            return torch._inductor.aoti_load_package(package)
        library = torch._export.aot_compile(
            module, example, options={"aot_inductor.output_path": str(folder / "layer.so")}
        )
        return torch._export.aot_load(str(library), case.device)
