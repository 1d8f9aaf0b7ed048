"""Snippets: they are run, and compute what torch.nn.RNN computes, gradients included."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools

import pytest

from rnnbench.cases import Case, builtin_implementations
from rnnbench.implementations import load_builtin, registered
from rnnbench.report.snippets import needs, snippet

torch = pytest.importorskip("torch")
load_builtin()

CASE = Case(seq_len=4, batch=3, input_size=5, hidden_size=6)
EAGER = ("nn_rnn", "python_loop", "hoisted_loop")
SCRIPTED = ("torchscript_cell", "torchscript_loop")
COMPILED = ("compiled_cell", "compiled_loop", "compiled_hoisted_loop", "compiled_nn_rnn")
LAYOUTS = ("time_major", "batch_first", "batch_first_view")


@pytest.fixture(autouse=True)
def torch_as_it_was():
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)


_numbers = itertools.count()


def run(text, tmp_path):
    # A file, because TorchScript reads its functions from their source.
    path = tmp_path / f"snippet_{next(_numbers)}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def expected(module):
    kinds = (torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN)
    kind = next(kind for kind in kinds if isinstance(module.rnn, kind))
    states = [getattr(module, name) for name in ("h0", "c0") if hasattr(module, name)]
    if hasattr(module, "h"):
        # A comprehension with `:=` has moved h on to the last state; the first was zero.
        states = [torch.zeros_like(module.h)[None]]
    given = tuple(states) if len(states) > 1 else states[0] if states else None
    return kind.forward(module.rnn, module.x, given)[0]


def check(case, tmp_path, plugins=()):
    module = run(snippet(case, plugins).text, tmp_path)
    right = expected(module)
    assert module.output.shape == right.shape
    loose = {"rtol": 5e-2, "atol": 5e-2} if case.dtype == "bfloat16" else {}
    torch.testing.assert_close(module.output, right, **loose)
    if case.pass_ != "inference":
        weights = list(module.rnn.parameters())
        downstream = torch.randn_like(right)
        found = torch.autograd.grad(module.output, weights, downstream, retain_graph=True)
        for gradient, wanted in zip(
            found, torch.autograd.grad(right, weights, downstream), strict=True
        ):
            torch.testing.assert_close(gradient, wanted, **loose)
    else:
        assert not module.output.requires_grad
    return module


def changed(**changes):
    return dataclasses.replace(CASE, **changes)


class TestEveryImplementation:
    def test_has_a_snippet_of_its_own_and_a_sentence_about_its_needs(self):
        texts = {name: snippet(changed(implementation=name)) for name in builtin_implementations()}
        assert len({text.text for text in texts.values()}) == len(texts)
        for name, found in texts.items():
            assert "rnnbench" not in found.text
            assert needs(name).endswith(".") and "plug-in" not in needs(name)

    @pytest.mark.parametrize("name", builtin_implementations())
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_is_used_in_five_lines_of_valid_python(self, name, layout):
        found = snippet(changed(implementation=name, layout=layout))
        assert 1 <= len(found.code.splitlines()) <= 5
        assert all(len(line) <= 100 for line in found.text.splitlines())
        compile(found.text, name, "exec")


class TestItIsRight:
    @pytest.mark.parametrize("name", EAGER + SCRIPTED)
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("cell", ["rnn_tanh", "rnn_relu"])
    def test_eagerly_and_scripted(self, name, layout, cell, tmp_path):
        check(changed(implementation=name, layout=layout, cell=cell), tmp_path)

    @pytest.mark.parametrize("name", EAGER)
    @pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
    def test_in_other_data_types(self, name, dtype, tmp_path):
        module = check(changed(implementation=name, dtype=dtype), tmp_path)
        assert str(module.output.dtype) == f"torch.{dtype}"

    @pytest.mark.parametrize("name", EAGER + SCRIPTED)
    def test_in_inference(self, name, tmp_path):
        check(changed(implementation=name, pass_="inference"), tmp_path)

    @pytest.mark.parametrize("name", EAGER + SCRIPTED)
    def test_stacked_in_both_directions(self, name, tmp_path):
        case = changed(implementation=name, num_layers=2, bidirectional=True, layout="batch_first")
        check(case, tmp_path)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", COMPILED)
    def test_compiled(self, name, tmp_path):
        check(changed(implementation=name), tmp_path)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", COMPILED)
    def test_compiled_with_the_batch_first(self, name, tmp_path):
        check(changed(implementation=name, layout="batch_first", cell="rnn_relu"), tmp_path)

    @pytest.mark.slow
    def test_ahead_of_time(self, tmp_path):
        check(changed(implementation="aot_inductor", pass_="inference"), tmp_path)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_scan_without_its_compiler(self, layout, tmp_path, monkeypatch):
        # Inductor cannot compile scan on a CPU in PyTorch 2.13; what it computes can be checked.
        pytest.importorskip("torch._higher_order_ops.scan")
        monkeypatch.setattr(torch, "compile", lambda function, **options: function)
        check(changed(implementation="scan", layout=layout, pass_="inference"), tmp_path)

    @pytest.mark.gpu
    @pytest.mark.parametrize("pass_", ["inference", "forward"])
    def test_as_a_cuda_graph(self, pass_, tmp_path):
        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")
        check(changed(implementation="cuda_graph", device="cuda", pass_=pass_), tmp_path)


class TestDifferentLengths:
    def test_torch_nn_packs_pads_and_masks(self, tmp_path):
        lengths = [2, 4, 1]
        for layout in ("packed", "padded", "masked"):
            case = changed(lengths="2+4+1", layout=layout)
            module = run(snippet(case).text, tmp_path)
            x = module.x
            if layout == "packed":
                x, found = torch.nn.utils.rnn.pad_packed_sequence(x)
                assert found.tolist() == lengths
            right, _ = module.rnn(x)
            assert module.output.shape == (4, 3, 6)
            for k, length in enumerate(lengths):
                torch.testing.assert_close(module.output[:length, k], right[:length, k])
                assert layout == "padded" or not module.output[length:, k].any()

    def test_a_loop_that_holds_its_state_is_rnnbenchs_own(self, tmp_path):
        case = changed(implementation="hoisted_loop", layout="masked", lengths="uniform", seed=3)
        module = run(snippet(case).text, tmp_path)
        assert module.case == dataclasses.replace(case, implementation="nn_rnn")
        for k, length in enumerate(module.lengths.tolist()):
            right, h_n = module.rnn(module.x[:length, k : k + 1])
            torch.testing.assert_close(module.output[:length, k : k + 1], right)
            torch.testing.assert_close(module.h_n[:, k : k + 1], h_n)


class TestCellsAndOptions:
    @pytest.mark.parametrize("name", EAGER + SCRIPTED)
    @pytest.mark.parametrize("cell", ["lstm", "gru"])
    @pytest.mark.parametrize("layout", ["time_major", "batch_first"])
    def test_a_cell_with_gates(self, name, cell, layout, tmp_path):
        check(changed(implementation=name, cell=cell, layout=layout), tmp_path)

    @pytest.mark.parametrize("name", EAGER + SCRIPTED)
    @pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru"])
    @pytest.mark.parametrize("options", [{"bias": False}, {"initial_state": "zero"}], ids=str)
    def test_options_of_a_layer(self, name, cell, options, tmp_path):
        module = check(changed(implementation=name, cell=cell, **options), tmp_path)
        assert len(list(module.rnn.parameters())) == (2 if "bias" in options else 4)

    @pytest.mark.parametrize("name", ["nn_rnn", "python_loop"])
    def test_nothing_is_dropped_in_inference(self, name, tmp_path):
        case = changed(implementation=name, dropout=0.5, num_layers=2, pass_="inference")
        module = check(case, tmp_path)
        assert module.rnn.dropout == 0.5

    def test_dropout_is_the_modules_own_in_training(self):
        text = snippet(changed(dropout=0.5, num_layers=2)).text
        assert "rnn = torch.nn.RNN(5, 6, 2, dropout=0.5)\n" in text

    @pytest.mark.parametrize("name", EAGER)
    @pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru"])
    def test_autocast_is_written_out(self, name, cell, tmp_path):
        case = changed(implementation=name, cell=cell, dtype="autocast_bfloat16", pass_="inference")
        found = snippet(case)
        if reason := registered()[name].unsupported(case):
            pytest.skip(reason)  # an LSTM on some processors
        assert 'with torch.autocast("cpu", dtype=torch.bfloat16):' in found.code
        module = run(found.text, tmp_path)
        right = expected(module)
        torch.testing.assert_close(module.output.float(), right, rtol=5e-2, atol=5e-2)
        assert not torch.equal(module.output.float(), right)

    def test_an_lstm_of_torch_nn_takes_and_gives_a_pair(self):
        assert snippet(changed(cell="lstm")).code == "output, (h_n, c_n) = rnn(x, (h0, c0))"


class TestPlugins:
    def test_a_plugin_is_loaded_from_its_file_and_taken_from_the_registry(self, tmp_path):
        plugin = tmp_path / "mine.py"
        plugin.write_text(
            "from rnnbench.implementations import implementation, one_step, stacked, step_by_step\n"
            "@implementation('mine_for_a_snippet', 'a test')\n"
            "def build(case, weights):\n"
            "    return stacked(case, weights, step_by_step(one_step(case)))\n"
        )
        check(changed(implementation="mine_for_a_snippet"), tmp_path, [str(plugin)])

    def test_what_it_needs_is_left_to_its_author(self):
        assert needs("my_cell") == "It is a plug-in: what it needs, its author knows."

    def test_hostile_names_do_not_get_into_code(self):
        found = snippet(changed(implementation="x" * 10_000), ["a\u202e.py", "b" * 101]).text
        assert "x" * 61 not in found and "\u202e" not in found and "b" * 101 not in found
        assert 'run_path("PLUGIN.py")' in found and 'registered()["NAME"]' in found
        quoted = snippet(changed(implementation="mine"), ['"); import os #.py']).text
        compile(quoted, "quoted", "exec")
        assert r'run_path("\"); import os #.py")' in quoted
