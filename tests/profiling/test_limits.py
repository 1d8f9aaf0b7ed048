"""Limits have the form that bounds are made of; how large they are is this machine's affair."""

import pytest

from rnnbench.bounds import bound_of
from rnnbench.cases import Case
from rnnbench.profiling.limits import measure_limits


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_shape_has_a_time_within_its_interval(dtype):
    shapes = [[40, 6, 8], [4, 8, 8], [64, 64, 64]]
    found = measure_limits(shapes, dtype, 1, seconds=0.002)
    assert [entry["shape"] for entry in found["products"]] == shapes
    for entry in found["products"]:
        m, k, n = entry["shape"]
        assert 0 < entry["low"] <= entry["seconds"] <= entry["high"]
        assert 2 * m * k * n / entry["seconds"] <= found["flops_per_second"] * (1 + 1e-9)
    sizes = [entry["bytes"] for entry in found["bandwidth"]]
    assert sizes == sorted(set(sizes))
    assert all(entry["bytes_per_second"] > 0 for entry in found["bandwidth"])
    assert found["call_from_python"] > 0 and found["call_from_cpp"] > 0
    case = Case(seq_len=10, batch=4, input_size=6, hidden_size=8, dtype=dtype)
    bound = bound_of(case, found)
    assert 0 < bound.interval[0] <= bound.seconds <= bound.interval[1]
