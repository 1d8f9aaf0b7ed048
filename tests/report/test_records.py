"""Frames of records: columns and types are those asked for, whatever the records hold."""

import pandas as pd

from rnnbench.report._records import dtypes_of, frame_of

DTYPES = {"rows": "object", "sizes": "Int64", "time": "float64", "good": "boolean", "run": "string"}


def test_columns_and_types_are_there_without_a_record():
    found = frame_of([], DTYPES)
    assert found.empty
    assert found.dtypes.astype(str).to_dict() == DTYPES
    assert list(found) == list(DTYPES)


def test_what_a_record_lacks_is_missing_and_what_is_not_asked_for_is_left_out():
    found = frame_of([{"sizes": 2**60 + 1, "more": 1}, {"good": True, "rows": [3, 4]}], DTYPES)
    assert found.dtypes.astype(str).to_dict() == DTYPES
    assert found.at[0, "sizes"] == 2**60 + 1  # a float would not hold it
    assert found.at[1, "rows"] == [3, 4] and bool(found.at[1, "good"])
    assert found["run"].isna().all() and pd.isna(found.at[1, "sizes"])


def test_types_are_those_of_a_result_in_the_order_asked_for():
    assert dtypes_of(("time", "implementation", "batch")) == {
        "time": "float64",
        "implementation": "string",
        "batch": "Int64",
    }
