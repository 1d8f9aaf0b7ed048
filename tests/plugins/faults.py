"""Implementations with a fault each, which a run must refuse while it measures the others."""

import os
import signal
import time

import torch

from rnnbench.implementations import activation, implementation, stacked, step_by_step


def faulty(name):
    """Register a right layer that the decorated function spoils."""

    def register(spoil):
        def build(case, weights):
            phi = activation(case)

            def step(x_t, h, w_ih, w_hh, b_ih, b_hh):
                return phi(x_t @ w_ih.t() + b_ih + h @ w_hh.t() + b_hh)

            return spoil(case, stacked(case, weights, step_by_step(step)))

        implementation(name, f"fault: {name}")(build)
        return spoil

    return register


@implementation("wrong_activation", "sigmoid in place of tanh")
def wrong_activation(case, weights):
    def step(x_t, h, w_ih, w_hh, b_ih, b_hh):
        return torch.sigmoid(x_t @ w_ih.t() + b_ih + h @ w_hh.t() + b_hh)

    return stacked(case, weights, step_by_step(step))


class _DoubledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight):
        return weight.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 1.01


@implementation("wrong_weight_gradient", "right output, the gradient of W_hh off by 1 %")
def wrong_weight_gradient(case, weights):
    phi = activation(case)

    def step(x_t, h, w_ih, w_hh, b_ih, b_hh):
        recurrent = _DoubledGradient.apply(w_hh)
        return phi(x_t @ w_ih.t() + b_ih + h @ recurrent.t() + b_hh)

    return stacked(case, weights, step_by_step(step))


@faulty("wrong_when_long")
def wrong_when_long(case, layer):
    def spoiled(x, h0):
        output, h_n = layer(x, h0)
        return (output, h_n) if case.seq_len < 100 else (output * 1.001, h_n)

    return spoiled


@faulty("wrong_from_the_third_call")
def wrong_from_the_third_call(case, layer):
    calls = []

    def spoiled(x, h0):
        calls.append(1)
        output, h_n = layer(x, h0)
        return (output, h_n) if len(calls) < 3 else (output * 1.01, h_n)

    return spoiled


@faulty("wrong_final_state")
def wrong_final_state(case, layer):
    def spoiled(x, h0):
        output, h_n = layer(x, h0)
        return output, h_n + 1e-3

    return spoiled


@faulty("raises")
def raises(case, layer):
    raise ValueError("planted: raised in construction")


@faulty("hangs")
def hangs(case, layer):
    time.sleep(3600)


@faulty("takes_100_gb")
def takes_100_gb(case, layer):
    hoard = torch.ones(100 * 2**30, dtype=torch.uint8)
    return lambda x, h0: (layer(x, h0), hoard)[0]


@faulty("segfaults")
def segfaults(case, layer):
    def spoiled(x, h0):
        os.kill(os.getpid(), signal.SIGSEGV)
        return layer(x, h0)

    return spoiled


@faulty("returns_float64")
def returns_float64(case, layer):
    def spoiled(x, h0):
        output, h_n = layer(x, h0)
        return output.double(), h_n.double()

    return spoiled


@faulty("wrong_shapes")
def wrong_shapes(case, layer):
    def spoiled(x, h0):
        output, h_n = layer(x, h0)
        return output[:-1], h_n

    return spoiled


@faulty("segfaults_when_timed")
def segfaults_when_timed(case, layer):
    calls = []

    def spoiled(x, h0):
        calls.append(1)
        if len(calls) > 60:
            os.kill(os.getpid(), signal.SIGSEGV)
        return layer(x, h0)

    return spoiled
