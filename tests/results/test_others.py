"""The comparison with other tools: what each of them said, what becomes of it, and resuming."""

import dataclasses
import importlib.util
import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.grids import load_grid
from rnnbench.regressions.noise import AGAIN as AGAIN_THERE
from rnnbench.regressions.noise import SAME, name_of_planted
from rnnbench.results import read
from tests.regressions.made import QUIET, planted
from tests.synthetic import document, environment, write

NOISE = Path(__file__).resolve().parents[2] / "results" / "noise"
sys.path.insert(0, str(NOISE))

from others import by_asv, by_pyperf, by_pytest_benchmark, by_rnnbench, work  # noqa: E402
from others.outcome import CaseOutcome, Outcome, Session, load, save  # noqa: E402
from others.plan import AGAIN, BASE, Batch, dealt, order_of, shapes_of, sides_of  # noqa: E402
from others.table import false_alarms, found, to_markdown  # noqa: E402

LOOP = "python_loop-rnn_tanh-inference-T10-B1-I64-H128-L1-time_major-float32-cpu-t1"
LAYER = "nn_rnn-rnn_tanh-inference-T10-B1-I64-H128-L1-time_major-float32-cpu-t1"

PYTEST_BENCHMARK_5_3_1 = f"""\
Saved benchmark data in: /tmp/x/Linux-CPython-3.11-64bit/0003_5.json

------------------------------------- benchmark: 4 tests -------------------------------------
Name (time in us)                                       Min              Median            Rounds
test_case[{LAYER}] (0001_base)           73.0590 (1.0)       87.2600 (1.13)        437
test_case[{LAYER}] (NOW)                 74.5110 (1.02)      77.1350 (1.0)         471

--------------------------------------------------------------------------------
Performance has regressed:
\ttest_case[{LOOP}] (0001_base) - Field 'median' has failed PercentageRegressionCheck: \
6.162168045 > 5.000000000
\ttest_case[{LAYER}] (0001_base) - Field 'median' has failed PercentageRegressionCheck: \
7.000000000 > 5.000000000
\ttest_case[{LAYER}] (0001_base) - Field 'min' has failed PercentageRegressionCheck: \
5.100000000 > 5.000000000
--------------------------------------------------------------------------------
Traceback (most recent call last):
  File "pytest_benchmark/session.py", line 260, in check_regressions
pytest_benchmark.session.PerformanceRegression: Performance has regressed.
"""

PYPERF_2_10_0 = """\
Slower (2):
- case-a: 1.00 ms +- 0.01 ms -> 1.10 ms +- 0.01 ms: 1.10x slower
- case-d: 100 us +- 1 us -> 103 us +- 1 us: 1.03x slower

Faster (1):
- case-c: 2.00 ms +- 0.02 ms -> 1.80 ms +- 0.02 ms: 1.11x faster

Benchmark hidden because not significant (2): case-b, case-e

Geometric mean: 1.00x slower
"""

ASV_0_6_6 = f"""\

All benchmarks:

| Change   | Before [0d17abd5] <main~2>   | After [1eb9fa11] <main>   | Ratio   | \
Benchmark (Parameter)                                                                          |
|----------|------------------------------|---------------------------|---------|-------------|
|          | 766±300μs                    | 536±60μs                  | ~0.70   | \
layer.time_case('{LAYER}')      |
| +        | 971±2μs                      | 1.04±0.1ms                | 1.07    | \
layer.time_case('{LOOP}') |
| -        | 971±2μs                      | 900±2μs                   | 0.93    | \
layer.time_case('third') |
| !        | 971±2μs                      | failed                    | n/a     | \
layer.time_case('fourth') |
"""


@pytest.fixture
def script():
    """The script itself, anew for each test."""
    spec = importlib.util.spec_from_file_location("others_script", NOISE / "others.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outcome_of(case="a", **verdicts):
    """A case with one rule; its verdicts are by side."""
    sides = [BASE, *verdicts]
    return CaseOutcome(
        case,
        dict.fromkeys(sides, 1e-3),
        dict.fromkeys(sides, 2.0),
        {"rule": verdicts},
    )


def session_of(tool="tool", batch=0, cases=(), **changes):
    values = {
        "tool": tool,
        "version": "1.0",
        "batch": batch,
        "started_at": "2026-01-01T00:00:00+00:00",
        "wall": 30.0,
        "load": {"others_share": 0.25},
        "cases": tuple(cases),
    }
    return Session(**{**values, **changes})


SETTINGS = {"seconds": 2.0, "planted": [0.05], "core": 0, "batches": [["a"]]}
MACHINE = {"cpu": "Synthetic CPU", "cores": 2, "python": "3.11.7", "torch": "2.13.0+cpu"}


class TestPytestBenchmark:
    def test_every_regression_that_it_lists_is_read_with_its_rule(self):
        assert by_pytest_benchmark.regressions_in(PYTEST_BENCHMARK_5_3_1) == {
            (LOOP, "median:5%"),
            (LAYER, "median:5%"),
            (LAYER, "min:5%"),
        }

    def test_a_run_without_regression_has_none(self):
        said = PYTEST_BENCHMARK_5_3_1.partition("Performance has regressed")[0]
        assert by_pytest_benchmark.regressions_in(said) == set()

    def test_names_of_sides_are_names_of_files_of_their_own(self):
        sides = sides_of([0.03, 0.05, 0.10])
        names = [by_pytest_benchmark._file_name(side) for side in sides]
        assert names == ["base", "again", "3", "5", "10"]


class TestPyperf:
    def test_every_case_has_the_verdict_under_which_it_is_listed(self):
        assert by_pyperf.verdicts_in(PYPERF_2_10_0) == {
            "case-a": "slower",
            "case-b": "not significant",
            "case-c": "faster",
            "case-d": "slower",
            "case-e": "not significant",
        }

    def test_what_is_read_is_what_the_installed_one_prints(self, tmp_path):
        pytest.importorskip("pyperf", reason="pyperf is needed for the comparison alone")
        base, new = tmp_path / "base.json", tmp_path / "new.json"
        for file, changed in ((base, 1.0), (new, 1.1)):
            values = {"case-a": 1e-3 * changed, "case-b": 1e-3}
            file.write_text(json.dumps(pyperf_file(values)))
        command = [sys.executable, "-m", "pyperf", "compare_to", "-G", str(base), str(new)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert by_pyperf.verdicts_in(said) == {"case-a": "slower", "case-b": "not significant"}

    def test_times_and_seconds_are_taken_from_its_file(self, tmp_path):
        file = tmp_path / "base.json"
        file.write_text(json.dumps(pyperf_file({"case-a": 1e-3})))
        found = by_pyperf._stats(file)["case-a"]
        assert found["median"] == pytest.approx(1.001e-3)
        # Three processes of four loops, one value to warm up that took half as long again.
        seconds = 4 * sum(v * (1.5 + 1 + 1.01 + 0.99) for v in (1e-3, 1.001e-3, 1.002e-3))
        assert found["measured"] == pytest.approx(seconds)

    def test_as_many_processes_as_fill_the_seconds(self):
        assert [by_pyperf.processes_for(seconds) for seconds in (0.3, 2.0, 4.0, 8.0)] == [
            2,
            5,
            10,
            20,
        ]


def pyperf_file(values):
    """A file of pyperf with three processes for each case."""
    return {
        "version": "1.0",
        "metadata": {},
        "benchmarks": [
            {
                "runs": [
                    {
                        "metadata": {"loops": 4, "name": name, "unit": "second"},
                        "warmups": [[4, value * 1.5]],
                        "values": [value, value * 1.01, value * 0.99],
                    }
                    for value in (middle, middle * 1.001, middle * 1.002)
                ]
            }
            for name, middle in values.items()
        ],
    }


class TestAsv:
    def test_every_case_has_the_verdict_of_its_mark(self):
        assert by_asv.verdicts_in(ASV_0_6_6) == {
            LAYER: "not changed",
            LOOP: "slower",
            "third": "faster",
            "fourth": "failing",
        }

    def test_times_and_seconds_are_taken_from_its_file(self, tmp_path):
        folder = tmp_path / "results" / "machine"
        folder.mkdir(parents=True)
        columns = ["result", "params", "version", "stats_number", "stats_repeat"]
        values = [[1e-3, 2e-3], [["'a'", "'b'"]], "abc", [10, 5], [90, 80]]
        content = {"result_columns": columns, "results": {"layer.time_case": values}}
        (folder / "01234567-present-py3.11.json").write_text(json.dumps(content))
        assert by_asv._stats(tmp_path, "0123456789") == {
            "a": {"result": 1e-3, "measured": pytest.approx(0.9)},
            "b": {"result": 2e-3, "measured": pytest.approx(0.8)},
        }


class TestPlan:
    def test_sides_are_the_base_the_same_again_and_each_share_once(self):
        assert [(side.name, side.share) for side in sides_of([0.1, 0.05, 0.1])] == [
            (BASE, 0.0),
            (AGAIN, 0.0),
            ("5 %", 0.05),
            ("10 %", 0.1),
        ]

    def test_the_quick_grid_has_24_cases_that_every_tool_can_time(self):
        shapes = shapes_of(
            "quick",
            ["nn_rnn", "python_loop", "hoisted_loop"],
            ["inference", "forward_backward"],
            None,
        )
        assert [len(shape) for shape in shapes] == [6, 6, 6, 6]
        assert {case.threads for shape in shapes for case in shape} == {1}

    def test_a_pass_that_prepares_outside_of_its_time_is_refused(self):
        with pytest.raises(UserError, match="'backward' cannot be timed by every tool; use inf"):
            shapes_of("quick", ["nn_rnn"], ["inference", "backward"], None)

    def test_shapes_are_dealt_out_in_turn_and_none_is_lost(self):
        shapes = [[Case(batch=batch)] for batch in (1, 2, 3, 4, 5)]
        batches = dealt(shapes, 2)
        assert [[case.batch for case in batch] for batch in batches] == [[1, 3, 5], [2, 4]]

    @pytest.mark.parametrize("batches", [0, 3])
    def test_more_batches_than_shapes_are_refused(self, batches):
        with pytest.raises(UserError, match=f"--batches is {batches}, and there are 2 shapes"):
            dealt([[Case()], [Case(batch=1)]], batches)

    def test_tools_are_as_often_first_as_last_over_two_batches(self):
        orders = [order_of(["a", "b", "c", "d"], batch) for batch in range(8)]
        assert orders[:4] == [
            ["a", "b", "c", "d"],
            ["d", "c", "b", "a"],
            ["b", "c", "d", "a"],
            ["a", "d", "c", "b"],
        ]
        places = {tool: [order.index(tool) for order in orders] for tool in "abcd"}
        assert {sum(found) for found in places.values()} == {12}


class TestTheCallable:
    def test_is_the_pass_of_the_layer_and_the_planted_one_gives_the_same(self):
        import torch

        case = Case(implementation="python_loop", pass_="inference", seq_len=3, batch=2)
        plain, slowed = work.build(case, 0.0), work.build(case, 0.5)
        assert type(slowed).__name__ == "Slowed" and type(plain).__name__ == "Inference"
        with plain.context():
            expected = work.build(dataclasses.replace(case, implementation="nn_rnn"), 0.0).run(None)
            for timed in (plain, slowed):
                for ours, theirs in zip(timed.run(timed.prepare()), expected, strict=True):
                    torch.testing.assert_close(ours, theirs)
        assert work.typical_seconds(plain) > 0

    def test_processes_get_their_cases_and_share_from_the_environment(self, tmp_path, monkeypatch):
        cases = (Case(batch=1), Case(batch=2))
        batch = Batch(cases, sides_of([0.05]), 1.0, 0, tmp_path)
        variables = batch.variables(batch.sides[2])
        for name in (work.CASES_VARIABLE, work.SHARE_VARIABLE):
            monkeypatch.setenv(name, variables[name])
        assert work.given_cases() == list(cases)
        assert work.given_share() == 0.05
        assert variables["OMP_NUM_THREADS"] == "1"


class TestRnnbench:
    def test_its_grid_holds_these_cases_and_no_other(self, tmp_path):
        shapes = shapes_of("quick", ["nn_rnn", "python_loop"], ["inference"], None)
        cases = tuple(case for shape in shapes for case in shape)
        grid = tmp_path / "grid.toml"
        grid.write_text(by_rnnbench.grid_of(cases))
        axes = {"implementation": ["nn_rnn", "python_loop"], "threads": [1]}
        assert load_grid(grid).override(axes).cases() == sorted(cases)

    def test_its_verdicts_times_and_seconds_are_taken_from_its_result(self, tmp_path):
        slower = name_of_planted(0.1)
        entries = planted({1: 1.0, 2: 1.0}, environments=(SAME, AGAIN_THERE), seconds=1e-3)
        entries += [
            dataclasses.replace(
                entry,
                case=dataclasses.replace(entry.case, environment=slower),
                seconds=entry.seconds * 1.1,
            )
            for entry in entries
            if entry.case.environment == SAME
        ]
        names = [SAME, AGAIN_THERE, slower]
        content = document(
            entries,
            noise=QUIET,
            replicates=8,
            environments={name: environment() for name in names},
        )
        outcomes = by_rnnbench.outcomes_of(
            read([str(write(tmp_path / "noise.json", content))]), [0.1]
        )
        assert len(outcomes) == 2
        for outcome in outcomes:
            assert outcome.verdicts == {"noise": {AGAIN: "same", "10 %": "slower"}}
            assert outcome.times[BASE] == pytest.approx(1e-3, rel=0.02)
            assert outcome.times["10 %"] == pytest.approx(1.1e-3, rel=0.02)
            # 8 processes, 5 blocks, 8 rounds and two to warm up, which took 1.5 and 1.1 times as
            # long.
            assert outcome.measured[BASE] == pytest.approx(8 * 5 * 10.6e-3, rel=0.05)
            assert "@" not in outcome.case


class TestOutcome:
    def test_what_is_saved_is_what_is_read(self, tmp_path):
        outcome = Outcome(SETTINGS, MACHINE).with_session(
            session_of(cases=[outcome_of(**{AGAIN: "slower"})])
        )
        file = tmp_path / "others.json"
        save(outcome, file)
        assert load(file) == outcome
        assert [path.name for path in tmp_path.iterdir()] == ["others.json"]

    def test_nothing_is_read_where_nothing_is(self, tmp_path):
        assert load(tmp_path / "others.json") is None

    @pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}', '{"format": 1, "sessions": []}'])
    def test_another_file_is_refused(self, tmp_path, text):
        file = tmp_path / "others.json"
        file.write_text(text)
        with pytest.raises(UserError, match="others.json: .*; give another file"):
            load(file)

    def test_a_folder_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(UserError, match="--output .*cannot be written"):
            save(Outcome(SETTINGS, MACHINE), tmp_path / "none" / "others.json")


class TestTable:
    CASES = (
        outcome_of("a", **{AGAIN: "slower", "5 %": "slower"}),
        outcome_of("b", **{AGAIN: "faster", "5 %": "faster"}),
        outcome_of("c", **{AGAIN: "same", "5 %": "not significant"}),
        outcome_of("d", **{AGAIN: "not regressed", "5 %": "slower"}),
    )

    def test_false_alarms_are_changes_in_either_direction(self):
        assert false_alarms(self.CASES, "rule") == "2/4 50.0 % [6.8, 93.2], 1 slower"

    def test_only_slower_is_found(self):
        assert found(self.CASES, "rule", "5 %") == "2/4 50.0 % [6.8, 93.2]"

    def test_cases_that_were_not_compared_do_not_count(self):
        cases = (*self.CASES, outcome_of("e", **{AGAIN: "failing", "5 %": "missing"}))
        assert false_alarms(cases, "rule").startswith("2/4")
        assert found(cases, "rule", "5 %").startswith("2/4")

    def test_of_nothing_it_says_so(self):
        assert found((), "rule", "5 %") == "none"

    def test_a_row_for_each_rule_of_each_tool_that_was_measured(self):
        outcome = Outcome(SETTINGS, MACHINE)
        for batch, cases in enumerate((self.CASES[:2], self.CASES[2:])):
            outcome = outcome.with_session(session_of(batch=batch, cases=cases))
        text = to_markdown(outcome, {"tool": {"rule": "`tool compare`"}, "other": {"rule": "x"}})
        lines = text.splitlines()
        assert lines[0] == "| tool and rule | false alarms | 5 % found | measured, s | in all, s |"
        # Two sessions of 30 s, four cases of three sides each.
        assert lines[2] == (
            "| tool 1.0, `tool compare` | 2/4 50.0 % [6.8, 93.2], 1 slower | "
            "2/4 50.0 % [6.8, 93.2] | 2.0 | 5.0 |"
        )
        assert lines[3] == ""
        assert "2 s were asked of each tool for each case and side" in text
        assert "25 % (tool)" in text


@pytest.fixture
def fakes(script, monkeypatch, tmp_path):
    """Two tools that measure nothing and say what they were asked."""
    asked = []

    def fake(name):
        def measure(batch):
            asked.append((name, [case.batch for case in batch.cases]))
            sides = {side.name: "same" for side in batch.changed}
            return [outcome_of(case.id, **sides) for case in batch.cases]

        return SimpleNamespace(
            NAME=name, PACKAGE="pytest", RULES={"rule": "as it is"}, measure=measure
        )

    monkeypatch.setattr(script, "TOOLS", {name: fake(name) for name in ("one", "two")})
    monkeypatch.setenv("RNNBENCH_LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr(script.os, "sched_setaffinity", lambda *_: None)
    return asked


def run(script, capsys, *arguments):
    try:
        script.main([str(argument) for argument in arguments])
        status = 0
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return status, said.out, said.err


OPTIONS = ("--implementation=nn_rnn", "--pass=inference", "--planted=5%", "--shapes=2")


class TestScript:
    def test_each_tool_has_its_turn_in_each_batch_the_second_time_backwards(
        self, script, fakes, capsys, tmp_path
    ):
        file = tmp_path / "others.json"
        status, said, _ = run(script, capsys, *OPTIONS, "--tool=one,two", f"--output={file}")
        assert status == 0
        assert [name for name, _ in fakes] == ["one", "two", "two", "one"]
        assert fakes[0][1] == fakes[1][1] != fakes[2][1] == fakes[3][1]
        assert said.count("| one") == 1 and said.count("0/2") == 4

    def test_a_run_that_was_killed_goes_on_where_it_was(self, script, fakes, capsys, tmp_path):
        file = tmp_path / "others.json"
        arguments = (*OPTIONS, "--tool=one,two", f"--output={file}")
        run(script, capsys, *arguments)
        whole = load(file)
        save(dataclasses.replace(whole, sessions=whole.sessions[:2]), file)
        fakes.clear()
        run(script, capsys, *arguments)
        assert [name for name, _ in fakes] == ["two", "one"]
        assert [(s.tool, s.batch) for s in load(file).sessions] == [
            ("one", 0),
            ("two", 0),
            ("two", 1),
            ("one", 1),
        ]

    def test_a_file_of_other_options_is_refused_and_left_alone(
        self, script, fakes, capsys, tmp_path
    ):
        file = tmp_path / "others.json"
        run(script, capsys, *OPTIONS, "--tool=one", f"--output={file}")
        before = file.read_bytes()
        status, _, error = run(
            script, capsys, *OPTIONS, "--tool=one", f"--output={file}", "--seconds=3"
        )
        assert status == 2 and "holds what was measured with other options" in error
        assert file.read_bytes() == before

    def test_a_tool_that_is_not_installed_is_named_with_what_installs_it(
        self, script, capsys, monkeypatch, tmp_path
    ):
        def version(name):
            raise PackageNotFoundError(name)

        monkeypatch.setattr(script.importlib.metadata, "version", version)
        status, _, error = run(script, capsys, "--tool=asv", f"--output={tmp_path / 'x.json'}")
        assert status == 2
        assert error.startswith("asv is not installed here; `pip install asv pyperf`")

    def test_the_table_is_put_at_the_mark_of_its_file(
        self, script, fakes, capsys, tmp_path, monkeypatch
    ):
        page = tmp_path / "README.md"
        kept = "before\n<!-- others -->\nfirst\n<!-- /others -->\n"
        page.write_text(f"{kept}<!-- again -->\nold\n<!-- /again -->\nafter\n")
        monkeypatch.setattr(script, "README", page)
        file = tmp_path / "again.json"
        run(script, capsys, *OPTIONS, "--tool=one", f"--output={file}")
        assert "old" in page.read_text()
        status, said, _ = run(script, capsys, "--table", f"--output={file}")
        text = page.read_text()
        assert status == 0 and said.strip() in text and "old" not in text
        assert text.startswith(f"{kept}<!-- again -->\n| tool") and text.endswith("after\n")
        status, _, error = run(script, capsys, "--table", f"--output={file.rename(tmp_path / 'x')}")
        assert status == 2 and error == (
            "README.md has no mark <!-- x --> to put the table at; add it\n"
        )

    @pytest.mark.parametrize(
        ("option", "said"),
        [
            ("--tool=hyperfine", "--tool 'hyperfine' is not known; there is: pytest-benchmark"),
            ("--core=9999", "--core 9999 may not be used"),
            ("--planted=much", "--planted 'much' is no share"),
            ("--table", "nothing has been measured yet; leave --table out"),
        ],
    )
    def test_wrong_input_is_one_sentence(self, script, capsys, tmp_path, option, said):
        arguments = ["--tool=rnnbench", f"--output={tmp_path / 'x.json'}", option]
        status, _, error = run(script, capsys, *arguments)
        assert status == 2 and said in error and error.count("\n") == 1
