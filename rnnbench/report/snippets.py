"""What it takes to use an implementation: a few lines of code, and what it needs to run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.cases import Case, builtin_implementations
from rnnbench.forms import valid_lengths
from rnnbench.lengths import is_sorted

__all__ = ["Snippet", "needs", "snippet"]

_LONGEST_NAME = 60
"""Characters of a name that code repeats; Python's own names are shorter."""


@dataclass(frozen=True)
class Snippet:
    """``setup`` makes a layer and an input such as those that were timed; ``code`` runs the layer.

    One after the other they are a program. ``code`` has at most five lines, except for a plug-in,
    and ends with ``output`` of shape (T, B, H), or (B, T, H) where the layout begins with the
    batch.
    """

    setup: str
    code: str

    @property
    def text(self) -> str:
        """The whole program, which ends with a line feed."""
        return f"{self.setup}\n{self.code}\n"


def snippet(case: Case, plugins: Sequence[str] = ()) -> Snippet:
    """The code that computes a case as its implementation does.

    Loops over layers that are stacked or bidirectional, have gates, no biases or autocast are built
    by rnnbench's own implementation, as is what plug-ins do, whose files ``plugins`` names; all
    else needs nothing but PyTorch. The code is for the forward direction; gradients come as always,
    by ``output.backward(…)``.
    """
    name = case.implementation
    if name in _MODULES:
        return Snippet(_setup(case, states=True), _MODULES[name](case))
    if name in _ONE_LAYER and _is_simple(case):
        code = _ONE_LAYER[name](case)
        if name == "aot_inductor":
            module = _LOOP_MODULE.format(states=_list_of_states(case), dim=_stack_dim(case))
            return Snippet(_setup(case, module=module), code)
        return Snippet(_setup(case, imports=_IMPORTS.get(name, "")), code)
    return Snippet(_setup(case, states=True), _registered(case, plugins))


def needs(implementation: str) -> str:
    """What an implementation asks for besides PyTorch, and what it cannot do; one sentence."""
    if implementation in _NEEDS:
        return _NEEDS[implementation]
    return "It is a plug-in: what it needs, its author knows."


_TORCH_COMPILE = (
    "It needs torch.compile, and so a C++ compiler on a CPU or Triton on a CUDA device; it is "
    "compiled again for each new shape"
)
_DEPRECATED = (
    "It needs TorchScript, which PyTorch has deprecated and which Python 3.14 and newer do not run."
)
_NEEDS = {
    "nn_rnn": "It needs nothing but PyTorch.",
    "python_loop": "It needs nothing but PyTorch.",
    "hoisted_loop": "It needs nothing but PyTorch, and memory for all projected inputs at once.",
    "torchscript_cell": _DEPRECATED,
    "torchscript_loop": _DEPRECATED,
    "compiled_cell": f"{_TORCH_COMPILE}.",
    "compiled_loop": f"{_TORCH_COMPILE}, each length included, and takes longer the longer it is.",
    "compiled_hoisted_loop": f"{_TORCH_COMPILE}, each length included, and takes longer the longer "
    "it is.",
    "compiled_nn_rnn": f"{_TORCH_COMPILE}, and the graph breaks at the layer, which runs eagerly.",
    "scan": f"{_TORCH_COMPILE}; scan is a prototype of PyTorch 2.6 and newer, without a promise to "
    "stay.",
    "aot_inductor": "It is for inference alone, and needs a C++ compiler once and PyTorch 2.4 or "
    "newer; weights and shapes are built into what is compiled.",
    "cuda_graph": "It needs a CUDA device and fixed shapes; the next call overwrites the output of "
    "the last one.",
}


def _states(case: Case) -> str:
    """The loop over the steps in one expression: x, h, w, r, b and c are what it reads."""
    return f"torch.stack({_list_of_states(case)}{_stack_dim(case)})"


def _list_of_states(case: Case) -> str:
    dim = 1 if case.batch_first else 0
    step = f"torch.{_phi(case)}(linear(t, w, b) + linear(h, r, c))"
    return f"[h := {step} for t in x.unbind({dim})]"


def _hoisted_states(case: Case, projected: str) -> str:
    step = f"torch.{_phi(case)}(torch.addmm(p, h, r.t()))"
    return f"torch.stack([h := {step} for p in {projected}]{_stack_dim(case)})"


def _projected(case: Case) -> str:
    source = "x.transpose(0, 1)" if case.batch_first else "x"
    return f"linear({source}, w, b + c).unbind(0)"


def _phi(case: Case) -> str:
    return case.cell.removeprefix("rnn_")


def _stack_dim(case: Case) -> str:
    return ", 1" if case.batch_first else ""


def _python_loop(case: Case) -> str:
    return f"w, r, b, c = rnn.parameters()\noutput = {_states(case)}"


def _hoisted_loop(case: Case) -> str:
    return (
        "w, r, b, c = rnn.parameters()\n"
        f"projected = {_projected(case)}\n"
        f"output = {_hoisted_states(case, 'projected')}"
    )


def _cell(decorator: str) -> Callable[[Case], str]:
    def code(case: Case) -> str:
        dim = 1 if case.batch_first else 0
        return (
            f"{decorator}\n"
            "def step(t, h, w, r, b, c):\n"
            f"    return torch.{_phi(case)}(linear(t, w, b) + linear(h, r, c))\n"
            "weights = list(rnn.parameters())\n"
            f"output = torch.stack([h := step(t, h, *weights) for t in x.unbind({dim})]"
            f"{_stack_dim(case)})"
        )

    return code


def _torchscript_loop(case: Case) -> str:
    # TorchScript knows no `:=`, so that the states are also what is carried from step to step.
    dim = 1 if case.batch_first else 0
    step = f"torch.{_phi(case)}(linear(t, w, b) + linear(states[-1], r, c))"
    return (
        "@torch.jit.script\n"
        "def loop(x, states: list[torch.Tensor], w, r, b, c):\n"
        f"    for t in x.unbind({dim}): states.append({step})\n"
        f"    return torch.stack(states[1:]{_stack_dim(case)})\n"
        "output = loop(x, [h], *rnn.parameters())"
    )


def _compiled_loop(case: Case) -> str:
    return (
        "@torch.compile(dynamic=False)\n"
        "def loop(x, h, w, r, b, c):\n"
        f"    return {_states(case)}\n"
        "output = loop(x, h, *rnn.parameters())"
    )


def _compiled_hoisted_loop(case: Case) -> str:
    return (
        "@torch.compile(dynamic=False)\n"
        "def loop(x, h, w, r, b, c):\n"
        f"    projected = {_projected(case)}\n"
        f"    return {_hoisted_states(case, 'projected')}\n"
        "output = loop(x, h, *rnn.parameters())"
    )


def _scan(case: Case) -> str:
    steps, back = ("x.transpose(0, 1)", ".transpose(0, 1)") if case.batch_first else ("x", "")
    return (
        "w, r, b, c = rnn.parameters()\n"
        "def step(h, t):\n"
        f"    return (h := torch.{_phi(case)}(linear(t, w, b) + linear(h, r, c))), h.clone()\n"
        "loop = torch.compile(lambda x, h: scan(step, h, x)[1], dynamic=False)\n"
        f"output = loop({steps}, h){back}"
    )


def _cuda_graph(case: Case) -> str:
    return (
        "def loop(x, h, w, r, b, c):\n"
        f"    return {_states(case)}\n"
        "inputs = (x, h, *rnn.parameters())\n"
        "graphed = torch.cuda.make_graphed_callables(loop, inputs)\n"
        "output = graphed(*inputs)"
    )


def _aot_inductor(case: Case) -> str:
    return (
        "program = torch.export.export(rnn, (x, h))\n"
        "package = torch._inductor.aoti_compile_and_package(program)\n"
        "loop = torch._inductor.aoti_load_package(package)\n"
        "output = loop(x, h)"
    )


_LOOP_MODULE = """\
class Loop(torch.nn.RNN):  # written out, because only modules can be exported
    def forward(self, x, h):
        w, r, b, c = self.parameters()
        states = {states}
        return torch.stack(states{dim})"""

_IMPORTS = {"scan": "from torch._higher_order_ops.scan import scan"}


def _is_simple(case: Case) -> bool:
    """Whether the loop of a case can be written out in five lines."""
    return (
        case.cell in ("rnn_tanh", "rnn_relu")
        and case.workload == "layer"
        and case.num_layers == 1
        and not case.bidirectional
        and case.bias
        and not case.autocast
        and case.layout != "masked"
    )


def _states_of(case: Case, suffix: str) -> list[str]:
    """The initial states by name, or with ``_n`` the final ones."""
    if suffix == "0" and case.initial_state == "zero":
        return []
    return [name + suffix for name in case.states]


def _grouped(names: Sequence[str]) -> list[str]:
    """Names as torch.nn takes and returns them: those of an LSTM's states as a pair."""
    return [f"({', '.join(names)})"] if len(names) > 1 else list(names)


def _call(case: Case, layer: str, *, flat: bool = False) -> str:
    """The line that runs the layer, under autocast where the case has it."""
    grouped = list if flat else _grouped
    given = ", ".join(["x", *grouped(_states_of(case, "0"))])
    found = ", ".join(["output", *grouped(_states_of(case, "_n"))])
    line = f"{found} = {layer}({given})"
    if not case.autocast:
        return line
    kind = json.dumps(case.device.partition(":")[0])
    return f"with torch.autocast({kind}, dtype=torch.{case.computed_dtype}):\n    {line}"


def _module(case: Case) -> str:
    line = _call(case, "rnn")
    if case.layout == "packed":
        of = "torch.nn.utils.rnn"
        return (
            f"x = {of}.pack_padded_sequence(x, lengths, enforce_sorted={is_sorted(case.lengths)})\n"
            f"{line}\n"
            f"output, _ = {of}.pad_packed_sequence(output, total_length={case.seq_len})"
        )
    if case.layout == "masked":
        return (
            f"{line}\n"
            f"ended = torch.arange({case.seq_len}).unsqueeze(1) >= lengths\n"
            "output = output.masked_fill(ended.unsqueeze(-1), 0)"
        )
    return line


def _compiled_module(case: Case) -> str:
    return f"layer = torch.compile(rnn, dynamic=False)\n{_call(case, 'layer')}"


_MODULES: dict[str, Callable[[Case], str]] = {
    "nn_rnn": _module,
    "compiled_nn_rnn": _compiled_module,
}
"""Those that have every cell and stack layers and directions by themselves."""

_ONE_LAYER: dict[str, Callable[[Case], str]] = {
    "python_loop": _python_loop,
    "hoisted_loop": _hoisted_loop,
    "torchscript_cell": _cell("@torch.jit.script"),
    "torchscript_loop": _torchscript_loop,
    "compiled_cell": _cell("@torch.compile(dynamic=False)"),
    "compiled_loop": _compiled_loop,
    "compiled_hoisted_loop": _compiled_hoisted_loop,
    "scan": _scan,
    "aot_inductor": _aot_inductor,
    "cuda_graph": _cuda_graph,
}


_CLASSES = {"rnn_tanh": "RNN", "rnn_relu": "RNN", "lstm": "LSTM", "gru": "GRU"}


def _setup(case: Case, *, states: bool = False, imports: str = "", module: str = "") -> str:
    """A layer ``rnn``, an input ``x`` and a state: for ``states`` those of a layer, else ``h``."""
    lines = ["import torch"]
    if not states:
        lines.append("from torch.nn.functional import linear")
    lines += [text for text in (imports, module) if text]
    if case.device == "cpu":
        lines.append(f"torch.set_num_threads({case.threads})")
    else:
        lines.append(f"torch.set_default_device({json.dumps(case.device)})")
    if case.stored_dtype != "float32":
        lines.append(f"torch.set_default_dtype(torch.{case.dtype})")
    if case.pass_ == "inference":
        lines.append("torch.set_grad_enabled(False)")
    options = [str(case.input_size), str(case.hidden_size)]
    options += [str(case.num_layers)] if case.num_layers > 1 else []
    options += ['nonlinearity="relu"'] if case.cell == "rnn_relu" else []
    options += [] if case.bias else ["bias=False"]
    options += [f"dropout={case.dropout!r}"] if case.dropout else []
    options += ["batch_first=True"] if case.batch_first else []
    options += ["bidirectional=True"] if case.bidirectional else []
    made = "Loop" if module else f"torch.nn.{_CLASSES[case.cell]}"
    evaluated = ".eval()" if case.dropout and case.pass_ == "inference" else ""
    lines.append(f"rnn = {made}({', '.join(options)}){evaluated}")
    lines.append(f"x = {_input(case)}")
    if case.lengths != "full":
        where = ", device='cpu'" if case.layout == "packed" else ""
        lines.append(f"lengths = torch.tensor({list(valid_lengths(case))}{where})")
    if states:
        shape = (case.num_layers * case.directions, case.batch, case.hidden_size)
        lines += [f"{name} = torch.zeros{shape}" for name in _states_of(case, "0")]
    else:
        lines.append(f"h = torch.zeros({case.batch}, {case.hidden_size})")
    return "\n".join(lines)


def _input(case: Case) -> str:
    if case.layout == "batch_first":
        return f"torch.randn({case.batch}, {case.seq_len}, {case.input_size})"
    made = f"torch.randn({case.seq_len}, {case.batch}, {case.input_size})"
    return f"{made}.transpose(0, 1)" if case.batch_first else made


def _registered(case: Case, plugins: Sequence[str]) -> str:
    """Code for what rnnbench builds: from its own registry, or from that of a plug-in's file."""
    builtin = case.implementation in builtin_implementations()
    values: dict[str, Any] = {
        "cell": case.cell,
        "device": case.device,
        "dtype": case.dtype,
        "num_layers": case.num_layers,
        "bidirectional": case.bidirectional,
        "hidden_size": case.hidden_size,
        "input_size": case.input_size,
        "batch": case.batch,
        "seq_len": case.seq_len,
        "layout": case.layout,
        "pass_": case.pass_,
    }
    usual = Case()
    for name in ("bias", "dropout", "initial_state", "lengths"):
        if getattr(case, name) != getattr(usual, name):
            values[name] = getattr(case, name)
    if case.lengths != usual.lengths and case.seed:
        values["seed"] = case.seed  # it draws their order
    given = ", ".join(f"{key}={value!r}" for key, value in values.items())
    if builtin:
        imports = "from rnnbench.implementations import load_builtin, registered\nload_builtin()"
    else:
        files = [_file(plugin) for plugin in plugins[:3]] or ["PLUGIN.py"]
        loaded = "\n".join(
            f"runpy.run_path({json.dumps(file)})  # registers its implementations" for file in files
        )
        imports = f"import runpy\nfrom rnnbench.implementations import registered\n{loaded}"
    # No name that a file may hold is longer than a line, except to do harm.
    key = case.implementation if len(case.implementation) <= _LONGEST_NAME else "NAME"
    return (
        "from rnnbench.cases import Case\n"
        f"{imports}\n"
        f"case = Case({given})\n"
        f"layer = registered()[{json.dumps(key)}].build(case, list(rnn.parameters()))\n"
        + _call(case, "layer", flat=True)
    )


def _file(name: str) -> str:
    """A plug-in's file as a string in code; one that could deceive the reader is not repeated."""
    safe = name.isascii() and name.isprintable() and len(name) <= 100
    return name if safe else "PLUGIN.py"
