"""A report says which of its environments is slower, and how far this machine can be trusted."""

import pytest

from rnnbench.cli import main
from rnnbench.regressions.comparison_section import report_sections
from rnnbench.regressions.machine_noise import MachineNoise, save_noise
from rnnbench.regressions.machines import machine_key
from rnnbench.results import read
from tests.regressions.made import NEW, OLD, QUIET, case, one, only, planted, two
from tests.regressions.test_compare import session
from tests.synthetic import Planted, document, environment, write

# The alphabet has them in another order than they were given in.
THREE = ("torch-2.8.0", "torch-2.13.0", "torch-2.15.0")
SECONDS = {"torch-2.8.0": 1e-3, "torch-2.13.0": 1.2e-3, "torch-2.15.0": 0.8e-3}


@pytest.fixture(autouse=True)
def _no_noise(tmp_path, monkeypatch):
    """Nothing is known of this machine but what a test stores."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def three(path):
    """Two cases in three environments that took turns; the second is slower, the third faster."""
    entries = [
        Planted(case(batch=batch, environment=name), SECONDS[name])
        for batch in (1, 2)
        for name in THREE
    ]
    entries.sort(key=lambda entry: entry.case)
    described = {name: environment(torch=f"{name.removeprefix('torch-')}+cpu") for name in THREE}
    return write(path, document(entries, noise=QUIET, replicates=8, environments=described))


class TestSections:
    def test_there_is_one_for_each_environment_against_the_first_that_was_given(self, tmp_path):
        sections = report_sections(read([str(three(tmp_path / "versions.json"))]))
        assert [section.name for section in sections] == ["compare_1", "compare_2"]
        assert [section.title for section in sections] == [
            "torch-2.13.0 against torch-2.8.0",
            "torch-2.15.0 against torch-2.8.0",
        ]
        slower, faster = sections
        assert slower.sentences[0] == (
            "2 slower of 2 cases: torch-2.8.0 is the base, torch-2.13.0 is new."
        )
        assert faster.sentences[0].startswith("2 faster of 2 cases: torch-2.8.0 is the base")
        assert slower.sentences[1].startswith("Of 2 compared: 2 slower, 0 faster, 0 the same")
        for section, verdict, ratio in ((slower, "slower", 1.2), (faster, "faster", 0.8)):
            (table,) = section.tables
            assert (table.name, table.title) == (section.name, section.title)
            assert len(table.rows) == 2
            assert table.data["verdict"].tolist() == [verdict] * 2
            assert table.data["ratio"].tolist() == pytest.approx([ratio] * 2, rel=0.02)
            assert (table.data["ratio_low"] < table.data["ratio"]).all()
            assert (table.data["ratio"] < table.data["ratio_high"]).all()

    def test_all_four_verdicts_and_missing_cases_are_in_the_table(self, tmp_path):
        entries = planted({1: 1.0, 2: 1.1, 4: 0.9})
        gone = only(planted({16: 1.0}), OLD)
        file = two(tmp_path / "versions.json", [*entries, *gone])
        (section,) = report_sections(read([str(file)]))
        assert section.sentences[0].startswith("1 slower, 1 faster, 1 missing of 4 cases")
        data = section.tables[0].data
        assert dict(zip(data["batch"], data["verdict"].fillna(data["state"]))) == {
            1: "same",
            2: "slower",
            4: "faster",
            16: "missing",
        }

    def test_what_did_not_take_turns_has_none(self, tmp_path):
        entries = planted({1: 1.0, 2: 1.1})
        files = [one(tmp_path / f"{name}.json", only(entries, name)) for name in (OLD, NEW)]
        assert report_sections(read([str(files[0])])) == ()
        assert report_sections(read([str(file) for file in files])) == ()

    def test_environments_without_a_common_case_have_none(self, tmp_path):
        entries = [*only(planted({1: 1.0}), OLD), *only(planted({2: 1.0}), NEW)]
        assert report_sections(read([str(two(tmp_path / "a.json", entries))])) == ()

    def test_of_several_files_each_is_compared_within_itself_and_named(self, tmp_path):
        files = [two(tmp_path / f"{name}.json", planted({1: 1.1})) for name in ("a", "b")]
        sections = report_sections(read([str(file) for file in files]))
        assert [section.name for section in sections] == ["compare_1", "compare_2"]
        first, second = (section.title for section in sections)
        assert first.startswith("new against old, ") and second.startswith("new against old, ")
        assert first != second


class TestNoise:
    def test_where_none_is_stored_the_section_says_how_to_know_it(self, tmp_path):
        (section,) = report_sections(read([str(two(tmp_path / "a.json", planted({1: 1.1})))]))
        assert section.sentences[-1].startswith(
            "How often verdicts are wrong on this machine is not known here: run `rnnbench noise`"
        )

    def test_what_is_stored_is_said_as_compare_says_it(self, tmp_path, capsys):
        save_noise(MachineNoise(machine_key(environment()), (session(times={"a": 1e-3}),)))
        file = two(tmp_path / "a.json", planted({1: 1.1}))
        (section,) = report_sections(read([str(file)]))
        assert not any("is not known here" in text for text in section.sentences)
        (said,) = [text for text in section.sentences if text.startswith("Noise of this machine")]
        assert "0 of 42 unchanged cases" in said and "42 of 42" in said
        with pytest.raises(SystemExit):
            main(["compare", f"{file}@{OLD}", f"{file}@{NEW}"])
        assert said in " ".join(capsys.readouterr().out.split())


def test_the_report_of_the_command_line_has_the_sections_and_their_tables(tmp_path):
    file = three(tmp_path / "versions.json")
    with pytest.raises(SystemExit) as ended:
        main(["report", str(file), "--output", str(tmp_path / "report")])
    assert ended.value.code == 0
    page = (tmp_path / "report" / "index.html").read_text()
    for number, name in enumerate(THREE[1:], start=1):
        assert f'<section id="section-compare_{number}"' in page
        assert f'<a href="#section-compare_{number}">{name} against torch-2.8.0</a>' in page
        table = (tmp_path / "report" / "tables" / f"compare_{number}.csv").read_text()
        assert len(table.splitlines()) == 1 + 2
    assert "2 slower of 2 cases: torch-2.8.0 is the base, torch-2.13.0 is new." in page
    assert "2 faster of 2 cases: torch-2.8.0 is the base, torch-2.15.0 is new." in page
