"""Broken and hostile files: a sentence or a report, never a traceback, nothing outside, no markup.

RNNBENCH_MUTATIONS says how many files are tried (300 unless set; 10,000 before a release). Every
twentieth that can be read goes through plots and the whole report folder too.
"""

from __future__ import annotations

import copy
import itertools
import json
import os
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnnbench.errors import UserError
from rnnbench.report.build import build_report
from rnnbench.report.content import Report, Section
from rnnbench.report.limits import limits
from rnnbench.report.page import page
from rnnbench.report.render import to_csv, to_html, to_markdown, to_text
from rnnbench.report.tables import all_tables
from rnnbench.report.verdict import verdict
from rnnbench.report.writer import write_report
from rnnbench.results import read
from tests.report.made import content

COUNT = int(os.environ.get("RNNBENCH_MUTATIONS", "300"))
MARK = "zqxhostile"
HOSTILE = (
    f"<script>{MARK}()</script>",
    f'"><img src=x onerror={MARK}()>',
    f"</script><b {MARK}>",
    f"\u202e{MARK}\u2066",
    f"../../{MARK}/../x",
    f"/{MARK}",
    f"=cmd|' /C {MARK}'!A0",
    f"{{{{7*7}}}}{MARK}",
    f"{MARK}\x00\x1b[31m\r\n",
    MARK * 1000,
    "\ud800" + MARK,
    "",
)
VALUES = st.one_of(
    st.sampled_from(HOSTILE),
    st.sampled_from([None, True, False, [], {}, [None], {"a": None}, [[[]]], {MARK: {MARK: 1}}]),
    st.sampled_from([0, -1, 1, 2**63, 10**400, -(10**30), 0.0, -0.0, 1e-320, 1e308, 0.5]),
    st.sampled_from([float("nan"), float("inf"), float("-inf")]),
    st.text(max_size=20),
)
ORIGINAL = content()
TEXT = json.dumps(ORIGINAL)


def places(value, at=()):
    """Paths to all values within a document."""
    yield at
    pairs = ()
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        yield from places(inner, (*at, key))


PLACES = [place for place in places(ORIGINAL) if place]
OURS = [place for place in PLACES if "rnnbench" in place]
"""Where the file is rnnbench's own: most mutations fall there, as most of the rest is not read."""


@st.composite
def documents(draw):
    """A document of which some values were changed, dropped, doubled or emptied."""
    made = copy.deepcopy(ORIGINAL)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.one_of(st.sampled_from(OURS), st.sampled_from(PLACES)))
        holder = made
        try:
            for key in place[:-1]:
                holder = holder[key]
            present = holder[place[-1]]
        except (LookupError, TypeError):
            continue  # an earlier change took it away
        match draw(st.sampled_from(["change", "change", "drop", "double", "empty", "rename"])):
            case "change":
                holder[place[-1]] = draw(VALUES)
            case "drop":
                del holder[place[-1]]
            case "double" if isinstance(present, list):
                holder[place[-1]] = present * 2
            case "empty" if isinstance(present, list | dict | str):
                holder[place[-1]] = type(present)()
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from(HOSTILE))] = holder.pop(place[-1])
    return json.dumps(made).encode("utf-8", "surrogatepass")


@st.composite
def damaged(draw):
    """The file's bytes, cut off or with one of them changed."""
    data = bytearray(TEXT.encode())
    at = draw(st.integers(0, len(data) - 1))
    if draw(st.booleans()):
        return bytes(data[:at])
    data[at] = draw(st.integers(0, 255))
    return bytes(data)


class Tags(HTMLParser):
    """Everything in a page that is markup: names of tags and attributes, and their values."""

    def __init__(self):
        super().__init__()
        self.markup = []

    def handle_starttag(self, tag, attrs):
        self.markup += [tag, *(name for name, _ in attrs)]
        self.markup += [value for name, value in attrs if name.startswith("on") or name == "style"]


def check_page(text):
    tags = Tags()
    tags.feed(text)
    assert not [found for found in tags.markup if found and MARK in found.lower()]
    assert tags.markup.count("html") == 1


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return tmp_path_factory.mktemp("mutations")


def outside(ground):
    """All that lies beside the file and the report."""
    return sorted(path.name for path in ground.iterdir())


NUMBERS = itertools.count()
SEEN = {"refused": 0, "reported": 0}


@settings(
    max_examples=COUNT,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.one_of(documents(), documents(), documents(), damaged()))
def test_a_mutated_file_is_refused_in_a_sentence_or_reported_without_harm(ground, data):
    path = ground / "file.json"
    path.write_bytes(data)
    try:
        results = read(path)
        if next(NUMBERS) % 20 == 0:
            report = build_report(results)
            write_report(report, results, ground / "report")
            check_page((ground / "report" / "index.html").read_text(encoding="utf-8"))
        else:
            tables = all_tables(results)
            for table in tables.values():
                assert table.rows
                to_csv(table).encode()
                to_markdown(table).encode()
                to_text(table).encode()
                check_page(f"<html>{to_html(table)}")
            said = Section("said", "Said", limits(results), list(tables.values()))
            report = Report("Mutated", verdict(results), [said])
            check_page(page(report, results, svg=lambda figure: "<svg></svg>"))
        SEEN["reported"] += 1
    except UserError as error:
        message = str(error)
        assert message.strip()
        assert "Traceback" not in message
        SEEN["refused"] += 1
    assert set(outside(ground)) <= {"file.json", "report"}
    if (ground / "report").exists():
        assert {p.name for p in (ground / "report").iterdir()} <= {
            "index.html",
            "index.md",
            "cases.csv",
            "cases.json",
            "tables",
            "plots",
            ".rnnbench-report.json",
        }


def test_both_ends_were_met_often():
    """Mutations that are all refused, or all harmless, would prove nothing."""
    if not sum(SEEN.values()):
        pytest.skip("the mutations themselves were not run")
    assert SEEN["refused"] > COUNT / 20
    assert SEEN["reported"] > COUNT / 20
