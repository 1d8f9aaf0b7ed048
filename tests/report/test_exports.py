"""Frames as files and back: nothing is lost, and no cell of a file is ever run."""

import csv
import importlib
import io
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from rnnbench.errors import UserError
from rnnbench.report.exports import ENDINGS, frame_bytes, read_frame, write_frame
from rnnbench.results import RESULT_COLUMNS, ROUND_COLUMNS, read, rounds_of, typed
from tests.conftest import REPOSITORY
from tests.report.made import content
from tests.synthetic import write

QUICK = REPOSITORY / "results" / "cpu-quick" / "quick.json.gz"
BACK = (".csv", ".parquet")
HOSTILE = [
    "",
    "'",
    "''",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    'a "quoted", text',
    "two\nlines\r\nthree\rfour",
    "NA",
    "nan",
    "None",
    "null",
    "True",
    "007",
    "1e5",
    " space around ",
    "\x00 in \x00 it",
    "\u202e turned",
    "<script>alert(1)</script>",
    "é 漢 🙂",
    "x" * 200_000,
]


@pytest.fixture(scope="module")
def quick():
    return read(QUICK)


def values_of(column):
    text = st.one_of(
        st.sampled_from(HOSTILE[:-1]), st.text(st.characters(exclude_categories=["Cs"]))
    )
    known = {
        str: text,
        int: st.integers(-(2**63), 2**63 - 1),
        float: st.floats(allow_nan=False),
        bool: st.booleans(),
    }
    return st.none() | known[column.type]


def there_and_back(frame, folder, ending):
    path = folder / f"made{ending}"
    write_frame(frame, path)
    return read_frame(path)


class TestBack:
    @pytest.mark.parametrize("ending", BACK)
    def test_the_quick_result_comes_back_equal(self, quick, tmp_path, ending):
        assert_frame_equal(there_and_back(quick.frame, tmp_path, ending), quick.frame)

    @pytest.mark.parametrize("ending", BACK)
    def test_its_rounds_come_back_equal(self, quick, tmp_path, ending):
        frame = rounds_of(quick, range(3))
        assert frame["warmup"].any()
        assert_frame_equal(there_and_back(frame, tmp_path, ending), frame)

    @pytest.mark.parametrize("ending", BACK)
    def test_hostile_texts_come_back_as_they_were(self, tmp_path, ending):
        frame = typed([{"run": text, "reason": text} for text in [*HOSTILE, None]])
        back = there_and_back(frame, tmp_path, ending)
        assert back["reason"].tolist()[:-1] == HOSTILE
        assert back["reason"].isna().tolist() == [False] * len(HOSTILE) + [True]
        assert_frame_equal(back, frame)

    @pytest.mark.parametrize("ending", BACK)
    def test_numbers_keep_their_last_bit_and_large_ones_their_last_digit(self, tmp_path, ending):
        times = [0.1 + 0.2, math.nextafter(1, 2), 5e-324, 1.7976931348623157e308, math.nan]
        whole = [2**63 - 1, -(2**63), 2**53 + 1, None, 0]
        frame = typed([{"time": t, "flops": w} for t, w in zip(times, whole)])
        back = there_and_back(frame, tmp_path, ending)
        assert back["time"].tolist()[:-1] == times[:-1]
        assert [None if pd.isna(v) else v for v in back["flops"]] == whole
        assert_frame_equal(back, frame)

    @pytest.mark.parametrize("ending", BACK)
    @pytest.mark.parametrize("columns", [RESULT_COLUMNS, ROUND_COLUMNS], ids=["cases", "rounds"])
    @settings(
        max_examples=30,
        deadline=None,
        phases=[Phase.generate],  # shrinking rows of seventy columns takes minutes
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(data=st.data())
    def test_any_frame_comes_back_equal(self, tmp_path, ending, columns, data):
        row = st.fixed_dictionaries({}, optional={c.name: values_of(c) for c in columns})
        frame = typed(data.draw(st.lists(row, max_size=3)), columns)
        assert_frame_equal(there_and_back(frame, tmp_path, ending), frame)

    @pytest.mark.parametrize("ending", BACK)
    def test_columns_in_another_order_are_put_in_theirs(self, quick, tmp_path, ending):
        turned = quick.frame[list(quick.frame)[::-1]]
        assert_frame_equal(there_and_back(turned, tmp_path, ending), quick.frame)


class TestCsv:
    def test_no_cell_that_is_text_begins_as_a_formula(self):
        frame = typed([{"run": text} for text in HOSTILE])
        data = frame_bytes(frame.head(len(HOSTILE) - 1), ".csv").decode()
        rows = list(csv.reader(io.StringIO(data, newline="")))
        assert rows[0][0] == "run"
        assert len(rows) == len(HOSTILE)
        for row in rows[1:]:
            assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))

    def test_a_negative_number_is_a_number(self):
        frame = typed([{"time": -0.5}])
        cells = frame_bytes(frame, ".csv").decode().splitlines()[1].split(",")
        assert cells[[c.name for c in RESULT_COLUMNS].index("time")] == "-0.5"


class TestJson:
    def test_a_header_says_units_and_each_case_is_an_object(self, quick):
        made = json.loads(frame_bytes(quick.frame, ".json"))
        assert [column["name"] for column in made["columns"]] == list(quick.frame)
        assert {c["name"]: c["unit"] for c in made["columns"]}["time"] == "s"
        assert len(made["rows"]) == len(quick.frame)
        for row, time in zip(made["rows"], quick.frame["time"].tolist(), strict=True):
            assert list(row) == list(quick.frame)
            assert row["time"] == time
            assert row["device_time"] is None

    def test_a_frame_without_rows_is_still_json(self):
        assert json.loads(frame_bytes(typed([]), ".json"))["rows"] == []


class TestMarkdown:
    def test_every_row_has_as_many_cells_as_there_are_columns(self):
        frame = typed([{"run": text, "time": 0.25} for text in HOSTILE])
        lines = frame_bytes(frame, ".md").decode().splitlines()
        assert len(lines) == 2 + len(HOSTILE)
        for line in lines:
            assert line.count("|") == len(RESULT_COLUMNS) + 1
            assert "<script" not in line
        assert "time (s)" in lines[0]
        assert " 0.25 " in lines[2]


class TestBadInput:
    @pytest.mark.parametrize("name", ["made", "made.txt", "made.csv.gz", ".csv"])
    def test_another_ending_is_refused_with_those_there_are(self, tmp_path, name):
        with pytest.raises(UserError, match=r"\.csv, \.parquet, \.md or \.json"):
            write_frame(typed([]), tmp_path / name)
        assert list(tmp_path.iterdir()) == []
        assert ENDINGS == (".csv", ".parquet", ".md", ".json")

    def test_a_frame_of_something_else_is_refused(self, tmp_path):
        with pytest.raises(UserError, match="column 'run' is missing"):
            write_frame(pd.DataFrame({"a": [1]}), tmp_path / "made.csv")
        with pytest.raises(UserError, match="other columns as well"):
            write_frame(typed([]).assign(more=1), tmp_path / "made.csv")
        assert list(tmp_path.iterdir()) == []

    def test_an_input_is_never_replaced(self, tmp_path):
        path = write(tmp_path / "made.json", content())
        before = path.read_bytes()
        (tmp_path / "link.json").symlink_to(path)
        frame = read(path).frame
        for output in (path, tmp_path / "link.json", tmp_path / "." / "made.json"):
            with pytest.raises(UserError, match="one of the files to read"):
                write_frame(frame, output, [str(path)])
        assert path.read_bytes() == before

    def test_an_earlier_export_is_replaced_as_a_whole(self, quick, tmp_path):
        path = tmp_path / "made.csv"
        path.write_text("old" * 10**6)
        write_frame(quick.frame, path)
        assert_frame_equal(read_frame(path), quick.frame)
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("ending", [".csv", ".md", ".json"])
    def test_without_pyarrow_all_but_parquet_works(self, quick, tmp_path, monkeypatch, ending):
        monkeypatch.setattr(importlib, "import_module", _no_pyarrow)
        write_frame(quick.frame, tmp_path / f"made{ending}")
        with pytest.raises(UserError, match="Parquet needs pyarrow"):
            write_frame(quick.frame, tmp_path / "made.parquet")
        (tmp_path / "other.parquet").write_bytes(b"PAR1")
        with pytest.raises(UserError, match="Parquet needs pyarrow"):
            read_frame(tmp_path / "other.parquet")

    @pytest.mark.parametrize("ending", BACK)
    def test_what_cannot_be_read_back_is_one_sentence(self, quick, tmp_path, ending):
        path = tmp_path / f"made{ending}"
        with pytest.raises(UserError, match="cannot be read"):
            read_frame(path)
        whole = frame_bytes(quick.frame, ending)
        for data in (b"", b"\xff\xfe\x00", whole[: len(whole) // 2], b"a,b\n1,2\n"):
            path.write_bytes(data)
            with pytest.raises(UserError, match=f"made{ending}: "):
                read_frame(path)

    def test_a_wrong_cell_is_named_with_line_and_column(self, tmp_path):
        path = tmp_path / "made.csv"
        write_frame(typed([{"seq_len": 1}, {"seq_len": 77777}]), path)
        path.write_text(path.read_text().replace("77777", "many"))
        with pytest.raises(UserError, match=r"line 3, column seq_len"):
            read_frame(path)

    @pytest.mark.parametrize("name", ["made.json", "made.md", "made"])
    def test_other_formats_are_not_read_back(self, tmp_path, name):
        with pytest.raises(UserError, match=r"only \.csv or \.parquet"):
            read_frame(tmp_path / name)

    def test_the_limit_of_the_csv_module_is_left_as_it_was(self, quick, tmp_path):
        before = csv.field_size_limit()
        there_and_back(quick.frame, tmp_path, ".csv")
        assert csv.field_size_limit() == before


_import_module = importlib.import_module


def _no_pyarrow(name, *rest):
    if name == "pyarrow":
        raise ImportError(name)
    return _import_module(name, *rest)


def test_the_frame_is_left_as_it_was(quick):
    before = quick.frame.copy()
    for ending in ENDINGS:
        frame_bytes(quick.frame, ending)
    assert_frame_equal(quick.frame, before)
    assert np.isfinite(quick.frame["time"]).all()
