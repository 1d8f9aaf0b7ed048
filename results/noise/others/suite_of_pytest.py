"""The cases as a suite of pytest-benchmark; `by_pytest_benchmark` runs it."""

import pytest

from others.work import build, given_cases, given_share


@pytest.mark.parametrize("case", given_cases(), ids=lambda case: case.id)
def test_case(case, benchmark):
    timed = build(case, given_share())
    with timed.context():
        benchmark(timed.run, timed.prepare())
