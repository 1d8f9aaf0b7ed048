"""One benchmark of asv for all cases; asv times each in processes of its own."""

from contextlib import ExitStack
from functools import cache, partial

from others.work import build, given_cases, given_share

# Here and not in a setup function: with one, asv calls it before each call and times calls one by
# one. Building takes some milliseconds a case, and in the first call it would use up asv's time.
_timed = {case.id: build(case, given_share()) for case in given_cases()}
_entered = ExitStack()


@cache
def _call(name):
    timed = _timed[name]
    _entered.enter_context(timed.context())
    return partial(timed.run, timed.prepare())


def time_case(name):
    _call(name)()


time_case.params = list(_timed)
time_case.param_names = ["case"]
