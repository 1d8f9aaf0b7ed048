"""The command `history` as a user runs it: what it prints and writes, and what it refuses."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import markdown_it
import pytest

pytest.importorskip("ruptures")

from rnnbench.cli import main
from tests.regressions.made import case
from tests.regressions.timelines import (
    drift,
    folder_of,
    not_measured,
    run_file,
    spike,
    steady,
    step,
)
from tests.synthetic import environment

GOLDEN = Path(__file__).parent / "golden"
HOSTILE = "<script>alert(1)</script> | `x` \u202egnp\x07 =1+1"


@pytest.fixture
def run(capsys, monkeypatch):
    """Run `rnnbench history …`; returns status, output and errors."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments, command="history"):
        with pytest.raises(SystemExit) as ended:
            main([command, *map(str, arguments)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return ended.value.code, said.out, said.err

    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Twenty days of four cases, one of each kind, and a file that is none."""
    folder = folder_of(
        tmp_path_factory.mktemp("history") / "runs",
        shapes={
            "nn_rnn": step,
            "python_loop": spike,
            "hoisted_loop": steady,
            "torchscript_cell": drift,
        },
    )
    (folder / "other.json").write_text('{"name": "other"}')
    return folder


def pinned(name, text):
    """Compare with the golden file; to make it anew, remove it and run the test once."""
    path = GOLDEN / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"{name} was not there and has been made: read it, then run again")
    assert text == path.read_text(encoding="utf-8")


class TestPrinting:
    def test_the_terminal_gets_sentences_and_the_changes(self, run, runs):
        status, out, err = run(runs)
        assert (status, err) == (0, "")
        pinned("history.txt", out)

    def test_markdown_is_pinned_and_one_table(self, run, runs):
        status, out, _ = run(runs, "--format", "markdown")
        assert status == 0
        pinned("history.md", out)
        tokens = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).parse(out)
        assert [token.type for token in tokens].count("table_open") == 1

    def test_json_has_every_point_and_change(self, run, runs):
        _, out, _ = run(runs, "--format", "json")
        (machine,) = json.loads(out)["machines"]
        kinds = {one["case"]["implementation"]: one["kind"] for one in machine["timelines"]}
        assert kinds == {
            "nn_rnn": "step",
            "python_loop": "spike",
            "hoisted_loop": "steady",
            "torchscript_cell": "drift",
        }
        by_name = {one["case"]["implementation"]: one for one in machine["timelines"]}
        (change,) = by_name["nn_rnn"]["changes"]
        points = by_name["nn_rnn"]["points"]
        assert (change["before"], change["after"]) == (11, 12)
        assert points[change["after"]]["file"] == "day-12.json"
        assert change["low"] < 1.15 < change["high"]
        assert 0 < change["p"] < 0.05
        (spiked,) = by_name["python_loop"]["spikes"]
        assert (spiked["first"], spiked["last"], spiked["open"]) == (8, 8, False)
        assert all(len(one["points"]) == 20 for one in machine["timelines"])

    def test_csv_has_a_row_for_each_time(self, run, runs):
        _, out, _ = run(runs, "--format", "csv", "--case", "nn_rnn")
        rows = list(csv.DictReader(io.StringIO(out)))
        assert [row["file"] for row in rows] == [f"day-{day:02d}.json" for day in range(20)]
        assert {row["kind"] for row in rows} == {"step"}
        assert float(rows[12]["time"]) > 1.1 * float(rows[11]["time"])

    def test_versions_can_be_the_order(self, run, tmp_path):
        for day in range(12):
            torch = f"2.{12 - day}.0+cpu"
            run_file(
                tmp_path / f"{day}.json",
                {"nn_rnn": 1.0 if day < 6 else 1.2},
                day=day,
                seed=day,
                environments={"default": environment(torch=torch)},
            )
        _, out, _ = run(tmp_path, "--by", "version", "--format", "json")
        (machine,) = json.loads(out)["machines"]
        (timeline,) = machine["timelines"]
        (change,) = timeline["changes"]
        assert timeline["points"][change["before"]]["torch"] == "2.6.0+cpu"
        assert timeline["points"][change["after"]]["torch"] == "2.7.0+cpu"
        assert change["high"] < 1, "by version it became faster, by time slower"
        _, out, _ = run(tmp_path, "--by", "version")
        assert "2.6.0+cpu (5.json)" not in out
        assert "2.6.0+cpu" in out
        assert "2.7.0+cpu" in out

    def test_two_machines_are_said_and_never_compared(self, run, tmp_path):
        folder_of(tmp_path / "runs", 12, shapes={"nn_rnn": steady})
        other = environment(cpu={"model": "Other CPU", "count": 8})
        folder_of(
            tmp_path / "runs", 12, first=12, shapes={"nn_rnn": lambda day: 3.0}, described=other
        )
        status, out, _ = run(tmp_path / "runs")
        assert status == 0
        assert "Synthetic CPU, 2 processors: 12 runs" in out
        assert "Other CPU, 8 processors: 12 runs" in out
        assert "Each machine has timelines of its own" in out
        assert "a step in 0, a drift in 0" in out

    def test_what_could_not_be_measured_is_counted(self, run, tmp_path):
        run_file(tmp_path / "a.json", {"nn_rnn": 1.0})
        lost = not_measured(case(implementation="nn_rnn"), environment="default")
        run_file(tmp_path / "b.json", {"python_loop": 1.0}, day=1, not_measured=[lost])
        _, out, _ = run(tmp_path)
        assert "1 time of 1 case could not be measured: no point." in out


class TestFewRuns:
    def test_one_file_is_too_few_and_says_so(self, run, tmp_path):
        run_file(tmp_path / "only.json", {"nn_rnn": 1.0, "python_loop": 2.0})
        status, out, err = run(tmp_path)
        assert (status, err) == (0, "")
        said = " ".join(out.split())
        assert "2 cases have too few runs for change points, which need 10: the longest has 1." in (
            said
        )
        assert "`rnnbench compare`" in said


class TestPages:
    def test_a_page_has_the_plots_of_what_changed_and_the_tables(self, run, runs, tmp_path):
        status, out, _ = run(runs, "--output", tmp_path / "page")
        assert status == 0
        assert out.endswith(f"The page is {tmp_path / 'page' / 'index.html'}\n")
        names = {path.name for path in (tmp_path / "page").rglob("*") if path.is_file()}
        assert {
            "index.html",
            "timeline_1.svg",
            "timeline_1.png",
            "timeline_2.svg",
            "changes.csv",
            "timelines.csv",
        } <= names
        assert "timeline_3.svg" not in names, "steady cases and spikes have no plot"
        page = (tmp_path / "page" / "index.html").read_text()
        assert "Where times changed" in page
        rows = list(csv.DictReader((tmp_path / "page" / "tables" / "changes.csv").open()))
        assert {row["implementation"] for row in rows} == {"nn_rnn", "torchscript_cell"}

    def test_a_report_of_several_runs_has_the_section(self, run, runs, tmp_path):
        files = sorted(runs.glob("day-*.json"))
        run(*files, "--output", tmp_path / "report", command="report")
        text = (tmp_path / "report" / "index.md").read_text()
        assert "## What changed over time" in text
        assert text.index("## What changed over time") < text.index(
            "## What these numbers do not say"
        )
        run(*files[:2], "--output", tmp_path / "two", command="report")
        assert "What changed over time" not in (tmp_path / "two" / "index.md").read_text()

    def test_json_stays_alone_on_the_output_beside_a_page(self, run, runs, tmp_path):
        _, out, err = run(runs, "--format", "json", "--output", tmp_path / "page")
        assert json.loads(out)["by"] == "time"
        assert "The page is" in err

    def test_hostile_texts_do_nothing_anywhere(self, run, tmp_path):
        described = environment(torch=HOSTILE, cpu={"model": HOSTILE, "count": 2})
        folder = folder_of(tmp_path / "runs", shapes={"nn_rnn": step}, described=described)
        for name in ("a <b>&.json", "x|y.json"):
            day = len(list(folder.iterdir()))
            run_file(folder / name, {"nn_rnn": 1.15}, day=day, environments={"default": described})
        (folder / "<i>bad.json").write_text("{")
        for form in ("table", "markdown"):
            status, out, _ = run(folder, "--format", form)
            assert status == 0
            assert "\x07" not in out
            assert "\u202e" not in out
            assert form == "table" or "<script>" not in out
        _, out, _ = run(folder, "--by", "version", "--output", tmp_path / "page")
        page = (tmp_path / "page" / "index.html").read_text()
        assert "alert(1)</script>" not in page
        assert "<i>bad" not in page
        assert "\u202e" not in page
        csv_text = (tmp_path / "page" / "tables" / "timelines.csv").read_text()
        assert "\x07" not in csv_text


class TestBadInput:
    def test_an_empty_folder(self, run, tmp_path):
        status, out, err = run(tmp_path)
        assert (status, out) == (2, "")
        assert "has no result file of rnnbench; give a folder with the JSON files" in err

    def test_a_file_in_place_of_a_folder(self, run, tmp_path):
        path = run_file(tmp_path / "only.json", {"nn_rnn": 1.0})
        status, _, err = run(path)
        assert status == 2
        assert "is no folder" in err

    def test_an_unknown_order_and_an_unknown_case(self, run, runs):
        assert run(runs, "--by", "size")[0] == 2
        status, _, err = run(runs, "--case", "lstm")
        assert status == 2
        assert err.count("\n") == 1
        assert "--case 'lstm': none of the 4 cases" in err

    def test_an_output_that_is_a_file_is_refused_before_the_work(self, run, runs, tmp_path):
        (tmp_path / "taken").write_text("mine")
        status, out, err = run(runs, "--output", tmp_path / "taken")
        assert (status, out) == (2, "")
        assert "is a file; give a folder" in err

    def test_without_ruptures_a_sentence_says_what_to_install(self, run, runs, monkeypatch):
        monkeypatch.setitem(sys.modules, "ruptures", None)
        status, _, err = run(runs)
        assert status == 2
        assert "pip install 'rnnbench[history]'" in err


def test_the_help_needs_neither_pandas_nor_ruptures():
    script = (
        "import sys\nfrom rnnbench.cli import main\n"
        "try:\n    main(['history', '--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'pandas', 'ruptures', 'torch', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"
