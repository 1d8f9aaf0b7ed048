"""The oracle's answer is computed once for a setting, and never taken for another."""

import pytest
import torch

from rnnbench.cases import Case
from rnnbench.implementations.reference import oracle
from rnnbench.worker import expected
from rnnbench.worker.data import make_data
from rnnbench.workloads import tensors_of

CASE = Case(seq_len=3, batch=2, input_size=4, hidden_size=5)


@pytest.fixture
def computed():
    return []


@pytest.fixture
def expected_of(computed):
    def ask(case, data, folder):
        def compute():
            computed.append(case)
            return oracle(case, data)

        return expected.expected_of(case, tensors_of(data), compute, folder)

    return ask


def test_a_second_replicate_reads_what_the_first_computed(tmp_path, computed, expected_of):
    first = expected_of(CASE, make_data(CASE), tmp_path / "new")
    second = expected_of(CASE, make_data(CASE), tmp_path / "new")
    assert len(computed) == 1
    assert torch.equal(first.outputs["output"], second.outputs["output"])
    assert torch.equal(first.outputs["h_n"], second.outputs["h_n"])
    assert list(first.gradients) == list(second.gradients)
    for name, gradient in first.gradients.items():
        assert torch.equal(gradient, second.gradients[name])
        assert torch.equal(first.deviations[name], second.deviations[name])


def test_every_pass_of_a_setting_has_the_same_answer(tmp_path, computed, expected_of):
    for name in ("inference", "backward"):
        case = Case(**{**CASE.__dict__, "pass_": name})
        expected_of(case, make_data(case), tmp_path)
    assert len(computed) == 1


@pytest.mark.parametrize("change", [{"seq_len": 4}, {"cell": "rnn_relu"}, {"seed": 1}])
def test_another_setting_is_computed_anew(tmp_path, computed, expected_of, change):
    other = Case(**{**CASE.__dict__, **change})
    expected_of(CASE, make_data(CASE), tmp_path)
    expected_of(other, make_data(other), tmp_path)
    assert computed == [CASE, other]


def test_other_data_of_the_same_setting_are_computed_anew(tmp_path, computed, expected_of):
    data = make_data(CASE)
    expected_of(CASE, data, tmp_path)
    with torch.no_grad():
        data.weights[0][0, 0] += 1
    expected_of(CASE, data, tmp_path)
    assert len(computed) == 2
