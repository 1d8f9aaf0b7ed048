"""Instructions have a threshold of their own, and stand beside the times that they contradict."""

import json

import pandas as pd
import pytest

from rnnbench.cases import Case
from rnnbench.cli import main
from rnnbench.regressions.compare import compare
from rnnbench.regressions.instruction_section import report_sections
from rnnbench.regressions.instructions import (
    Counted,
    instruction_changes,
    said_of_instructions,
)
from rnnbench.regressions.sides import read_sides
from rnnbench.report.render import to_text
from rnnbench.results import read
from tests.synthetic import Planted, document, environment, write

SETTINGS = [(name, hidden) for name in ("nn_rnn", "python_loop") for hidden in (64, 128, 256)]
CASES = {
    side: [
        Case(implementation=name, hidden_size=hidden, environment=side) for name, hidden in SETTINGS
    ]
    for side in ("old", "new")
}


def counted(tmp_path, ratios, *, slower=1.0):
    """One run with two environments, whose instructions differ by the ratio of each case."""
    planted = [Planted(case, 2e-3) for case in CASES["old"]]
    planted += [Planted(case, 2e-3 * slower) for case in CASES["new"]]
    content = document(
        planted,
        replicates=6,
        environments={name: environment() for name in ("old", "new")},
    )
    for entry in content["benchmarks"]:
        ours = entry["extra_info"]["rnnbench"]
        where, setting = (
            ours["case"]["environment"],
            (ours["case"]["implementation"], ours["case"]["hidden_size"]),
        )
        ratio = ratios[SETTINGS.index(setting)]
        if ratio is not None:
            number = round(1_000_000 * (ratio if where == "new" else 1))
            ours["instructions"] = {"instructions": number, "counts": [number]}
    return write(tmp_path / "r.json", content)


def changes(file, margin=0.005):
    return instruction_changes(compare(read_sides(f"{file}@old", f"{file}@new")), margin)


def command(capsys, *arguments):
    """Run `rnnbench compare`; returns its status and what it printed."""
    with pytest.raises(SystemExit) as ended:
        main(["compare", *arguments])
    return int(ended.value.code or 0), capsys.readouterr().out


class TestChanges:
    def test_only_what_is_beyond_the_margin_is_a_change(self, tmp_path):
        file = counted(tmp_path, [1.0, 1.004, 0.996, 1.01, 0.98, 1.2])
        found = changes(file)
        assert [one.change for one in found] == ["more", "fewer", "more", "same", "same", "same"]
        assert found[0].ratio == pytest.approx(1.2)

    def test_the_margin_is_its_own(self, tmp_path):
        file = counted(tmp_path, [1.01] * 6)
        assert {one.change for one in changes(file, 0.02)} == {"same"}
        assert {one.change for one in changes(file, 0.005)} == {"more"}

    def test_a_planted_per_cent_is_found_in_every_run_and_nothing_else(self, tmp_path):
        """Counts of equal code differ by 0.06 %, as they were seen to."""
        import random

        random.seed(1)
        for _ in range(20):
            noisy = [random.gauss(1, 0.0006) for _ in range(3)]
            file = counted(tmp_path, [*(n * 1.01 for n in noisy), *noisy])
            found = changes(file)
            assert sorted(one.change for one in found) == ["more"] * 3 + ["same"] * 3

    def test_what_was_counted_on_no_side_is_left_out(self, tmp_path):
        assert changes(counted(tmp_path, [None] * 6)) == []
        assert len(changes(counted(tmp_path, [1.0] * 5 + [None]))) == 5


class TestChannels:
    @pytest.mark.parametrize(
        ("change", "verdict", "disagrees"),
        [
            ("more", "slower", False),
            ("fewer", "faster", False),
            ("same", "same", False),
            ("more", "inconclusive", False),
            ("more", None, False),
            ("fewer", "slower", True),
            ("more", "faster", True),
            ("same", "slower", True),
            ("more", "same", True),
        ],
    )
    def test_they_disagree_where_both_are_sure_of_different_things(
        self, change, verdict, disagrees
    ):
        assert Counted(0, 100, 100, change, verdict).disagrees is disagrees

    def test_it_is_said_what_instructions_leave_out(self):
        (said,) = said_of_instructions([Counted(0, 100, 110, "more", "slower")], 0.005)
        assert said.startswith("Instructions of 1 case: 1 more, 0 fewer by over 0.5 %.")
        assert "They are no time: they leave out caches" in said
        _, apart = said_of_instructions([Counted(0, 100, 110, "more", "faster")], 0.005)
        assert apart.startswith("Time and instructions disagree in 1 of them")


class TestCommand:
    def test_both_channels_stand_beside_each_other(self, tmp_path, capsys):
        file = counted(tmp_path, [1.0] * 3 + [1.02] * 3, slower=1.3)
        sides = (f"{file}@old", f"{file}@new")
        status, out = command(capsys, *sides)
        assert status == 0
        assert "Instructions, new against base" in out and "1.0200" in out
        assert "Time and instructions disagree in 3 of them" in " ".join(out.split())
        _, text = command(capsys, *sides, "--format=json")
        records = json.loads(text)["instructions"]
        assert [record["change"] for record in records] == ["more"] * 3 + ["same"] * 3
        assert records[0]["verdict"] == "slower" and records[0]["disagrees"] is False
        _, markdown = command(capsys, *sides, "--format=markdown")
        assert "Instructions, new against base" in markdown

    def test_more_instructions_can_fail_a_job(self, tmp_path, capsys):
        more = counted(tmp_path, [1.01] * 6)
        sides = (f"{more}@old", f"{more}@new")
        assert command(capsys, *sides, "--fail-on=instructions")[0] == 1
        wide = (*sides, "--fail-on=instructions", "--instructions-margin=2%")
        assert command(capsys, *wide)[0] == 0

    def test_without_counts_nothing_is_said_of_them(self, tmp_path, capsys):
        file = counted(tmp_path, [None] * 6)
        _, out = command(capsys, f"{file}@old", f"{file}@new")
        assert "nstructions" not in out
        _, text = command(capsys, f"{file}@old", f"{file}@new", "--format=json")
        assert "instructions" not in json.loads(text)


def with_functions(file, sides):
    """The same file, whose cases have these functions in each environment."""
    content = json.loads(file.read_text())
    for entry in content["benchmarks"]:
        ours = entry["extra_info"]["rnnbench"]
        ours["instructions"]["functions"] = [
            {"name": name, "instructions": number}
            for name, number in sides[ours["case"]["environment"]].items()
        ]
    return write(file, content)


class TestFunctions:
    OLD = {
        "sgemm [libmkl.so.1]": 600_000,
        "at::add(at::Tensor const&) [libtorch_cpu.so]": 50_000,
        "dict_get.part.0 [libpython3.11.so.1.0]": 20_000,
        "gomp_loop [libgomp-a34b3233.so.1.0.0]": 30_000,
        "0x0000000000012340 [libmkl.so.1]": 10_000,
        "0x0000000000056780 [libmkl.so.1]": 5_000,
        "at::gone() [libtorch_cpu.so]": 4_000,
    }
    NEW = {
        "sgemm [libmkl.so.1]": 600_000,
        "at::add(at::Tensor const&) [libtorch_cpu.so]": 80_000,
        "dict_get.isra.1 [libpython3.11.so.1.0]": 10_000,
        "dict_get [libpython3.11.so.1.0]": 10_000,
        "gomp_loop [libgomp-00112233.so.1.0.0]": 30_000,
        "0x0000000000099990 [libmkl.so.1]": 15_000,
        "at::come() [libtorch_cpu.so]": 9_000,
    }

    def test_those_that_differ_by_names_that_both_sides_have(self, tmp_path):
        file = with_functions(counted(tmp_path, [1.035] * 6), {"old": self.OLD, "new": self.NEW})
        one = changes(file)[0]
        assert [(each.name, each.base, each.new) for each in one.functions] == [
            ("at::add(at::Tensor const&) [libtorch_cpu.so]", 50_000, 80_000),
            ("at::come() [libtorch_cpu.so]", None, 9_000),
            ("at::gone() [libtorch_cpu.so]", 4_000, None),
        ]
        assert [each.difference for each in one.functions] == [30_000, 9_000, -4_000]
        assert [each.below for each in one.functions[1:]] == [4_000, 9_000]

    def test_where_one_side_names_none_none_are_compared(self, tmp_path):
        file = with_functions(counted(tmp_path, [1.035] * 6), {"old": {}, "new": self.NEW})
        assert {len(one.functions) for one in changes(file)} == {0}

    def test_what_is_no_count_is_no_function(self, tmp_path):
        file = counted(tmp_path, [1.0] * 6)
        content = json.loads(file.read_text())
        functions = [
            {"name": "f [a.so]", "instructions": 5},
            {"name": "f [a.so]", "instructions": 6},
            {"name": "g [a.so]", "instructions": -1},
            {"name": "h [a.so]", "instructions": 2**80},
            {"name": None, "instructions": 5},
            {"instructions": 5},
            "nothing",
        ]
        content["benchmarks"][0]["extra_info"]["rnnbench"]["instructions"]["functions"] = functions
        content["benchmarks"][1]["extra_info"]["rnnbench"]["instructions"] = {
            "instructions": 2**80,
            "functions": "none",
        }
        found = read([str(write(file, content))])
        assert found.functions == {0: {"f [a.so]": 11}}
        assert pd.isna(found.frame.at[1, "instructions"])

    def test_they_are_named_with_their_counts_on_both_sides(self, tmp_path, capsys):
        ratios = [1.0, 1.0, 1.0, 1.0, 1.0, 1.035]
        file = with_functions(counted(tmp_path, ratios), {"old": self.OLD, "new": self.NEW})
        sides = (f"{file}@old", f"{file}@new")
        _, markdown = command(capsys, *sides, "--format=markdown")
        assert "They are no time: they leave out caches" in markdown
        assert "<summary>Instructions of 5 without news</summary>" in markdown
        (row,) = [line for line in markdown.splitlines() if line.startswith("| at::add")]
        assert "50,000 | 80,000 | +30,000 | 86 % |" in row
        assert "below 4,000 | 9,000 | +9,000" in markdown
        assert "4,000 | below 9,000 | -4,000" in markdown.replace("\\", "")
        assert "All others together: +0" in markdown.replace("\\", "")
        _, text = command(capsys, *sides, "--format=json")
        first, *others = json.loads(text)["instructions"]
        assert first["functions"][0] == {
            "name": "at::add(at::Tensor const&) [libtorch_cpu.so]",
            "base_instructions": 50_000,
            "new_instructions": 80_000,
            "difference": 30_000,
        }
        assert {len(other["functions"]) for other in others} == {0}
        _, out = command(capsys, *sides)
        assert "Functions: python_loop-rnn_tanh" in out and "changed most" in out

    def test_long_names_keep_their_file(self, tmp_path, capsys):
        old = {f"call<{'x' * 500}> [libtorch_cpu.so]": 50_000, "a [b.so]": 1_000}
        new = {name: 2 * number for name, number in old.items()}
        file = with_functions(counted(tmp_path, [2.0] * 6), {"old": old, "new": new})
        _, markdown = command(capsys, f"{file}@old", f"{file}@new", "--format=markdown")
        assert "xxx… &#91;libtorch_cpu.so" in markdown and "x" * 100 not in markdown


class TestSection:
    def test_a_report_of_two_environments_shows_both_channels(self, tmp_path):
        file = counted(tmp_path, [1.0] * 3 + [1.02] * 3, slower=1.3)
        (section,) = report_sections(read([str(file)]))
        first, second = section.sentences
        assert first.startswith("new against old: Instructions of 6 cases: 3 more, 0 fewer")
        assert "leave out caches" in first
        assert "Time and instructions disagree in 3 of them" in second
        (table,) = section.tables
        assert table.name == "instructions_1" and len(table.rows) == 6
        text = to_text(table, 250)
        assert text.count("disagree") == 3 and "1.0200" in text and "1.3" in text

    def test_without_counts_or_with_one_environment_there_is_none(self, tmp_path):
        assert report_sections(read([str(counted(tmp_path, [None] * 6))])) == ()
        alone = document(
            [Planted(case, 2e-3) for case in CASES["old"]], environments={"old": environment()}
        )
        for entry in alone["benchmarks"]:
            entry["extra_info"]["rnnbench"]["instructions"] = {"instructions": 1000}
        assert report_sections(read([str(write(tmp_path / "a.json", alone))])) == ()

    def test_it_is_in_the_report_of_the_command_line(self, tmp_path, capsys):
        file = counted(tmp_path, [1.02] * 6)
        with pytest.raises(SystemExit):
            main(["report", str(file), "--output", str(tmp_path / "report")])
        page = (tmp_path / "report" / "index.html").read_text()
        assert "Instructions beside times" in page
        assert "Instructions, new against base (new against old)" in page
