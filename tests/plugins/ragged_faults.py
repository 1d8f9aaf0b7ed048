"""Implementations that go wrong on sequences of different lengths alone, and one that does not."""

import torch
from torch.nn.utils.rnn import PackedSequence

from rnnbench.forms import valid_lengths
from rnnbench.implementations import activation, implementation, registered, stacked, step_by_step


def packed(name):
    """Register torch.nn.RNN with what the decorated function makes of a packed output."""

    def register(spoil):
        def build(case, weights):
            module = registered()["nn_rnn"].build(case, weights)

            def layer(x, h0):
                output, h_n = module(x, h0)
                return spoil(output, h_n)

            layer.weights = module.weights
            return layer

        implementation(name, f"fault: {name}", packed=True)(build)
        return spoil

    return register


@packed("packed_rightly")
def packed_rightly(output, h_n):
    return output, h_n


@packed("packed_order_not_restored")
def packed_order_not_restored(output, h_n):
    return PackedSequence(output.data, output.batch_sizes), h_n


@packed("packed_states_not_restored")
def packed_states_not_restored(output, h_n):
    return output, h_n.index_select(1, output.sorted_indices)


def loop(case, weights):
    """The layer as a loop that holds nothing, and which steps are behind the end of a sequence."""
    phi = activation(case)

    def step(x_t, h, w_ih, w_hh, b_ih, b_hh):
        return phi(x_t @ w_ih.t() + b_ih + h @ w_hh.t() + b_hh)

    lengths = torch.tensor(valid_lengths(case))
    behind = (torch.arange(case.seq_len).unsqueeze(1) >= lengths).unsqueeze(-1)
    return stacked(case, weights, step_by_step(step)), behind


@implementation("state_not_held", "a loop whose state goes on over padding", masked="held")
def state_not_held(case, weights):
    layer, behind = loop(case, weights)

    def masked(x, h0):
        output, h_n = layer(x, h0)
        return output.masked_fill(behind, 0), h_n

    return masked


@implementation("output_not_masked", "the right states, and padding in its output", masked="held")
def output_not_masked(case, weights):
    layer, _ = loop(case, weights)
    last = torch.tensor(valid_lengths(case)) - 1

    def masked(x, h0):
        output, _ = layer(x, h0)
        return output, output[last, torch.arange(case.batch)].unsqueeze(0)

    return masked
