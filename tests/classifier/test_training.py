"""The training: right before it is timed, the same for the same seed, split without a gap."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from rnnbench import implementations
from rnnbench.classifier import training as training_module
from rnnbench.classifier.expected import expected_step
from rnnbench.classifier.model import Classifier, scores
from rnnbench.classifier.settings import PARTS, Settings
from rnnbench.classifier.training import Training
from rnnbench.implementations import implementation
from rnnbench.implementations.nn_rnn import build as build_nn_rnn
from rnnbench.worker.verification import Incorrect

SMALL = Settings(samples=50, held_out=40, batch=16, seq_len=6, hidden=4)
EAGER = ("nn_rnn", "python_loop", "hoisted_loop", "torchscript_cell", "torchscript_loop")


@pytest.fixture(autouse=True)
def _registry(monkeypatch):
    implementations.load_builtin()
    monkeypatch.setattr(implementations, "_registry", dict(implementations._registry))


def of(**changes) -> Settings:
    return dataclasses.replace(SMALL, **changes)


def curve(settings: Settings, epochs: int = 2) -> list[tuple[float, float]]:
    training = Training(settings)
    found = [training.epoch() for _ in range(epochs)]
    return [(epoch.loss, epoch.accuracy) for epoch in found]


def replaced(monkeypatch, build) -> None:
    """Another layer under the name nn_rnn."""
    monkeypatch.delitem(implementations._registry, "nn_rnn")
    implementation("nn_rnn", "a wrong one")(build)


class TestModel:
    def test_it_begins_as_nn_rnn_and_nn_linear_do(self):
        torch.manual_seed(7)
        rnn, head = nn.RNN(1, 4), nn.Linear(4, 2)
        model = Classifier(of(seed=7))
        wanted = [*rnn.parameters(), head.weight, head.bias]
        for mine, theirs in zip(model.weights, wanted, strict=True):
            assert torch.equal(mine, theirs)

    def test_building_it_leaves_the_program_s_own_random_numbers_alone(self):
        torch.manual_seed(1)
        wanted = torch.rand(3)
        torch.manual_seed(1)
        Classifier(SMALL)
        assert torch.equal(torch.rand(3), wanted)

    @pytest.mark.parametrize("layout", ["time_major", "batch_first"])
    @pytest.mark.parametrize("name", EAGER)
    def test_it_gives_what_nn_rnn_and_nn_linear_give(self, name, layout):
        model = Classifier(of(implementation=name, layout=layout))
        rnn, head = nn.RNN(1, 4, batch_first=layout == "batch_first"), nn.Linear(4, 2)
        with torch.no_grad():
            for own, weight in zip([*rnn.parameters(), *head.parameters()], model.weights):
                own.copy_(weight)
        x = torch.randn(5, 3, 1)
        output, _ = rnn(x)
        last = output[:, -1] if layout == "batch_first" else output[-1]
        torch.testing.assert_close(model(x), head(last))

    def test_accuracies_are_looked_at_with_the_same_weights(self):
        model = Classifier(SMALL)
        x = torch.randn(6, 9, 1)
        torch.testing.assert_close(scores(SMALL, model.weights, x), model(x).detach())


class TestExpected:
    def test_the_formula_agrees_with_autograd_in_float64(self):
        case = SMALL.case(8)
        rnn, head = nn.RNN(1, 4).double(), nn.Linear(4, 2).double()
        x = torch.randn(6, 8, 1, dtype=torch.float64)
        labels = torch.randint(0, 2, (8,))
        loss = nn.functional.cross_entropy(head(rnn(x)[1][-1]), labels)
        loss.backward()
        weights = [*rnn.parameters(), *head.parameters()]
        found = expected_step(case, weights, x, labels)
        torch.testing.assert_close(found.values["loss"], loss.detach(), rtol=1e-12, atol=0)
        for value, weight in zip(list(found.values.values())[1:], weights, strict=True):
            torch.testing.assert_close(value, weight.grad, rtol=1e-10, atol=1e-14)

    def test_errors_of_a_right_training_lie_well_within_their_tolerances(self):
        shares = []
        for seed in range(20):
            for hidden, seq_len in ((4, 6), (32, 10), (32, 60)):
                settings = of(seed=seed, hidden=hidden, seq_len=seq_len, samples=64, batch=32)
                found, _ = Training(settings).verify()
                shares += [found["error"][n] / found["tolerance"][n] for n in found["error"]]
        assert max(shares) < 0.6

    @pytest.mark.parametrize("layout", ["time_major", "batch_first"])
    def test_equal_sequences_have_equal_errors(self, layout):
        """Of three bits there are eight kinds, and a batch has a hundred of each and more."""
        shares = []
        for seed in range(10):
            settings = of(seed=seed, hidden=8, seq_len=3, samples=1000, batch=1000, layout=layout)
            found, _ = Training(settings).verify()
            shares += [found["error"][n] / found["tolerance"][n] for n in found["error"]]
        assert max(shares) < 0.6

    def test_the_tolerances_are_small(self):
        found, _ = Training(Settings(samples=64)).verify()
        assert list(found["error"]) == [
            "loss",
            "weight_ih_l0",
            "weight_hh_l0",
            "bias_ih_l0",
            "bias_hh_l0",
            "head.weight",
            "head.bias",
        ]
        assert max(found["tolerance"].values()) < 1e-4


class TestVerified:
    @pytest.mark.parametrize("name", EAGER)
    @pytest.mark.parametrize("layout", ["time_major", "batch_first"])
    def test_right_implementations_pass(self, name, layout):
        found, seconds = Training(of(implementation=name, layout=layout)).verify()
        assert all(found["error"][name] <= found["tolerance"][name] for name in found["error"])
        assert seconds > 0

    def test_it_leaves_the_training_as_it_was(self):
        training, other = Training(SMALL), Training(SMALL)
        training.verify()
        first, second = training.epoch(), other.epoch()
        assert (first.loss, first.accuracy) == (second.loss, second.accuracy)

    def test_a_loss_that_is_off_is_refused(self, monkeypatch):
        real = training_module.cross_entropy
        monkeypatch.setattr(training_module, "cross_entropy", lambda z, y: 1.001 * real(z, y))
        with pytest.raises(Incorrect, match="loss"):
            Training(SMALL).verify()

    def test_a_state_that_is_off_by_a_thousandth_is_refused(self, monkeypatch):
        def wrong(case, weights):
            layer = build_nn_rnn(case, weights)

            def off(x, h0):
                output, h_n = layer(x, h0)
                return output, 1.001 * h_n

            off.weights = layer.weights
            return off

        replaced(monkeypatch, wrong)
        with pytest.raises(Incorrect):
            Training(SMALL).verify()

    def test_gradients_that_stop_before_the_first_steps_are_refused(self, monkeypatch):
        def wrong(case, weights):
            layer = build_nn_rnn(case, weights)

            def truncated(x, h0):
                _, h = layer(x[:3], h0)
                return layer(x[3:], h.detach())

            truncated.weights = layer.weights
            return truncated

        replaced(monkeypatch, wrong)
        with pytest.raises(Incorrect, match="the gradient of weight"):
            Training(SMALL).verify()

    def test_weights_that_get_no_gradient_are_refused(self, monkeypatch):
        def wrong(case, weights):
            layer = build_nn_rnn(case, weights)

            def detached(x, h0):
                with torch.no_grad():
                    return layer(x, h0)

            detached.weights = layer.weights
            return detached

        replaced(monkeypatch, wrong)
        with pytest.raises(Incorrect, match="the gradient of weight_ih_l0 is missing"):
            Training(SMALL).verify()

    def test_the_smaller_last_batch_is_verified_too(self, monkeypatch):
        def wrong(case, weights):
            layer = build_nn_rnn(case, weights)

            def only_full(x, h0):
                output, h_n = layer(x, h0)
                return output, h_n if x.shape[1] == case.batch else 1.01 * h_n

            only_full.weights = layer.weights
            return only_full

        replaced(monkeypatch, wrong)
        Training(of(samples=48)).verify()
        with pytest.raises(Incorrect):
            Training(SMALL).verify()


class TestEpochs:
    def test_the_same_seed_gives_the_same_curve_to_the_last_bit(self):
        assert curve(SMALL, 3) == curve(SMALL, 3)
        assert curve(SMALL, 1) != curve(of(seed=1), 1)

    def test_how_samples_are_read_changes_nothing_of_the_curve(self):
        assert curve(of(data="per_sample")) == curve(SMALL)

    def test_when_metrics_are_read_changes_only_their_rounding(self):
        for mine, theirs in zip(curve(of(metrics="step")), curve(SMALL), strict=True):
            assert mine == pytest.approx(theirs, rel=1e-6)

    def test_loss_and_accuracy_are_means_over_the_samples_of_the_steps(self):
        """Against a training written out with nn.RNN, as a course has it."""
        settings = of(samples=40, batch=16)
        torch.manual_seed(settings.seed)
        rnn, head = nn.RNN(1, 4), nn.Linear(4, 2)
        optimizer = torch.optim.Adam([*rnn.parameters(), *head.parameters()], lr=1e-3)
        training = Training(settings)
        values, labels = training._sequences.values, training._sequences.labels
        order = training_module.data.Order(40, settings.seed)
        for _ in range(2):
            losses = right = 0.0
            for part in order.permutation().split(16):
                found = head(rnn(values[part].transpose(0, 1))[1][-1])
                loss = nn.functional.cross_entropy(found, labels[part])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses += loss.item() * len(part)
                right += (found.argmax(1) == labels[part]).sum().item()
            epoch = training.epoch()
            assert epoch.loss == pytest.approx(losses / 40, rel=1e-6)
            assert epoch.accuracy == right / 40

    def test_reset_begins_anew(self):
        training = Training(SMALL)
        first = [training.epoch() for _ in range(2)]
        training.reset()
        second = [training.epoch() for _ in range(2)]
        assert [(e.loss, e.accuracy) for e in first] == [(e.loss, e.accuracy) for e in second]
        assert first[0].loss != first[1].loss

    @pytest.mark.parametrize("split_first", [False, True])
    def test_whole_and_split_are_the_same_epoch(self, split_first):
        training, other = Training(SMALL), Training(SMALL)
        for _ in range(2):
            whole, split = training.epoch_both_ways(split_first=split_first)
            alone = other.epoch()
            assert (whole.loss, whole.accuracy) == (split.loss, split.accuracy)
            assert (whole.loss, whole.accuracy) == (alone.loss, alone.accuracy)
            assert whole.parts is None

    def test_it_learns(self):
        training = Training(of(samples=600, hidden=16, learning_rate=0.01))
        losses = [training.epoch().loss for _ in range(8)]
        assert losses[-1] < 0.6 * losses[0]
        found = training.evaluate()
        assert found["training"] > 0.85 and found["held_out"] > 0.85


class Clock:
    """A clock that moves when it is told to, in place of the time and of the device."""

    def __init__(self):
        self.now = 0.0
        self.waiting = 0.0

    def perf_counter(self):
        return self.now

    def settle(self):
        self.now += self.waiting
        self.waiting = 0.0


@pytest.fixture
def told(monkeypatch):
    """A training of 3 steps in which each part takes known seconds, half of them on the device."""
    clock = Clock()
    training = Training(of(samples=48))
    monkeypatch.setattr(training_module, "time", SimpleNamespace(perf_counter=clock.perf_counter))
    training._clock = clock

    def spending(seconds, real):
        def call(*args, **kwargs):
            clock.now += seconds / 2
            clock.waiting += seconds / 2
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr(training._steps, "call", spending(1, training._steps.call))
    loss = training_module.cross_entropy
    monkeypatch.setattr(training_module, "cross_entropy", spending(2, loss))
    monkeypatch.setattr(torch.autograd, "backward", spending(4, torch.autograd.backward))
    monkeypatch.setattr(training._optimizer, "step", spending(8, training._optimizer.step))
    metrics = training_module._OncePerEpoch
    monkeypatch.setattr(metrics, "add", spending(16, metrics.add))
    monkeypatch.setattr(metrics, "result", spending(32, metrics.result))
    order = training._order
    monkeypatch.setattr(order, "permutation", spending(64, order.permutation))
    return training


class TestParts:
    def test_each_part_has_the_seconds_of_its_own_work_with_what_the_device_still_does(self, told):
        epoch = told.epoch(split=True)
        assert epoch.parts == {
            "data": 64.0,
            "copy": 0.0,
            "forward": 3 * 1.0,
            "loss": 3 * 2.0,
            "backward": 3 * 4.0,
            "optimizer": 3 * 8.0,
            "metrics": 3 * 16.0 + 32.0,
        }
        assert sum(epoch.parts.values()) == epoch.seconds

    def test_a_whole_epoch_waits_for_the_device_at_its_end(self, told):
        epoch = told.epoch()
        assert epoch.parts is None
        assert epoch.seconds == 3 * (1 + 2 + 4 + 8 + 16) + 32 + 64

    def test_real_parts_add_up_to_their_epoch(self):
        training = Training(SMALL)
        for data in ("prepared", "per_sample"):
            training = Training(of(data=data))
            epoch = training.epoch(split=True)
            assert list(epoch.parts) == list(PARTS)
            assert sum(epoch.parts.values()) <= epoch.seconds


class TestEvaluate:
    def test_fresh_sequences_and_those_never_seen_are_counted_apart(self):
        training = Training(of(samples=30, held_out=500, seq_len=8))
        found = training.evaluate()
        trained = {tuple(r) for r in training._sequences.values.flatten(1).tolist()}
        fresh = training._fresh.values.flatten(1).tolist()
        right = training._right(training._fresh).tolist()
        left = [ok for row, ok in zip(fresh, right) if tuple(row) not in trained]
        assert 0 < len(left) < 500
        assert found["unseen_sequences"] == len(left)
        assert found["unseen"] == pytest.approx(sum(left) / len(left))
        assert found["held_out"] == pytest.approx(sum(right) / 500)

    def test_without_unseen_sequences_there_is_no_accuracy_on_them(self):
        found = Training(of(samples=200, seq_len=2)).evaluate()
        assert (found["unseen"], found["unseen_sequences"]) == (None, 0)
