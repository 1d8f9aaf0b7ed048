"""An epoch of the sequence classifier; its parts and usual advice take turns with it."""

import pytest


@pytest.mark.rnn_workload("classifier")
def test_classifier(rnn_case, rnn_measure, benchmark):
    rnn_measure(rnn_case, benchmark)
