"""One case as a benchmark of pyperf; `by_pyperf` runs it, and it runs itself as pyperf's worker.

python suite_of_pyperf.py OPTIONS OF PYPERF    with the case's number in the environment
"""

import os
from contextlib import ExitStack
from functools import partial

import pyperf

from others.by_pyperf import NUMBER_VARIABLE
from others.work import build, given_cases, given_share

runner = pyperf.Runner()
case = given_cases()[int(os.environ[NUMBER_VARIABLE])]
with ExitStack() as stack:
    call = None
    if runner.parse_args().worker:  # its parent times nothing, and need not import torch
        timed = build(case, given_share())
        stack.enter_context(timed.context())
        call = partial(timed.run, timed.prepare())
    runner.bench_func(case.id, call)
