"""Verification refuses what is wrong and nothing that is right."""

import dataclasses
import json

import pytest
import torch

from rnnbench.cases import Case
from rnnbench.implementations import load_builtin, registered, stacked, step_by_step
from rnnbench.implementations.reference import oracle
from rnnbench.schema import DTYPES
from rnnbench.worker.autocast import under_autocast, why_no_autocast
from rnnbench.worker.data import Data, make_data
from rnnbench.worker.expected import Expected
from rnnbench.worker.masks import fix_masks, inferred_name
from rnnbench.worker.verification import SAFETY, Incorrect, verify, verify_step
from rnnbench.workloads._optimizers import SGD

load_builtin()

SIMPLE = ("rnn_tanh", "rnn_relu")

CASE = Case(
    seq_len=20, batch=4, input_size=8, hidden_size=16, num_layers=2, pass_="forward_backward"
)


def results(case: Case, data: Data, step=None) -> tuple:
    """Output, final state and gradients of nn.RNN, or of a loop over a step of one's own."""
    if step is None:
        layer = registered()["nn_rnn"].build(case, data.weights)
    else:
        layer = stacked(case, data.weights, step_by_step(step, len(case.states)))
    inputs = [data.x, *data.states]
    fix_masks(case)
    outputs = under_autocast(case, lambda: layer(*inputs))()
    leaves = [*inputs, *getattr(layer, "weights", data.weights)]
    gradients = torch.autograd.grad(
        outputs, leaves, (data.grad_output, *data.grad_states), allow_unused=True
    )
    return (*(tensor.detach() for tensor in outputs), list(gradients))


def named(*results) -> tuple:
    """Results as verification takes them."""
    *outputs, gradients = results
    return dict(zip(("output", "h_n", "c_n"), outputs, strict=False)), gradients


@pytest.fixture(scope="module", params=SIMPLE)
def case(request) -> Case:
    return dataclasses.replace(CASE, cell=request.param)


@pytest.fixture(scope="module")
def data(case) -> Data:
    return make_data(case)


@pytest.fixture(scope="module")
def expected(case, data) -> Expected:
    return oracle(case, data)


def affine(x, h, w_ih, w_hh, b_ih, b_hh):
    return x @ w_ih.t() + b_ih + h @ w_hh.t() + b_hh


def test_right_results_pass_and_say_how_near_they_came(case, data, expected):
    verified = verify(case, expected, *named(*results(case, data)))
    assert set(verified.error) == {"output", "h_n", *expected.gradients}
    for name, error in verified.error.items():
        assert 0 <= error < verified.tolerance[name] < 1e-4


def test_record_is_plain_json(case, data, expected):
    record = verify(case, expected, *named(*results(case, data))).as_dict()
    assert record["oracle"] == "float64 formula"
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_inference_compares_outputs_only(case, data, expected):
    output, h_n, _ = results(case, data)
    assert set(verify(case, expected, *named(output, h_n, None)).error) == {"output", "h_n"}


def rational_tanh(a):
    # Within 1e-3 of tanh for |a| < 2, and used nowhere else.
    square = a * a
    near = (
        a
        * (135135 + square * (17325 + square * (378 + square)))
        / (135135 + square * (62370 + square * (3150 + 28 * square)))
    )
    return torch.where(a.abs() < 2, near + 5e-4 * torch.sin(3 * a), torch.tanh(a))


FAULTY_STEPS = {
    "tanh good to 1e-3": lambda x, h, *w: rational_tanh(affine(x, h, *w)),
    "no b_ih": lambda x, h, w_ih, w_hh, b_ih, b_hh: torch.tanh(
        affine(x, h, w_ih, w_hh, 0 * b_ih, b_hh)
    ),
    "no b_hh": lambda x, h, w_ih, w_hh, b_ih, b_hh: torch.tanh(
        affine(x, h, w_ih, w_hh, b_ih, 0 * b_hh)
    ),
    "W_hh transposed": lambda x, h, w_ih, w_hh, b_ih, b_hh: torch.tanh(
        affine(x, h, w_ih, w_hh.t(), b_ih, b_hh)
    ),
    "relu for tanh": lambda x, h, *w: torch.relu(affine(x, h, *w)),
    "bfloat16 inside": lambda x, h, *w: torch.tanh(
        affine(*(t.bfloat16() for t in (x, h, *w)))
    ).float(),
    "detached state": lambda x, h, *w: torch.tanh(affine(x, h.detach(), *w)),
}


@pytest.mark.parametrize("fault", FAULTY_STEPS)
def test_faulty_cell_is_refused(fault):
    data = make_data(CASE)
    expected = oracle(CASE, data)
    with pytest.raises(Incorrect):
        verify(CASE, expected, *named(*results(CASE, data, FAULTY_STEPS[fault])))


def test_reverse_direction_that_runs_forward_is_refused():
    case = dataclasses.replace(CASE, bidirectional=True)
    data = make_data(case)
    expected = oracle(case, data)
    output, h_n, _ = results(case, data)
    output[..., 16:] = output[..., 16:].flip(0)
    with pytest.raises(Incorrect, match=r"output\["):
        verify(case, expected, *named(output, h_n, None))


def test_error_of_one_percent_in_any_gradient_is_refused(case, data, expected):
    output, h_n, gradients = results(case, data)
    for k, name in enumerate(expected.gradients):
        changed = list(gradients)
        changed[k] = gradients[k] * 1.01
        with pytest.raises(Incorrect, match=f"the gradient of {name}"):
            verify(case, expected, *named(output, h_n, changed))


def test_error_in_a_single_entry_is_refused(case, data, expected):
    output, h_n, gradients = results(case, data)
    gradients[3] = gradients[3].clone()
    gradients[3][5, 7] += 1e-3 * gradients[3].abs().max()
    with pytest.raises(Incorrect, match=r"the gradient of weight_hh_l0\[5, 7\] is "):
        verify(case, expected, *named(output, h_n, gradients))


def test_gradients_of_two_steps_are_refused(case, data, expected):
    output, h_n, gradients = results(case, data)
    with pytest.raises(Incorrect):
        verify(case, expected, *named(output, h_n, [2 * gradient for gradient in gradients]))


def test_missing_gradient_is_refused(case, data, expected):
    output, h_n, gradients = results(case, data)
    with pytest.raises(Incorrect, match="the gradient of bias_hh_l1 is missing"):
        verify(case, expected, *named(output, h_n, [*gradients[:-1], None]))
    with pytest.raises(Incorrect, match="9 gradients, and 10 tensors"):
        verify(case, expected, *named(output, h_n, gradients[:-1]))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_entry_that_is_not_finite_is_refused_and_named(case, data, expected, value):
    output, h_n, gradients = results(case, data)
    output = output.clone()
    output[3, 2, 1] = value
    with pytest.raises(Incorrect, match=rf"output\[3, 2, 1\] is {value}, the oracle says"):
        verify(case, expected, *named(output, h_n, gradients))


def test_message_names_the_worst_entry_with_its_numbers(case, data, expected):
    output, h_n, _ = results(case, data)
    output = output.clone()
    output[3, 2, 12] = expected.outputs["output"][3, 2, 12] + 0.5
    with pytest.raises(Incorrect) as raised:
        verify(case, expected, *named(output, h_n, None))
    assert str(raised.value).startswith(f"output[3, 2, 12] is {output[3, 2, 12].item():.6g}, the ")
    assert "of the largest entry is over the tolerance" in str(raised.value)


def test_wrong_dtype_is_refused(case, data, expected):
    output, h_n, _ = results(case, data)
    with pytest.raises(Incorrect, match="h_n is float64; the case is float32"):
        verify(case, expected, *named(output, h_n.double(), None))


def test_wrong_shape_is_refused(case, data, expected):
    output, h_n, _ = results(case, data)
    with pytest.raises(
        Incorrect, match=r"output has shape \(4, 20, 16\); it must be \(20, 4, 16\)"
    ):
        verify(case, expected, *named(output.transpose(0, 1), h_n, None))


def test_wrong_device_is_refused(case, data, expected):
    output, h_n, _ = results(case, data)
    with pytest.raises(Incorrect, match="output is on meta; the case is on cpu"):
        verify(case, expected, *named(output.to("meta"), h_n, None))


def test_tolerance_follows_the_unit_roundoff():
    tolerances = {}
    for dtype in DTYPES:
        case = dataclasses.replace(CASE, dtype=dtype)
        if why_no_autocast(case):
            continue
        data = make_data(case)
        verified = verify(case, oracle(case, data), *named(*results(case, data)))
        tolerances[dtype] = verified.tolerance["weight_hh_l0"]
    assert 1e-16 < tolerances["float64"] < 1e-13
    assert 1e-7 < tolerances["float32"] < 1e-4
    assert 1e-4 < tolerances["float16"] < 0.05
    assert 1e-3 < tolerances["bfloat16"] < 0.3
    for dtype in ("bfloat16", "float16"):
        cast = tolerances.get(f"autocast_{dtype}", tolerances[dtype])
        assert 0.5 * tolerances[dtype] < cast < 4 * tolerances[dtype]


def test_tolerance_is_about_the_deviation_of_the_entry(case, data, expected):
    _, h_n, _ = results(case, data)
    here = (7, 1, 3)
    largest = expected.outputs["output"].abs().max()
    limit = SAFETY * expected.deviations["output"][here] + 2.0**-24 * largest
    for factor, refused in ((0.9, False), (1.1, True)):
        changed = expected.outputs["output"].clone()
        changed[here] += factor * limit
        # In float64, so that what is tested is the tolerance and not the rounding of the test.
        wide = dataclasses.replace(case, dtype="float64")
        exact = dataclasses.replace(
            expected,
            deviations={
                **expected.deviations,
                "output": (expected.deviations["output"] + 2.0**-24 * largest / SAFETY),
            },
        )
        if refused:
            with pytest.raises(Incorrect, match=r"output\[7, 1, 3\]"):
                verify(wide, exact, *named(changed, h_n.double(), None))
        else:
            verify(wide, exact, *named(changed, expected.outputs["h_n"], None))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("cell", SIMPLE)
@pytest.mark.parametrize("name", ["nn_rnn", "python_loop", "hoisted_loop"])
def test_right_implementation_stays_well_below_its_tolerance(name, cell, dtype):
    shapes = [(1, 1, 1, 1, 1), (500, 2, 1, 2, 1), (60, 64, 3, 1, 2), (20, 8, 16, 64, 3)]
    shapes += [(100, 32, 64, 128, 1)]
    for seed, (steps, batch, inputs, hidden, layers) in enumerate(shapes):
        case = Case(
            cell=cell,
            dtype=dtype,
            seq_len=steps,
            batch=batch,
            input_size=inputs,
            hidden_size=hidden,
            num_layers=layers,
            bidirectional=seed % 2 == 0,
            pass_="forward_backward",
            seed=seed,
        )
        data = make_data(case)
        layer = registered()[name].build(case, data.weights)
        outputs = layer(data.x, data.h0)
        gradients = torch.autograd.grad(
            outputs,
            [data.x, data.h0, *getattr(layer, "weights", data.weights)],
            (data.grad_output, data.grad_h_n),
        )
        verified = verify(case, oracle(case, data), *named(*outputs, gradients))
        for key, error in verified.error.items():
            assert error < 0.6 * verified.tolerance[key], (case.id, key)


def test_step_of_the_optimizer_is_checked(case, data, expected):
    _, _, gradients = results(case, data)
    before = [weight.detach() for weight in data.weights]
    after = [w - 0.1 * g for w, g in zip(before, gradients[2:], strict=True)]
    errors = verify_step(case, expected, SGD, before, after, learning_rate=0.1)
    assert set(errors) == {f"{name} after a step" for name in list(expected.gradients)[2:]}
    with pytest.raises(Incorrect, match="weight_ih_l0 after a step"):
        verify_step(case, expected, SGD, before, before, learning_rate=0.1)
    with pytest.raises(Incorrect, match="after a step"):
        verify_step(case, expected, SGD, before, after, learning_rate=0.101)


class TestWholeNumbers:
    """Tokens and lengths: equal, wherever rounding does not decide."""

    CASE = Case(dtype="float32")
    TOKENS = torch.tensor([[3, 7], [4, 7]])

    def expected(self, deviation=0.0):
        doubt = torch.zeros(2, 2).double()
        doubt[1, 1] = deviation
        return Expected({"tokens": self.TOKENS}, {}, {"tokens": doubt})

    def test_the_same_ones_pass(self):
        verified = verify(self.CASE, self.expected(), {"tokens": self.TOKENS.clone()}, None)
        assert verified.error == verified.tolerance == {"tokens": 0.0}

    def test_another_one_is_named(self):
        wrong = self.TOKENS.clone()
        wrong[1, 1] = 8
        with pytest.raises(Incorrect, match=r"^tokens\[1, 1\] is 8, the oracle says 7$"):
            verify(self.CASE, self.expected(), {"tokens": wrong}, None)
        verify(self.CASE, self.expected(float("inf")), {"tokens": wrong}, None)

    def test_another_type_is_refused(self):
        with pytest.raises(Incorrect, match="tokens is int32; it must be int64"):
            verify(self.CASE, self.expected(), {"tokens": self.TOKENS.int()}, None)


def test_a_number_without_a_dimension_is_named_without_an_index():
    expected = Expected(
        {"loss": torch.tensor(2.0).double()}, {}, {"loss": torch.tensor(1e-7).double()}
    )
    verify(Case(), expected, {"loss": torch.tensor(2.0)}, None)
    with pytest.raises(Incorrect, match=r"^loss is 2\.5, the oracle says 2; error"):
        verify(Case(), expected, {"loss": torch.tensor(2.5)}, None)
    with pytest.raises(Incorrect, match=r"^loss is nan, the oracle says 2$"):
        verify(Case(), expected, {"loss": torch.tensor(float("nan"))}, None)


def test_a_tolerance_that_is_no_number_lets_nothing_pass():
    expected = Expected(
        {"loss": torch.tensor(2.0).double()}, {}, {"loss": torch.tensor(float("nan")).double()}
    )
    with pytest.raises(Incorrect, match="loss is 2, the oracle says 2"):
        verify(Case(), expected, {"loss": torch.tensor(2.0)}, None)


GATED = ("lstm", "gru")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", GATED)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 1), (60, 16, 3, 2, 2), (12, 4, 16, 64, 1)])
def test_right_gated_cell_stays_well_below_its_tolerance(cell, dtype, shape):
    steps, batch, inputs, hidden, layers = shape
    case = Case(
        cell=cell,
        dtype=dtype,
        seq_len=steps,
        batch=batch,
        input_size=inputs,
        hidden_size=hidden,
        num_layers=layers,
        bidirectional=layers == 1,
        pass_="forward_backward",
        seed=hidden,
    )
    reason = why_no_autocast(case) or registered()["nn_rnn"].unsupported(case)
    if reason:
        pytest.skip(reason)
    data = make_data(case)
    expected = oracle(case, data)
    output, *final, gradients = results(case, data)
    verified = verify(case, expected, *named(output, *final, gradients))
    for key, error in verified.error.items():
        assert error < 0.6 * verified.tolerance[key], key
    if dtype in ("float32", "float64"):
        for k, name in enumerate(expected.gradients):
            changed = list(gradients)
            changed[k] = gradients[k] * 1.01
            with pytest.raises(Incorrect, match=f"the gradient of {name}"):
                verify(case, expected, *named(output, *final, changed))


def gates_of(x, h, w_ih, w_hh, b_ih, b_hh):
    return x @ w_ih.t() + b_ih + h @ w_hh.t() + b_hh


def lstm_of(gates, c, order="ifgo"):
    named_gates = dict(zip(order, gates.chunk(4, -1)))
    i, f, o = (torch.sigmoid(named_gates[name]) for name in "ifo")
    c = f * c + i * torch.tanh(named_gates["g"])
    return o * torch.tanh(c), c


def without_forget_bias(b):
    _, f, _, _ = torch.arange(len(b)).chunk(4)
    keep = torch.ones_like(b)
    keep[f] = 0
    return b * keep


FAULTY_LSTMS = {
    "gates in Keras' order": lambda x, h, c, *w: lstm_of(gates_of(x, h, *w), c, "ifog"),
    "forget and input gate exchanged": lambda x, h, c, *w: lstm_of(gates_of(x, h, *w), c, "figo"),
    "no bias in the forget gate": lambda x, h, c, w_ih, w_hh, b_ih, b_hh: lstm_of(
        gates_of(x, h, w_ih, w_hh, without_forget_bias(b_ih), without_forget_bias(b_hh)), c
    ),
    "forget gate's recurrent bias missing": lambda x, h, c, w_ih, w_hh, b_ih, b_hh: lstm_of(
        gates_of(x, h, w_ih, w_hh, b_ih, without_forget_bias(b_hh)), c
    ),
}


def gru_of(x, h, w_ih, w_hh, b_ih, b_hh, order="rzn", inside=True):
    given = dict(zip(order, (x @ w_ih.t() + b_ih).chunk(3, -1)))
    before = dict(zip(order, (h @ w_hh.t()).chunk(3, -1)))
    biases = dict(zip(order, b_hh.chunk(3, -1)))
    r, z = (torch.sigmoid(given[name] + before[name] + biases[name]) for name in "rz")
    recurrent = r * (before["n"] + biases["n"]) if inside else r * before["n"] + biases["n"]
    n = torch.tanh(given["n"] + recurrent)
    return (1 - z) * n + z * h


FAULTY_GRUS = {
    "gates in Keras' order": lambda *given: gru_of(*given, order="zrn"),
    "the recurrent bias of n outside of its product": lambda *given: gru_of(*given, inside=False),
}


@pytest.mark.parametrize("fault", FAULTY_LSTMS)
def test_faulty_lstm_is_refused(fault):
    case = dataclasses.replace(CASE, cell="lstm", num_layers=1)
    data = make_data(case)
    right = lambda x, h, c, *w: lstm_of(gates_of(x, h, *w), c)  # noqa: E731
    verify(case, oracle(case, data), *named(*results(case, data, right)))
    with pytest.raises(Incorrect):
        verify(case, oracle(case, data), *named(*results(case, data, FAULTY_LSTMS[fault])))


@pytest.mark.parametrize("fault", FAULTY_GRUS)
def test_faulty_gru_is_refused(fault):
    case = dataclasses.replace(CASE, cell="gru", num_layers=1)
    data = make_data(case)
    verify(case, oracle(case, data), *named(*results(case, data, gru_of)))
    with pytest.raises(Incorrect):
        verify(case, oracle(case, data), *named(*results(case, data, FAULTY_GRUS[fault])))


@pytest.mark.parametrize("cell", GATED)
def test_reverse_direction_that_is_not_reversed_is_refused(cell):
    case = dataclasses.replace(CASE, cell=cell, num_layers=1, bidirectional=True)
    data = make_data(case)
    expected = oracle(case, data)
    one = dataclasses.replace(case, bidirectional=False)
    layers = [registered()["python_loop"].build(one, data.weights[k : k + 4]) for k in (0, 4)]

    def both(turn):
        with torch.inference_mode():
            there, back = (
                layer(x, *(state[k : k + 1] for state in data.states))
                for k, (layer, x) in enumerate(zip(layers, (data.x, turn(data.x))))
            )
        output = torch.cat([there[0], turn(back[0])], -1)
        return output, *(torch.cat(pair) for pair in zip(there[1:], back[1:]))

    verify(case, expected, *named(*both(lambda x: x.flip(0)), None))
    with pytest.raises(Incorrect, match=r"output\["):
        verify(case, expected, *named(*both(lambda x: x), None))


def summed_in_bfloat16(x, h, w_ih, w_hh, b_ih, b_hh):
    """A step whose products are added up in bfloat16, one after the other."""
    total = b_ih + b_hh
    for factor, weight in ((x, w_ih), (h, w_hh)):
        for k in range(weight.shape[1]):
            total = total + factor[:, k : k + 1] * weight[:, k]
    return torch.tanh(total)


def test_sums_kept_in_bfloat16_are_refused():
    case = dataclasses.replace(
        CASE, dtype="bfloat16", seq_len=6, input_size=512, hidden_size=512, num_layers=1
    )
    data = make_data(case)
    expected = oracle(case, data)
    layer = stacked(case, data.weights, step_by_step(summed_in_bfloat16))
    right = registered()["python_loop"].build(case, data.weights)
    with torch.inference_mode():
        verify(case, expected, *named(*right(data.x, data.h0), None))
        with pytest.raises(Incorrect):
            verify(case, expected, *named(*layer(data.x, data.h0), None))


class TestDropout:
    CASE = dataclasses.replace(CASE, dropout=0.3)

    def test_dropout_in_evaluation_is_refused(self):
        data = make_data(self.CASE)
        expected = oracle(self.CASE, data)
        layer = registered()["python_loop"].build(self.CASE, data.weights)
        fix_masks(self.CASE)
        trained = [tensor.detach() for tensor in layer(data.x, data.h0)]
        with torch.inference_mode():
            evaluated = layer(data.x, data.h0)
        names = [inferred_name(name) for name in ("output", "h_n")]
        verify(self.CASE, expected, dict(zip(names, evaluated)), None)
        with pytest.raises(Incorrect, match="output without dropout"):
            verify(self.CASE, expected, dict(zip(names, trained)), None)

    def test_no_dropout_in_training_is_refused(self):
        data = make_data(self.CASE)
        plain = registered()["python_loop"].build(
            dataclasses.replace(self.CASE, dropout=0.0), data.weights
        )
        outputs = [tensor.detach() for tensor in plain(data.x, data.h0)]
        with pytest.raises(Incorrect, match=r"output\["):
            verify(self.CASE, oracle(self.CASE, data), *named(*outputs, None))

    def test_masks_that_are_not_scaled_are_refused(self, monkeypatch):
        data = make_data(self.CASE)
        expected = oracle(self.CASE, data)
        monkeypatch.setattr(
            "rnnbench.implementations._layers.dropout",
            lambda x, p: torch.nn.functional.dropout(x, p) * (1 - p),
        )
        layer = registered()["python_loop"].build(self.CASE, data.weights)
        fix_masks(self.CASE)
        outputs = [tensor.detach() for tensor in layer(data.x, data.h0)]
        with pytest.raises(Incorrect, match=r"output\["):
            verify(self.CASE, expected, *named(*outputs, None))


class TestAutocast:
    CASE = dataclasses.replace(CASE, dtype="autocast_bfloat16")

    @pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru"])
    def test_what_was_not_cast_is_refused_although_it_is_more_exact(self, cell):
        case = dataclasses.replace(self.CASE, cell=cell)
        if reason := registered()["nn_rnn"].unsupported(case):
            pytest.skip(reason)  # an LSTM on some processors
        data = make_data(case)
        expected = oracle(case, data)
        verify(case, expected, *named(*results(case, data)))
        exact = results(dataclasses.replace(case, dtype="float32"), data)
        with pytest.raises(Incorrect, match="as exact as in float32, so nothing was computed in b"):
            verify(case, expected, *named(*exact))

    def test_outputs_are_of_either_dtype_and_gradients_of_the_weights_own(self):
        data = make_data(self.CASE)
        expected = oracle(self.CASE, data)
        output, h_n, gradients = results(self.CASE, data)
        assert output.dtype == torch.bfloat16
        verify(self.CASE, expected, *named(output.float(), h_n, gradients))
        with pytest.raises(Incorrect, match="output is float16; the case is autocast_bfloat16"):
            verify(self.CASE, expected, *named(output.half(), h_n, gradients))
        gradients[0] = gradients[0].bfloat16()
        with pytest.raises(Incorrect, match="the gradient of x is bfloat16"):
            verify(self.CASE, expected, *named(output, h_n, gradients))

    def test_a_step_is_told_as_finely_as_its_weights_are_stored(self):
        data = make_data(self.CASE)
        expected = oracle(self.CASE, data)
        _, _, gradients = results(self.CASE, data)
        before = [weight.detach() for weight in data.weights]
        after = [w - 0.1 * g for w, g in zip(before, gradients[2:], strict=True)]
        verify_step(self.CASE, expected, SGD, before, after, learning_rate=0.1)
        with pytest.raises(Incorrect, match="weight_ih_l0 after a step"):
            verify_step(self.CASE, expected, SGD, before, before, learning_rate=0.1)
