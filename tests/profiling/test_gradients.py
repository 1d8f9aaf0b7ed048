"""Gradient flow is what linear algebra says where it says anything."""

import math

import pytest
import torch

from rnnbench.cases import Case
from rnnbench.profiling.gradients import decay_per_step, gradient_flow, norms_through_time


def linear_step(x_t, h, w_ih, w_hh, b_ih, b_hh):
    return x_t @ w_ih.t() + h @ w_hh.t()


def norms_of(w_hh, steps=200):
    size = len(w_hh)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(steps, 3, 2, generator=generator, dtype=torch.float64)
    h = torch.randn(3, size, generator=generator, dtype=torch.float64)
    end = torch.randn(3, size, generator=generator, dtype=torch.float64)
    weights = [torch.ones(size, 2, dtype=torch.float64), w_hh, None, None]
    (norms,) = norms_through_time(linear_step, x, [h], weights, [end])
    return norms


def with_radius(radius, size=24, seed=1):
    """A matrix of no special form, scaled to a spectral radius."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return matrix * (radius / torch.linalg.eigvals(matrix).abs().max())


class TestLinearCell:
    @pytest.mark.parametrize("radius", [0.5, 0.9, 1.0, 1.1])
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_the_decay_is_the_spectral_radius(self, radius, seed):
        assert decay_per_step(norms_of(with_radius(radius, seed=seed))) == pytest.approx(
            radius, rel=0.01
        )

    def test_a_scaled_rotation_scales_exactly(self):
        angle = torch.tensor(0.3, dtype=torch.float64)
        c, s = angle.cos(), angle.sin()
        rotation = 0.8 * torch.stack([torch.stack([c, -s]), torch.stack([s, c])])
        norms = norms_of(rotation, steps=10)
        assert len(norms) == 11
        for nearer, farther in zip(norms[1:], norms[:-1]):
            assert farther / nearer == pytest.approx(0.8)
        assert decay_per_step(norms) == pytest.approx(0.8)

    def test_what_does_not_get_through_has_no_decay(self):
        norms = norms_of(torch.zeros(4, 4, dtype=torch.float64), steps=6)
        assert norms[:-1] == [0.0] * 6 and norms[-1] > 0
        assert decay_per_step(norms) is None

    @pytest.mark.parametrize("norms", [[], [1.0, 2.0], [1.0, math.inf, 2.0, 1.0, 1.0]])
    def test_too_little_is_not_fitted(self, norms):
        assert decay_per_step(norms) is None


class TestCells:
    @pytest.mark.parametrize("cell", ["rnn_tanh", "rnn_relu", "lstm", "gru"])
    def test_every_cell_has_a_norm_for_each_step_and_state(self, cell):
        case = Case(cell=cell, seq_len=12, batch=3, input_size=5, hidden_size=16)
        flow = gradient_flow(case)
        assert [one["state"] for one in flow] == list(case.states)
        for one in flow:
            assert len(one["norms"]) == case.seq_len + 1
            assert all(norm > 0 for norm in one["norms"])
            assert one["decay"] is not None

    def test_it_is_what_autograd_says_of_the_initial_state(self):
        case = Case(seq_len=7, batch=3, input_size=5, hidden_size=16, dtype="float64")
        (flow,) = gradient_flow(case)
        from rnnbench.worker.data import make_data
        from tests.profiling.prepared import registered

        data = make_data(case)
        layer = registered()["nn_rnn"].build(case, data.weights)
        _, final = layer(data.x, *data.states)
        (gradient,) = torch.autograd.grad(final, data.states, data.grad_states)
        assert flow["norms"][0] == pytest.approx(float(gradient.norm()))

    def test_layers_and_directions_are_told_apart(self):
        case = Case(seq_len=4, batch=2, input_size=3, hidden_size=4, num_layers=2)
        assert [(f["layer"], f["direction"]) for f in gradient_flow(case)] == [(0, 0), (1, 0)]
        both = Case(seq_len=4, batch=2, input_size=3, hidden_size=4, bidirectional=True)
        assert [(f["layer"], f["direction"]) for f in gradient_flow(both)] == [(0, 0), (0, 1)]
