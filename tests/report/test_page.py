"""The page as text: what stands in it, in which order, and that nothing in it can act."""

import base64
import dataclasses
import hashlib
import json
import math
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from rnnbench.cases import Case
from rnnbench.report.content import Cell, Picture, Report, Section, Table, TableColumn
from rnnbench.report.page import CASES, page
from rnnbench.report.reproduce import command_for
from rnnbench.results import read
from tests.report.browser import (
    HOSTILE,
    cases_table,
    hostile_report,
    report_of,
    stand_in_svg,
    text_table,
)
from tests.synthetic import Planted, document, write

CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=5)
OTHERS = [
    dataclasses.replace(CASE, implementation=name)
    for name in ("python_loop", "scan", "hoisted_loop")
]


class Parsed(HTMLParser):
    """Elements of a page with their attributes, and the texts of those that hold only text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements = []
        self.texts = []
        self._open = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data):
        self.texts.append((self._open[-1] if self._open else "", data))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def said(self):
        return "".join(text for tag, text in self.texts if tag not in ("script", "style"))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    made = document(
        [Planted(CASE, 1e-3), Planted(OTHERS[0], 2e-3, compile_cold=9.0)],
        not_measured=[(case, "unsupported", "no scan here") for case in OTHERS[1:]],
    )
    return read(write(tmp_path_factory.mktemp("page") / "made.json", made))


@pytest.fixture
def shown(results):
    def show(report):
        return page(report, results, svg=stand_in_svg)

    return show


def data_of(text):
    """The tables that a page embeds, by name."""
    found = re.findall(r'<script type="application/json" data-rows>(.*?)</script>', text, re.DOTALL)
    return {table["name"]: table for table in map(json.loads, found)}


def sorted_texts(column, *, down=False):
    """Texts of an embedded column in the order in which the script would sort them."""
    of = column["of"] or range(len(column["texts"]))
    ranked = [(column["ranks"][place], column["texts"][place]) for place in of]
    there = sorted((pair for pair in ranked if pair[0] >= 0), key=lambda p: -p[0] if down else p[0])
    return [text for _, text in there] + [text for rank, text in ranked if rank < 0]


def one_column(cells):
    rows = [[cell] for cell in cells]
    return Table("t", "T", "", [TableColumn("c")], rows, pd.DataFrame({"c": range(len(rows))}))


def with_table(table):
    return Report("R", ["V."], [Section("s", "S", tables=[table])])


class TestOrder:
    def test_the_verdict_comes_first_and_sections_as_they_were_given(self, shown, results):
        said = Parsed(shown(report_of(results))).said()
        places = [
            said.rindex(text)
            for text in ("nn_rnn is fastest", "Measured or not.", "How fast a model", "made,")
        ]
        assert places == sorted(places)

    def test_the_navigation_links_to_every_section_that_there_is(self, shown, results):
        parsed = Parsed(shown(report_of(results)))
        ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
        links = [link["href"] for link in parsed.all("a")]
        assert links == ["#content", "#verdict"] + [
            f"#section-{n}" for n in ("fastest", "all", "limits")
        ]
        assert len(ids) == len(set(ids))
        assert {link[1:] for link in links} <= set(ids)

    def test_a_plot_has_a_name_a_description_and_its_numbers(self, shown, results):
        text = shown(report_of(results, figure=object()))
        parsed = Parsed(text)
        (svg,) = parsed.all("svg")
        by_id = dict(re.findall(r'<(?:title|desc) id="([^"]+)">([^<]+)<', text))
        assert svg["role"] == "img"
        assert by_id[svg["aria-labelledby"]] == "Times"
        assert by_id[svg["aria-describedby"]] == "Time rises with the length."
        assert "width" not in svg and svg["viewbox"] == "0 0 597 200"
        assert data_of(text)["behind-times"]["rows"] == len(results.frame)

    def test_a_title_that_the_plot_shows_itself_is_left_to_those_who_hear(self, results):
        report = report_of(results, figure=object())
        bare = page(report, results, svg=stand_in_svg)
        titled = page(
            report,
            results,
            svg=lambda _: stand_in_svg(_).replace("<rect", "<text>Times</text><rect"),
        )
        assert "<h3>Times</h3>" in bare
        assert '<h3 class="hidden">Times</h3>' in titled

    def test_parts_of_the_same_name_are_refused(self, shown):
        table = one_column([Cell("a")])
        with pytest.raises(ValueError, match="two parts of the report are called 't'"):
            shown(Report("R", [], [Section("s", "S", tables=[table, table])]))


class TestProse:
    @pytest.mark.parametrize(
        ("sentence", "html"),
        [
            ("Measure with `pytest suites`.", "Measure with <code>pytest suites</code>."),
            ("`a` and `<b>`", "<code>a</code> and <code>&lt;b&gt;</code>"),
            ("one ` alone & free", "one ` alone &amp; free"),
            ("`a` and ` alone", "<code>a</code> and ` alone"),
            ("{0} {} %s", "{0} {} %s"),
        ],
    )
    def test_between_two_backticks_stands_code(self, shown, sentence, html):
        text = shown(Report("R", [sentence], [Section("s", "S", [sentence])]))
        assert f"<li>{html}</li>" in text
        assert f"<p>{html}</p>" in text


class TestNumbersBehindAPlot:
    def test_missing_values_are_a_word_and_come_last(self, shown):
        frame = pd.DataFrame({"time": [0.5, math.nan, 0.25], "on": [True, False, True]})
        frame["steps"] = pd.array([1, None, 3], dtype="Int64")
        picture = Picture("p", "P", "", "", None, frame)
        columns = data_of(shown(Report("R", [], [Section("s", "S", pictures=[picture])])))[
            "behind-p"
        ]["columns"]
        assert sorted_texts(columns[0]) == ["0.25", "0.5", "missing"]
        assert sorted_texts(columns[1]) == ["no", "yes", "yes"]
        assert sorted_texts(columns[2]) == ["1", "3", "missing"]

    def test_columns_that_do_not_differ_are_left_out(self, shown):
        frame = pd.DataFrame({"same": ["x", "x"], "none": [None, None], "time": [1.0, 2.0]})
        picture = Picture("p", "P", "", "", None, frame)
        text = shown(Report("R", [], [Section("s", "S", pictures=[picture])]))
        columns = data_of(text)["behind-p"]["columns"]
        assert [column["heading"] for column in columns] == ["time"]
        assert "all rows are alike are left out" in text
        assert columns[0]["texts"] == ["1", "2"]

    def test_no_more_than_some_of_very_many_are_there_and_the_page_says_so(self, shown):
        picture = Picture("p", "P", "", "", None, pd.DataFrame({"n": range(3_000)}))
        text = shown(Report("R", [], [Section("s", "S", pictures=[picture])]))
        assert data_of(text)["behind-p"]["rows"] == 2_000
        assert "The first 2,000 of 3,000 rows." in text


class TestTableData:
    @pytest.mark.parametrize(
        ("cells", "ascending"),
        [
            ([Cell("9 ms", 9), Cell("10 µs", 0.01), Cell("1 s", 1000)], ["10 µs", "9 ms", "1 s"]),
            ([Cell("b"), Cell("C"), Cell("a")], ["a", "b", "C"]),
            (
                [Cell("failed"), Cell("2", 2.0), Cell("none", math.nan), Cell("1", 1)],
                ["1", "2", "failed", "none"],
            ),
            ([Cell("x", "x"), Cell("5", 5)], ["5", "x"]),
            ([Cell("big", 10**400), Cell("inf", math.inf), Cell("-1", -1)], ["-1", "big", "inf"]),
        ],
    )
    def test_numbers_sort_as_numbers_text_as_text_and_missing_last(self, shown, cells, ascending):
        column = data_of(shown(with_table(one_column(cells))))["t"]["columns"][0]
        assert sorted_texts(column) == ascending
        there = [text for text in ascending if text not in ("failed", "none")]
        assert sorted_texts(column, down=True)[: len(there)] == there[::-1]

    def test_a_text_is_carried_once_however_often_it_stands(self, shown):
        cells = [Cell("why it failed " * 20)] * 50 + [Cell("another")]
        column = data_of(shown(with_table(one_column(cells))))["t"]["columns"][0]
        assert len(column["texts"]) == 2
        assert column["of"] == [0] * 50 + [1]

    def test_the_best_are_marked_and_the_mark_is_explained(self, shown):
        text = shown(with_table(one_column([Cell("1", 1, best=True), Cell("2", 2)])))
        assert data_of(text)["t"]["columns"][0]["best"] == [0]
        assert "(best)" in text and "not told apart" in text
        plain = shown(with_table(one_column([Cell("1", 1)])))
        assert "not told apart" not in plain

    def test_without_script_the_first_rows_stand_and_a_sentence_says_how_many(self, shown):
        table = one_column([Cell(f"row-{number}") for number in range(1_000)])
        text = shown(with_table(table))
        rows = re.findall(r"<bdi>(row-\d+)</bdi>", text)
        assert rows == [f"row-{number}" for number in range(200)]
        assert "The first 200 of 1,000 rows." in text
        assert "Without JavaScript" in text

    def test_an_empty_table_says_that_it_is_empty(self, shown):
        assert "There are no rows." in shown(with_table(one_column([])))


class TestCommands:
    def joined(self, commands, row):
        pieces = [p["texts"][p["of"][row] if p["of"] else 0] for p in commands]
        return " ".join(filter(None, pieces))

    def test_each_case_has_the_one_that_measures_it_again(self, shown, results):
        commands = data_of(shown(report_of(results)))[CASES]["commands"]
        for row in results.frame.index:
            assert self.joined(commands, row) == command_for(results, row)

    def test_rows_are_those_that_the_data_names(self, shown, results):
        table = cases_table(results)
        frame = results.frame.assign(row=results.frame.index).iloc[::-1].reset_index(drop=True)
        turned = dataclasses.replace(table, rows=table.rows[::-1], data=frame)
        commands = data_of(shown(with_table(turned)))[CASES]["commands"]
        assert self.joined(commands, 0) == command_for(results, len(results.frame) - 1)

    def test_data_of_another_length_is_refused(self, shown, results):
        table = dataclasses.replace(cases_table(results), data=results.frame.head(1))
        with pytest.raises(ValueError, match="one row of data for each"):
            shown(with_table(table))

    def test_other_tables_have_none(self, shown):
        assert "commands" not in data_of(shown(with_table(one_column([Cell("a")]))))["t"]


class TestSafety:
    def test_the_policy_allows_this_page_s_script_and_style_and_nothing_else(self, shown, results):
        text = shown(report_of(results))
        policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
        parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))

        def hashed(tag):
            (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
            digest = hashlib.sha256(content.encode()).digest()
            return f"'sha256-{base64.b64encode(digest).decode()}'"

        assert parts["default-src"] == "'none'"
        assert parts["script-src"] == hashed("script")
        assert parts["style-src-elem"] == hashed("style")
        assert text.index("Content-Security-Policy") < text.index("<style>")

    def test_nothing_refers_to_anything_outside(self, shown, results):
        parsed = Parsed(shown(report_of(results, figure=object())))
        for tag, attributes in parsed.elements:
            assert "src" not in attributes, tag
            assert attributes.get("href", "#").startswith(("#", "data:,"))
            assert not any(name.startswith("on") for name in attributes), tag

    def test_the_script_makes_no_html_of_text(self, shown, results):
        script = re.search(r"<script>(.*?)</script>", shown(report_of(results)), re.DOTALL)[1]
        for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert name not in script

    def test_hostile_texts_add_no_element_and_no_attribute(self, results, shown):
        harmless = hostile_report(results, [f"harmless {n}" for n in range(len(HOSTILE))])
        hostile = hostile_report(results)
        found, expected = (Parsed(shown(report)) for report in (hostile, harmless))
        kinds = [
            # Long texts are folded away; that is the one difference that a text may make.
            [
                (tag, sorted(attributes))
                for tag, attributes in parsed.elements
                if tag not in ("bdi", "details", "summary")
            ]
            for parsed in (found, expected)
        ]
        assert kinds[0] == kinds[1]

    def test_hostile_texts_are_there_to_be_read(self, results, shown):
        said = Parsed(shown(hostile_report(results))).said()
        for text in HOSTILE[:7]:
            assert text in said
        assert "49" not in said

    @pytest.mark.parametrize("text", ["\ud800", "\x00", "\u202e", "\x1b", "\ufffe"])
    def test_what_no_page_can_hold_is_written_out(self, results, shown, text):
        table = text_table("t", [[f"a{text}b"], ["c"]], f"a{text}b")
        report = Report(f"a{text}b", [f"a{text}b"], [Section("s", f"a{text}b", tables=[table])])
        shown_text = shown(report)
        assert text not in shown_text
        shown_text.encode("utf-8")
        escaped = f"\\x{ord(text):02x}" if ord(text) < 256 else f"\\u{ord(text):04x}"
        assert data_of(shown_text)["t"]["columns"][0]["texts"][0] == f"a{escaped}b"

    def test_a_very_long_text_is_cut(self, results, shown):
        text = shown(with_table(one_column([Cell("x" * 1_000_000)])))
        assert len(text) < 100_000

    def test_json_cannot_end_its_element(self, results, shown):
        text = shown(hostile_report(results))
        for block in re.findall(r"data-rows>(.*?)</script>", text, re.DOTALL):
            assert not set(block) & set("<>&\u2028\u2029")


class TestSize:
    def test_ten_thousand_rows_stay_below_eight_megabytes(self, results, shown):
        columns = [TableColumn(f"column {number}") for number in range(14)]
        rows = [
            [Cell(f"{(row * 7919 + column) % 10_007:,} µs", float(row)) for column in range(14)]
            for row in range(10_000)
        ]
        table = Table("big", "Big", "", columns, rows, pd.DataFrame())
        assert len(shown(with_table(table)).encode()) < 8_000_000
