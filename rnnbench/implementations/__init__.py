"""Ways to compute a recurrent layer: one file each, one contract, one registry (worker side).

The contract. An implementation is a function ``build(case, weights)`` that returns a *layer*: a
callable of flat arguments and results,

    layer(x, h0) -> (output, h_n)               rnn_tanh, rnn_relu, gru
    layer(x, h0, c0) -> (output, h_n, c_n)      lstm
    layer(x) -> the same                        where ``case.initial_state`` is "zero"

    x       (T, B, I), or (B, T, I) where ``case.batch_first``; not contiguous in `batch_first_view`
    h0, c0  (L * D, B, H), D = 2 for a bidirectional layer, else 1; the layer makes its own zeros
    output  (T, B, D * H), or (B, T, D * H) where ``case.batch_first``
    h_n, c_n  (L * D, B, H)

``weights`` is a flat list in the order of ``torch.nn``'s parameters: for each layer and in it for
each direction ``w_ih`` (G * H, I or D * H), ``w_hh`` (G * H, H) and, where ``case.bias``, ``b_ih``
and ``b_hh`` (G * H). G is 1, for an LSTM 4 (gates i, f, g, o) and for a GRU 3 (r, z, n), in the
order and by the formulas of ``torch.nn``. They are leaf tensors that require gradients, on the
case's device and of its dtype. The layer uses these very tensors, or holds its own copies and lists
them, in the same order, in an attribute ``weights`` (as ``nn_rnn`` does), because their gradients
are verified and a training step changes them.

One layer serves every pass of a setting, so it is called with autograd and in inference mode, and
does not look at ``case.pass_``. Where autograd is on it trains: dropout acts there, on what one
layer hands to the next, and nowhere else. For a dtype that begins with ``autocast_``, weights and
inputs are float32, and the layer is called under ``torch.autocast``.

``cells`` and ``options`` say what it can do: a case with another cell, or with a value of the
columns ``bias``, ``dropout`` or ``initial_state`` that is not the usual one, is refused in its name
unless they are listed. ``unsupported(case)`` returns why a case cannot be done, or None. A case
that is refused there is recorded with that reason. ``compiler`` names what compiles in the build or
in a first call: its seconds are recorded, and an error of the compiler itself counts as unsupported
by this version. ``"inductor"`` is started on something trivial before, so that no case pays for its
start.

**Sequences of different lengths.** Where ``case.lengths`` is not ``full``, x (T, B, I) is 0 behind
the end of each sequence, at `rnnbench.forms.valid_lengths`, and the layout says what is to be done:

    padded  the layer runs over all T steps as ever; every implementation can, in one direction: the
            reverse one would begin with the padding
    packed  x and output are a ``PackedSequence`` (``torch.nn.utils.rnn``), states as ever: of
            implementations that say ``packed=True``
    masked  with ``masked="held"`` the loop holds a state from where its sequence has ended, so that
            the final states are those after the last valid step, and output is 0 behind it; with
            ``masked="outputs"`` the layer runs as in `padded`, and the workload masks its output

Packing and unpacking, masks and picking the last valid state are part of each call: the workload
`rnnbench.workloads.layer` does what the implementation does not.

A plug-in is a file of the same form that imports ``implementation`` and, if it likes, the helpers
``stacked``, ``step_by_step``, ``one_step`` and ``activation`` from here. What it builds with
``stacked`` can have an initial state of zero and dropout; a step gets None for biases that are off.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from rnnbench.cases import Case, builtin_implementations
from rnnbench.errors import UserError
from rnnbench.implementations._cells import activation, one_step, step_by_step
from rnnbench.implementations._layers import stacked
from rnnbench.schema import RAGGED_LAYOUTS

__all__ = [
    "OPTIONS",
    "Build",
    "Implementation",
    "Layer",
    "Masked",
    "activation",
    "implementation",
    "load_builtin",
    "one_step",
    "registered",
    "stacked",
    "step_by_step",
]

Layer = Callable[..., tuple[Tensor, ...]]
Build = Callable[[Case, Sequence[Tensor]], Layer]
Masked = Literal["", "held", "outputs"]

_REFUSALS = {
    "bias": "always adds biases",
    "dropout": "has no dropout between layers",
    "initial_state": "must be given an initial state",
}
OPTIONS = tuple(_REFUSALS)
"""Columns of a case whose unusual values an implementation must list to get."""

_USUAL = Case().columns()


def _always(case: Case) -> str | None:
    return None


@dataclass(frozen=True)
class Implementation:
    """A registered implementation; see the module for what each part promises."""

    name: str
    build: Build
    description: str
    cells: tuple[str, ...] = ("rnn_tanh", "rnn_relu")
    options: tuple[str, ...] = ()
    compiler: str = ""
    trains: bool = True
    packed: bool = False
    masked: Masked = ""
    check: Callable[[Case], str | None] = _always

    def unsupported(self, case: Case) -> str | None:
        """Why this case cannot be done here, in one clause; None where it can."""
        if case.cell not in self.cells:
            return f"{self.name} has no {case.cell} cell"
        for option, refusal in _REFUSALS.items():
            if option not in self.options and getattr(case, option) != _USUAL[option]:
                return f"{self.name} {refusal}"
        if case.dropout and case.num_layers == 1:
            return "dropout acts between layers, and there is one"
        if not self.trains and case.pass_ != "inference":
            return f"{self.name} computes no gradients; use the inference pass"
        return self._why_no_layout(case) or self.check(case)

    def _why_no_layout(self, case: Case) -> str | None:
        """Why a layout and lengths do not go together, or not here; None where they do."""
        ragged = case.layout in RAGGED_LAYOUTS
        if case.lengths == "full":
            missing = (
                f"{case.layout} is a layout of sequences of different lengths; give lengths too"
            )
            return missing if ragged else None
        if not ragged:
            return (
                "sequences of different lengths are laid out as "
                f"{', '.join(RAGGED_LAYOUTS)}, and not {case.layout}"
            )
        if case.layout == "packed" and not self.packed:
            return f"{self.name} takes no packed sequence"
        if case.layout == "masked" and not self.masked:
            return f"{self.name} has no loop that holds a state where its sequence has ended"
        held = case.layout == "packed" or (case.layout == "masked" and self.masked == "held")
        if case.bidirectional and not held:
            return "the reverse direction would begin with the padding"
        return None


_registry: dict[str, Implementation] = {}


def implementation(
    name: str,
    description: str,
    *,
    cells: tuple[str, ...] = ("rnn_tanh", "rnn_relu"),
    options: tuple[str, ...] = (),
    compiler: str = "",
    trains: bool = True,
    packed: bool = False,
    masked: Masked = "",
    unsupported: Callable[[Case], str | None] = _always,
) -> Callable[[Build], Build]:
    """Register the decorated ``build`` function as an implementation.

    Raises:
        UserError: the name is taken, or an option is none.
    """

    def register(build: Build) -> Build:
        if name in _registry or name == "reference":
            raise UserError(f"implementation {name!r} is registered already; choose another name")
        for option in options:
            if option not in OPTIONS:
                raise UserError(
                    f"implementation {name!r} lists the option {option!r}; there are "
                    f"{', '.join(OPTIONS)}"
                )
        _registry[name] = Implementation(
            name=name,
            build=build,
            description=description,
            cells=tuple(cells),
            options=tuple(options),
            compiler=compiler,
            trains=trains,
            packed=packed,
            masked=masked,
            check=unsupported,
        )
        return build

    return register


def registered() -> dict[str, Implementation]:
    """All implementations that are registered now, by name."""
    return dict(_registry)


def load_builtin() -> None:
    """Register every implementation that comes with rnnbench."""
    for name in builtin_implementations():
        importlib.import_module(f"{__name__}.{name}")
