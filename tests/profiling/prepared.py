"""Cases that are ready to be profiled, as a worker has them, in this process."""

import warnings

import pytest

from rnnbench.cases import Case
from rnnbench.implementations import load_builtin, registered
from rnnbench.worker.clocks import clock_for
from rnnbench.worker.data import make_data
from rnnbench.workloads import workload

load_builtin()

_SETTLING_CALLS = 3


def prepared(case: Case):
    """What is timed of a case, its model and its clock; TorchScript has settled."""
    found = registered()[case.implementation]
    if found.unsupported(case) is not None:
        pytest.skip(f"here: {found.unsupported(case)}")
    layer = workload(case.workload)
    model = layer.model(case, found, make_data(case))
    timed = layer.timed(case, model)
    with warnings.catch_warnings(), timed.context():
        warnings.simplefilter("ignore", DeprecationWarning)
        for _ in range(_SETTLING_CALLS):
            timed.run(timed.prepare())
    return timed, model, clock_for(case.device)
