"""What implementations share: layers of many directions, torch.nn's modules, and compilers."""

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
from torch.nn.functional import dropout

from rnnbench.cases import Case
from rnnbench.implementations._cells import OneDirection

if TYPE_CHECKING:  # the contract's module hands these helpers on to plug-ins
    from rnnbench.implementations import Layer

__all__ = [
    "by_mode",
    "compiled",
    "fresh_code",
    "nn_layer",
    "scripted",
    "stacked",
    "why_no_masks",
    "why_no_module",
    "why_not_compiled",
    "why_not_compiled_whole",
    "why_not_scripted",
]


def stacked(case: Case, weights: Sequence[Tensor], run: OneDirection) -> Layer:
    """A whole layer, of L layers, D directions and the case's layout, from one direction's loop.

    With dropout between layers where autograd is on: without it nobody trains.
    """
    batch_first = case.batch_first
    directions = case.directions
    num_layers = case.num_layers
    sequence_dim = 1 if batch_first else 0
    parts = 4 if case.bias else 2
    no_bias = [] if case.bias else [None, None]
    states = len(case.states)

    def layer(x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        inputs = x.transpose(0, 1) if batch_first else x
        zeros = [] if state else [inputs.new_zeros(case.batch, case.hidden_size)] * states
        final = []
        for index in range(num_layers):
            dim = sequence_dim if index == num_layers - 1 else 0
            outputs = []
            for direction in range(directions):
                k = index * directions + direction
                steps, last = run(
                    inputs.flip(0) if direction else inputs,
                    zeros or [part[k] for part in state],
                    *weights[parts * k : parts * (k + 1)],
                    *no_bias,
                )
                final.append(last)
                if isinstance(steps, Tensor):
                    ordered = steps.flip(0) if direction else steps
                    outputs.append(ordered.transpose(0, 1) if dim else ordered)
                else:
                    outputs.append(torch.stack(steps[::-1] if direction else steps, dim))
            inputs = outputs[0] if directions == 1 else torch.cat(outputs, -1)
            if case.dropout and index < num_layers - 1 and torch.is_grad_enabled():
                inputs = dropout(inputs, case.dropout)
        return inputs, *(torch.stack([last[part] for last in final]) for part in range(states))

    return layer


class _ByMode:
    """A layer that is made once for calls with autograd and once for calls without."""

    def __init__(self, make: Callable[..., Layer]) -> None:
        self._make = make
        self._made: dict[bool, Layer] = {}

    def __call__(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        autograd = torch.is_grad_enabled()
        if autograd not in self._made:
            self._made[autograd] = self._make(x, *state)
        return self._made[autograd](x, *state)


def by_mode(make: Callable[..., Layer]) -> Layer:
    """A layer for what adapts to its first call: ``make(x, *state)`` runs in a mode's first call.

    One layer serves inference and training. TorchScript's executor specialises itself on its first
    calls and a CUDA graph records one of them, so they need one layer for each mode. What is done
    in the first call is also part of that call's seconds, which are recorded.
    """
    return _ByMode(make)


def nn_layer(
    case: Case,
    weights: Sequence[Tensor],
    wrap: Callable[[torch.nn.RNNBase], Any] = lambda module: module,
) -> Layer:
    """``wrap`` of torch.nn's module for the cell, with copies of the weights in ``weights``.

    Copies, because on CUDA its parameters are parts of one flat buffer, as cuDNN wants them. There
    calls without autograd go to a twin in evaluation mode that shares the parameters, as a user
    would have it: in training mode cuDNN also stores what its backward needs. On a CPU the mode
    changes nothing without dropout, so there it is the bare module.
    """
    module = _module(case)
    own = list(module.parameters())
    with torch.no_grad():
        for parameter, weight in zip(own, weights, strict=True):
            parameter.copy_(weight)
    flat = _flat if case.cell == "lstm" else _as_it_is
    if case.device == "cpu" and not case.dropout:
        layer = flat(wrap(module))
    else:
        layer = by_mode(
            lambda x, *state: flat(
                wrap(module if torch.is_grad_enabled() else copy.copy(module).eval())
            )
        )
    # In the instance's dictionary, past torch's own setattr, which looks for modules and tensors.
    layer.__dict__["weights"] = own
    return layer


def _module(case: Case) -> torch.nn.RNNBase:
    options = {
        "bias": case.bias,
        "batch_first": case.batch_first,
        "dropout": case.dropout,
        "bidirectional": case.bidirectional,
        "device": case.device,
        "dtype": getattr(torch, case.stored_dtype),
    }
    sizes = case.input_size, case.hidden_size, case.num_layers
    if case.cell == "lstm":
        return torch.nn.LSTM(*sizes, **options)
    if case.cell == "gru":
        return torch.nn.GRU(*sizes, **options)
    return torch.nn.RNN(*sizes, nonlinearity=case.cell.removeprefix("rnn_"), **options)


def _flat(module: Callable[..., Any]) -> Layer:
    """An nn.LSTM, which takes and returns its two states as a pair, by the contract."""

    def layer(x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        output, final = module(x, state) if state else module(x)
        return output, *final

    return layer


def _as_it_is(module: Callable[..., Any]) -> Layer:
    return module


def why_no_module(case: Case) -> str | None:
    """Why torch.nn's module cannot do a case here; None where it can."""
    if not case.autocast:
        return None
    refusal = _refusal_of_autocast(case.cell, torch.device(case.device).type, case.computed_dtype)
    return refusal and (
        f"torch.nn's {case.cell} under autocast to {case.computed_dtype} raises in torch "
        f"{torch.__version__} here: {refusal}"
    )


@functools.lru_cache
def _refusal_of_autocast(cell: str, device: str, dtype: str) -> str | None:
    # oneDNN takes float16 only on some processors, and PyTorch asks it for an LSTM on all of them.
    module = _module(Case(cell=cell, device=device, input_size=2, hidden_size=2))
    try:
        with torch.autocast(device, dtype=getattr(torch, dtype)):
            module(torch.zeros(1, 1, 2, device=device))
    except RuntimeError as error:
        return str(error).partition(". ")[0]
    return None


def why_no_masks(case: Case, who: str) -> str | None:
    """Why dropout cannot be verified where ``who`` draws the masks; None without dropout."""
    if not case.dropout:
        return None
    return (
        f"{who} draws the masks of dropout in its own way, so they cannot be drawn again, and a "
        "right result could not be told from a wrong one"
    )


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


def why_not_compiled_whole(case: Case) -> str | None:
    """Why a whole layer cannot be compiled, dropout included; None where it can."""
    return why_no_masks(case, "torch.compile") or why_not_compiled(case)


@functools.lru_cache(maxsize=1)
def _refusal_of_torch_compile() -> str | None:
    # Which Pythons a version supports is its own knowledge, and it says so before it compiles:
    # 2.1 to 2.3 refuse Python 3.12, 2.4 and 2.5 refuse 3.13, 2.6 to 2.9 refuse 3.14.
    try:
        torch.compile(fresh_code(_as_it_is))
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
