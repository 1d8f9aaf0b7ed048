"""A recurrent layer by itself: every implementation, pass, shape, layout, dtype and device."""

import pytest


@pytest.mark.rnn_workload("layer")
def test_layer(rnn_case, rnn_measure, benchmark):
    rnn_measure(rnn_case, benchmark)
