"""Ways to compute a recurrent layer: one file each, one contract, one registry (worker side).

The contract. An implementation is a function ``build(case, weights)`` that returns a *layer*: a
callable with the signature of ``torch.nn.RNN``'s forward,

    layer(x, h0) -> (output, h_n)

    x       (T, B, I), or (B, T, I) where ``case.batch_first``; not contiguous in `batch_first_view`
    h0      (L * D, B, H), D = 2 for a bidirectional layer, else 1
    output  (T, B, D * H), or (B, T, D * H) where ``case.batch_first``
    h_n     (L * D, B, H)

``weights`` is a flat list in the order of ``nn.RNN``'s parameters: for each layer and in it for
each direction ``w_ih`` (H, I or D * H), ``w_hh`` (H, H), ``b_ih`` (H), ``b_hh`` (H). They are leaf
tensors that require gradients, on the case's device and of its dtype. The layer uses these very
tensors, or holds its own copies and lists them, in the same order, in an attribute ``weights`` (as
``nn_rnn`` does), because their gradients are verified and a training step changes them.

One layer serves every pass of a setting, so it is called with autograd and in inference mode, and
does not look at ``case.pass_``.

``unsupported(case)`` returns why a case cannot be done, or None. A case that is refused there is
recorded with that reason. ``compiler`` names what compiles in the build or in a first call: its
seconds are recorded, and an error of the compiler itself counts as unsupported by this version.
``"inductor"`` is started on something trivial before, so that no case pays for its start.

A plug-in is a file of the same form that imports ``implementation`` and, if it likes, the helpers
``stacked``, ``step_by_step``, ``one_step`` and ``activation`` from here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from rnnbench.cases import Case, builtin_implementations
from rnnbench.errors import UserError
from rnnbench.implementations._layers import activation, one_step, stacked, step_by_step

__all__ = [
    "Build",
    "Implementation",
    "Layer",
    "activation",
    "implementation",
    "load_builtin",
    "one_step",
    "registered",
    "stacked",
    "step_by_step",
]

Layer = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Build = Callable[[Case, Sequence[Tensor]], Layer]


def _always(case: Case) -> str | None:
    return None


@dataclass(frozen=True)
class Implementation:
    """A registered implementation; see the module for what each part promises."""

    name: str
    build: Build
    description: str
    cells: tuple[str, ...] = ("rnn_tanh", "rnn_relu")
    compiler: str = ""
    trains: bool = True
    check: Callable[[Case], str | None] = _always

    def unsupported(self, case: Case) -> str | None:
        """Why this case cannot be done here, in one clause; None where it can."""
        if case.cell not in self.cells:
            return f"{self.name} has no {case.cell} cell"
        if not self.trains and case.pass_ != "inference":
            return f"{self.name} computes no gradients; use the inference pass"
        return self.check(case)


_registry: dict[str, Implementation] = {}


def implementation(
    name: str,
    description: str,
    *,
    cells: tuple[str, ...] = ("rnn_tanh", "rnn_relu"),
    compiler: str = "",
    trains: bool = True,
    unsupported: Callable[[Case], str | None] = _always,
) -> Callable[[Build], Build]:
    """Register the decorated ``build`` function as an implementation.

    Raises:
        UserError: the name is taken.
    """

    def register(build: Build) -> Build:
        if name in _registry or name == "reference":
            raise UserError(f"implementation {name!r} is registered already; choose another name")
        _registry[name] = Implementation(
            name, build, description, tuple(cells), compiler, trains, unsupported
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
