"""The classifier's epoch: verified by its own calls, the same work each time, split into parts."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, linear

from rnnbench.cases import Case
from rnnbench.classifier.settings import ADVICE, PARTS, Settings
from rnnbench.implementations import registered
from rnnbench.worker import compilation
from rnnbench.worker.bench import Bench
from rnnbench.workloads import _optimizers, classifier, workload
from tests.workloads.plain import assert_refused, prepared

EAGER = ("nn_rnn", "python_loop", "hoisted_loop", "torchscript_loop")
CASE = Case(
    workload="classifier",
    pass_="training_step",
    seq_len=5,
    batch=700,
    input_size=1,
    hidden_size=4,
)
QUICK = ("", ".per_sample", ".item_every_step", ".batch_first", ".split")


def of(variant="", **columns):
    return dataclasses.replace(CASE, workload=f"classifier{variant}", **columns)


def epoch(case):
    """The timed pass of a case, as the bench has it."""
    chosen = workload(case.workload)
    model = chosen.model(case, registered()[case.implementation], chosen.data(case))
    return chosen.timed(case, model)


def ran(timed):
    """Loss and accuracy of a call, or its parts."""
    with timed.context():
        return timed.run(timed.prepare())


@pytest.mark.parametrize("layout", ["time_major", "batch_first"])
@pytest.mark.parametrize("columns", [{}, dict(batch=500), dict(cell="rnn_relu")], ids=str)
def test_the_oracle_is_that_of_a_plain_model(layout, columns):
    case = of(layout=layout, **columns)
    data = workload(case.workload).data(case)
    words = {"nonlinearity": case.cell.removeprefix("rnn_"), "batch_first": True}
    layer = nn.RNN(1, 4, **words).double()
    head = nn.Linear(4, 2).double()
    leaves = [*layer.parameters(), *head.parameters()]
    with torch.no_grad():
        for own, weight in zip(leaves, data.weights, strict=True):
            own.copy_(weight)
    sizes = [case.batch, *([600] if case.batch == 700 else [])]
    scores = [head(layer(data.x[:size].double())[1][-1]) for size in sizes]
    loss = sum(cross_entropy(s, data.labels[: len(s)]) for s in scores)
    expected = workload(case.workload).expected(case, data)
    assert torch.allclose(expected.outputs["loss"], loss.detach(), rtol=1e-9)
    names = ["scores", "scores of the last batch"][: len(sizes)]
    assert list(expected.outputs) == ["loss", *names]
    for name, value in zip(names, scores):
        torch.testing.assert_close(expected.outputs[name], value.detach(), rtol=1e-9, atol=1e-12)
    gradients = torch.autograd.grad(loss, leaves)
    for found, wanted in zip(expected.gradients.values(), gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("variant", QUICK)
def test_each_variant_is_verified_with_its_step(tmp_path, variant):
    errors = prepared(tmp_path, of(variant))["error"]
    assert {"loss", "scores", "scores of the last batch", "weight_hh_l0"} < set(errors)
    assert "head.weight after a step" in errors


@pytest.mark.parametrize("implementation", EAGER)
def test_every_implementation_can_stand_in_it(tmp_path, implementation):
    found = Bench(tmp_path).prepare(of(implementation=implementation))["verification"]
    for name, error in found["error"].items():
        assert error <= found["tolerance"].get(name, 1), name


class TestEpoch:
    def test_it_trains_as_a_plain_loop_does(self):
        case = of(batch=300)
        timed = epoch(case)
        data = workload(case.workload).data(case)
        weights = [weight.detach().clone().requires_grad_() for weight in data.weights]
        layer = registered()["nn_rnn"].build(case, weights[:4])
        own = [*layer.weights, *weights[4:]]
        optimizer = torch.optim.Adam(own, lr=Settings.learning_rate)
        order = torch.randperm(2000, generator=torch.Generator().manual_seed(2_000_000))
        total = 0.0
        for part in order.split(300):
            x = data.x[part].transpose(0, 1).contiguous()
            _, h_n = layer(x, torch.zeros(1, len(part), 4))
            loss = cross_entropy(linear(h_n[-1], *own[-2:]), data.labels[part])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += loss.item() * len(part)
        loss, _ = ran(timed)
        assert loss == pytest.approx(total / 2000, rel=1e-5)
        for mine, theirs in zip(timed.model.parameters, own, strict=True):
            torch.testing.assert_close(mine, theirs)

    def test_each_call_is_the_same_work(self):
        timed = epoch(of())
        first, second = ran(timed), ran(timed)
        assert first == second
        with timed.context():
            timed.run(None)
        assert ran(timed) == first, "what is prepared undoes what was done"

    def test_variants_train_alike(self):
        plain = ran(epoch(of()))
        for variant in (".per_sample", ".item_every_step", ".batch_first"):
            assert ran(epoch(of(variant))) == pytest.approx(plain, rel=1e-4), variant

    def test_variants_do_what_their_names_say(self):
        for each in ADVICE:
            settings = workload(f"classifier.{each.name}")._settings(of())
            assert {name: getattr(settings, name) for name in each.changes} == dict(each.changes)
        timed = epoch(of(".batch_first"))
        (x, _), *_ = timed.model.firsts
        assert x.shape == (700, 5, 1)

    def test_one_step_is_profiled_in_its_place(self, tmp_path):
        bench, case = Bench(tmp_path), of(batch=500)
        bench.prepare(case)
        described = bench.describe(case)
        assert described["operators"]["aten::rnn_tanh"] == 1
        assert 0 < described["peak_bytes"] < 10_000_000
        with bench._timed[case].context():
            assert bench._timed[case].prepare() is None

    @pytest.mark.parametrize("variant", ["", ".split"])
    def test_what_profiles_is_given_that_step_too(self, tmp_path, variant):
        """Ten steps make an epoch here: what is timed has them all, what is ready only one."""
        bench, case = Bench(tmp_path, planted=0.5), of(variant, batch=200)
        bench.prepare(case)
        timed, model, _ = bench.ready(case)
        assert timed.model is model
        learnt = []
        update = model.steps.update
        model.steps.update = lambda: (learnt.append(1), update())
        ran(timed)
        assert len(learnt) == 1
        ran(bench._timed[case])
        assert len(learnt) == 1 + 10


class TestSplit:
    def test_parts_add_up_to_the_epoch(self, tmp_path):
        bench, case = Bench(tmp_path), of(".split", batch=100)
        bench.prepare(case)
        block = bench.block(case, 0.05, 1)
        assert list(block.parts) == list(PARTS)
        for at, whole in enumerate(block.rounds):
            assert sum(times[at] for times in block.parts.values()) <= whole
        assert {len(times) for times in block.parts.values()} == {len(block.rounds)}

    def test_the_plain_epoch_has_none(self, tmp_path):
        bench, case = Bench(tmp_path), of()
        bench.prepare(case)
        assert bench.block(case, 1e-3, 1).parts == {}


class TestFaults:
    def test_a_state_that_is_off(self, tmp_path, monkeypatch):
        real = classifier.Scorer.forward

        def off(self, x):
            return real(self, x) * 1.001

        monkeypatch.setattr(classifier.Scorer, "forward", off)
        assert_refused(tmp_path, of(), "scores")

    def test_the_first_step_in_place_of_the_last(self, tmp_path, monkeypatch):
        real = classifier.Scorer.forward
        monkeypatch.setattr(
            classifier.Scorer, "forward", lambda self, x: real(self, x[:1].contiguous())
        )
        assert_refused(tmp_path, of(), "scores")

    def test_a_last_batch_that_is_wrong_where_the_others_are_right(self, tmp_path, monkeypatch):
        real = classifier.Scorer.forward

        def off(self, x):
            return real(self, x) * (1.0 if x.shape[1] == 700 else 1.001)

        monkeypatch.setattr(classifier.Scorer, "forward", off)
        assert_refused(tmp_path, of(), "scores of the last batch")

    def test_an_update_without_a_step(self, tmp_path, monkeypatch):
        monkeypatch.setattr(classifier.Steps, "update", lambda self: None)
        assert_refused(tmp_path, of(), "after a step")

    def test_gradients_of_two_batches_are_not_left_to_gather(self, tmp_path, monkeypatch):
        """One tensor for both biases, as torch.compile may give it: right in every epoch."""
        real = classifier.Steps.learn

        def shared(self, *given):
            found = real(self, *given)
            b_ih, b_hh = self.optimizer.param_groups[0]["params"][2:4]
            b_hh.grad = b_ih.grad
            return found

        monkeypatch.setattr(classifier.Steps, "learn", shared)
        assert "bias_hh_l0 after a step" in prepared(tmp_path, of())["error"]

    def test_another_optimizer(self, tmp_path, monkeypatch):
        plain = dataclasses.replace(_optimizers.ADAM, make=_optimizers.SGD.make)
        monkeypatch.setattr(classifier, "ADAM", plain)
        assert_refused(tmp_path, of(), "after a step")


class TestRefused:
    @pytest.mark.parametrize(
        ("variant", "columns", "words"),
        [
            ("", dict(cell="lstm"), "the classifier's layer is rnn_tanh or rnn_relu, not lstm"),
            ("", dict(num_layers=2), "one layer in one direction"),
            ("", dict(input_size=3), "its input size is 1, not 3"),
            ("", dict(dtype="float64"), "trained in float32, not in float64"),
            ("", dict(initial_state="zero"), "as many zeros as a batch has sequences"),
            ("", dict(layout="batch_first_view"), "not as batch_first_view"),
            ("", dict(seed=1_000_000), "end at 999999"),
            ("", dict(implementation="cuda_graph"), "the last batch has 600 of 700"),
            (".batch_first", dict(layout="batch_first"), "batch_first already"),
            (".compiled_model", dict(implementation="torchscript_loop"), "is compiled by itself"),
        ],
    )
    def test_it_says_why(self, variant, columns, words):
        case = of(variant, **columns)
        reason = workload(case.workload).unsupported(case, registered()[case.implementation])
        assert words in reason

    def test_the_pass_is_the_training_step(self, tmp_path):
        reason = Bench(tmp_path).unsupported(of(pass_="forward"))
        assert reason == "the workload classifier has no forward; it has training_step"


def test_the_compiler_of_the_whole_model_is_started_and_recorded(tmp_path, monkeypatch):
    compiled, started = [], []
    monkeypatch.setattr(classifier.torch, "compile", lambda model: compiled.append(model) or model)
    monkeypatch.setattr(compilation, "start_compiler", lambda *where: started.append(where) or 8.0)
    found = Bench(tmp_path).prepare(of(".compiled_model"))["compile"]
    assert (found["compiler"], found["compiler_start"], found["warm_cache"]) == (
        "inductor",
        8.0,
        False,
    )
    assert isinstance(compiled[0], classifier.Scorer) and len(started) == 1
    assert Bench(tmp_path).prepare(of())["compile"] is None
