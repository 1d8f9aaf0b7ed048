"""`rnnbench report`, `table` and `export`: what they print and write, and their exit status."""

import csv
import io
import json
import sys
import types

import pytest
from pandas.testing import assert_frame_equal

from rnnbench.cli import main
from rnnbench.report import commands
from rnnbench.report.exports import read_frame
from rnnbench.results import load, rounds
from tests.report.made import content, small_report
from tests.report.test_writer import FILES, files_of
from tests.synthetic import write


@pytest.fixture
def run(capsys):
    """Run the command line in this process; returns its status, output and error output."""

    def run(*arguments):
        try:
            main([str(argument) for argument in arguments])
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "made.json", content())


@pytest.fixture
def other(tmp_path):
    """Another run of the same cases."""
    return write(tmp_path / "other.json", content(seed=1))


@pytest.fixture
def small(monkeypatch):
    """A report that takes no time to draw."""
    module = types.ModuleType("rnnbench.report.build")
    module.build_report = small_report
    monkeypatch.setitem(sys.modules, "rnnbench.report.build", module)


class TestReport:
    def test_without_a_folder_verdict_and_short_tables_are_printed(self, run, path, tmp_path):
        status, out, err = run("report", path)
        assert (status, err) == (0, "")
        assert "nn_rnn is the fastest in " in out
        assert "The fastest of each setting" in out
        assert "no scan here" in out
        assert "Longer tables: " in out
        assert "\x1b" not in out
        assert [p.name for p in tmp_path.iterdir()] == ["made.json"]

    def test_with_a_folder_it_is_written_and_the_verdict_printed(self, run, path, tmp_path, small):
        folder = tmp_path / "report"
        status, out, err = run("report", path, "--output", folder, "--title", "My title")
        assert (status, err) == (0, "")
        assert "nn_rnn is <fastest>." in out
        assert out.endswith(f"The report is {folder}/index.html\n")
        assert files_of(folder) == FILES
        assert "My title" in (folder / "index.html").read_text()

    def test_the_baseline_reaches_the_report(self, run, path, tmp_path, small):
        _, out, _ = run("report", path, "--output", tmp_path / "a", "--baseline", "python_loop")
        assert "Ratios are to python_loop." in out

    def test_lines_are_as_wide_as_the_terminal(self, run, path, monkeypatch):
        monkeypatch.setenv("COLUMNS", "60")
        _, out, _ = run("report", path)
        assert max(len(line) for line in out.split("Longer tables")[0].splitlines()) <= 60

    def test_a_terminal_gets_colours_unless_it_wants_none(self, run, path, monkeypatch):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        _, out, _ = run("table", "comparison", path)
        assert "\x1b[1;32m" in out
        monkeypatch.setenv("NO_COLOR", "1")
        _, out, _ = run("table", "comparison", path)
        assert "\x1b[1;32m" not in out

    def test_torch_and_pytest_are_never_imported(self, python_with, path):
        script = (
            "import sys\nfrom rnnbench.cli import main\n"
            "try: main(['report', sys.argv[1]])\n"
            "finally:\n"
            "    slow = {'torch', 'pytest', 'matplotlib', 'rnnbench.measuring'}\n"
            "    print(sorted(slow & set(sys.modules)), file=sys.stderr)"
        )
        done = python_with(script, str(path))
        assert (done.returncode, done.stderr) == (0, "[]\n")


class TestTwoRuns:
    def test_both_are_told_of(self, run, path, other):
        status, out, err = run("table", "cases", path, other, "--format", "csv")
        assert (status, err) == (0, "")
        runs = {row["run"] for row in csv.DictReader(io.StringIO(out))}
        assert runs == {"made", "other"}

    @pytest.mark.parametrize("command", [["report"], ["table", "fastest"]])
    def test_paired_refuses_them_and_takes_one(self, run, path, other, command):
        assert run(*command, path, "--paired")[0] == 0
        status, out, err = run(*command, path, other, "--paired")
        assert (status, out) == (2, "")
        assert err.startswith(f"rnnbench: --paired: {path} and {other} are separate runs")
        assert err.count("\n") == 1

    def test_without_a_common_case_they_are_refused(self, run, path, tmp_path):
        made = content()
        for entry in [*made["benchmarks"], *made["rnnbench"]["not_measured"]]:
            entry.get("extra_info", {"rnnbench": entry})["rnnbench"]["case"]["batch"] = 99
        strange = write(tmp_path / "strange.json", made)
        status, out, err = run("report", path, strange)
        assert (status, out) == (2, "")
        assert err.startswith(f"rnnbench: {path}, {strange}: no two of these files have a case")
        assert err.count("\n") == 1


class TestTable:
    def test_markdown_is_the_table_alone(self, run, path):
        status, out, err = run("table", "fastest", path, "--format", "markdown")
        assert (status, err) == (0, "")
        assert out.startswith("### The fastest of each setting\n")
        assert out.splitlines()[-1].startswith("| ")

    def test_csv_has_all_digits(self, run, path):
        _, out, _ = run("table", "cases", path, "--format", "csv")
        rows = list(csv.DictReader(io.StringIO(out)))
        times = load(path)["time"].dropna().tolist()
        assert sorted(float(row["time"]) for row in rows if row["time"]) == sorted(times)

    def test_html_is_one_table(self, run, path):
        _, out, _ = run("table", "fastest", path, "--format", "html")
        assert out.startswith("<table ") and out.rstrip().endswith("</table>")

    def test_a_wrong_name_is_answered_with_those_there_are_before_files_are_read(self, run):
        status, out, err = run("table", "fasttest", "absent.json")
        assert (status, out) == (2, "")
        assert err.startswith("rnnbench: table 'fasttest': there is none of this name; known: ")
        assert "fastest" in err and "comparison" in err

    def test_one_without_content_is_said_to_have_none(self, run, path):
        status, out, err = run("table", "devices", path)
        assert (status, out) == (2, "")
        assert f"table 'devices': {path} has nothing to show in it; these have: fastest" in err

    def test_an_unknown_format_is_a_usage_error(self, run, path):
        status, _, err = run("table", "fastest", path, "--format", "xlsx")
        assert status == 2
        assert "markdown" in err and "Traceback" not in err


class TestExport:
    @pytest.mark.parametrize("ending", ["csv", "parquet"])
    def test_cases_and_rounds_load_back_into_equal_frames(self, run, path, other, tmp_path, ending):
        for flags, expected in (([], load), (["--rounds"], rounds)):
            output = tmp_path / f"out.{ending}"
            frame = expected([path, other])
            status, out, err = run("export", path, other, "--output", output, *flags)
            assert (status, err) == (0, "")
            noun = "rounds" if flags else "cases"
            assert out == f"{output}: {len(frame):,} {noun}\n"
            assert_frame_equal(read_frame(output), frame)

    def test_json_and_markdown_are_there_too(self, run, path, tmp_path):
        assert run("export", path, "--output", tmp_path / "out.json")[0] == 0
        assert len(json.loads((tmp_path / "out.json").read_text())["rows"]) == 5
        assert run("export", path, "--output", tmp_path / "out.md")[0] == 0
        assert (tmp_path / "out.md").read_text().count("\n") == 7

    def test_without_an_output_it_is_a_usage_error(self, run, path):
        status, _, err = run("export", path)
        assert status == 2
        assert "--output" in err

    def test_the_ending_is_checked_before_files_are_read(self, run, tmp_path):
        status, _, err = run("export", "absent.json", "--output", tmp_path / "out.xlsx")
        assert status == 2
        assert "its ending names no format" in err


class TestHelp:
    def test_every_option_is_explained(self, run):
        for command in ("report", "table", "export"):
            status, out, _ = run(command, "--help")
            assert status == 0
            assert "FILE" in out
        assert "--paired" in run("report", "--help")[1]

    def test_the_first_lines_fit_where_commands_are_listed(self, run):
        _, out, _ = run("--help")
        for line in out.splitlines():
            if line.split()[:1] in (["report"], ["table"], ["export"]):
                assert not line.endswith("..."), line

    def test_formats_are_those_that_are_rendered(self):
        assert [f.value for f in commands.Format] == ["terminal", "markdown", "csv", "html"]
