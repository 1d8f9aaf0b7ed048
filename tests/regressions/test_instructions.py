"""Instructions have a threshold of their own, and stand beside the times that they contradict."""

import json

import pytest

from rnnbench.cases import Case
from rnnbench.cli import main
from rnnbench.regressions.compare import compare
from rnnbench.regressions.instructions import (
    Counted,
    instruction_changes,
    said_of_instructions,
)
from rnnbench.regressions.sides import read_sides
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
    def run(self, capsys, *arguments):
        with pytest.raises(SystemExit) as ended:
            main(["compare", *arguments])
        return int(ended.value.code or 0), capsys.readouterr().out

    def test_both_channels_stand_beside_each_other(self, tmp_path, capsys):
        file = counted(tmp_path, [1.0] * 3 + [1.02] * 3, slower=1.3)
        sides = (f"{file}@old", f"{file}@new")
        status, out = self.run(capsys, *sides)
        assert status == 0
        assert "Instructions, new against base" in out and "1.0200" in out
        assert "Time and instructions disagree in 3 of them" in " ".join(out.split())
        _, text = self.run(capsys, *sides, "--format=json")
        records = json.loads(text)["instructions"]
        assert [record["change"] for record in records] == ["more"] * 3 + ["same"] * 3
        assert records[0]["verdict"] == "slower" and records[0]["disagrees"] is False
        _, markdown = self.run(capsys, *sides, "--format=markdown")
        assert "Instructions, new against base" in markdown

    def test_more_instructions_can_fail_a_job(self, tmp_path, capsys):
        more = counted(tmp_path, [1.01] * 6)
        sides = (f"{more}@old", f"{more}@new")
        assert self.run(capsys, *sides, "--fail-on=instructions")[0] == 1
        wide = (*sides, "--fail-on=instructions", "--instructions-margin=2%")
        assert self.run(capsys, *wide)[0] == 0

    def test_without_counts_nothing_is_said_of_them(self, tmp_path, capsys):
        file = counted(tmp_path, [None] * 6)
        _, out = self.run(capsys, f"{file}@old", f"{file}@new")
        assert "nstructions" not in out
        _, text = self.run(capsys, f"{file}@old", f"{file}@new", "--format=json")
        assert "instructions" not in json.loads(text)
