"""Sequence forms with their heads and losses, and training as it is done; variants take turns."""

import pytest


@pytest.mark.rnn_workload("many_to_one")
def test_many_to_one(rnn_case, rnn_measure, benchmark):
    rnn_measure(rnn_case, benchmark)


@pytest.mark.rnn_workload("one_to_many")
def test_one_to_many(rnn_case, rnn_measure, benchmark):
    rnn_measure(rnn_case, benchmark)


@pytest.mark.rnn_workload("many_to_many")
def test_many_to_many(rnn_case, rnn_measure, benchmark):
    rnn_measure(rnn_case, benchmark)


@pytest.mark.rnn_workload("encoder_decoder")
def test_encoder_decoder(rnn_case, rnn_measure, benchmark):
    rnn_measure(rnn_case, benchmark)


@pytest.mark.rnn_workload("training")
def test_training(rnn_case, rnn_measure, benchmark):
    rnn_measure(rnn_case, benchmark)
