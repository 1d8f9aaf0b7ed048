"""One step at a time with the state carried, as a service answers what comes in."""

import pytest


@pytest.mark.rnn_workload("streaming")
def test_streaming(rnn_case, rnn_measure, benchmark):
    rnn_measure(rnn_case, benchmark)
