"""Phases come from the compiler's accounts, which hold each other, and add up."""

import types

import pytest

from rnnbench.profiling import compiling
from rnnbench.profiling.compiling import PHASES, Accounts, phases_of

# As PyTorch 2.13 kept them for one forward and backward of eight steps.
SECONDS = {
    "_compile.compile_inner": 10.995,
    "OutputGraph.call_user_compiler": 10.450,
    "create_aot_dispatcher_function": 10.418,
    "compile_fx.<locals>.fw_compiler_base": 8.286,
    "compile_fx_inner": 23.848,
    "GraphLowering.run": 0.672,
    "GraphLowering.compile_to_module": 21.957,
    "GraphLowering.codegen": 1.552,
    "PyCodeCache.load_by_key_path": 20.403,
    "backward._backward_impl": 15.642,
}


def test_phases_add_up_to_tracing_and_backward():
    phases = phases_of(SECONDS)
    assert list(phases) == list(PHASES)
    assert sum(phases.values()) == pytest.approx(10.995 + 15.642)
    assert phases["compiling"] == pytest.approx(20.405, abs=0.01)
    assert phases["code_generation"] == 1.552
    assert phases["tracing"] == pytest.approx(0.545)


def test_inference_has_no_backward():
    forward = {k: v for k, v in SECONDS.items() if not k.startswith("backward")}
    forward["compile_fx_inner"] = 8.286
    assert sum(phases_of(forward).values()) == pytest.approx(10.995)


@pytest.mark.parametrize("missing", ["_compile.compile_inner", "GraphLowering.codegen"])
def test_accounts_of_another_form_tell_nothing(missing):
    assert phases_of({k: v for k, v in SECONDS.items() if k != missing}) is None
    assert phases_of({}) is None


def test_what_has_come_since(monkeypatch):
    reason = types.SimpleNamespace(
        reason="Unsupported: torch.nn.RNN\nHint: none",
        user_stack=[types.SimpleNamespace(filename="/home/me/model.py", lineno=12)],
    )
    utils = types.SimpleNamespace(
        compilation_time_metrics={name: [value, value] for name, value in SECONDS.items()},
        graph_break_reasons=[reason],
        get_compilation_metrics=lambda: [
            types.SimpleNamespace(recompile_reason=None),
            types.SimpleNamespace(recompile_reason="0/0: size mismatch\nmore"),
        ],
    )
    metrics = types.SimpleNamespace(generated_kernel_count=7)
    fake = {"torch._dynamo.utils": utils, "torch._inductor.metrics": metrics}
    monkeypatch.setattr(compiling.sys, "modules", fake)
    found = compiling.accounts_so_far().since(Accounts(SECONDS, 3, 0))
    assert found["kernels"] == 4
    assert found["breaks"] == ["Unsupported: torch.nn.RNN (model.py, line 12)"]
    assert found["recompilations"] == ["0/0: size mismatch"]
    assert found["phases"] == pytest.approx(phases_of(SECONDS))
    compiling.forget_breaks()
    assert utils.graph_break_reasons == []
