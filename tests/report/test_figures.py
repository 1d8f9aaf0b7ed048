"""Which pictures a report has, what is said of them, and that every kind of file gets some."""

import dataclasses
import itertools
import xml.etree.ElementTree as ET

import pytest

from rnnbench.cases import Case
from rnnbench.report.figures import pictures
from rnnbench.report.plots import svg_text
from rnnbench.results import read
from tests import synthetic
from tests.synthetic import Noise, Planted, document, write

CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=8)
PASSES = ("inference", "forward", "backward", "forward_backward")
QUIET = Noise(0.001, 0.0005, 0.0005, 0.0005, 0.001)


def variant(**changes):
    return dataclasses.replace(CASE, **changes)


def results(tmp_path, planted, **options):
    content = document(planted, blocks=3, rounds=4, noise=QUIET, **options)
    return read([write(tmp_path / "made.json", content)])


def by_name(found):
    return {picture.name: picture for picture in found}


@pytest.fixture
def full(tmp_path):
    """Three implementations over all axes and passes, on one device."""
    planted = [
        Planted(
            variant(implementation=name, pass_=step, seq_len=t, batch=b),
            factor * 1e-5 * t * (1 + b / 100),
            compile_cold=5.0 if name == "compiled_loop" else None,
            compile_warm=1.0 if name == "compiled_loop" else None,
        )
        for (name, factor), step, t, b in itertools.product(
            [("nn_rnn", 1.0), ("hoisted_loop", 1.5), ("compiled_loop", 0.5)],
            PASSES,
            (10, 100),
            (4, 64),
        )
    ]
    return results(tmp_path, planted)


class TestWhichPictures:
    def test_a_full_file_has_a_picture_for_every_question(self, full):
        assert [p.name for p in pictures(full)] == [
            "overview", "time_seq_len", "time_batch", "winners", "speedups", "passes",
            "break_even", "rounds_noisiest", "rounds_noisiest_share", "rounds_typical",
        ]  # fmt: skip

    def test_there_are_no_more_than_asked_for(self, full):
        found = pictures(full, limit=3)
        assert [p.name for p in found] == ["overview", "time_seq_len", "time_batch"]

    def test_nothing_measured_has_no_pictures(self, tmp_path):
        assert pictures(results(tmp_path, [], not_measured=[(CASE, "failed", "why")])) == []

    def test_one_case_has_its_rounds_alone(self, tmp_path):
        found = pictures(results(tmp_path, [Planted(CASE, 1e-3)]))
        assert [p.name for p in found] == ["rounds_noisiest", "rounds_noisiest_share"]

    def test_one_process_has_no_noisiest_case_and_says_that_there_are_no_intervals(self, tmp_path):
        planted = [
            Planted(CASE, 1e-3),
            Planted(variant(implementation="python_loop"), 2e-3),
        ]
        found = by_name(pictures(results(tmp_path, planted, replicates=1)))
        assert set(found) == {"overview", "rounds_typical"}
        assert "There are no intervals" in found["overview"].caption

    def test_without_the_baseline_there_is_no_ratio_but_all_else(self, full):
        names = {p.name for p in pictures(full, "python_loop")}
        assert not names & {"overview", "speedups", "break_even"}
        assert {"time_seq_len", "winners", "passes"} <= names

    def test_two_devices_are_compared_where_they_cross(self, tmp_path):
        planted = [
            Planted(
                variant(device=device, batch=b, seq_len=t),
                1e-5 * b if device == "cpu" else 4e-4,
                device_seconds=2e-4 if device == "cuda" else None,
            )
            for device, b, t in itertools.product(("cpu", "cuda"), (4, 16, 64, 256), (10, 20))
        ]
        there = synthetic.environment(devices=synthetic.GPU)
        found = by_name(pictures(results(tmp_path, planted, environments={"default": there})))
        picture = found["devices_batch"]
        assert "faster from about B=4" in picture.alternative
        (axes,) = picture.figure.axes
        assert axes.get_title(loc="left").startswith("nn_rnn: crosses at 4")
        assert set(picture.data["device"]) == {"cpu", "cuda"}

    def test_the_roofline_is_there_only_with_limits(self, tmp_path, full):
        assert "roofline" not in by_name(pictures(full, limit=50))
        limits = [{"device": "cpu", "dtype": "float32", "threads": 1, "flops_per_second": 1e9}]
        there = synthetic.environment(limits=limits)
        found = pictures(results(tmp_path, [Planted(CASE, 1e-3)], environments={"default": there}))
        assert "of the limit" in by_name(found)["roofline"].alternative


class TestWhatIsShown:
    def test_numbers_behind_are_those_of_the_slice(self, full):
        data = by_name(pictures(full))["time_seq_len"].data
        assert data["batch"].nunique() == 1 and data["seq_len"].nunique() == 2
        assert len(data) == 3 * 2 * len(PASSES)

    def test_captions_name_the_slice_and_what_is_left_out(self, full):
        caption = by_name(pictures(full))["time_seq_len"].caption
        assert "I=3 H=8" in caption and "B=" in caption
        assert "1 other slice not drawn." in caption
        assert "Intervals are of 95 %, over processes." in caption

    def test_texts_say_who_is_fastest_and_by_how_much(self, full):
        found = by_name(pictures(full))
        assert "compiled_loop in 16, of which 16 beyond doubt" in found["winners"].alternative
        assert "compiled_loop takes 0.50 of its time" in found["overview"].alternative
        assert "faster in 0 and slower in 16 of 16" in found["overview"].alternative or (
            "faster in 0 and slower in 14 of 14" in found["overview"].alternative
        )
        assert (
            "compiled_loop compiles for 5.0 s and has paid after" in found["break_even"].alternative
        )

    def test_every_picture_has_words_and_no_missing_number(self, full):
        for picture in pictures(full):
            assert picture.title and picture.caption and picture.alternative
            said = " ".join((picture.title, picture.caption, picture.alternative)).lower()
            assert "nan" not in said.replace("nanosecond", "") and "none" not in said
            assert "nan" not in "".join(ET.fromstring(svg_text(picture.figure)).itertext())

    def test_a_wide_file_keeps_pictures_of_a_page(self, tmp_path):
        planted = [
            Planted(variant(implementation=f"cell_{i}", seq_len=t, batch=b), 1e-5 * t * (1 + i / 9))
            for i, t, b in itertools.product(range(20), (5, 10, 20, 40), (1, 2, 4, 8))
        ]
        found = pictures(results(tmp_path, planted), "cell_0")
        assert {"overview", "time_seq_len", "winners", "speedups"} <= set(by_name(found))
        for picture in found:
            assert picture.figure.get_figheight() < 16, picture.name

    def test_a_name_of_ten_thousand_letters_is_cut_everywhere(self, tmp_path):
        planted = [
            Planted(variant(implementation=name, seq_len=t), 1e-5 * t)
            for name, t in itertools.product(("nn_rnn", "x" * 10_000), (10, 20))
        ]
        for picture in pictures(results(tmp_path, planted)):
            assert len(picture.alternative) + len(picture.caption) < 2_000
            assert "x" * 100 not in svg_text(picture.figure)

    def test_files_hostile_labels_are_words_only(self, tmp_path):
        content = document([Planted(CASE, 1e-3)], blocks=3, rounds=4)
        paths = [write(tmp_path / f"{n}.json", content) for n in ("<b>$a$\u202e", "b")]
        for picture in pictures(read(paths)):
            svg = svg_text(picture.figure)
            ET.fromstring(svg)
            assert "<b>" not in svg and "\u202e" not in svg + picture.caption
