"""Shares of the machine's limit in tables, on the page and in the verdict, with a known truth."""

import dataclasses

import pytest

from rnnbench.cases import Case
from rnnbench.numbers import format_share
from rnnbench.report import tables
from rnnbench.report.build import build_report
from rnnbench.report.render import to_text
from rnnbench.report.verdict import verdict
from rnnbench.results import read
from tests import synthetic
from tests.synthetic import Noise, Planted, document, write

QUIET = Noise(process=0.01, luck=0.001, drift=0.001, block=0.001, round=0.001)
CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=5)
LOOP = dataclasses.replace(CASE, implementation="python_loop")
FAST = dataclasses.replace(CASE, implementation="scan")
OTHER = dataclasses.replace(CASE, threads=2)
KNOWN = synthetic.ceiling({(4, 5, 5): synthetic.least(1e-5, 0.1)}, call=1e-12)
"""A limit of 100 µs for `CASE`."""


def made(tmp_path, planted, known=KNOWN, **described):
    limits = [] if known is None else [known.as_json()]
    environments = {"default": synthetic.environment(limits=limits, **described)}
    content = document(planted, noise=QUIET, environments=environments)
    return read(write(tmp_path / "made.json", content))


def column(table, heading):
    index = next(i for i, c in enumerate(table.columns) if c.heading.startswith(heading))
    return [row[index].text for row in table.rows]


def headings(table):
    return [c.heading for c in table.columns]


@pytest.fixture
def results(tmp_path):
    planted = [Planted(CASE, 2e-4), Planted(LOOP, 1e-3), Planted(OTHER, 1e-4)]
    return made(tmp_path, planted, no_limits="no share of a limit is known for <b>two threads</b>")


class TestTable:
    def test_each_case_with_a_limit_has_its_share_the_nearest_first(self, results):
        table = tables.limits(results)
        assert column(table, "competitor") == ["nn_rnn", "python_loop"]
        assert table.data["limit_share"].tolist() == pytest.approx([0.5, 0.1], rel=0.03)
        assert [text.split(" [")[0] for text in column(table, "share of limit")] == [
            format_share(share) for share in table.data["limit_share"]
        ]
        assert set(column(table, "bound by")) == {"products"}
        assert table.data["row"].tolist() == [0, 1]

    def test_the_interval_holds_that_of_the_limit_and_that_of_the_time(self, results):
        data = tables.limits(results).data
        for _, row in data.iterrows():
            assert row["limit_share_low"] == pytest.approx(row["limit_low"] / row["time_high"])
            assert row["limit_share_low"] < 0.91 * row["limit_share"]
            assert row["limit_share_high"] > 1.09 * row["limit_share"]

    def test_it_says_that_no_limit_is_beaten_and_why_others_have_none(self, results):
        said = tables.limits(results).description
        assert "No case is faster than its limit by more than the limit's own interval." in said
        assert "In all rows, beaten: no." in said
        assert "No share of a limit is known for <b>two threads</b>." in said

    def test_a_limit_that_is_beaten_is_called_a_defect(self, tmp_path):
        planted = [Planted(CASE, 2e-4), Planted(LOOP, 0.97e-4), Planted(FAST, 0.5e-4)]
        results = made(tmp_path, planted)
        table = tables.limits(results)
        assert column(table, "beaten") == ["by more than its interval", "within its interval", "no"]
        assert "limit is wrong" in column(table, "share of limit")[0]
        assert "1 of 3 cases are faster than their limit" in table.description
        assert "a defect of the limit" in table.description and FAST.id in table.description
        assert table.data["limit_defect"].tolist() == [True, False, False]
        said = " ".join(verdict(results))
        assert "1 of 3 cases is faster than the machine's limit by more than its interval" in said

    def test_without_limits_there_is_none_and_no_column(self, tmp_path):
        why = "this machine's limits were not measured"
        results = made(tmp_path, [Planted(CASE, 2e-4), Planted(LOOP, 1e-3)], None, no_limits=why)
        found = tables.all_tables(results)
        assert "limits" not in found
        assert not any("share of limit" in headings(table) for table in found.values())
        assert "This machine's limits were not measured." in found["rates"].description


class TestOtherTables:
    @pytest.mark.parametrize("name", ["fastest", "comparison", "cases"])
    def test_they_have_the_share_of_each_row(self, results, name):
        table = tables.all_tables(results)[name]
        texts = column(table, "share of limit")
        assert "no limit" in texts, "of two threads"
        assert "50 %" in texts or "49 %" in texts or "51 %" in texts
        if name != "cases":
            shares = table.data["limit_share"]
            assert shares.isna().sum() == 1 and shares.max() == pytest.approx(0.5, rel=0.03)

    def test_lengths_have_it_too(self, tmp_path):
        of = {"lengths": "uniform", "seq_len": 10, "batch": 4}
        planted = [
            Planted(dataclasses.replace(CASE, layout=layout, **of), 1e-3)
            for layout in ("padded", "packed")
        ]
        table = tables.lengths(made(tmp_path, planted, synthetic.ceiling(call=1e-6)))
        # Ten calls of a microsecond, whatever the layout.
        assert "In all rows, share of limit: 1.0 %." in table.description

    def test_a_launch_is_among_what_it_ran_in(self, tmp_path):
        times = {"launch": 4e-6, "synchronisation": 9e-6, "step": 5e-6}
        launches = [
            {"device": "cuda", **{k: synthetic.least(v).as_json() for k, v in times.items()}},
            {"device": "odd"},
        ]
        table = tables.environments(made(tmp_path, [Planted(CASE, 1e-3)], launches=launches))
        row = column(table, "what").index("launch of a kernel")
        assert column(table, "default")[row] == "cuda: 4.0 µs, synchronisation 9.0 µs"


def test_the_page_shows_them_where_it_says_what_the_machine_gives(results):
    report = build_report(results)
    (section,) = [s for s in report.sections if s.name == "scaling"]
    assert {"rates", "limits"} <= {table.name for table in section.tables}
    assert "roofline" in {picture.name for picture in section.pictures}


def test_tables_with_shares_fit_a_terminal(results):
    for name in ("fastest", "comparison", "limits"):
        lines = to_text(tables.all_tables(results)[name], 100).splitlines()
        assert max(map(len, lines)) <= 100, name
