"""One to many: each output is fed back, gradients pass through it, and sequences end when told."""

import pytest
import torch
from torch.nn.functional import linear

from rnnbench.forms import stop_lengths
from rnnbench.implementations import registered
from rnnbench.workloads import one_to_many, workload
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

UNROLLED = [
    *(columns for name, columns in SHAPES.items() if name != "view"),
    dict(cell="rnn_relu"),
]


def plain(case, data, layer, weights):
    """A plain loop, step by step: outputs and topmost states, both as lists of (B, …)."""
    y, state, ys, hs = data.x, data.states, [], []
    for _ in range(case.seq_len):
        output, *state = layer(y.unsqueeze(1 if case.batch_first else 0), *state)
        hs.append(output.squeeze(1 if case.batch_first else 0))
        y = linear(hs[-1], *weights)
        ys.append(y)
    return ys, hs


@pytest.mark.parametrize("columns", UNROLLED)
def test_the_oracle_is_that_of_a_plain_model(columns):
    case = of("one_to_many", **columns)
    data = workload("one_to_many").data(case)
    layer = nn_rnn(case, data.weights[:-2])
    sequence = torch.stack(
        plain(case, data, layer, data.weights[-2:])[0], 1 if case.batch_first else 0
    )
    loss = (sequence - data.targets).square().mean()
    leaves = [data.x, *data.states, *layer.parameters(), *data.weights[-2:]]
    expected = workload("one_to_many").expected(case, data)
    assert_oracle_is(expected, {"loss": loss, "sequence": sequence}, loss, leaves)


def test_the_gradients_are_the_slopes_of_the_loss():
    assert_finite_difference(of("one_to_many"))


@pytest.mark.parametrize("implementation", EAGER)
@pytest.mark.parametrize("name", ["one_to_many", "one_to_many.stop"])
def test_every_implementation_can_stand_in_it(tmp_path, name, implementation):
    case = of(name, implementation=implementation, dtype="float32", pass_="inference")
    assert "sequence" in prepared(tmp_path, case)["error"]


class TestStop:
    @pytest.mark.parametrize("columns", [*UNROLLED, dict(seq_len=20, batch=7)])
    def test_the_oracle_is_that_of_a_plain_loop(self, columns):
        case = of("one_to_many.stop", **columns)
        data = workload("one_to_many.stop").data(case)
        layer = nn_rnn(case, data.weights[:-4])
        with torch.no_grad():
            ys, hs = plain(case, data, layer, data.weights[-4:-2])
            expected = workload("one_to_many.stop").expected(case, data)
            for sequence in range(case.batch):
                spent, length = 0.0, 0
                for h in hs:
                    spent += torch.sigmoid(linear(h[sequence], *data.weights[-2:])).item()
                    length += 1
                    if spent >= data.budget[sequence]:
                        break
                assert expected.outputs["lengths"][sequence] == length
                found = expected.outputs["sequence"].select(int(not case.batch_first), sequence)
                assert torch.equal(found[length:], torch.zeros_like(found[length:]))
                torch.testing.assert_close(found[:length], torch.stack(ys)[:length, sequence])

    def test_lengths_are_those_that_work_is_counted_by(self, tmp_path):
        case = of("one_to_many.stop", seq_len=12, batch=6)
        expected = workload(case.workload).expected(case, workload(case.workload).data(case))
        assert tuple(expected.outputs["lengths"].tolist()) == stop_lengths(case)
        assert len(set(stop_lengths(case))) == 6
        assert max(stop_lengths(case)) == 12

    def test_it_has_inference_alone(self, tmp_path):
        verification = prepared(tmp_path, of("one_to_many.stop", pass_="inference"))
        assert verification["gradients_not_checked"] == (
            "the workload one_to_many.stop has no gradients"
        )
        assert verification["error"]["lengths"] == 0

    def test_sixteen_bits_are_refused(self):
        reason = workload("one_to_many.stop").unsupported(
            of("one_to_many.stop", dtype="bfloat16"), registered()["nn_rnn"]
        )
        assert "rounding in bfloat16 decides" in reason

    def test_a_loop_that_ends_a_step_early_is_refused(self, tmp_path, monkeypatch):
        stop = workload("one_to_many.stop")
        case = of("one_to_many.stop", pass_="inference")
        expected = stop.expected(case, stop.data(case))
        real = torch.sigmoid
        monkeypatch.setattr(stop, "expected", lambda case, data: expected)
        monkeypatch.setattr(one_to_many.torch, "sigmoid", lambda x: real(x) + 0.3)
        assert_refused(tmp_path, case, "sequence")


class TestFaults:
    def test_the_state_that_is_not_carried(self, tmp_path, monkeypatch):
        real = one_to_many.called

        def forgetful(layer, x, states):
            output, _ = real(layer, x, states)
            return output, tuple(state.detach() * 0 for state in states)

        monkeypatch.setattr(one_to_many, "called", forgetful)
        assert_refused(tmp_path, of("one_to_many"), r"sequence\[")

    def test_outputs_that_are_fed_back_without_their_gradient(self, tmp_path, monkeypatch):
        real, calls = one_to_many.called, []

        def cut(layer, x, states):
            calls.append(1)
            first = len(calls) % 4 == 1
            return real(layer, x if first else x.detach(), states)

        monkeypatch.setattr(one_to_many, "called", cut)
        assert_refused(tmp_path, of("one_to_many"), "gradient")

    def test_a_direction_that_cannot_be_stepped(self):
        reason = workload("one_to_many").unsupported(
            of("one_to_many", bidirectional=True), registered()["nn_rnn"]
        )
        assert "in one direction only" in reason
