"""Each implementation that comes with rnnbench is right, or says why it cannot be used."""

import copy
import dataclasses
import functools
import importlib.util
import itertools
import sys
import warnings
from pathlib import Path

import pytest
import torch

from rnnbench import implementations
from rnnbench.cases import Case, builtin_implementations
from rnnbench.errors import UserError
from rnnbench.implementations import OPTIONS, Layer, load_builtin, registered
from rnnbench.implementations._layers import fresh_code, why_not_compiled
from rnnbench.implementations.reference import oracle
from rnnbench.schema import CELLS, DTYPES
from rnnbench.schema import FULL_LAYOUTS as LAYOUTS
from rnnbench.worker.data import Data, make_data
from rnnbench.worker.expected import Expected
from rnnbench.worker.masks import fix_masks
from rnnbench.worker.verification import Verification, verify
from rnnbench.workloads._passes import make_timed
from rnnbench.workloads.layer import model_of

load_builtin()

EAGER = ("nn_rnn", "python_loop", "hoisted_loop", "torchscript_cell", "torchscript_loop")
COMPILED = (
    "compiled_cell",
    "compiled_loop",
    "compiled_hoisted_loop",
    "compiled_nn_rnn",
    "scan",
    "aot_inductor",
)
SMALL = Case(seq_len=5, batch=3, input_size=4, hidden_size=6)


@functools.lru_cache(maxsize=64)
def expected_of(setting: Case) -> Expected:
    return oracle(setting, make_data(setting))


def run(case: Case, layer: Layer, data: Data, autograd: bool) -> tuple:
    model = model_of(layer, data, drops=case.dropout > 0)
    timed = make_timed(
        dataclasses.replace(case, pass_="backward" if autograd else "inference"), model
    )
    fix_masks(case)
    with timed.context():
        if not autograd:
            return dict(zip(model.inferred, timed.run(None), strict=True)), None
        outputs = timed.prepare()
        return dict(zip(model.names, outputs, strict=True)), timed.run(outputs)


def check(case: Case, times: int = 1) -> list[Verification]:
    """Build once, call in inference mode, then with autograd, as a worker does, and verify."""
    found = registered()[case.implementation]
    data = make_data(case)
    expected = expected_of(case.setting)
    layer = found.build(case, data.weights)
    verified = []
    for autograd in (False, True):
        pass_ = "forward_backward" if autograd else "inference"
        now = dataclasses.replace(case, pass_=pass_)
        if found.unsupported(now):
            assert not found.trains or case.implementation == "scan"
            continue
        for _ in range(times):
            verified.append(verify(now, expected, *run(now, layer, data, autograd)))
    return verified


def or_skip(case: Case) -> Case:
    reason = registered()[case.implementation].unsupported(case)
    if reason:
        pytest.skip(reason)
    return case


@pytest.mark.parametrize("name", EAGER)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_eager_implementation_is_right(name, cell, layout):
    for num_layers, bidirectional in itertools.product((1, 2), (False, True)):
        case = dataclasses.replace(
            SMALL,
            implementation=name,
            cell=cell,
            layout=layout,
            num_layers=num_layers,
            bidirectional=bidirectional,
            pass_="inference",
        )
        assert len(check(or_skip(case), times=3)) == 6


@pytest.mark.parametrize("name", EAGER)
@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_eager_implementation_is_right_in_each_dtype(name, cell, dtype):
    case = dataclasses.replace(
        SMALL, implementation=name, cell=cell, dtype=dtype, pass_="inference"
    )
    assert len(check(or_skip(case), times=3)) == 6


@pytest.mark.parametrize("name", EAGER)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("options", [{"bias": False}, {"initial_state": "zero"}], ids=str)
def test_eager_implementation_has_the_options_of_a_layer(name, cell, options):
    case = dataclasses.replace(
        SMALL, implementation=name, cell=cell, num_layers=2, bidirectional=True, **options
    )
    assert len(check(or_skip(case), times=3)) == 6


@pytest.mark.parametrize("name", [*EAGER, "compiled_cell"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "autocast_bfloat16"])
def test_implementation_drops_what_the_oracle_drops_and_nothing_in_inference(
    name, cell, dtype, monkeypatch
):
    if name == "compiled_cell":  # that compiling changes nothing is tested elsewhere
        monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    case = dataclasses.replace(
        SMALL,
        implementation=name,
        cell=cell,
        dtype=dtype,
        num_layers=3,
        bidirectional=True,
        dropout=0.4,
        layout="batch_first",
    )
    assert len(check(or_skip(case), times=3)) == 6


@pytest.mark.parametrize("name", EAGER)
def test_eager_implementation_is_right_for_one_of_everything(name):
    case = Case(
        implementation=name, seq_len=1, batch=1, input_size=1, hidden_size=1, pass_="inference"
    )
    assert len(check(or_skip(case))) == 2


LSTM = ("lstm", {"initial_state": "zero"})
GRU = ("gru", {"bias": False, "dtype": "autocast_bfloat16"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cell", "options"),
    [
        *((name, "rnn_tanh", {}) for name in COMPILED),
        # Their formulas are compiled one way each day, and in all ways where there is time.
        ("compiled_cell", *LSTM),
        ("aot_inductor", *GRU),
        *(
            pytest.param(name, *cell, marks=pytest.mark.minutes)
            for name in COMPILED
            for cell in (LSTM, GRU)
            if (name, cell[0]) not in (("compiled_cell", "lstm"), ("aot_inductor", "gru"))
        ),
    ],
)
def test_compiled_implementation_is_right_or_its_compiler_refuses(
    name, cell, options, tmp_path, monkeypatch
):
    from torch._dynamo.exc import TorchDynamoException

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    torch._dynamo.reset()
    case = dataclasses.replace(
        SMALL,
        implementation=name,
        cell=cell,
        num_layers=2,
        layout="batch_first_view",
        pass_="inference",
        **options,
    )
    or_skip(case)
    try:
        verified = check(case, times=2)
    except TorchDynamoException:
        # The prototype, on a CPU: a refusal that the worker records as unsupported.
        assert name == "scan"
        return
    assert len(verified) in (2, 4)


@pytest.mark.slow
def test_aot_inductor_leaves_its_artefact_in_the_cache(tmp_path, monkeypatch):
    here, cache = tmp_path / "here", tmp_path / "cache"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(cache))
    case = dataclasses.replace(SMALL, implementation="aot_inductor", pass_="inference")
    check(or_skip(case))
    assert not list(here.iterdir())
    assert list(cache.glob("rnnbench-aot-*/*"))


@pytest.mark.slow
def test_aot_inductor_keeps_two_cases_with_other_weights_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    for seed in (0, 1):
        case = dataclasses.replace(
            SMALL, implementation="aot_inductor", pass_="inference", seed=seed
        )
        assert check(or_skip(case))


def test_cases_have_compiled_code_of_their_own():
    def function(x, *, y=2):
        return x + y

    twin = fresh_code(function)
    assert twin(1) == 3
    assert twin.__code__ is not function.__code__


def test_nn_rnn_trains_and_lists_parameters_of_its_own():
    data = make_data(SMALL)
    layer = registered()["nn_rnn"].build(SMALL, data.weights)
    for mine, given in zip(layer.weights, data.weights, strict=True):
        assert torch.equal(mine, given)
        assert mine is not given
        assert mine.requires_grad


def test_twin_of_nn_rnn_in_evaluation_mode_shares_its_parameters():
    # What nn_layer does for inference on CUDA; the sharing can be seen anywhere.
    module = torch.nn.RNN(2, 3)
    twin = copy.copy(module).eval()
    with torch.no_grad():
        module.weight_hh_l0.add_(1)
    x = torch.randn(4, 1, 2)
    assert torch.equal(twin(x)[0], module(x)[0])
    assert module.training
    assert not twin.training
    assert twin.weight_hh_l0 is module.weight_hh_l0


@pytest.mark.parametrize("name", ["torchscript_cell", "torchscript_loop"])
def test_torchscript_does_not_repeat_its_deprecation(name):
    case = dataclasses.replace(SMALL, implementation=name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(or_skip(case))


def test_torchscript_is_unsupported_where_python_is_too_new(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    for name in ("torchscript_cell", "torchscript_loop"):
        reason = registered()[name].unsupported(dataclasses.replace(SMALL, implementation=name))
        assert reason == "TorchScript is not supported on Python 3.14 and newer"


def test_missing_compiler_is_a_reason_that_says_what_to_do(monkeypatch):
    if reason := why_not_compiled(SMALL):
        pytest.skip(reason)
    monkeypatch.setenv("CXX", "no-such-compiler")
    reason = registered()["compiled_loop"].unsupported(SMALL)
    assert reason is not None
    assert "needs a C++ compiler and 'no-such-compiler' is not on the PATH" in reason


@pytest.mark.parametrize(
    "name", ["compiled_loop", "compiled_hoisted_loop", "compiled_nn_rnn", "scan"]
)
def test_what_compiles_whole_layers_has_no_dropout_and_says_why(name, monkeypatch):
    monkeypatch.setattr("rnnbench.implementations._layers.why_not_compiled", lambda case: None)
    case = dataclasses.replace(SMALL, num_layers=2, dropout=0.2, pass_="inference")
    assert registered()[name].unsupported(case) == (
        "torch.compile draws the masks of dropout in its own way, so they cannot be drawn again, "
        "and a right result could not be told from a wrong one"
    )


@pytest.mark.parametrize("name", builtin_implementations())
def test_dropout_needs_two_layers(name):
    reason = registered()[name].unsupported(dataclasses.replace(SMALL, dropout=0.2))
    assert reason == "dropout acts between layers, and there is one"


def test_masks_that_cudnn_draws_cannot_be_verified():
    case = dataclasses.replace(SMALL, num_layers=2, dropout=0.2, device="cuda")
    reason = registered()["nn_rnn"].unsupported(case)
    assert reason.startswith("torch.nn on cuda draws the masks of dropout in its own way")
    assert registered()["python_loop"].unsupported(case) is None


@pytest.mark.parametrize("name", builtin_implementations())
def test_each_has_every_cell_and_option_as_far_as_it_is_up_to_it(name):
    found = registered()[name]
    assert found.cells == CELLS
    assert found.options == OPTIONS


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"cell": "lstm"}, "plain has no lstm cell"),
        ({"bias": False}, "plain always adds biases"),
        ({"dropout": 0.2, "num_layers": 2}, "plain has no dropout between layers"),
        ({"initial_state": "zero"}, "plain must be given an initial state"),
    ],
)
def test_what_a_plugin_does_not_list_is_refused_in_its_name(columns, reason):
    plain = implementations.Implementation("plain", lambda case, weights: None, "x")
    case = dataclasses.replace(SMALL, implementation="plain", **columns)
    assert plain.unsupported(case) == reason
    listed = dataclasses.replace(plain, cells=CELLS, options=OPTIONS)
    assert listed.unsupported(case) is None


def test_an_option_that_is_none_is_refused():
    with pytest.raises(UserError, match="lists the option 'batch'; there are bias, dropout, init"):
        implementations.implementation("another", "x", options=("batch",))(lambda c, w: None)


def test_a_module_that_raises_under_autocast_is_unsupported_with_what_it_said(monkeypatch):
    from rnnbench.implementations import _layers

    class Raises(torch.nn.LSTM):
        def forward(self, *given):
            raise RuntimeError("could not create a primitive. Run with ONEDNN_VERBOSE.")

    monkeypatch.setattr(torch.nn, "LSTM", Raises)
    _layers._refusal_of_autocast.cache_clear()
    case = dataclasses.replace(SMALL, cell="lstm", dtype="autocast_float16")
    try:
        reason = registered()["nn_rnn"].unsupported(case)
    finally:
        _layers._refusal_of_autocast.cache_clear()
    assert reason == (
        f"torch.nn's lstm under autocast to float16 raises in torch {torch.__version__} here: "
        "could not create a primitive"
    )
    assert registered()["nn_rnn"].unsupported(dataclasses.replace(case, dtype="float16")) is None


def test_aot_inductor_does_not_train():
    reason = registered()["aot_inductor"].unsupported(dataclasses.replace(SMALL, pass_="forward"))
    assert reason == "aot_inductor computes no gradients; use the inference pass"


def test_cuda_graph_needs_cuda():
    reason = registered()["cuda_graph"].unsupported(SMALL)
    assert reason == "CUDA graphs need a CUDA device, not cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["cuda_graph", "nn_rnn", "hoisted_loop"])
def test_is_right_on_cuda(name, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    for cell, bidirectional in itertools.product(CELLS, (False, True)):
        case = dataclasses.replace(
            SMALL,
            implementation=name,
            cell=cell,
            device="cuda",
            num_layers=2,
            bidirectional=bidirectional,
            pass_="inference",
        )
        assert len(check(or_skip(case), times=3)) == 6


def test_every_file_registers_the_implementation_of_its_name():
    assert set(builtin_implementations()) <= set(registered())


def test_name_that_is_taken_is_refused():
    with pytest.raises(UserError, match="'nn_rnn' is registered already"):
        implementations.implementation("nn_rnn", "another")(lambda case, weights: None)


def test_plugin_of_the_readme_is_right_and_short(monkeypatch):
    monkeypatch.setattr(implementations, "_registry", registered())
    path = Path(__file__).parents[1] / "plugins" / "my_cell.py"
    spec = importlib.util.spec_from_file_location("my_cell", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    case = dataclasses.replace(SMALL, implementation="my_cell", num_layers=2, bidirectional=True)
    assert len(check(case)) == 2
    assert "my_cell has no rnn_relu cell" in registered()["my_cell"].unsupported(
        dataclasses.replace(case, cell="rnn_relu")
    )
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) < 15
