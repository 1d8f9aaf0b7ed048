"""Many to many: the oracle is a plain model's, and a head that misses a step is found."""

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from rnnbench.forms import CLASSES
from rnnbench.workloads import many_to_many, workload
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


@pytest.mark.parametrize("columns", [*SHAPES.values(), BOTH_DIRECTIONS], ids=[*SHAPES, "both"])
def test_the_oracle_is_that_of_a_plain_model(columns):
    case = of("many_to_many", **columns)
    data = workload("many_to_many").data(case)
    layer = nn_rnn(case, data.weights[:-2])
    logits = linear(layer(data.x, *data.states)[0], *data.weights[-2:])
    loss = cross_entropy(logits.reshape(-1, CLASSES), data.labels.reshape(-1))
    leaves = [data.x, *data.states, *layer.parameters(), *data.weights[-2:]]
    expected = workload("many_to_many").expected(case, data)
    assert_oracle_is(expected, {"loss": loss, "logits": logits}, loss, leaves)


def test_the_gradients_are_the_slopes_of_the_loss():
    assert_finite_difference(of("many_to_many"))


@pytest.mark.parametrize("implementation", EAGER)
def test_every_implementation_can_stand_in_it(tmp_path, implementation):
    case = of("many_to_many", implementation=implementation, dtype="float32")
    assert "head.weight" in prepared(tmp_path, case)["error"]


def test_layouts_hold_the_same_numbers():
    by_layout = {}
    for layout in ("time_major", "batch_first"):
        case = of("many_to_many", layout=layout)
        found = workload("many_to_many").expected(case, workload("many_to_many").data(case))
        by_layout[layout] = found.outputs
    torch.testing.assert_close(by_layout["time_major"]["loss"], by_layout["batch_first"]["loss"])
    torch.testing.assert_close(
        by_layout["time_major"]["logits"].transpose(0, 1), by_layout["batch_first"]["logits"]
    )


def test_a_head_that_is_given_the_step_before_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        many_to_many.WORKLOAD, "_take", lambda case, output, final: output.roll(1, 0)
    )
    assert_refused(tmp_path, of("many_to_many"), r"logits\[")
