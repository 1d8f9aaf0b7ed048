"""Many to one: a plain model gives what the oracle says, and wrong heads and data are refused."""

import dataclasses

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from rnnbench.errors import UserError
from rnnbench.forms import CLASSES
from rnnbench.workloads import _heads, many_to_one, workload
from tests.workloads.plain import (
    BOTH_DIRECTIONS,
    EAGER,
    SHAPES,
    assert_finite_difference,
    assert_oracle_is,
    assert_refused,
    nn_rnn,
    of,
    prepared,
)

NAMES = ("many_to_one", "many_to_one.every_step")


def plain(case, data):
    """Logits, loss and leaves of PyTorch's own layer, head and loss."""
    layer, time = nn_rnn(case, data.weights[:-2]), int(case.batch_first)
    output, h_n, *_ = layer(data.x, *data.states)
    if case.workload == "many_to_one":
        last = h_n[-1] if case.directions == 1 else torch.cat([h_n[-2], h_n[-1]], 1)
        logits = linear(last, *data.weights[-2:])
        loss = cross_entropy(logits, data.labels)
    else:
        logits = linear(output, *data.weights[-2:])
        loss = torch.stack(
            [
                cross_entropy(logits.select(time, t), data.labels.select(time, t))
                for t in range(case.seq_len)
            ]
        ).mean()
    return logits, loss, [data.x, *data.states, *layer.parameters(), *data.weights[-2:]]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("columns", [*SHAPES.values(), BOTH_DIRECTIONS], ids=[*SHAPES, "both"])
def test_the_oracle_is_that_of_a_plain_model(name, columns):
    case = of(name, **columns)
    data = workload(name).data(case)
    logits, loss, leaves = plain(case, data)
    expected = workload(name).expected(case, data)
    assert_oracle_is(expected, {"loss": loss, "logits": logits}, loss, leaves)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradients_are_the_slopes_of_the_loss(name):
    assert_finite_difference(of(name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("implementation", EAGER)
def test_every_implementation_can_stand_in_it(tmp_path, name, implementation):
    case = of(name, implementation=implementation, dtype="float32", pass_="training_step")
    verification = prepared(tmp_path, case)
    assert {"loss", "logits", "x", "h0", "weight_hh_l0", "head.weight", "head.bias"} <= set(
        verification["error"]
    )
    assert "head.bias after a step" in verification["error"]


def test_all_steps_of_a_sequence_have_its_label():
    for layout, shape in (("time_major", (4, 3)), ("batch_first", (3, 4))):
        labels = workload(NAMES[1]).data(of(NAMES[1], layout=layout)).labels
        assert labels.shape == shape
        by_sequence = labels if layout == "batch_first" else labels.t()
        assert all(len(set(row.tolist())) == 1 for row in by_sequence)
        plain_labels = workload(NAMES[0]).data(of(NAMES[0], layout=layout)).labels
        assert by_sequence[:, 0].tolist() == plain_labels.tolist()


class TestFaults:
    def test_a_head_on_the_first_state(self, tmp_path, monkeypatch):
        monkeypatch.setattr(many_to_one.WORKLOAD, "_take", lambda case, output, final: output[0])
        assert_refused(tmp_path, of("many_to_one"), r"logits\[")

    def test_a_head_of_other_weights(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_heads, "linear", lambda x, w, b: linear(x, w.flip(0), b))
        assert_refused(tmp_path, of("many_to_one"), r"logits\[")

    def test_the_state_of_the_lower_layer(self, tmp_path, monkeypatch):
        monkeypatch.setattr(many_to_one.WORKLOAD, "_take", lambda case, output, final: final[0][0])
        assert_refused(tmp_path, of("many_to_one", num_layers=2), r"logits\[")

    def test_a_loss_that_is_a_sum(self, tmp_path, monkeypatch):
        def summed(logits, labels):
            return cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="sum")

        monkeypatch.setattr(_heads, "loss_of", summed)
        assert_refused(tmp_path, of("many_to_one"), "loss is")


class TestBadInput:
    def test_a_label_out_of_range(self, tmp_path, monkeypatch):
        real = _heads.Draw.whole
        monkeypatch.setattr(_heads.Draw, "whole", lambda *a: real(*a) + CLASSES)
        with pytest.raises(UserError, match=r"label 1\d is out of range; with 10 classes"):
            prepared(tmp_path, of("many_to_one"))

    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            (lambda x: x.fill_(float("nan")), "36 of 36 numbers of the input are not finite"),
            (lambda x: x[:0], "the input is empty"),
        ],
    )
    def test_numbers_that_are_none_and_no_data(self, tmp_path, monkeypatch, spoil, words):
        real = _heads.Recurrent.of

        def spoiled(case):
            data = real(case)
            with torch.no_grad():
                return dataclasses.replace(data, x=spoil(data.x.detach()).requires_grad_())

        monkeypatch.setattr(_heads.Recurrent, "of", spoiled)
        with pytest.raises(UserError, match=words):
            prepared(tmp_path, of("many_to_one"))
