"""What ran is read off names that were seen, never off what was meant."""

import dataclasses
from collections import Counter

import pytest
import torch

from rnnbench.cases import Case
from rnnbench.implementations import load_builtin, registered
from rnnbench.worker.clocks import clock_for
from rnnbench.worker.compilation import Graphs
from rnnbench.worker.data import make_data
from rnnbench.worker.ran import backend_of, what_ran
from rnnbench.workloads import workload

load_builtin()

STEPS = 5
CASE = Case(seq_len=STEPS, batch=2, input_size=3, hidden_size=4, pass_="inference")
GRAPH = Graphs(1, 1, {})
BROKEN = Graphs(2, 2, {"torch.nn.RNN": 1})
NONE = Graphs(0, 3, {"torch.nn.RNN": 1})


class TestBackend:
    @pytest.mark.parametrize(
        ("operators", "kernels", "backend"),
        [
            (["aten::_cudnn_rnn", "aten::rnn_tanh"], ["RNN_blockPersist_fp"], "cudnn"),
            (["aten::_cudnn_rnn_backward"], [], "cudnn"),
            (["aten::miopen_rnn"], [], "miopen"),
            (["aten::mkldnn_rnn_layer"], [], "mkldnn"),
            (["cudaGraphLaunch", "aten::addmm"], ["sgemm"], "cuda_graph"),
            (["aten::addmm", "aten::tanh"], ["sgemm"], "eager"),
            ([], [], "eager"),
        ],
    )
    def test_libraries_are_told_by_their_operators(self, operators, kernels, backend):
        assert backend_of(Counter(operators), Counter(kernels), None, "") == backend

    def test_that_cudnn_was_asked_whether_it_can_is_not_that_it_ran(self):
        assert backend_of(Counter(["aten::cudnn_is_acceptable"]), Counter(), None, "") == "eager"

    @pytest.mark.parametrize(
        ("graphs", "names", "backend"),
        [
            (GRAPH, ["aten::addmm"], "inductor"),
            (BROKEN, ["aten::addmm"], "inductor+eager"),
            (NONE, ["aten::rnn_tanh"], "eager"),
            (None, ["aten::rnn_tanh"], "eager"),
            (Graphs(0, 1, {}), ["Torch-Compiled Region: 0/0"], "inductor"),
            (NONE, ["## Call CompiledFxGraph abc ##"], "inductor+eager"),
        ],
    )
    def test_what_was_to_be_compiled_is_so_only_where_graphs_were_made(
        self, graphs, names, backend
    ):
        assert backend_of(Counter(names), Counter(), graphs, "inductor") == backend

    def test_graphs_of_another_layer_do_not_make_an_eager_one_compiled(self):
        assert backend_of(Counter(["aten::addmm"]), Counter(), GRAPH, "") == "eager"

    def test_a_compiled_layer_that_calls_cudnn_is_cudnns(self):
        assert backend_of(Counter(["aten::_cudnn_rnn"]), Counter(), BROKEN, "inductor") == "cudnn"

    def test_code_compiled_ahead_of_time_shows_no_step_of_its_own(self):
        assert backend_of(Counter(["aten::empty"]), Counter(), None, "inductor") == "inductor"
        for step in ("aten::tanh", "aten::rnn_relu", "aten::clamp_min", "aten::tanh_backward"):
            assert backend_of(Counter([step]), Counter(), None, "inductor") == "eager"

    def test_scripted_code_is_torchscripts_only_where_a_scripted_graph_ran(self):
        names = Counter(["aten::addmm", "aten::tanh"])
        assert backend_of(names, Counter(), None, "torchscript", True) == "torchscript"
        assert backend_of(names, Counter(), None, "torchscript", False) == "eager"


def ran(implementation, pass_="inference", graphs=None, **columns):
    case = dataclasses.replace(CASE, implementation=implementation, pass_=pass_, **columns)
    data = make_data(case)
    found = registered()[implementation]
    if found.unsupported(case) is not None:
        pytest.skip(f"here: {found.unsupported(case)}")
    layer = workload("layer")
    timed = layer.timed(case, layer.model(case, found, data))
    clock = clock_for(case.device)
    with timed.context():  # as the verification does
        timed.run(timed.prepare())
    return what_ran(case, timed, clock, graphs, found.compiler)


class TestRealLayers:
    @pytest.mark.parametrize("implementation", ["nn_rnn", "python_loop", "hoisted_loop"])
    def test_operators_are_counted(self, implementation):
        told = ran(implementation)
        assert told["operators"]["aten::tanh"] == STEPS
        assert told["backend"] == "eager"
        assert told["kernels"] == {}
        assert "graphs" not in told

    def test_hoisting_takes_products_out_of_the_loop(self):
        products = {
            name: ran(name)["operators"]["aten::addmm"] for name in ("python_loop", "hoisted_loop")
        }
        assert products == {"python_loop": 2 * STEPS, "hoisted_loop": STEPS + 1}

    def test_launches_on_a_cpu_are_operators_that_call_no_other(self):
        told = ran("python_loop")
        assert told["launches"] == round(told["launches_per_step"] * STEPS)
        assert 3 * STEPS <= told["launches"] <= sum(told["operators"].values())
        longer = ran("python_loop", seq_len=2 * STEPS)
        assert longer["launches"] > 1.5 * told["launches"]

    def test_backward_is_told_without_the_forward_that_prepares_it(self):
        operators = ran("python_loop", "backward")["operators"]
        assert operators["aten::tanh_backward"] == STEPS
        assert "aten::tanh" not in operators

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    @pytest.mark.parametrize("implementation", ["torchscript_cell", "torchscript_loop"])
    def test_scripted_layers_are_told_from_eager_ones_that_run_beside_them(self, implementation):
        assert ran(implementation)["backend"] == "torchscript"
        assert ran("python_loop")["backend"] == "eager"
        assert ran(implementation, "forward_backward")["backend"] == "torchscript"

    def test_graphs_and_breaks_stand_beside(self):
        told = ran("nn_rnn", graphs=BROKEN)
        assert (told["graphs"], told["frames"]) == (2, 2)
        assert told["breaks"] == {"torch.nn.RNN": 1}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_on_a_gpu_launches_are_kernels():
    told = ran("nn_rnn", device="cuda", hidden_size=64)
    assert told["backend"] == "cudnn"
    assert told["launches"] == sum(told["kernels"].values()) > 0
    loop = ran("python_loop", device="cuda", hidden_size=64)
    assert loop["backend"] == "eager"
    assert loop["launches"] >= 2 * STEPS
