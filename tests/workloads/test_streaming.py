"""Streaming: the state goes from call to call, a whole run is verified, and a round is one step."""

import contextlib

import pytest
import torch

from rnnbench.implementations import registered
from rnnbench.worker.bench import Bench
from rnnbench.worker.blocks import calibrate
from rnnbench.workloads import streaming, workload
from tests.workloads.plain import EAGER, SHAPES, assert_refused, nn_rnn, of, prepared

STEP = dict(pass_="inference")
STREAMS = {
    **{name: columns for name, columns in SHAPES.items() if name != "view"},
    "relu": dict(cell="rnn_relu"),
}


def stream(**columns):
    return of("streaming", **{**STEP, **columns})


def stepped(case, name="nn_rnn"):
    """The timed pass of a case, as the bench has it."""
    chosen = workload("streaming")
    return chosen.timed(case, chosen.model(case, registered()[name], chosen.data(case)))


@pytest.mark.parametrize("columns", STREAMS.values(), ids=STREAMS)
def test_the_oracle_is_that_of_a_plain_layer_over_the_sequence(columns):
    case = stream(**columns)
    data = workload("streaming").data(case)
    with torch.no_grad():
        output, *final = nn_rnn(case, data.weights)(data.x, *data.states)
    expected = workload("streaming").expected(case, data)
    torch.testing.assert_close(expected.outputs["output"], output, rtol=1e-9, atol=1e-12)
    for name, value in zip(("h_n", "c_n"), final):
        torch.testing.assert_close(expected.outputs[name], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("columns", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("implementation", EAGER)
def test_every_implementation_can_stand_in_it(tmp_path, implementation, columns):
    case = stream(implementation=implementation, dtype="float32", **columns)
    verification = prepared(tmp_path, case)
    states = ["h_n", "c_n"] if case.cell == "lstm" else ["h_n"]
    assert list(verification["error"]) == ["output", *states]
    assert verification["gradients_not_checked"] == "the workload streaming has no gradients"


class TestStep:
    @pytest.mark.parametrize("layout", ["time_major", "batch_first"])
    def test_calls_are_the_steps_of_the_sequence_over_and_over(self, layout):
        case = stream(cell="lstm", layout=layout, num_layers=2)
        data, timed = workload("streaming").data(case), stepped(case)
        dim = 1 if case.batch_first else 0
        twice = torch.cat((data.x, data.x), dim)
        with torch.no_grad():
            output, *_ = nn_rnn(case, data.weights)(twice, *data.states)
        with timed.context():
            found = torch.cat([timed.run(timed.prepare()) for _ in range(2 * case.seq_len)], dim)
        torch.testing.assert_close(found, output, rtol=1e-9, atol=1e-12)

    def test_autograd_is_off_and_each_input_has_a_memory_of_its_own(self):
        timed = stepped(stream(layout="batch_first"))
        with timed.context():
            inputs = [timed.prepare() for _ in range(4)]
            assert not timed.run(inputs[0]).requires_grad
        assert all(x.is_contiguous() and x.shape == (3, 1, 3) for x in inputs)
        assert len({x.data_ptr() for x in inputs}) == 4

    def test_it_is_verified_anew_after_any_number_of_steps(self):
        case = stream()
        timed = stepped(case)
        whole = workload("streaming").verified(case, timed)
        with timed.context():
            before = whole.run(None)
            timed.run(timed.prepare())
            after = whole.run(None)
        for one, other in zip(before, after):
            assert torch.equal(one, other)

    def test_blocks_go_on_where_the_last_one_ended(self, tmp_path):
        bench, case = Bench(tmp_path), stream()
        bench.prepare(case)
        held = bench._timed[case].model.stream
        states = [held.states[0]]
        for _ in range(2):
            block = bench.block(case, 1e-3, 1)
            assert len(block.rounds) >= 2
            states.append(held.states[0])
        assert not torch.equal(states[0], states[1])
        assert not torch.equal(states[1], states[2])


class TestRounds:
    class Made:
        """A clock, and a pass whose calls take two microseconds each."""

        def __init__(self, resolution):
            self.resolution, self.now = resolution, 0.0

        def time(self, call):
            start = self.now
            result = call()
            return self.now - start, None, result

        def context(self):
            return contextlib.nullcontext()

        def prepare(self):
            return None

        def run(self, prepared):
            self.now += 2.0**-19

    def test_a_round_is_one_call_on_a_clock_that_tells_a_twentieth_of_it(self):
        fine, coarse = self.Made(2.0**-24), self.Made(2.0**-20)
        resolutions = workload("streaming").resolutions
        assert calibrate(fine, fine, resolutions) == 1
        assert calibrate(fine, fine) == 4, "others want a hundredth"
        assert calibrate(coarse, coarse, resolutions) == 10

    def test_the_bench_asks_for_it(self, tmp_path, monkeypatch):
        from rnnbench.worker import bench as bench_module

        asked = []
        monkeypatch.setattr(bench_module, "calibrate", lambda *given: asked.append(given[2]) or 1)
        Bench(tmp_path).prepare(stream())
        Bench(tmp_path).prepare(of("layer", **STEP))
        assert asked == [20, 100]


class TestFaults:
    """Of the state that is handed on: only a run of several steps can show them."""

    @pytest.fixture
    def spoiled(self, monkeypatch):
        real = streaming.called

        def spoil(change):
            def wrong(layer, x, states):
                output, final = real(layer, x, states)
                return output, change(states, final)

            monkeypatch.setattr(streaming, "called", wrong)

        return spoil

    def test_a_state_that_is_not_carried(self, tmp_path, spoiled):
        spoiled(lambda before, after: before)
        assert_refused(tmp_path, stream(), r"output\[1")

    def test_a_state_that_is_dropped(self, tmp_path, spoiled):
        spoiled(lambda before, after: tuple(torch.zeros_like(state) for state in after))
        assert_refused(tmp_path, stream(), r"output\[")

    def test_states_of_two_layers_that_change_places(self, tmp_path, spoiled):
        spoiled(lambda before, after: tuple(state.flip(0) for state in after))
        assert_refused(tmp_path, stream(num_layers=2), r"output\[")

    def test_a_state_in_another_layout(self, tmp_path, spoiled):
        """(B, L, H) read as (L, B, H), which has the same shape where B is L."""
        spoiled(lambda before, after: tuple(s.transpose(0, 1).contiguous() for s in after))
        assert_refused(tmp_path, stream(num_layers=3), r"output\[")

    def test_a_cell_state_that_is_dropped(self, tmp_path, spoiled):
        spoiled(lambda before, after: (after[0], torch.zeros_like(after[1])))
        assert_refused(tmp_path, stream(cell="lstm"), r"output\[")

    def test_a_cell_state_that_is_not_carried(self, tmp_path, spoiled):
        spoiled(lambda before, after: (after[0], before[1]))
        assert_refused(tmp_path, stream(cell="lstm"), r"output\[")

    def test_only_the_last_state_is_off(self, tmp_path, monkeypatch):
        real = streaming.Stream.run

        def off(self):
            output, h_n = real(self)
            return output, h_n * 1.001

        monkeypatch.setattr(streaming.Stream, "run", off)
        assert_refused(tmp_path, stream(), "h_n")


class TestRefused:
    @pytest.mark.parametrize(
        ("name", "columns", "words"),
        [
            ("nn_rnn", dict(bidirectional=True), "in one direction only"),
            ("nn_rnn", dict(initial_state="zero"), "hands states on"),
            ("nn_rnn", dict(layout="batch_first_view"), "no layout of its own"),
            ("cuda_graph", {}, "its next step overwrites them"),
        ],
    )
    def test_it_says_why(self, name, columns, words):
        reason = workload("streaming").unsupported(stream(**columns), registered()[name])
        assert words in reason

    def test_other_passes(self, tmp_path):
        reason = Bench(tmp_path).unsupported(of("streaming", pass_="forward"))
        assert reason == "the workload streaming has no forward; it has inference"
