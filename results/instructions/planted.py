"""A plug-in for `study.py`: a loop, and the same loop with 1 % more work planted in it.

Of a hundred steps one is computed twice, and what comes of it the first time is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnnbench.implementations import implementation, one_step, stacked

EVERY = 100


def _loop(step: Callable[..., Any], *, twice: bool) -> Callable[..., Any]:
    def run(x, state, *weights):
        h = state[0]
        outputs = []
        for t, x_t in enumerate(x.unbind(0)):
            if t % EVERY == 0 and twice:
                step(x_t, h, *weights)
            h = step(x_t, h, *weights)
            outputs.append(h)
        return outputs, [h]

    return run


@implementation("plain", "a loop as python_loop", cells=("rnn_tanh",))
def build_plain(case, weights):
    return stacked(case, weights, _loop(one_step(case), twice=False))


@implementation("planted", "a hundredth of its steps computed twice", cells=("rnn_tanh",))
def build_planted(case, weights):
    return stacked(case, weights, _loop(one_step(case), twice=True))
