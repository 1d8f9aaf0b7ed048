"""Profiles as a process would have answered, made up."""

from rnnbench.cases import Case
from rnnbench.diagnosis.profiles import Profile

PARTS = {"matrix_product": 5e-4, "elementwise": 2e-4, "copy": 1e-4, "overhead": 2e-4}


def span(name, start, seconds, parent, part="overhead"):
    return {
        "name": name,
        "start": start,
        "seconds": seconds,
        "own": seconds,
        "parent": parent,
        "leaf": True,
        "part": part,
    }


def profile(**changes):
    operators = {
        "seconds": 1e-3,
        "plain": 9e-4,
        "steps": 10,
        "parts": dict(PARTS),
        "unknown": [],
        "between": 1e-4,
        "operators": [
            {
                "name": "aten::addmm",
                "part": "matrix_product",
                "calls": 20,
                "calls_per_step": 2.0,
                "seconds": 6e-4,
                "own": 5e-4,
            }
        ],
        "kernels": [],
        "launches": 60,
        "launches_per_step": 6.0,
        "idle": None,
        **changes,
    }
    found = Profile(Case(seq_len=10), backend="eager", operators=operators)
    found.spans = {
        "spans": [
            span("rnnbench::call", 0.0, 1e-3, -1),
            span("aten::linear", 1e-4, 4e-4, 0),
            span("aten::addmm", 2e-4, 2e-4, 1, "matrix_product"),
            span("aten::linear", 6e-4, 2e-4, 0),
            span("aten::addmm", 6e-4, 1e-4, 3, "matrix_product"),
        ],
        "kernel_spans": [],
    }
    return found
