"""Traces and flame graphs hold what was recorded, in the formats that others read."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from rnnbench.diagnosis.flame import flame_bytes
from rnnbench.diagnosis.trace import trace_bytes
from tests.diagnosis.made import profile, span


class TestTrace:
    def test_it_is_of_the_trace_event_format(self):
        document = json.loads(trace_bytes([profile(), profile()]))
        assert set(document) >= {"traceEvents"}
        for event in document["traceEvents"]:
            assert isinstance(event["name"], str)
            assert isinstance(event["pid"], int) and isinstance(event["tid"], int)
            assert event["ph"] in ("X", "M")
            if event["ph"] == "X":
                assert event["ts"] >= 0 and event["dur"] >= 0
            else:
                assert event["args"]["name"]
        assert {event["pid"] for event in document["traceEvents"]} == {1, 2}

    def test_times_are_microseconds(self):
        events = json.loads(trace_bytes([profile()]))["traceEvents"]
        (first, second) = [event for event in events if event["name"] == "aten::linear"]
        assert (first["ts"], first["dur"]) == pytest.approx((100, 400))
        assert second["ts"] == pytest.approx(600)

    def test_kernels_have_a_thread_of_their_own(self):
        found = profile()
        found.spans = {**found.spans, "kernel_spans": [span("sgemm", 0.0, 1e-4, -1)]}
        events = json.loads(trace_bytes([found]))["traceEvents"]
        assert {event["tid"] for event in events if event["ph"] == "X"} == {1, 2}


class TestFlame:
    def boxes(self, *profiles):
        page = flame_bytes(profiles).decode()
        start, end = page.index("<svg"), page.index("</svg>")
        return page, ElementTree.fromstring(page[start : end + len("</svg>")])

    def test_calls_of_one_name_in_one_place_are_one_box(self):
        _, svg = self.boxes(profile())
        titles = [title.text for title in svg.iter("title")]
        assert titles == [
            "rnnbench::call: 1 calls, 1.0 ms, 100 %",
            "aten::linear: 2 calls, 600.0 µs, 60 %",
            "aten::addmm: 2 calls, 300.0 µs, 30 %",
        ]
        widths = [float(box.get("width")) for box in svg.iter("rect")]
        assert widths == pytest.approx([1200, 720, 360])

    def test_nothing_outside_is_referred_to_and_nothing_runs(self):
        page, _ = self.boxes(profile())
        for word in ("<script", "http", "src=", "url(", "@import"):
            assert word not in page

    def test_names_are_text(self):
        found = profile()
        found.spans["spans"][1]["name"] = "<script>&"
        page, svg = self.boxes(found)
        assert "<script" not in page
        assert any(title.text.startswith("<script>&: 1 calls") for title in svg.iter("title"))
