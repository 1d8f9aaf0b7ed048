"""What implementations share: one step, loops over steps, layers and directions, and compilers."""

from __future__ import annotations

import copy
import functools
import os
import shutil
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from rnnbench.cases import Case

if TYPE_CHECKING:  # the contract's module hands these helpers on to plug-ins
    from rnnbench.implementations import Layer

__all__ = [
    "OneDirection",
    "Step",
    "activation",
    "by_mode",
    "compiled",
    "fresh_code",
    "hoisted",
    "nn_layer",
    "one_step",
    "scripted",
    "stacked",
    "step_by_step",
    "why_not_compiled",
    "why_not_scripted",
]

Step = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""``step(x_t, h, w_ih, w_hh, b_ih, b_hh)``: x_t (B, features), h (B, H) -> next h (B, H)."""

OneDirection = Callable[
    [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor],
    list[Tensor] | Tensor,
]
"""``run(x, h, w_ih, w_hh, b_ih, b_hh)``: x (T, B, features), h (B, H) -> the T states.

The states are a list of T tensors (B, H) or one tensor (T, B, H).
"""


def activation(case: Case) -> Callable[[Tensor], Tensor]:
    """φ of the case's cell: tanh or relu."""
    return {"rnn_tanh": torch.tanh, "rnn_relu": torch.relu}[case.cell]


def one_step(case: Case) -> Step:
    """The cell as a user writes it: φ(W_ih x_t + b_ih + W_hh h + b_hh)."""
    phi = activation(case)

    # TorchScript compiles this very function, so it keeps to what TorchScript can read.
    def step(
        x_t: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
    ) -> Tensor:
        return phi(linear(x_t, w_ih, b_ih) + linear(h, w_hh, b_hh))

    return step


def step_by_step(
    step: Step,
) -> Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], list[Tensor]]:
    """One direction as a loop that calls ``step`` for each time step."""

    # unbind, not x[t]: the backward of T indexings would fill T tensors as large as x with zeros.
    def run(
        x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
    ) -> list[Tensor]:
        states: list[Tensor] = []
        for x_t in x.unbind(0):
            h = step(x_t, h, w_ih, w_hh, b_ih, b_hh)
            states.append(h)
        return states

    return run


def hoisted(case: Case) -> OneDirection:
    """One direction whose input projections, and both biases, come first, in one product."""
    phi = activation(case)

    def run(
        x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
    ) -> list[Tensor]:
        recurrent = w_hh.t()
        states = []
        for projected in linear(x, w_ih, b_ih + b_hh).unbind(0):
            h = phi(torch.addmm(projected, h, recurrent))
            states.append(h)
        return states

    return run


def stacked(case: Case, weights: Sequence[Tensor], run: OneDirection) -> Layer:
    """A whole layer, of L layers, D directions and the case's layout, from one direction's loop."""
    batch_first = case.batch_first
    directions = case.directions
    num_layers = case.num_layers
    sequence_dim = 1 if batch_first else 0

    def layer(x: Tensor, h0: Tensor) -> tuple[Tensor, Tensor]:
        inputs = x.transpose(0, 1) if batch_first else x
        final = []
        for index in range(num_layers):
            dim = sequence_dim if index == num_layers - 1 else 0
            outputs = []
            for direction in range(directions):
                k = index * directions + direction
                steps = run(
                    inputs.flip(0) if direction else inputs, h0[k], *weights[4 * k : 4 * k + 4]
                )
                final.append(steps[-1])
                if isinstance(steps, Tensor):
                    ordered = steps.flip(0) if direction else steps
                    outputs.append(ordered.transpose(0, 1) if dim else ordered)
                else:
                    outputs.append(torch.stack(steps[::-1] if direction else steps, dim))
            inputs = outputs[0] if directions == 1 else torch.cat(outputs, -1)
        return inputs, torch.stack(final)

    return layer


class _ByMode:
    """A layer that is made once for calls with autograd and once for calls without."""

    def __init__(self, make: Callable[[Tensor, Tensor], Layer]) -> None:
        self._make = make
        self._made: dict[bool, Layer] = {}

    def __call__(self, x: Tensor, h0: Tensor) -> tuple[Tensor, Tensor]:
        autograd = torch.is_grad_enabled()
        if autograd not in self._made:
            self._made[autograd] = self._make(x, h0)
        return self._made[autograd](x, h0)


def by_mode(make: Callable[[Tensor, Tensor], Layer]) -> Layer:
    """A layer for what adapts to its first call: ``make(x, h0)`` runs in the first call of a mode.

    One layer serves inference and training. TorchScript's executor specialises itself on its first
    calls and a CUDA graph records one of them, so they need one layer for each mode. What is done
    in the first call is also part of that call's seconds, which are recorded.
    """
    return _ByMode(make)


def nn_layer(
    case: Case,
    weights: Sequence[Tensor],
    wrap: Callable[[torch.nn.RNN], Layer] = lambda module: module,
) -> Layer:
    """``wrap`` of a ``torch.nn.RNN`` that holds copies of the weights, listed in ``weights``.

    Copies, because on CUDA its parameters are parts of one flat buffer, as cuDNN wants them. There
    calls without autograd go to a twin in evaluation mode that shares the parameters, as a user
    would have it: in training mode cuDNN also stores what its backward needs. On a CPU the mode
    changes nothing, so there it is the bare module.
    """
    module = torch.nn.RNN(
        case.input_size,
        case.hidden_size,
        case.num_layers,
        nonlinearity=case.cell.removeprefix("rnn_"),
        batch_first=case.batch_first,
        bidirectional=case.bidirectional,
        device=case.device,
        dtype=getattr(torch, case.dtype),
    )
    own = list(module.parameters())
    with torch.no_grad():
        for parameter, weight in zip(own, weights, strict=True):
            parameter.copy_(weight)
    if case.device == "cpu":
        layer = wrap(module)
    else:
        layer = by_mode(
            lambda x, h0: wrap(module if torch.is_grad_enabled() else copy.copy(module).eval())
        )
    # In the instance's dictionary, past torch's own setattr, which looks for modules and tensors.
    layer.__dict__["weights"] = own
    return layer


def fresh_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of a function with a code object of its own.

    torch.compile keeps its compiled graphs by code object. Two cases that share one would share
    its limit of recompilations, and the second would be compiled for changing shapes: another
    program than the one a user gets who compiles only that case.
    """
    assert isinstance(function, types.FunctionType)
    twin = types.FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """torch.compile of a function of one case, for the case's shapes alone."""
    return torch.compile(fresh_code(function), dynamic=False)


def why_not_compiled(case: Case) -> str | None:
    """Why torch.compile cannot be used for a case here; None where it can."""
    refusal = _refusal_of_torch_compile()
    if refusal:
        return f"torch {torch.__version__} says: {refusal}"
    if find_spec("setuptools") is None:
        return "torch.compile needs setuptools, which is not installed here"
    if case.device == "cpu":
        compiler = _cpp_compiler()
        if shutil.which(compiler) is None:
            return (
                f"torch.compile needs a C++ compiler and {compiler!r} is not on the PATH; "
                "install one, or name yours in CXX"
            )
    elif case.device.startswith("cuda") and find_spec("triton") is None:
        return "torch.compile needs Triton on a CUDA device, and it is not installed"
    return None


@functools.lru_cache(maxsize=1)
def _refusal_of_torch_compile() -> str | None:
    # Which Pythons a version supports is its own knowledge, and it says so before it compiles:
    # 2.1 to 2.3 refuse Python 3.12, 2.4 and 2.5 refuse 3.13, 2.6 to 2.9 refuse 3.14.
    try:
        torch.compile(fresh_code(activation))
    except RuntimeError as error:
        return str(error)
    return None


def _cpp_compiler() -> str:
    # What torch._inductor.config.cpp.cxx looks for, in 2.1 to 2.15; no other name is tried there.
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    return os.environ.get("CXX") or usual


def scripted(function: Callable[..., Any]) -> Callable[..., Any]:
    """torch.jit.script of a function, without its deprecation warning.

    Newer versions would repeat the warning on the terminal for each case. That TorchScript is
    deprecated stands in the documentation.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated")
        script: Callable[..., Any] = torch.jit.script(function)
    return script


def why_not_scripted(case: Case) -> str | None:
    """Why TorchScript cannot be used here; None where it can."""
    if sys.version_info >= (3, 14):
        return "TorchScript is not supported on Python 3.14 and newer"
    return None
