"""Encoder and decoder: a plain model and loop give what the oracle says; padding is left out."""

import dataclasses
import math

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from rnnbench.forms import PADDING, START, VOCABULARY, source_lengths, target_lengths, target_steps
from rnnbench.implementations import registered
from rnnbench.workloads import encoder_decoder, workload
from rnnbench.workloads.encoder_decoder import attend, loss_of_targets
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

NAMES = ("encoder_decoder", "encoder_decoder.greedy")


class Plain:
    """PyTorch's own layers, each sequence by itself and without its padding."""

    def __init__(self, case, data):
        self.case = dataclasses.replace(case, layout="time_major")
        each = (len(data.weights) - 3) // 2
        self.encoder = nn_rnn(self.case, data.weights[:each])
        self.decoder = nn_rnn(self.case, data.weights[each : 2 * each])
        self.table, *self.head = data.weights[2 * each :]
        self.leaves = [
            data.x,
            *data.states,
            *self.encoder.parameters(),
            *self.decoder.parameters(),
            self.table,
            *self.head,
        ]
        x = data.x.transpose(0, 1) if case.batch_first else data.x
        self.memory = [
            self.encoder(
                x[:length, b : b + 1], *(s[:, b : b + 1].contiguous() for s in data.states)
            )[0][:, 0]
            for b, length in enumerate(source_lengths(case))
        ]

    def start(self, b):
        first = self.memory[b][-1].expand(self.case.num_layers, 1, -1).contiguous()
        return [first, torch.zeros_like(first)][: len(self.case.states)]

    def step(self, b, token, state):
        """Logits (V) of one step of one sequence, and its state."""
        output, *state = self.decoder(self.table[token].view(1, 1, -1), *state)
        query = output[0, 0]
        shares = torch.softmax(self.memory[b] @ query, 0)
        return linear(torch.cat([query, shares @ self.memory[b]]), *self.head), state

    def forced(self, tokens):
        """Logits (S, B, V) of the tokens (S, B) that are given."""
        sequences = []
        for b in range(self.case.batch):
            state, logits = self.start(b), []
            for token in tokens[:, b]:
                found, state = self.step(b, token, state)
                logits.append(found)
            sequences.append(torch.stack(logits))
        return torch.stack(sequences, 1)

    def greedy(self):
        """The tokens (S, B) that it decodes by itself, in a loop in Python."""
        tokens = torch.zeros(target_steps(self.case), self.case.batch, dtype=torch.int64)
        for b in range(self.case.batch):
            state, token = self.start(b), START
            for step in range(target_steps(self.case)):
                logits, state = self.step(b, token, state)
                token = max(range(VOCABULARY), key=lambda v: logits[v].item())
                tokens[step, b] = token
        return tokens


def by_step(case, tensor):
    return tensor.transpose(0, 1) if case.batch_first else tensor


@pytest.mark.parametrize("columns", SHAPES.values(), ids=SHAPES)
def test_the_oracle_is_that_of_a_plain_model(columns):
    case = of("encoder_decoder", **columns)
    data = workload("encoder_decoder").data(case)
    plain = Plain(case, data)
    logits = plain.forced(by_step(case, data.tokens))
    targets = by_step(case, data.targets)
    valid = targets != PADDING
    loss = cross_entropy(logits[valid], targets[valid])
    expected = workload("encoder_decoder").expected(case, data)
    outputs = {"loss": loss, "logits": by_step(case, logits)}
    assert_oracle_is(expected, outputs, loss, plain.leaves)


def test_the_gradients_are_the_slopes_of_the_loss():
    # Padding must stay what it is, and the direction would move it.
    assert_finite_difference(of("encoder_decoder", batch=1))


@pytest.mark.parametrize("columns", SHAPES.values(), ids=SHAPES)
def test_greedy_decoding_is_that_of_a_plain_loop(columns):
    case = of("encoder_decoder.greedy", seq_len=9, batch=5, **columns)
    data = workload(case.workload).data(case)
    expected = workload(case.workload).expected(case, data)
    with torch.no_grad():
        assert by_step(case, expected.outputs["tokens"]).equal(Plain(case, data).greedy())
    assert expected.deviations["tokens"].eq(0).all(), "in float64 every token is certain"
    assert len(expected.outputs["tokens"].unique()) > 1


def test_forcing_the_greedy_tokens_gives_the_greedy_tokens():
    greedy, forced = (of(name, seq_len=9, batch=5) for name in reversed(NAMES))
    data = workload(greedy.workload).data(greedy)
    implementation = registered()["hoisted_loop"]
    with torch.no_grad():
        (tokens,) = workload(greedy.workload).model(greedy, implementation, data).infer()
        given = torch.cat([torch.full_like(tokens[:1], START), tokens[:-1]])
        taught = dataclasses.replace(data, tokens=given)
        (logits,) = workload(forced.workload).model(forced, implementation, taught).infer()
    assert logits.argmax(-1).equal(tokens)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("implementation", EAGER)
def test_every_implementation_can_stand_in_it(tmp_path, name, implementation):
    case = of(name, implementation=implementation, dtype="float32", pass_="inference")
    names = prepared(tmp_path, case)["error"]
    assert ("tokens" in names) == (name == NAMES[1])


class TestData:
    def test_lengths_differ_and_are_not_aligned(self):
        case = of("encoder_decoder", seq_len=12, batch=4)
        assert source_lengths(case) == (12, 11, 9, 8)
        assert target_lengths(case) == (5, 6, 7, 7)
        assert target_steps(case) == 7

    @pytest.mark.parametrize("layout", ["time_major", "batch_first", "batch_first_view"])
    def test_what_is_behind_a_length_is_padding(self, layout):
        case = of("encoder_decoder", seq_len=12, batch=4, layout=layout)
        data = workload("encoder_decoder").data(case)
        x, targets = by_step(case, data.x), by_step(case, data.targets)
        for b, (source, target) in enumerate(zip(source_lengths(case), target_lengths(case))):
            assert x[source:, b].eq(0).all()
            assert x[:source, b].ne(0).all()
            assert targets[target:, b].eq(PADDING).all()
            assert targets[:target, b].gt(START).all()
        assert by_step(case, data.tokens)[0].eq(START).all()
        assert by_step(case, data.tokens)[1:].equal(targets[:-1])
        assert data.x.is_contiguous() == (layout != "batch_first_view")


class TestUncertainTokens:
    """Where rounding decides between two tokens, either may come, and all that follows from it."""

    def test_a_sequence_counts_up_to_its_first_doubtful_step(self):
        logits = torch.tensor([[[3.0, 1.0, 0.0]], [[2.0, 2.001, 0.0]], [[5.0, 1.0, 0.0]]])
        sure = encoder_decoder._certain(logits.double(), torch.full((3, 1, 3), 1e-3).double())
        assert sure[:, 0].tolist() == [True, False, False]
        sure = encoder_decoder._certain(logits.double(), torch.full((3, 1, 3), 1e-9).double())
        assert sure.all()

    def test_sixteen_bits_are_refused(self):
        case = of(NAMES[1], dtype="float16")
        reason = workload(NAMES[1]).unsupported(case, registered()["nn_rnn"])
        assert "rounding in float16 decides" in reason


class TestFaults:
    def test_attention_over_padded_positions(self, tmp_path, monkeypatch):
        monkeypatch.setattr(
            encoder_decoder, "attend", lambda q, m, padded: attend(q, m, torch.zeros_like(padded))
        )
        assert_refused(tmp_path, of("encoder_decoder"), r"logits\[")

    def test_attention_over_padded_positions_in_greedy_decoding(self, tmp_path, monkeypatch):
        case = of(NAMES[1], seq_len=9, batch=5, pass_="inference")
        monkeypatch.setattr(
            encoder_decoder, "attend", lambda q, m, padded: 3 * attend(q, m, ~padded)
        )
        assert_refused(tmp_path, case, r"tokens\[.*\] is \d+, the oracle says \d+")

    def test_a_loss_over_padded_targets(self, tmp_path, monkeypatch):
        monkeypatch.setattr(
            encoder_decoder,
            "loss_of_targets",
            lambda logits, targets: cross_entropy(logits.flatten(0, 1), targets.flatten()),
        )
        assert_refused(tmp_path, of("encoder_decoder"), "loss is")

    def test_a_decoder_that_starts_from_a_padded_step(self, tmp_path, monkeypatch):
        real = workload("encoder_decoder").data

        def spoiled(case):
            data = real(case)
            return dataclasses.replace(data, lengths=torch.full_like(data.lengths, case.seq_len))

        plain = workload("encoder_decoder")
        case = of("encoder_decoder")
        expected = plain.expected(case, real(case))
        monkeypatch.setattr(plain, "data", spoiled)
        monkeypatch.setattr(plain, "expected", lambda case, data: expected)
        assert_refused(tmp_path, case, r"logits\[")

    def test_a_loss_leaves_padding_out(self):
        logits = torch.randn(2, 3, VOCABULARY)
        targets = torch.tensor([[5, 6, 7], [8, PADDING, PADDING]])
        kept = targets != PADDING
        assert loss_of_targets(logits, targets).item() == pytest.approx(
            cross_entropy(logits[kept], targets[kept]).item()
        )
        assert math.isfinite(loss_of_targets(logits, targets).item())
