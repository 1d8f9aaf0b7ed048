"""Training: clipping and Adam by hand, truncation at detached states, the same from checkpoints."""

import dataclasses
import weakref

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from rnnbench.forms import CLASSES, segments_of
from rnnbench.implementations import registered
from rnnbench.worker.bench import Bench
from rnnbench.worker.verification import Incorrect
from rnnbench.workloads import _passes, training, workload
from rnnbench.workloads._optimizers import ADAM, CLIPPED_ADAM, SGD, Rule
from rnnbench.workloads._passes import TIMED_LEARNING_RATE
from tests.workloads.plain import (
    EAGER,
    SHAPES,
    assert_finite_difference,
    assert_oracle_is,
    assert_refused,
    nn_rnn,
    of,
    prepared,
)

NAMES = ("training", "training.clip_adam", "training.tbptt", "training.checkpointed")
STEP = dict(pass_="training_step")


def plain(case, data, *, detached):
    """Logits and loss of PyTorch's own layer, whose state is cut off from where it came, or not."""
    layer, dim = nn_rnn(case, data.weights[:-2]), int(case.batch_first)
    state, outputs = data.states, []
    for x in torch.chunk(data.x, segments_of(case), dim):
        output, *state = layer(x, *state)
        state = [s.detach() for s in state] if detached else state
        outputs.append(output)
    logits = linear(torch.cat(outputs, dim), *data.weights[-2:])
    loss = cross_entropy(logits.reshape(-1, CLASSES), data.labels.reshape(-1))
    return logits, loss, [data.x, *data.states, *layer.parameters(), *data.weights[-2:]]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("columns", SHAPES.values(), ids=SHAPES)
def test_the_oracle_is_that_of_a_plain_model(name, columns):
    case = of(name, **columns)
    data = workload(name).data(case)
    logits, loss, leaves = plain(case, data, detached=name == "training.tbptt")
    expected = workload(name).expected(case, data)
    assert_oracle_is(expected, {"loss": loss, "logits": logits}, loss, leaves)


def test_the_gradients_are_the_slopes_of_the_loss():
    assert_finite_difference(of("training"))


def test_truncation_changes_the_gradients_and_not_the_loss():
    full, cut = (
        workload(name).expected(of(name), workload(name).data(of(name)))
        for name in ("training", "training.tbptt")
    )
    assert torch.equal(full.outputs["loss"], cut.outputs["loss"])
    assert torch.allclose(full.gradients["head.weight"], cut.gradients["head.weight"])
    assert not torch.allclose(full.gradients["weight_hh_l0"], cut.gradients["weight_hh_l0"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("implementation", EAGER)
def test_every_implementation_can_stand_in_it(tmp_path, name, implementation):
    for layout in ("time_major", "batch_first"):
        case = of(name, implementation=implementation, dtype="float32", layout=layout, **STEP)
        errors = prepared(tmp_path, case)["error"]
        assert "weight_hh_l0 after a step" in errors
        assert ("weight_hh_l0, clipped" in errors) == (name == "training.clip_adam")


class TestRules:
    def test_the_first_step_of_clipping_and_adam_is_pytorchs(self):
        generator = torch.Generator().manual_seed(1)
        weights = [torch.randn(n, generator=generator).double() for n in (3, 4)]
        gradients = [torch.randn(n, generator=generator).double() for n in (3, 4)]
        for weight, gradient in zip(weights, gradients):
            weight.requires_grad_().grad = gradient.clone()
        before = [weight.detach().clone() for weight in weights]
        torch.nn.utils.clip_grad_norm_(weights, CLIPPED_ADAM.most_norm)
        torch.optim.Adam(weights, lr=0.1).step()
        zeros = [torch.zeros_like(gradient) for gradient in gradients]
        moved = CLIPPED_ADAM.moved(gradients, zeros, 0.1, 12.0, 0.0)
        for old, new, step in zip(before, weights, moved):
            torch.testing.assert_close(new.detach(), old + step.change, rtol=1e-9, atol=0)
            torch.testing.assert_close(new.grad, step.gradient, rtol=1e-9, atol=0)

    def test_a_gradient_whose_sign_is_not_certain_may_move_either_way(self):
        step = CLIPPED_ADAM.moved(
            [torch.tensor([1e-12, 1.0]).double()], [torch.full((2,), 1e-6).double()], 0.1, 12.0, 0.0
        )[0]
        assert 12 * step.change_deviation[0] > 0.05
        assert 12 * step.change_deviation[1] < 1e-5

    def test_a_rounding_of_the_largest_entry_may_move_the_smallest(self):
        """The gradient's own check lets it pass, so that of the step must."""
        unit = 2.0**-24
        gradient = torch.tensor([1e-6, 1.0]).double()
        step = ADAM.moved([gradient], [torch.zeros(2).double()], 0.1, 12.0, unit)[0]
        off = gradient[0] + unit
        moved = -0.1 * off / (off + 1e-8)
        assert 1e-6 < abs(moved - step.change[0]) <= 12 * step.change_deviation[0] * (1 + 1e-9)
        assert 12 * step.change_deviation[1] < 1e-5

    def test_sgd_moves_by_the_gradient(self):
        step = SGD.moved([torch.ones(2).double()], [torch.ones(2).double()], 0.5, 12.0, 0.0)[0]
        assert step.change.tolist() == [-0.5, -0.5]
        assert step.change_deviation.tolist() == [0.5, 0.5]

    def test_a_million_steps_of_adam_move_no_weight_by_a_percent_of_the_largest(self):
        case = of("training.clip_adam", dtype="float32", hidden_size=64, **STEP)
        chosen = workload(case.workload)
        model = chosen.model(case, registered()["nn_rnn"], chosen.data(case))
        timed = chosen.timed(case, model)
        assert timed.optimizer.param_groups[0]["lr"] == TIMED_LEARNING_RATE
        for weight in model.parameters:
            moved = 1e6 * TIMED_LEARNING_RATE
            assert moved < 0.01 * weight.abs().max()


class TestTruncated:
    def test_each_segment_goes_backward_before_the_next_begins(self):
        case = of("training.tbptt", **STEP)
        chosen = workload(case.workload)
        model = chosen.model(case, registered()["python_loop"], chosen.data(case))
        graphs, alive = [], []

        def watched():
            for loss, logits in model.segments():
                alive.append(sum(graph() is not None for graph in graphs))
                graphs.append(weakref.ref(logits))
                yield loss, logits
                del loss, logits

        timed = training.TruncatedStep(dataclasses.replace(model, segments=watched))
        timed.run(None)
        assert len(graphs) == segments_of(case) == 4
        assert max(alive) <= 1, "the graph before is still held by the generator alone"

    def test_a_sequence_that_cannot_be_cut_is_refused(self):
        reason = workload("training.tbptt").unsupported(
            of("training.tbptt", seq_len=7), registered()["nn_rnn"]
        )
        assert reason == "T=7 cannot be cut into two, three or four equal segments"


class TestCheckpointed:
    def test_it_holds_less_and_computes_the_forward_twice(self, tmp_path):
        told = {}
        for name in ("training", "training.checkpointed"):
            case = of(
                name, implementation="python_loop", seq_len=32, batch=16, hidden_size=32, **STEP
            )
            bench = Bench(tmp_path / name)
            bench.prepare(case)
            told[name] = bench.describe(case)
        plain_, again = told["training"], told["training.checkpointed"]
        assert again["peak_bytes"] < 0.8 * plain_["peak_bytes"]
        assert again["operators"]["aten::tanh"] == 2 * plain_["operators"]["aten::tanh"] == 64

    def test_without_a_backward_nothing_is_kept_for_one(self, tmp_path):
        case = of("training.checkpointed", **STEP)
        chosen = workload(case.workload)
        model = chosen.model(case, registered()["python_loop"], chosen.data(case))
        with torch.inference_mode():
            assert model.infer()[0].shape == (4, 3, CLASSES)

    def test_torchscript_is_refused_with_the_reason(self):
        reason = workload("training.checkpointed").unsupported(
            of("training.checkpointed"), registered()["torchscript_loop"]
        )
        assert "specialises itself" in reason


class TestFaults:
    @pytest.mark.parametrize("name", NAMES[2:])
    def test_a_state_that_is_not_carried(self, tmp_path, monkeypatch, name):
        real = training.called
        monkeypatch.setattr(
            training,
            "called",
            lambda layer, x, states: (real(layer, x, states)[0], tuple(s * 0 for s in states)),
        )
        assert_refused(tmp_path, of(name, **STEP), r"logits\[")

    def test_a_state_that_is_not_detached(self, tmp_path, monkeypatch):
        monkeypatch.setattr(training.VARIANTS["tbptt"], "model", _not_detached)
        assert_refused(tmp_path, of("training.tbptt", **STEP), "the gradient of")

    def test_gradients_that_are_not_clipped(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_passes.torch.nn.utils, "clip_grad_norm_", lambda *_: None)
        assert_refused(tmp_path, of("training.clip_adam", **STEP), "clipped")

    def test_plain_sgd_in_the_place_of_adam(self, tmp_path, monkeypatch):
        other = Rule(SGD.make, CLIPPED_ADAM.moved, CLIPPED_ADAM.most_norm)
        monkeypatch.setattr(training, "CLIPPED_ADAM", other)
        assert_refused(tmp_path, of("training.clip_adam", **STEP), "after a step")

    def test_an_optimizer_that_moves_a_copy(self, tmp_path, monkeypatch):
        copied = Rule(
            lambda weights, rate: SGD.make([w.detach().clone() for w in weights], rate), SGD.moved
        )
        real = training.WORKLOAD.model
        monkeypatch.setattr(
            training.WORKLOAD,
            "model",
            lambda *given: dataclasses.replace(real(*given), rule=copied),
        )
        with pytest.raises(Incorrect, match="after a step"):
            Bench(tmp_path).prepare(of("training", **STEP))


def _not_detached(case, implementation, data):
    return training._segmented(case, implementation, data, training.called)
