"""``encoder_decoder``: sequences of other lengths than their targets, with attention between them.

The encoder reads x, T steps of vectors, of which each sequence has a length of its own
(`rnnbench.forms.source_lengths`; what is behind is 0, padded). The decoder is another layer of the
same shape over S steps (`rnnbench.forms.target_steps`). With m_t the encoder's outputs,

    s_0 = m at the last valid step, for each of the decoder's layers
    s_k = layer(E[token_k], s_{k-1}),            token_1 = START
    a_k = softmax over the valid t of s_k · m_t,  c_k = Σ_t a_{k,t} m_t
    logits_k = W [s_k; c_k] + b

(attention: Luong, Pham and Manning, *Effective Approaches to Attention-based Neural Machine
Translation*, 2015, "dot"). Plain, it is taught by the targets: token_{k+1} is target_k (teacher
forcing), so that the decoder runs over all steps at once, and the loss is the mean cross-entropy
over the targets that are no padding. The variant ``greedy`` takes token_{k+1} = argmax logits_k,
step by step, for S steps; inference only. `rnnbench.forms.VOCABULARY` tokens.

**Greedy tokens** are whole numbers and must be those of the oracle, up to where a sequence comes to
a step at which its two best logits are nearer to each other than rounding can tell: from there on
another sequence is as right. In float32 that is rare; float16 and bfloat16 are refused.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, embedding, linear

from rnnbench.cases import Case
from rnnbench.forms import PADDING, START, VOCABULARY, source_lengths, target_lengths, target_steps
from rnnbench.implementations import Implementation
from rnnbench.implementations._formulas import layer_formula
from rnnbench.worker.arithmetic import Arithmetic, expected_of_formula
from rnnbench.worker.expected import Expected
from rnnbench.worker.verification import SAFETY
from rnnbench.workloads import Model, Outputs
from rnnbench.workloads._forms import Form, own_weights, with_loss, without_loss
from rnnbench.workloads._heads import HEAD, cross_entropy_formula
from rnnbench.workloads._recurrent import (
    Draw,
    Recurrent,
    by_step,
    called,
    double,
    expected_of_loss,
    layer_names,
    one_step_case,
    refuse_bad,
    state_names,
    time_dim,
    why_not_decided,
    why_not_formed,
    why_not_stepped,
)

__all__ = ["VARIANTS", "WORKLOAD", "Translated", "attend", "loss_of_targets"]

_TABLE = "embedding"


@dataclass(frozen=True)
class Translated:
    """Two layers' data, and what one is to make of the other's.

    ``weights``: the encoder's, the decoder's, E (V, I), W (V, 2 H) and b (V). ``tokens`` is what
    the decoder is given and ``targets`` what it is to say, both (S, B) or (B, S); ``lengths`` (B)
    are those of the sources, ``padded`` (B, 1, T) says which of their steps are padding.
    """

    weights: tuple[Tensor, ...]
    x: Tensor
    states: tuple[Tensor, ...]
    tokens: Tensor
    targets: Tensor
    lengths: Tensor
    padded: Tensor


def attend(query: Tensor, memory: Tensor, padded: Tensor) -> Tensor:
    """What each step of the decoder (B, S, H) takes from the memory (B, T, H): (B, S, H)."""
    scores = torch.bmm(query, memory.transpose(1, 2)).masked_fill(padded, -math.inf)
    return torch.bmm(torch.softmax(scores, -1), memory)


def loss_of_targets(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy over the targets that are no padding."""
    return cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PADDING)


def _data(case: Case) -> Translated:
    encoder = Recurrent.of(case)
    draw = Draw(case, encoder.x)
    t, s, b, h = case.seq_len, target_steps(case), case.batch, case.hidden_size
    # As nn.RNN initialises them, which for all weights of a layer is within 1/sqrt(H).
    decoder = tuple(draw.uniform(h**-0.5, *weight.shape) for weight in encoder.weights)
    table = draw.normal(VOCABULARY, case.input_size).requires_grad_()
    head = draw.linear(VOCABULARY, 2 * h)
    lengths = torch.tensor(source_lengths(case), device=encoder.x.device)
    padded = torch.arange(t, device=lengths.device) >= lengths.unsqueeze(-1)
    steps = torch.arange(s, device=lengths.device).unsqueeze(-1)
    behind = steps >= torch.tensor(target_lengths(case), device=lengths.device)
    targets = draw.whole(START + 1, VOCABULARY, s, b).masked_fill(behind, PADDING)
    tokens = torch.cat((torch.full_like(targets[:1], START), targets[:-1]))
    x = encoder.x.detach().clone()  # keeps the strides, and with them the layout
    by_step(case, x).masked_fill_(padded.t().unsqueeze(-1), 0)
    refuse_bad(case.workload, inputs=(x, *encoder.states), labels=targets, classes=VOCABULARY)
    return Translated(
        (*encoder.weights, *decoder, table, *head),
        x.requires_grad_(),
        encoder.states,
        by_step(case, tokens).contiguous(),
        by_step(case, targets).contiguous(),
        lengths,
        padded.unsqueeze(1),
    )


def _names(case: Case) -> tuple[str, ...]:
    return (*layer_names(case, "encoder."), *layer_names(case, "decoder."), _TABLE, *HEAD)


def _decoder_case(case: Case) -> Case:
    layout = "time_major" if case.layout == "time_major" else "batch_first"
    return dataclasses.replace(case, seq_len=target_steps(case), layout=layout)


def _bridged(case: Case, last: Tensor, states: int) -> tuple[Tensor, ...]:
    """The decoder's initial states from the encoder's last valid output (B, H)."""
    first = last.unsqueeze(0).expand(case.num_layers, -1, -1).contiguous()
    return (first, *(torch.zeros_like(first) for _ in range(states - 1)))


class _Formula:
    """The formula over some leaves, all (T, B, …)."""

    def __init__(self, case: Case, data: Translated, how: Arithmetic, leaf: Mapping[str, Tensor]):
        self._how, self._case, self._leaf = how, case, leaf
        initial = tuple(leaf[name] for name in state_names(data.states))
        memory, _ = self._layer("encoder.", leaf["x"], initial)
        lengths = data.lengths.cpu()
        self._padded = data.padded.cpu()
        self._memory = memory.transpose(0, 1)
        last = memory[lengths - 1, torch.arange(case.batch)]
        self.states = _bridged(case, last, len(initial))

    def _layer(
        self, which: str, x: Tensor, states: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        weights = [self._leaf[name] for name in layer_names(self._case, which)]
        return layer_formula(self._how, self._case, x, states, weights)

    def logits(
        self, tokens: Tensor, states: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Logits (S, B, V) of the tokens (S, B) that the decoder is given, and its states."""
        how, leaf = self._how, self._leaf
        output, states = self._layer("decoder.", leaf[_TABLE][tokens], states)
        query = output.transpose(0, 1)
        scores = how.product(query, self._memory.transpose(1, 2))
        # In steps, because the gradient is a difference: digits are lost here as they are there.
        largest = scores.detach().masked_fill(self._padded, -math.inf).amax(-1, keepdim=True)
        powers = how.apply(torch.exp, how.rounded(scores - largest)).masked_fill(self._padded, 0)
        shares = how.rounded(powers / how.rounded(powers.sum(-1, keepdim=True)))
        context = how.product(shares, self._memory).transpose(0, 1)
        both = torch.cat((output, context), -1)
        return how.linear(both, *(leaf[name] for name in HEAD)), states


class _Layers:
    """Encoder, decoder and head of a model."""

    def __init__(self, case: Case, steps: Case, implementation: Implementation, data: Translated):
        self.case, self.data = case, data
        each = len(layer_names(case))
        given = data.weights[:each], data.weights[each : 2 * each]
        self.table, *self.head = data.weights[2 * each :]
        self.encoder = implementation.build(case, given[0])
        self.decoder = implementation.build(steps, given[1])
        self.parameters = (
            *own_weights(self.encoder, given[0]),
            *own_weights(self.decoder, given[1]),
            self.table,
            *self.head,
        )

    def encoded(self) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The memory (B, T, H), and the decoder's initial states."""
        output, _ = called(self.encoder, self.data.x, self.data.states)
        memory = output if self.case.batch_first else output.transpose(0, 1)
        rows = torch.arange(memory.shape[0], device=memory.device)
        last = memory[rows, self.data.lengths - 1]
        return memory, _bridged(self.case, last, len(self.data.states))

    def decoded(
        self, tokens: Tensor, states: tuple[Tensor, ...], memory: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Logits of the steps whose tokens are given, in the case's layout, and the states."""
        output, states = called(self.decoder, embedding(tokens, self.table), states)
        query = output if self.case.batch_first else output.transpose(0, 1)
        context = attend(query, memory, self.data.padded)
        if not self.case.batch_first:
            context = context.transpose(0, 1)
        return linear(torch.cat((output, context), -1), *self.head), states


class _EncoderDecoder(Form):
    """Taught by the targets."""

    def unsupported(self, case: Case, implementation: Implementation) -> str | None:
        return why_not_formed(case, one_direction=True)

    def data(self, case: Case) -> Translated:
        return _data(case)

    def expected(self, case: Case, data: Translated) -> Expected:
        tokens, targets = (double(by_step(case, t)) for t in (data.tokens, data.targets))

        def compute(how: Arithmetic, leaf: Mapping[str, Tensor]) -> dict[str, Tensor]:
            formula = _Formula(case, data, how, {**leaf, "x": by_step(case, leaf["x"])})
            logits, _ = formula.logits(tokens, formula.states)
            loss = cross_entropy_formula(how, logits, targets, targets != PADDING)
            return {"loss": loss, "logits": by_step(case, logits)}

        names = state_names(data.states)
        return expected_of_loss(
            case,
            dict(zip(("x", *names), (data.x, *data.states), strict=True)),
            dict(zip(_names(case), data.weights, strict=True)),
            compute,
        )

    def model(self, case: Case, implementation: Implementation, data: Translated) -> Model:
        layers = _Layers(case, _decoder_case(case), implementation, data)

        def logits() -> Tensor:
            memory, states = layers.encoded()
            return layers.decoded(data.tokens, states, memory)[0]

        return with_loss(
            logits,
            lambda found: loss_of_targets(found, data.targets),
            "logits",
            (data.x, *data.states),
            layers.parameters,
        )


class _Greedy(_EncoderDecoder):
    passes = ("inference",)

    def unsupported(self, case: Case, implementation: Implementation) -> str | None:
        return (
            super().unsupported(case, implementation)
            or why_not_stepped(implementation)
            or why_not_decided(case)
        )

    def expected(self, case: Case, data: Translated) -> Expected:
        leaf = {name: double(w) for name, w in zip(_names(case), data.weights, strict=True)}
        leaf |= zip(state_names(data.states), map(double, data.states), strict=True)
        leaf["x"] = by_step(case, double(data.x))
        tokens = _greedy_tokens(case, _Formula(case, data, Arithmetic(case), leaf))
        given = torch.cat((torch.full_like(tokens[:1], START), tokens[:-1]))

        def logits_of(how: Arithmetic) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
            formula = _Formula(case, data, how, leaf)
            return {"logits": formula.logits(given, formula.states)[0]}, {}

        found = expected_of_formula(case, logits_of)
        sure = _certain(found.outputs["logits"], found.deviations["logits"])
        if not bool(sure[0].any()):
            raise ValueError(f"rounding in {case.dtype} decides every token; take another seed")
        doubt = torch.where(sure, 0.0, math.inf).to(torch.float64)
        return Expected({"tokens": by_step(case, tokens)}, {}, {"tokens": by_step(case, doubt)})

    def model(self, case: Case, implementation: Implementation, data: Translated) -> Model:
        layers = _Layers(case, one_step_case(_decoder_case(case)), implementation, data)
        dim = time_dim(case)
        first = data.tokens.narrow(dim, 0, 1)

        def infer() -> Outputs:
            memory, states = layers.encoded()
            token, tokens = first, []
            for _ in range(target_steps(case)):
                logits, states = layers.decoded(token, states, memory)
                token = logits.argmax(-1)
                tokens.append(token)
            return (torch.cat(tokens, dim),)

        return without_loss(infer, ("tokens",), (data.x, *data.states), layers.parameters)


def _greedy_tokens(case: Case, formula: _Formula) -> Tensor:
    """The tokens (S, B) that the formula decodes by itself."""
    token, states = torch.full((1, case.batch), START), formula.states
    tokens = []
    for _ in range(target_steps(case)):
        logits, states = formula.logits(token, states)
        token = logits.argmax(-1)
        tokens.append(token)
    return torch.cat(tokens)


def _certain(logits: Tensor, deviations: Tensor) -> Tensor:
    """Which tokens (S, B) no rounding could change: those up to the first that one could."""
    best, places = logits.topk(2, -1)
    doubt = SAFETY * deviations.gather(-1, places).square().sum(-1).sqrt()
    sure = best[..., 0] - best[..., 1] > doubt
    return sure.long().cumprod(0).bool()


WORKLOAD = _EncoderDecoder()
VARIANTS = {"greedy": _Greedy()}
