"""Sequences of different lengths: three layouts agree with each sequence alone; faults do not."""

import dataclasses
from collections import Counter

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from rnnbench.implementations import registered
from rnnbench.schema import CELLS, RAGGED_LAYOUTS
from rnnbench.worker.bench import Bench
from rnnbench.worker.verification import Incorrect
from rnnbench.workloads import _ragged, workload
from tests.workloads.plain import SMALL, assert_refused, nn_rnn, prepared

RAGGED = dataclasses.replace(
    SMALL, seq_len=6, batch=4, lengths="2+6+1+4", layout="packed", dtype="float32"
)
OPTIONS = {
    "plain": {},
    "deep": dict(num_layers=2, lengths="uniform"),
    "sorted": dict(lengths="6+4+2+1_sorted", bias=False),
    "short": dict(lengths="4+2+3+1", initial_state="zero"),
}


def ragged(**columns):
    return dataclasses.replace(RAGGED, **columns)


def plain(case, data):
    """Outputs by name, and gradients, of PyTorch's own layer on each sequence alone."""
    module = nn_rnn(case, data.weights)
    x, states = data.x.detach().requires_grad_(), data.states
    loss, found = 0.0, {"output": torch.zeros(data.grad_output.shape, dtype=torch.float64)}
    finals = []
    for k, length in enumerate(data.lengths.tolist()):
        given = [state[:, k : k + 1] for state in states]
        output, *final = module(x[:length, k : k + 1], *given)
        last = final[0][-case.directions :, 0].flatten()
        loss = loss + (output * data.grad_output[:length, k : k + 1]).sum()
        loss = loss + (last * data.grad_last[k]).sum()
        found["output"][:length, k] = output[:, 0].detach()
        finals.append((last, *final))
    last, *final = zip(*finals)
    found["last"] = torch.stack(last)
    found |= {f"{n}_n": torch.cat(f, 1) for n, f in zip(case.states, final)}
    return found, torch.autograd.grad(loss, [x, *states, *module.parameters()])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_oracle_is_that_of_each_sequence_alone(cell, bidirectional):
    for options in ({}, {"num_layers": 2, "bias": False}):
        case = ragged(cell=cell, bidirectional=bidirectional, dtype="float64", **options)
        data = workload("layer").data(case)
        expected = workload("layer").expected(case, data)
        outputs, gradients = plain(case, data)
        for name, value in outputs.items():
            torch.testing.assert_close(expected.outputs[name], value.detach(), msg=name)
        for (name, oracle), gradient in zip(expected.gradients.items(), gradients, strict=True):
            torch.testing.assert_close(oracle, gradient, msg=f"of {name}")


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("columns", OPTIONS.values(), ids=OPTIONS)
def test_all_layouts_and_implementations_agree_with_it(tmp_path, cell, columns):
    bench, checked = Bench(tmp_path), Counter()
    for layout in RAGGED_LAYOUTS:
        for name in ("nn_rnn", "python_loop", "hoisted_loop"):
            case = ragged(cell=cell, layout=layout, implementation=name, **columns)
            if bench.unsupported(case):
                continue
            verification = bench.prepare(dataclasses.replace(case, pass_="training_step"))
            checked[layout] += 1
            error = verification["verification"]["error"]
            states = {f"{state}_n" for state in case.states}
            gives_states = layout == "packed" or (layout == "masked" and name != "nn_rnn")
            assert states & set(error) == (states if gives_states else set())
            assert {"output", "last", "x", "weight_hh_l0", "weight_hh_l0 after a step"} <= set(
                error
            )
    assert checked == {"packed": 1, "padded": 3, "masked": 3}


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm"])
def test_other_dtypes_agree_too(tmp_path, cell, dtype):
    for layout, name in (("packed", "nn_rnn"), ("padded", "nn_rnn"), ("masked", "hoisted_loop")):
        assert prepared(
            tmp_path, ragged(cell=cell, dtype=dtype, layout=layout, implementation=name)
        )


@pytest.mark.parametrize("cell", ["rnn_relu", "lstm"])
@pytest.mark.parametrize(
    ("layout", "name"),
    [("packed", "nn_rnn"), ("masked", "python_loop"), ("masked", "hoisted_loop")],
)
def test_a_reverse_direction_begins_at_the_end_of_each_sequence(tmp_path, cell, layout, name):
    case = ragged(cell=cell, layout=layout, implementation=name, bidirectional=True, num_layers=2)
    assert "weight_hh_l1_reverse" in prepared(tmp_path, case)["error"]


def test_behind_the_end_x_and_the_gradients_of_the_loss_are_zero():
    data = workload("layer").data(RAGGED)
    for k, length in enumerate((2, 6, 1, 4)):
        for tensor in (data.x, data.grad_output):
            assert not tensor[length:, k].any()
            assert tensor[:length, k].all()
    assert data.lengths.tolist() == [2, 6, 1, 4]
    assert data.lengths.device.type == "cpu"
    layouts = [workload("layer").data(ragged(layout=layout)).x for layout in RAGGED_LAYOUTS]
    assert all(torch.equal(layouts[0], x) for x in layouts)


def test_what_padding_gives_is_ignored_where_it_is_computed_and_zero_elsewhere():
    behind = torch.arange(6).unsqueeze(1) >= torch.tensor([2, 6, 1, 4])
    for layout, ignored in (("packed", 0.0), ("padded", torch.inf), ("masked", 0.0)):
        case = ragged(layout=layout)
        expected = workload("layer").expected(case, workload("layer").data(case))
        assert not expected.outputs["output"][behind].any()
        assert not expected.gradients["x"][behind].any()
        assert (expected.deviations["output"][behind] == ignored).all()
        assert (expected.deviations["x"][behind] == 0).all()
        assert (expected.deviations["output"][~behind] > 0).all()


def events(**columns):
    """Names of the operators of one timed call, what prepares it left out."""
    case = ragged(**columns)
    chosen = workload("layer")
    timed = chosen.timed(
        case, chosen.model(case, registered()[case.implementation], chosen.data(case))
    )
    with timed.context():
        prepared = timed.prepare()
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            timed.run(prepared)
    return Counter(event.name for event in profiler.events())


def test_packing_and_unpacking_are_timed_and_sorting_where_it_is_asked_for():
    for lengths, sorts in (("2+6+1+4", 1), ("6+4+2+1_sorted", 0)):
        names = events(lengths=lengths, pass_="inference")
        assert names["aten::_pack_padded_sequence"] == 1
        assert names["aten::_pad_packed_sequence"] == 1
        assert names["aten::sort"] == sorts
    assert events(pass_="backward")["aten::_pack_padded_sequence_backward"] == 1
    assert not events(layout="padded", pass_="inference")["aten::_pack_padded_sequence"]


def test_a_loop_holds_its_state_in_each_step_and_torch_nn_masks_once():
    for name, held in (("python_loop", 6), ("hoisted_loop", 6), ("nn_rnn", 0)):
        names = events(layout="masked", implementation=name, pass_="inference")
        assert names["aten::where"] == held
        assert names["aten::masked_fill"] == 1


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("columns", "reason"),
        [
            (
                dict(lengths="full"),
                "packed is a layout of sequences of different lengths; give lengths too",
            ),
            (
                dict(layout="batch_first"),
                "sequences of different lengths are laid out as packed, padded, masked, and not "
                "batch_first",
            ),
            (dict(implementation="python_loop"), "python_loop takes no packed sequence"),
            (
                dict(layout="masked", implementation="torchscript_loop"),
                "torchscript_loop has no loop that holds a state where its sequence has ended",
            ),
            (
                dict(layout="padded", implementation="hoisted_loop", bidirectional=True),
                "the reverse direction would begin with the padding",
            ),
            (
                dict(layout="masked", bidirectional=True),
                "the reverse direction would begin with the padding",
            ),
            (
                dict(num_layers=2, dropout=0.2),
                "dropout draws its masks by layout, so that no layouts could be compared",
            ),
            (
                dict(dtype="autocast_bfloat16"),
                "sequences of different lengths have no formula under autocast; give another dtype",
            ),
            (
                dict(workload="many_to_one"),
                "many_to_one has lengths of its own; leave the axis lengths at full",
            ),
        ],
    )
    def test_with_its_reason(self, tmp_path, columns, reason):
        assert Bench(tmp_path).unsupported(ragged(**columns)) == reason

    def test_an_oracle_that_does_not_agree_with_itself(self, monkeypatch):
        real = _ragged._together

        def wrong(how, case, x, states, weights, lengths):
            return real(how, case, x, states, weights, [max(1, n - 1) for n in lengths])

        monkeypatch.setattr(_ragged, "_together", wrong)
        with pytest.raises(RuntimeError, match="differ in output; this is a mistake of rnnbench"):
            workload("layer").expected(RAGGED, workload("layer").data(RAGGED))


class TestFaults:
    def test_the_state_of_a_padded_step(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_ragged, "last_valid", lambda output, lengths: output[-1])
        assert_refused(tmp_path, ragged(layout="padded"), r"last\[")
        assert_refused(tmp_path, ragged(layout="masked"), r"last\[")

    def test_a_mask_that_is_a_step_late(self, tmp_path, monkeypatch):
        real, case = _ragged._behind, ragged(layout="masked")
        bench = Bench(tmp_path)
        bench.enter(case)
        monkeypatch.setattr(_ragged, "_behind", lambda steps, lengths: real(steps, lengths + 1))
        with pytest.raises(Incorrect, match=r"output\["):
            bench.prepare(case)

    def test_gradients_that_come_from_padding(self, tmp_path, monkeypatch):
        real = _ragged._padded

        def leaking(case, layer, data):
            call = real(case, layer, data)

            def leaks():
                output, last = call()
                return output, last + (output[-1] - output[-1].detach())

            return leaks

        monkeypatch.setattr(_ragged, "_padded", leaking)
        assert_refused(tmp_path, ragged(layout="padded"), r"the gradient of x\[")
