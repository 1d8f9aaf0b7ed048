"""Epochs that time their parts and streams, by the way that users go: suite, file, tables."""

import pytest

from rnnbench.classifier.settings import PARTS
from rnnbench.report import tables
from rnnbench.results import read
from rnnbench.validation import validate


@pytest.fixture(scope="module")
def done(shared_suite):
    return shared_suite(
        workload="classifier,classifier.per_sample,classifier.split,streaming",
        implementation="nn_rnn",
        batch="1000",
        input="1",
        **{"pass": "inference,training_step"},
    )


def test_each_is_measured_in_its_own_suite_and_pass(done):
    assert done.status == 0, done.said
    assert validate(done.json) == []
    measured = [(r["case"]["workload"], r["case"]["pass"]) for r in done.results()]
    assert sorted(measured) == [
        ("classifier", "training_step"),
        ("classifier.per_sample", "training_step"),
        ("classifier.split", "training_step"),
        ("streaming", "inference"),
    ]
    reasons = {e["reason"] for e in done.document()["rnnbench"]["not_measured"]}
    assert "the workload streaming has no training_step; it has inference" in reasons
    by_name = {r["case"]["workload"]: r for r in done.results()}
    assert by_name["streaming"]["iterations"] == 1
    assert by_name["streaming"]["work"]["tokens"] == 1000
    assert by_name["classifier"]["ran"]["operators"]["aten::rnn_tanh"] == 1


def test_only_the_split_epoch_has_parts_one_for_each_round(done):
    for result in done.results():
        for block in result["blocks"]:
            split = result["case"]["workload"] == "classifier.split"
            assert list(block.get("parts", ())) == (list(PARTS) if split else [])
            start, end = block["rounds"]
            assert all(len(times) == end - start for times in block.get("parts", {}).values())


def test_the_report_has_tables_of_both(done):
    results = read(done.json)
    advice, parts = tables.classifier(results), tables.epoch(results)
    assert set(advice.data["variant"]) == {"", "per_sample", "split"}
    assert list(parts.data["part"]) == [*PARTS, "all parts"]
    # Exactly so for each call; here in medians, and of calls that others on the machine disturb.
    assert 0.5 < parts.data["share"].iloc[-1] <= 1
    assert len(tables.latency(results).rows) == 1
