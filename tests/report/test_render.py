"""Renderings of tables: what they look like, and that no string does anything but be read."""

import csv
import html.parser
import io

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from rnnbench.report.content import Cell, Table, TableColumn
from rnnbench.report.escaping import LONGEST, clean, clean_csv, escape_markdown
from rnnbench.report.render import to_csv, to_html, to_markdown, to_rich, to_text

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a|b",
    r"a\|b \\",
    "`code` ``",
    "*bold* __under__ ~~gone~~",
    "[link](https://example.org) ![picture](x)",
    "@somebody and org/repo#12, GH-7",
    "https://example.org www.example.org ftp://example.org",
    "line\nbreak\r\n\tand tab",
    "$x^2$ :tada: &amp; &#60;",
    "\u202egnirts\u202c \u200bzero",
    "nul\x00 bell\x07 escape\x1b[31m",
    "[red]markup[/red] [/]",
    "=1+1",
    "lone \ud800 surrogate",
    "{{ 7 * 7 }} {% raw %}",
    "../../etc/passwd",
]


def made(text="plain", best=False, **changes):
    options = {
        "name": "small",
        "title": "A small table",
        "description": "All rows: cpu.",
        "columns": [
            TableColumn("pass", choices=True),
            TableColumn("competitor", choices=True),
            TableColumn("time, µs", "right"),
        ],
        "rows": [
            [Cell("forward"), Cell("nn_rnn"), Cell("42.9 [41.4, 45.1]", 42.9e-6, best=True)],
            [Cell("forward"), Cell(text), Cell("50.0 [49.0, 51.4]", 50e-6, best=best)],
        ],
        "data": pd.DataFrame(
            {"label": pd.Series(["nn_rnn", text], dtype=object), "time": [0.1 + 0.2, float("nan")]}
        ),
    }
    return Table(**{**options, **changes})


class TestGolden:
    def test_markdown(self):
        assert to_markdown(made()) == (
            "### A small table\n"
            "\n"
            "All rows: cpu. Bold: best, or not told apart from it by its interval.\n"
            "\n"
            "| pass | competitor | time, µs |\n"
            "| --- | --- | ---: |\n"
            "| forward | nn_rnn | **42.9 [41.4, 45.1]** |\n"
            "| forward | plain | 50.0 [49.0, 51.4] |\n"
        )

    def test_csv(self):
        assert to_csv(made()) == "label,time\nnn_rnn,0.30000000000000004\nplain,\n"

    def test_html(self):
        assert to_html(made()) == (
            '<table class="rnnbench" id="table-small"><caption>A small table\n'
            " <small>All rows: cpu. Bold: best, or not told apart from it by its interval."
            "</small>\n"
            "</caption><thead><tr>\n"
            '<th scope="col">pass</th>\n'
            '<th scope="col">competitor</th>\n'
            '<th scope="col" class="right">time, µs</th>\n'
            "</tr></thead><tbody>\n"
            '<tr><th scope="row">forward</th><td>nn_rnn</td><td class="right" data-sort="4.29e-05">'
            "<strong>42.9 [41.4, 45.1]</strong>"
            '<span class="visually-hidden"> (best)</span></td></tr>\n'
            '<tr><th scope="row">forward</th><td>plain</td><td class="right" data-sort="5e-05">'
            "50.0 [49.0, 51.4]</td></tr>\n"
            "</tbody></table>\n"
        )

    def test_text(self):
        assert to_text(made()) == (
            "A small table\n"
            "All rows: cpu. *: best, or not told apart from it by its interval.\n"
            "pass     competitor             time, µs\n"
            "forward  nn_rnn      * 42.9 [41.4, 45.1]\n"
            "         plain         50.0 [49.0, 51.4]\n"
        )

    def test_rich(self):
        console = Console(file=io.StringIO(), width=60, color_system=None)
        console.print(to_rich(made()))
        lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
        assert lines[0] == "A small table"
        assert lines[4].split() == ["forward", "nn_rnn", "*", "42.9", "[41.4,", "45.1]"]
        assert lines[5].split() == ["plain", "50.0", "[49.0,", "51.4]"]


class TestText:
    def test_narrow_terminals_move_what_rows_are_about_between_them(self):
        text = to_text(made(), 32)
        assert max(map(len, text.splitlines())) <= 32
        assert "pass forward\n" in text
        assert text.count("pass forward") == 1

    def test_terminals_too_narrow_for_any_table_get_blocks(self):
        text = to_text(made(), 15)
        assert "competitor:\nnn_rnn\n" in text
        assert max(map(len, text.splitlines())) <= 15
        for word in ("42.9", "[41.4,", "plain"):
            assert word in text

    def test_wide_characters_keep_columns_straight(self):
        lines = to_text(made("漢字")).splitlines()
        assert lines[-1] == "         漢字          50.0 [49.0, 51.4]"


class TestClean:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_nothing_hidden_is_left_and_it_stays_one_line(self, text):
        cleaned = clean(text)
        assert cleaned.isprintable()
        assert cleaned.encode("utf-8").decode("utf-8") == cleaned

    def test_hidden_characters_are_shown(self):
        assert clean("a\u202eb\x1bc\x00") == r"a\u202eb\x1bc\x00"

    def test_long_texts_end_in_an_ellipsis(self):
        cut = clean("x" * 10_000)
        assert len(cut) == LONGEST
        assert cut.endswith("x…")
        assert clean("x" * LONGEST) == "x" * LONGEST
        assert len(clean("\u202e" * 10_000)) == LONGEST
        assert len(clean("x" * 10_000, None)) == 10_000

    def test_plain_words_are_left_alone(self):
        assert clean("nn_rnn µs × é 漢字") == "nn_rnn µs × é 漢字"


class Reader(html.parser.HTMLParser):
    """What a browser would make of a table: its tags and the texts of its cells."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.cells, self.attributes, self._inside = [], [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attributes]
        if tag in ("td", "th"):
            self.cells.append("")
            self._inside = True

    def handle_endtag(self, tag):
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self._inside:
            self.cells[-1] += data


class TestHostile:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_html_shows_the_text_and_gains_no_tag(self, text):
        table = made(text, description=text, title=text)
        read = Reader(to_html(table))
        assert clean(text) in read.cells
        assert set(read.tags) == {
            "table", "caption", "small", "thead", "tbody", "tr", "th", "td", "strong", "span",
        }  # fmt: skip
        assert set(read.attributes) == {"class", "id", "scope", "data-sort"}

    def test_html_sort_keys_are_escaped(self):
        rows = [[Cell("a", sort='"><script>'), Cell("b"), Cell("c")]]
        read = Reader(to_html(made(rows=rows)))
        assert "script" not in read.tags

    @pytest.mark.parametrize("best", [False, True])
    @pytest.mark.parametrize("text", HOSTILE)
    def test_markdown_reads_the_same_and_does_nothing(self, text, best):
        rows = [[Cell("forward"), Cell(text, best=best), Cell("1")]]
        table = made(rows=rows, title=text, description=text)
        parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
        page = parser.render(to_markdown(table))
        read = Reader(page)
        shown = read.cells[3 + 1].replace("\u200b", "")
        # Raw HTML and entities that came through would be tags or other texts here.
        assert shown == clean(text)
        allowed = {"h3", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "span"}
        assert set(read.tags) <= allowed
        assert len(read.cells) == 6

    @pytest.mark.parametrize(
        ("text", "parted"),
        [
            ("@somebody", "@&#8203;somebody"),
            ("#12", "#&#8203;12"),
            ("GH-7", "GH-&#8203;7"),
            ("https://x", "https:&#8203;//x"),
            ("www.x", "www&#8203;.x"),
            (":tada:", ":&#8203;tada:"),
            ("$x$", "<span>$</span>x<span>$</span>"),
        ],
    )
    def test_github_makes_nothing_of_plain_words(self, text, parted):
        assert escape_markdown(text) == parted

    def test_markdown_keeps_names_and_intervals_readable(self):
        text = "torchscript_cell 1.13 [1.11, 1.15], T=10"
        assert escape_markdown(text) == text
        assert escape_markdown("[1.0, 2.0](x)") == "&#91;1.0, 2.0&#93;(x)"

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝", "'"])
    def test_csv_has_no_formula_and_gives_the_text_back(self, start):
        text = f"{start}cmd|'/C calc'!A0"
        rows = list(csv.reader(io.StringIO(to_csv(made(text)))))
        assert rows[2][0] == "'" + text

    @pytest.mark.parametrize("text", HOSTILE)
    def test_csv_has_a_line_for_each_row(self, text):
        written = to_csv(made(text))
        assert len(written.splitlines()) == 3
        assert list(csv.reader(io.StringIO(written)))[2] == [clean_csv(text), ""]
        assert written.encode("utf-8")

    def test_csv_hides_white_space_before_no_formula(self):
        assert clean_csv("\t\n =1+1") == "'=1+1"

    @pytest.mark.parametrize("text", HOSTILE)
    def test_terminals_get_the_text_and_no_control_character(self, text):
        console = Console(file=io.StringIO(), width=300, color_system=None)
        console.print(to_rich(made(text, title=text, description=text)))
        drawn = console.file.getvalue()
        assert clean(text) in drawn
        assert clean(text) in to_text(made(text), 300)
        assert not set(drawn) & {"\x1b", "\x00", "\u202e", "\r"}

    def test_csv_loads_back_into_the_same_numbers(self):
        data = pd.DataFrame(
            {
                "name": ["a", "b,c"],
                "time": [1 / 3, 1e-17],
                "row": pd.array([1, None], dtype="Int64"),
                "best": [True, False],
            }
        )
        loaded = pd.read_csv(io.StringIO(to_csv(made(data=data))), dtype={"row": "Int64"})
        pd.testing.assert_frame_equal(loaded, data, check_exact=True, check_dtype=False)

    def test_ten_thousand_letters_stay_short(self):
        table = made("x" * 10_000)
        for drawn in (to_markdown(table), to_html(table), to_text(table, 80)):
            assert len(drawn) < 2_000
            assert "…" in drawn
