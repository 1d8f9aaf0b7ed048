"""An implementation of one's own: the README's example of a plug-in."""

import torch

from rnnbench.implementations import implementation, stacked, step_by_step


@implementation("my_cell", "the two projections of a step in one product", cells=("rnn_tanh",))
def build(case, weights):
    def step(x_t, h, w_ih, w_hh, b_ih, b_hh):
        joined = torch.cat([w_ih, w_hh], 1)
        return torch.tanh(torch.cat([x_t, h], 1) @ joined.t() + b_ih + b_hh)

    return stacked(case, weights, step_by_step(step))
