"""Spans nest by time, and their own times add up to the call."""

import pytest

from rnnbench.profiling.spans import CALL, Incomplete, nested

INNER = [
    ("aten::linear", 100, 500),
    ("aten::t", 110, 150),
    ("aten::addmm", 200, 480),
    ("aten::tanh", 600, 700),
]


def own(spans):
    return {span.name: round(span.own * 1e9) for span in spans}


def test_own_time_is_without_what_ran_inside():
    spans = nested([*INNER, (CALL, 0, 1000)])
    assert own(spans) == {
        CALL: 500,
        "aten::linear": 80,
        "aten::t": 40,
        "aten::addmm": 280,
        "aten::tanh": 100,
    }
    assert [span.parent for span in spans] == [-1, 0, 1, 1, 0]
    assert [span.leaf for span in spans] == [False, False, True, True, True]


def test_what_is_outside_of_the_call_is_left_out():
    spans = nested([("before", 0, 5), (CALL, 10, 20), ("in", 12, 13), ("after", 20, 30)])
    assert [span.name for span in spans] == [CALL, "in"]


def test_what_overlaps_in_part_counts_once():
    spans = nested([(CALL, 0, 100), ("aten::mm", 10, 50), ("aten::add", 40, 60)])
    assert own(spans) == {CALL: 60, "aten::mm": 30, "aten::add": 10}
    assert sum(own(spans).values()) == 100


def test_a_call_that_is_announced_twice_is_one():
    spans = nested([(CALL, 0, 100), ("aten::mm", 10, 50), ("aten::mm", 12, 48), ("x", 20, 30)])
    assert own(spans) == {CALL: 60, "aten::mm": 30, "x": 10}


def test_equal_names_side_by_side_are_two():
    spans = nested([(CALL, 0, 100), ("aten::mm", 10, 20), ("aten::mm", 20, 30)])
    assert [span.name for span in spans] == [CALL, "aten::mm", "aten::mm"]


def test_a_record_without_its_call_is_refused():
    with pytest.raises(Incomplete, match="dropped events"):
        nested(INNER)
