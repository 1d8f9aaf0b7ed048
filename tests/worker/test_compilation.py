"""What torch.compile did is told by the tracer's own counters; its refusals from others."""

import os
from types import SimpleNamespace

import pytest
import torch

from rnnbench.worker.compilation import (
    Graphs,
    compiler_refused,
    forget_compiled,
    graphs_so_far,
    start_compiler,
    use_cache,
)


def error_of(module: str, base: type[Exception] = Exception, text: str = "") -> Exception:
    return type("Planted", (base,), {"__module__": module})(text)


class TestGraphs:
    def test_a_difference_holds_only_what_has_come_since(self):
        earlier = Graphs(2, 5, {"a": 1, "b": 2})
        later = Graphs(3, 9, {"a": 1, "b": 5, "c": 1})
        assert later.since(earlier).as_dict() == {
            "graphs": 1,
            "frames": 4,
            "breaks": {"b": 3, "c": 1},
        }
        assert later.since(later).as_dict() == {"graphs": 0, "frames": 0, "breaks": {}}

    def test_they_are_the_tracers_counters(self, monkeypatch):
        reason = (
            "Attempted to call function marked as skipped\n"
            "  Explanation: Dynamo does not trace `torch.nn.RNN`\n"
            "  Hint: do not do this\n\n  Developer debug context: x\n"
        )
        counters = {
            "graph_break": {reason: 2, "plain": 1},
            "stats": {"unique_graphs": 4},
            "frames": {"total": 7},
        }
        dynamo = SimpleNamespace(utils=SimpleNamespace(counters=counters))
        monkeypatch.setattr(torch, "_dynamo", dynamo, raising=False)
        assert graphs_so_far().as_dict() == {
            "graphs": 4,
            "frames": 7,
            "breaks": {
                "Attempted to call function marked as skipped; "
                "Explanation: Dynamo does not trace `torch.nn.RNN`": 2,
                "plain": 1,
            },
        }

    def test_before_the_tracer_was_imported_all_are_zero(self, monkeypatch):
        monkeypatch.setattr(torch, "_dynamo", SimpleNamespace(), raising=False)
        assert graphs_so_far().as_dict() == {"graphs": 0, "frames": 0, "breaks": {}}
        forget_compiled()

    def test_forgetting_asks_the_tracer(self, monkeypatch):
        asked = []
        dynamo = SimpleNamespace(reset=lambda: asked.append(1))
        monkeypatch.setattr(torch, "_dynamo", dynamo, raising=False)
        forget_compiled()
        assert asked == [1]


class TestCache:
    @pytest.fixture(autouse=True)
    def _variables(self, monkeypatch):
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
        monkeypatch.setenv("TRITON_CACHE_DIR", "")

    def test_it_is_cold_the_first_time_and_warm_after(self, tmp_path):
        assert use_cache(tmp_path, "layer") is False
        assert use_cache(tmp_path, "layer") is True

    def test_each_layer_has_its_own(self, tmp_path):
        use_cache(tmp_path, "one")
        first = os.environ["TORCHINDUCTOR_CACHE_DIR"]
        assert use_cache(tmp_path, "other") is False
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] != first

    def test_compilers_are_told_where_it_is_and_it_is_there(self, tmp_path):
        use_cache(tmp_path / "new", "layer")
        inductor = os.environ["TORCHINDUCTOR_CACHE_DIR"]
        assert os.path.isdir(inductor)
        assert inductor.startswith(str(tmp_path))
        assert os.environ["TRITON_CACHE_DIR"].startswith(inductor)


class TestRefusals:
    @pytest.mark.parametrize(
        "module",
        [
            "torch._dynamo.exc",
            "torch._inductor.exc",
            "torch._functorch.aot_autograd",
            "torch._export.serde",
        ],
    )
    def test_the_compilers_own_errors_are(self, module):
        assert compiler_refused(error_of(module))
        assert compiler_refused(type("Derived", (type(error_of(module)),), {})())

    def test_a_python_that_is_too_new_is(self):
        text = "torch.compile is not supported on Python 3.14+"
        assert compiler_refused(RuntimeError(text))

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("x"),
            RuntimeError("size mismatch"),
            error_of("torch.jit"),
            error_of("my_torch._dynamo"),
            TypeError("is not supported on"),
        ],
    )
    def test_others_are_not(self, error):
        assert not compiler_refused(error)


class TestStart:
    @pytest.fixture(autouse=True)
    def _variables(self, monkeypatch):
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
        monkeypatch.setenv("TRITON_CACHE_DIR", "")

    def test_it_takes_the_time_of_something_trivial(self, tmp_path, monkeypatch):
        called = []

        def compile_(function, dynamic):
            assert dynamic is False
            return lambda x: called.append((x.device.type, function(x).shape))

        monkeypatch.setattr(torch, "compile", compile_)
        seconds = start_compiler(tmp_path, "cpu")
        assert seconds is not None
        assert seconds >= 0
        assert called == [("cpu", (64,))]

    def test_a_version_that_cannot_compile_is_no_error_here(self, tmp_path, monkeypatch):
        def compile_(function, dynamic):
            raise error_of("torch._inductor.exc")

        monkeypatch.setattr(torch, "compile", compile_)
        assert start_compiler(tmp_path, "cpu") is None

    def test_any_other_error_is(self, tmp_path, monkeypatch):
        def compile_(function, dynamic):
            raise ValueError("planted")

        monkeypatch.setattr(torch, "compile", compile_)
        with pytest.raises(ValueError, match="planted"):
            start_compiler(tmp_path, "cpu")

    def test_it_does_not_warm_the_cache_of_a_layer(self, tmp_path, monkeypatch):
        monkeypatch.setattr(torch, "compile", lambda f, dynamic: f)
        start_compiler(tmp_path, "cpu")
        assert use_cache(tmp_path, "a layer") is False


def test_a_program_that_is_wrong_itself_is_not_the_compilers_refusal():
    @torch.compile(backend="eager")
    def wrong(x):
        return x @ torch.ones(3)

    with pytest.raises(RuntimeError) as raised:
        wrong(torch.ones(2, 2))
    assert not compiler_refused(raised.value)
