"""A pass holds what its name says and nothing else; told from the profiler's events."""

import gc
import weakref
from collections import Counter

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from rnnbench.cases import Case
from rnnbench.implementations import load_builtin, registered
from rnnbench.schema import PASSES
from rnnbench.worker.blocks import run_block
from rnnbench.worker.clocks import clock_for
from rnnbench.worker.data import make_data
from rnnbench.workloads._passes import TIMED_LEARNING_RATE, make_timed, optimizer_for
from rnnbench.workloads.layer import model_of

load_builtin()

STEPS = 4
COLUMNS = Case(seq_len=STEPS, batch=2, input_size=3, hidden_size=5).columns()


def build(implementation, pass_, **columns):
    """The pass of a real layer, as a worker has it."""
    case = Case.from_columns(
        {**COLUMNS, "implementation": implementation, "pass": pass_, **columns}
    )
    data = make_data(case)
    layer = registered()[implementation].build(case, data.weights)
    return make_timed(case, model_of(layer, data))


def events(timed) -> Counter:
    """Names of what runs in the timed region of one call; what prepares it is left out."""
    with timed.context():
        prepared = timed.prepare()
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            result = timed.run(prepared)
        del result
    return Counter(event.name for event in profiler.events())


def autograd_nodes(names: Counter) -> list[str]:
    """Names of events that the autograd engine leaves."""
    marks = ("autograd::engine", "Backward", "AccumulateGrad")
    return sorted(name for name in names if any(mark in name for mark in marks))


def accumulations(names: Counter) -> int:
    """How many gradients were added to a ``.grad``.

    The engine also *visits* the node of each leaf, to hand its gradient out; that event has a long
    name and adds nothing.
    """
    return names["torch::autograd::AccumulateGrad"]


@pytest.fixture(params=["nn_rnn", "python_loop", "hoisted_loop"])
def implementation(request):
    return request.param


class TestInference:
    def test_it_records_no_autograd_node(self, implementation):
        timed = build(implementation, "inference")
        names = events(timed)
        assert names["aten::tanh"] == STEPS
        assert autograd_nodes(names) == []
        assert not [name for name in names if "backward" in name]

    def test_its_outputs_are_inference_tensors_without_a_graph(self, implementation):
        timed = build(implementation, "inference")
        with timed.context():
            for output in timed.run(timed.prepare()):
                assert output.is_inference()
                assert output.grad_fn is None
                assert not output.requires_grad


class TestForward:
    def test_it_runs_each_step_once_and_nothing_backwards(self, implementation):
        names = events(build(implementation, "forward"))
        assert names["aten::tanh"] == STEPS
        assert autograd_nodes(names) == []
        assert names["aten::tanh_backward"] == 0

    def test_it_records_a_graph(self, implementation):
        timed = build(implementation, "forward")
        with timed.context():
            for output in timed.run(timed.prepare()):
                assert output.grad_fn is not None


class TestBackward:
    def test_it_holds_no_forward_operator(self, implementation):
        names = events(build(implementation, "backward"))
        assert names["aten::tanh_backward"] == STEPS
        for forward in ("aten::tanh", "aten::linear", "aten::rnn_tanh", "aten::addmm"):
            assert names[forward] == 0, forward

    def test_it_adds_to_no_gradient_that_is_there_already(self, implementation):
        timed = build(implementation, "backward")
        for leaf in timed.leaves:
            leaf.grad = torch.full_like(leaf, 7.0)
        names = events(timed)
        assert accumulations(names) == 0
        for leaf in timed.leaves:
            assert torch.equal(leaf.grad, torch.full_like(leaf, 7.0))

    def test_its_gradients_are_those_of_every_leaf(self, implementation):
        timed = build(implementation, "backward")
        with timed.context():
            gradients = timed.run(timed.prepare())
        assert [g.shape for g in gradients] == [leaf.shape for leaf in timed.leaves]
        assert len(gradients) == 6

    def test_each_call_has_a_graph_of_its_own(self, implementation):
        timed = build(implementation, "backward")
        graphs = []
        real = timed.forward

        def forward():
            graphs.append(real())
            return graphs[-1]

        timed.forward = forward
        block = run_block(timed, clock_for("cpu"), seconds=1e-4, iterations=2)
        assert len(graphs) == 2 * (len(block.warmup) + len(block.rounds))
        assert len({id(output) for output, _ in graphs}) == len(graphs)
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            timed.run(graphs[0])


class TestForwardBackward:
    def test_it_holds_both(self, implementation):
        names = events(build(implementation, "forward_backward"))
        assert names["aten::tanh"] == STEPS
        assert names["aten::tanh_backward"] == STEPS
        assert accumulations(names) == 0

    def test_nothing_is_prepared_for_it(self, implementation):
        assert build(implementation, "forward_backward").prepare() is None

    def test_its_gradients_are_those_of_backward(self, implementation):
        both, backward = (build(implementation, name) for name in ("forward_backward", "backward"))
        with both.context():
            pairs = zip(both.run(None), backward.run(backward.prepare()), strict=True)
            assert all(torch.equal(one, other) for one, other in pairs)


class TestTrainingStep:
    def test_it_holds_forward_backward_and_one_step_of_the_optimizer(self, implementation):
        names = events(build(implementation, "training_step"))
        assert names["aten::tanh"] == STEPS
        assert names["aten::tanh_backward"] == STEPS
        assert [count for name, count in names.items() if "Optimizer.step#SGD" in name] == [1]
        assert accumulations(names) == 6, "gradients go where the optimizer finds them"

    def test_it_moves_every_weight_by_its_gradient(self, implementation):
        timed = build(implementation, "training_step")
        timed.optimizer = optimizer_for(timed.leaves[2:], 0.5)
        before = [weight.detach().clone() for weight in timed.leaves[2:]]
        backward = build(implementation, "backward")
        with timed.context():
            gradients = backward.run(backward.prepare())[2:]
            timed.run(timed.prepare())
        for old, new, gradient in zip(before, timed.leaves[2:], gradients, strict=True):
            torch.testing.assert_close(new.detach(), old - 0.5 * gradient)
            assert not torch.equal(new, old)

    def test_gradients_do_not_gather_over_the_rounds(self, implementation):
        timed = build(implementation, "training_step")
        with timed.context():
            timed.run(None)
            first = [leaf.grad.clone() for leaf in timed.leaves]
            for _ in range(5):
                timed.run(None)
        for leaf, gradient in zip(timed.leaves, first, strict=True):
            torch.testing.assert_close(leaf.grad, gradient, rtol=1e-5, atol=1e-7)

    def test_a_million_steps_move_no_weight_by_a_percent_of_the_largest(self):
        timed = build("nn_rnn", "training_step", hidden_size=64, batch=8, seq_len=10)
        with timed.context():
            timed.run(None)
        for weight in timed.leaves[2:]:
            moved = 1e6 * TIMED_LEARNING_RATE * weight.grad.abs().max()
            assert moved < 0.01 * weight.abs().max()

    def test_the_optimizer_is_fused_where_it_can_be(self):
        weights = [torch.ones(2, requires_grad=True)]
        assert optimizer_for(weights, 0.1).defaults["fused"] is True

    @pytest.mark.parametrize("error", [TypeError("no fused"), RuntimeError("not on this device")])
    def test_where_it_cannot_be_fused_it_is_for_each(self, monkeypatch, error):
        real = torch.optim.SGD

        def old(weights, lr, fused=False, foreach=None):
            if fused:
                raise error
            return real(weights, lr=lr, foreach=foreach)

        monkeypatch.setattr(torch.optim, "SGD", old)
        optimizer = optimizer_for([torch.ones(2, requires_grad=True)], 0.1)
        assert optimizer.defaults["foreach"] is True


class TestWatch:
    """The events that these tests look for do appear where they should be found."""

    def test_an_accumulation_leaves_an_event(self):
        timed = build("python_loop", "backward")
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            torch.autograd.backward(timed.forward(), timed.model.cotangents)
        names = Counter(event.name for event in profiler.events())
        assert accumulations(names) == 6
        assert autograd_nodes(names)
        assert names["aten::tanh"] == names["aten::tanh_backward"] == STEPS

    def test_every_pass_is_tested_here(self):
        names = {name.removeprefix("Test").lower() for name in globals() if name[:4] == "Test"}
        assert {name.replace("_", "") for name in PASSES} <= names


@pytest.mark.parametrize("pass_", PASSES)
def test_a_layer_with_weights_of_its_own_is_differentiated_by_those(pass_):
    case = Case.from_columns(COLUMNS)
    data = make_data(case)
    own, given = (
        registered()[name].build(case, data.weights) for name in ("nn_rnn", "python_loop")
    )
    for layer, weights in ((own, own.weights), (given, data.weights)):
        leaves = make_timed(
            Case.from_columns({**COLUMNS, "pass": pass_}), model_of(layer, data)
        ).leaves
        expected = (data.x, data.h0, *weights)
        assert all(leaf is tensor for leaf, tensor in zip(leaves, expected, strict=True))


def test_nothing_of_a_round_stays_behind_without_a_collection():
    """Between two rounds only the data live on: outputs, and with them graphs, hang in no cycle."""
    timed = build("python_loop", "forward_backward")
    seen = []
    real = timed.forward

    def forward():
        outputs = real()
        seen.extend(weakref.ref(output) for output in outputs)
        return outputs

    timed.forward = forward
    gc.disable()
    try:
        run_block(timed, clock_for("cpu"), seconds=1e-4, iterations=1)
        assert seen
        assert all(output() is None for output in seen)
    finally:
        gc.enable()


@pytest.mark.parametrize("cell", ["rnn_tanh", "gru", "lstm"])
@pytest.mark.parametrize("initial_state", ["given", "zero"])
def test_every_state_that_is_given_gets_a_gradient_and_every_final_one_is_compared(
    cell, initial_state
):
    timed = build("python_loop", "backward", cell=cell, initial_state=initial_state)
    states = {"lstm": 2}.get(cell, 1)
    assert timed.model.names == ("output", "h_n", "c_n")[: 1 + states]
    assert len(timed.model.cotangents) == 1 + states
    with timed.context():
        gradients = timed.run(timed.prepare())
    assert len(gradients) == 1 + (states if initial_state == "given" else 0) + 4


def test_inference_with_dropout_is_compared_with_what_nothing_was_dropped_from():
    case = Case.from_columns({**COLUMNS, "num_layers": 2, "dropout": 0.5})
    data = make_data(case)
    layer = registered()["python_loop"].build(case, data.weights)
    model = model_of(layer, data, drops=True)
    assert model.names == ("output", "h_n")
    assert model.inferred == ("output without dropout", "h_n without dropout")


class TestAutocast:
    def test_the_forward_runs_under_it_and_the_backward_outside(self):
        timed = build("python_loop", "backward", dtype="autocast_bfloat16")
        run, ones = torch.autograd.grad, torch.ones(2, 2)
        with timed.context():
            prepared = timed.prepare()
            seen = [output.dtype for output in prepared]
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(
                    torch.autograd,
                    "grad",
                    lambda *given: (seen.append(torch.mm(ones, ones).dtype), run(*given))[1],
                )
                gradients = timed.run(prepared)
        assert seen == [torch.bfloat16, torch.bfloat16, torch.float32]
        assert {gradient.dtype for gradient in gradients} == {torch.float32}

    @pytest.mark.parametrize("pass_", PASSES)
    def test_every_pass_has_it(self, pass_):
        timed = build("python_loop", pass_, dtype="autocast_bfloat16")
        with timed.context():
            prepared = timed.prepare()
            with profile(activities=[ProfilerActivity.CPU]) as profiler:
                if pass_ == "backward":
                    timed.model.forward()
                else:
                    timed.run(prepared)
        names = Counter(event.name for event in profiler.events())
        assert names["aten::_to_copy"] > 0, "float32 weights and inputs are cast"
