"""Operators are counted as the code of each implementation says; times only add up."""

import dataclasses

import pytest
import torch

from rnnbench.cases import Case
from rnnbench.profiling.kinds import PARTS
from rnnbench.profiling.operators import middle_recording, operators_of, seconds_of_calls
from rnnbench.profiling.server import _name_compiled_kernels
from rnnbench.profiling.spans import CALL, Incomplete, Recording, Span
from tests.profiling.prepared import prepared

T = 6
CASE = Case(seq_len=T, batch=2, input_size=3, hidden_size=4, pass_="inference")


def profiled(case):
    timed, _, clock = prepared(case)
    plain = seconds_of_calls(timed, clock, 3)
    return operators_of(case, middle_recording(case, timed, clock, 3), plain)


def counts(implementation, pass_="inference"):
    case = dataclasses.replace(CASE, implementation=implementation, pass_=pass_)
    return {row["name"]: row["calls"] for row in profiled(case)["operators"]}


class TestCountsAreThoseOfTheCode:
    """Of one layer with a given state: each expectation is what reading the code says."""

    def test_python_loop(self):
        """Each step: x_t W_ih + b_ih and h W_hh + b_hh, their sum, tanh; all steps of x at once."""
        found = counts("python_loop")
        assert found["aten::linear"] == found["aten::addmm"] == 2 * T
        assert found["aten::add"] == found["aten::tanh"] == T
        assert found["aten::unbind"] == 1
        assert found["aten::select"] == T + 1  # of unbind, and the layer's part of the state
        assert found["aten::stack"] == 2  # outputs, final states

    def test_python_loop_backward(self):
        """Each linear has two products, for input and weight, and a sum over the batch for bias."""
        found = counts("python_loop", "backward")
        assert found["aten::mm"] == 4 * T
        assert found["aten::sum"] == 2 * T
        assert found["aten::tanh_backward"] == T
        assert "aten::addmm" not in found

    def test_hoisted_loop(self):
        """One product for all inputs with both biases, then addmm and tanh for each step."""
        found = counts("hoisted_loop")
        assert found["aten::addmm"] == T + 1
        assert found["aten::linear"] == found["aten::add"] == found["aten::unbind"] == 1
        assert found["aten::tanh"] == T
        assert found["aten::select"] == T + 1

    def test_nn_rnn(self):
        """ATen on a CPU: inputs in one linear, then a linear, an addition in place and tanh."""
        found = counts("nn_rnn")
        assert found["aten::rnn_tanh"] == 1
        assert found["aten::linear"] == found["aten::addmm"] == T + 1
        assert found["aten::add_"] == found["aten::tanh"] == T
        assert "aten::add" not in found

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_torchscript_cell(self):
        """The interpreter runs the cell's operators one by one, as python_loop does."""
        found = counts("torchscript_cell")
        assert found["aten::linear"] == found["aten::addmm"] == 2 * T
        assert found["aten::add"] == found["aten::tanh"] == T
        assert found["aten::select"] == T + 1

    @pytest.mark.slow
    def test_compiled_loop(self):
        """Unrolled: the products stay calls of a library, and the rest of a step is one kernel."""
        torch._dynamo.reset()  # regions are numbered through the whole process
        _name_compiled_kernels()
        found = counts("compiled_loop")
        assert found["aten::addmm"] == 2 * T
        kernels = {name: calls for name, calls in found.items() if "cpp_fused" in name}
        assert sum(calls for name, calls in kernels.items() if "tanh" in name) == T
        assert "aten::tanh" not in found and "aten::add" not in found
        assert found["Torch-Compiled Region: 0/0"] == 1


class TestParts:
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    @pytest.mark.parametrize(
        "implementation",
        [
            "nn_rnn",
            "python_loop",
            "hoisted_loop",
            "torchscript_cell",
            pytest.param("compiled_loop", marks=pytest.mark.slow),
        ],
    )
    @pytest.mark.parametrize("pass_", ["inference", "forward_backward"])
    def test_they_add_up_to_the_call_by_the_clock(self, implementation, pass_):
        # Large enough that what the profiler needs to begin and to end is far below 1 %.
        seq_len, hidden_size = (8, 512) if implementation == "compiled_loop" else (40, 128)
        case = Case(
            implementation=implementation,
            pass_=pass_,
            seq_len=seq_len,
            batch=32,
            hidden_size=hidden_size,
        )
        timed, _, clock = prepared(case)
        # Again where it fails, because what comes between the clock and the profiler's start, such
        # as another process on this core, belongs to neither.
        for _ in range(5):
            found = operators_of(case, middle_recording(case, timed, clock, 3), [1.0])
            if sum(found["parts"].values()) == pytest.approx(found["seconds"], rel=0.01):
                break
        assert list(found["parts"]) == list(PARTS)
        assert sum(found["parts"].values()) == pytest.approx(found["seconds"], rel=0.01)
        of_operators = sum(row["own"] for row in found["operators"])
        assert of_operators + found["between"] == pytest.approx(sum(found["parts"].values()))
        assert found["unknown"] == []
        assert found["idle"] is None
        assert found["kernels"] == []

    def test_each_operator_has_its_part(self):
        case = dataclasses.replace(CASE, implementation="python_loop")
        parts = {row["name"]: row["part"] for row in profiled(case)["operators"]}
        assert parts["aten::addmm"] == "matrix_product"
        assert parts["aten::tanh"] == parts["aten::add"] == "elementwise"
        assert parts["aten::cat"] == "copy"
        assert parts["aten::linear"] == "overhead"

    def test_counts_per_step_are_of_the_steps(self):
        case = dataclasses.replace(CASE, implementation="python_loop")
        (row,) = [r for r in profiled(case)["operators"] if r["name"] == "aten::addmm"]
        assert (row["calls"], row["calls_per_step"]) == (2 * T, 2.0)


def recording(seconds, kernels):
    call = Span(CALL, 0.0, seconds, seconds, -1, True)
    return Recording(seconds, [call], [Span(n, start, s, s, -1, True) for n, start, s in kernels])


class TestDevices:
    """Made up: what a device would have recorded."""

    CASE = Case(seq_len=2, device="cuda")

    def test_a_device_is_idle_where_no_kernel_runs(self):
        kernels = [("sgemm", 1.0, 2.0), ("tanh", 2.5, 1.5), ("Memcpy HtoD", 6.0, 1.0)]
        found = operators_of(self.CASE, recording(10.0, kernels), [9.0])
        assert found["idle"] == pytest.approx(10 - 3 - 1)
        assert found["launches"] == 2
        assert found["launches_per_step"] == 1.0
        assert [row["part"] for row in found["kernels"]] == [
            "matrix_product",
            "elementwise",
            "copy",
        ]

    def test_kernels_after_the_call_are_not_its_own(self):
        found = operators_of(self.CASE, recording(10.0, [("sgemm", 8.0, 5.0)]), [9.0])
        assert found["idle"] == pytest.approx(8.0)


def test_calls_that_are_alike_with_different_counts_are_refused(monkeypatch):
    call = Span(CALL, 0.0, 1.0, 1.0, -1, False)
    made = [
        Recording(1.0, [call, *[Span("aten::mm", 0.1, 0.1, 0.1, 0, True)] * count], [])
        for count in (4, 3)
    ]
    monkeypatch.setattr("rnnbench.profiling.operators.record", lambda *_: made.pop())
    with pytest.raises(Incomplete, match="between 3 and 4 operators .* drops events"):
        middle_recording(CASE, None, None, 2)
