"""A report as a whole: every table and picture has its place, and each section says something."""

import dataclasses

import pytest

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.report.build import build_report
from rnnbench.report.figures import pictures
from rnnbench.report.tables import all_tables
from rnnbench.results import read
from tests import synthetic
from tests.conftest import REPOSITORY
from tests.synthetic import Planted, document, write

ORDER = [
    "fastest",
    "devices",
    "compilation",
    "not_measured",
    "scaling",
    "trust",
    "limits",
    "all_cases",
]
CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=5)


def named(name, **changes):
    return dataclasses.replace(CASE, implementation=name, **changes)


@pytest.fixture
def both(tmp_path):
    """Two devices, three sizes, a compiled competitor, and a case without a time."""
    planted = []
    for size in (1, 8, 64):
        for device, times in (("cpu", (1e-4 * size, 2e-4 * size)), ("cuda:0", (8e-4, 9e-4))):
            for name, seconds in zip(("nn_rnn", "python_loop"), times, strict=True):
                case = named(name, batch=size, device=device)
                on_device = seconds / 4 if device != "cpu" else None
                planted.append(Planted(case, seconds, device_seconds=on_device))
        compiled = named("compiled_loop", batch=size)
        planted.append(Planted(compiled, 5e-5 * size, compile_cold=9.0, compile_warm=2.0))
    made = document(
        planted,
        environments={"default": synthetic.environment(devices=synthetic.GPU)},
        not_measured=[(named("scan"), "unsupported", "no scan here")],
        notes=["busy <b>machine</b>"],
    )
    return read(write(tmp_path / "both.json", made))


@pytest.fixture(scope="module")
def quick():
    return read(REPOSITORY / "results" / "cpu-quick" / "quick.json.gz")


class TestSections:
    def test_they_answer_in_the_order_that_readers_ask(self, both):
        report = build_report(both)
        assert [section.name for section in report.sections] == ORDER
        assert report.title == "Recurrent layers: both"
        assert report.verdict

    @pytest.mark.parametrize("which", ["both", "quick"])
    def test_every_table_and_picture_stands_in_one_of_them(self, which, request):
        results = request.getfixturevalue(which)
        report = build_report(results)
        assert sorted(table.name for table in report.tables) == sorted(all_tables(results))
        drawn = [picture.name for picture in pictures(results)]
        assert sorted(picture.name for picture in report.pictures) == sorted(drawn)
        assert drawn

    def test_none_is_empty(self, both, quick):
        for results in (both, quick):
            for section in build_report(results).sections:
                assert section.sentences or section.tables or section.pictures, section.name

    def test_transfers_are_spoken_of_where_there_are_two_devices(self, both, quick):
        (said,) = build_report(both).sections[1].sentences
        assert "copying a batch to the GPU" in said
        (said,) = build_report(quick).sections[1].sentences
        assert "from one kind of device" in said

    def test_what_is_missing_is_said(self, quick):
        by_name = {section.name: section for section in build_report(quick).sections}
        assert list(by_name["not_measured"].sentences) == ["Nothing: every case has a time."]

    def test_notes_of_the_run_stand_where_trust_is_the_question(self, both):
        trust = build_report(both).sections[5]
        assert "both: busy <b>machine</b>" in trust.sentences

    def test_results_without_a_time_still_make_a_report(self, tmp_path):
        made = document([], not_measured=[(CASE, "failed", "it raised")])
        report = build_report(read(write(tmp_path / "none.json", made)))
        assert report.pictures == []
        assert "No case was measured." in report.sections[0].sentences
        assert [table.name for table in report.sections[3].tables] == ["not_measured"]


class TestChoices:
    def test_a_baseline_that_nobody_is_is_refused(self, both):
        with pytest.raises(UserError, match=r"--baseline nn_nrn: .* compiled_loop, nn_rnn, pyth"):
            build_report(both, baseline="nn_nrn")

    def test_the_baseline_reaches_tables_and_pictures(self, both):
        report = build_report(both, baseline="python_loop")
        overview = next(p for p in report.pictures if p.name == "overview")
        assert "python_loop" in overview.title
        comparison = next(t for t in report.tables if t.name == "comparison")
        assert any("python_loop" in column.heading for column in comparison.columns)

    def test_a_title_of_ones_own_is_made_harmless(self, both):
        report = build_report(both, title="mine\n\u202eabc")
        assert "\n" not in report.title
        assert "\u202e" not in report.title
        assert report.title.startswith("mine")
