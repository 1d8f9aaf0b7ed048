"""The fastest of some rows: who is named, who is tied, and why none is named."""

import dataclasses

import pytest

from rnnbench.cases import Case
from rnnbench.report._processes import ratios_of
from rnnbench.report.ratios import ratio_of
from rnnbench.report.winners import winners_of
from rnnbench.results import read
from tests import synthetic
from tests.synthetic import Noise, Planted, document, write

CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=5)


def named(name, **changes):
    return dataclasses.replace(CASE, implementation=name, **changes)


def made(tmp_path, planted, name="made.json", **options):
    return read(write(tmp_path / name, document(planted, **options)))


THREE = [
    Planted(named("nn_rnn"), 1.2e-3),
    Planted(named("scan"), 1.0e-3),
    Planted(named("python_loop"), 2e-3),
]


class TestNamed:
    def test_is_the_one_that_all_others_are_behind(self, tmp_path):
        found = winners_of(made(tmp_path, THREE), [0, 1, 2])
        assert (found.best, found.named, found.tied, found.reason) == (1, 1, (), None)
        assert [standing.row for standing in found.standings] == [1, 0, 2]
        assert found.standings[0].ratio is None
        assert found.standings[2].ratio.value == pytest.approx(2, rel=0.05)
        assert [standing.behind for standing in found.standings] == [False, True, True]

    def test_is_none_where_the_intervals_cannot_tell(self, tmp_path):
        found = winners_of(made(tmp_path, [*THREE, Planted(named("hoisted_loop"), 1e-3)]), range(4))
        assert {found.best, *found.tied} == {1, 3}
        assert found.named is None
        assert "cannot tell" in found.reason

    def test_is_none_of_one_process(self, tmp_path):
        found = winners_of(made(tmp_path, THREE, replicates=1), [0, 1, 2])
        assert (found.best, found.named) == (1, None)
        assert set(found.tied) == {0, 2}
        assert "too few processes" in found.reason

    def test_is_none_where_they_took_no_turns(self, tmp_path):
        results = made(tmp_path, [*THREE, Planted(named("scan", seq_len=20), 5e-3)])
        found = winners_of(results, [1, 3])
        assert (found.best, found.named, found.tied) == (1, None, ())
        assert "took turns" in found.reason

    def test_is_none_of_one_row_alone_and_of_separate_files(self, tmp_path):
        first = write(tmp_path / "a.json", document(THREE))
        second = write(tmp_path / "b.json", document(THREE, seed=1))
        results = read([first, second])
        alone = winners_of(results, [2])
        assert (alone.best, alone.named) == (2, None)
        assert "nothing else" in alone.reason
        assert winners_of(results, [1, 5]).named is None

    def test_took_turns_in_two_environments_is_good_enough(self, tmp_path):
        cases = [named("scan", environment=e) for e in ("a", "b")]
        results = made(
            tmp_path,
            [Planted(cases[0], 1e-3), Planted(cases[1], 2e-3)],
            environments={e: synthetic.environment() for e in ("a", "b")},
        )
        assert winners_of(results, [0, 1]).named == 0


class TestOrder:
    def test_is_by_ratios_and_not_by_times_that_drifted(self, tmp_path):
        content = document(THREE[:2], noise=Noise(0.0, 0.0, 0.0, 0.0, 0.001))
        # scan misses the slow blocks of the run, so that its median looks worse than it is.
        for benchmark in content["benchmarks"]:
            ours = benchmark["extra_info"]["rnnbench"]
            scan = ours["case"]["implementation"] == "scan"
            data = benchmark["stats"]["data"]
            for index, block in enumerate(ours["blocks"]):
                slow = index // 3 in ((1, 2, 3, 4) if scan else (3, 4))
                for i in range(*block["rounds"]):
                    data[i] = (0.99e-3 if scan else 1e-3) * (1.5 if slow else 1)
        results = read(write(tmp_path / "drift.json", content))
        times = results.frame["time"].tolist()
        assert times[0] < times[1]
        found = winners_of(results, [0, 1])
        assert found.standings[1].ratio.value >= 1

    def test_rows_that_were_not_measured_are_left_out(self, tmp_path):
        results = made(tmp_path, THREE, not_measured=[(named("x"), "failed", "it raised")])
        assert len(winners_of(results, range(4)).standings) == 3
        with pytest.raises(ValueError, match="none of the rows was measured"):
            winners_of(results, [3])


class TestRatiosAtOnce:
    def test_are_those_of_one_at_a_time(self, tmp_path):
        planted = [
            *THREE,
            Planted(named("scan", seq_len=20), 5e-3),
            Planted(named("scan", environment="b"), 1.1e-3),
        ]
        environments = {e: synthetic.environment() for e in ("default", "b")}
        for replicates in (1, 2, 3, 8):
            files = [
                write(
                    tmp_path / f"{replicates}{seed}.json",
                    document(planted, seed=seed, replicates=replicates, environments=environments),
                )
                for seed in (0, 1)
            ]
            results = read(files)
            pairs = [(i, j) for i in range(10) for j in range(10)]
            for (base, new), ratio in zip(pairs, ratios_of(results, pairs)):
                expected = ratio_of(results, base, new)
                assert (ratio.pairing, ratio.processes, ratio.verdict) == (
                    expected.pairing,
                    expected.processes,
                    expected.verdict,
                )
                assert (ratio.low is None) == (expected.low is None) == (replicates == 1)
                for name in ("value", "low", "high") if replicates > 1 else ("value",):
                    assert getattr(ratio, name) == pytest.approx(getattr(expected, name), rel=1e-9)

    def test_use_blocks_and_processes_that_both_have(self, tmp_path):
        content = document(THREE, replicates=4)
        for benchmark in content["benchmarks"][:2]:
            ours = benchmark["extra_info"]["rnnbench"]
            taken = ours["blocks"]
            kept = [b for b in taken if b["replicate"] != 1][:-3]
            ours["blocks"] = kept if benchmark is content["benchmarks"][0] else taken
        path = write(tmp_path / "uneven.json", content)
        # The rounds of blocks that are no longer listed are not to be read either.
        benchmark = content["benchmarks"][0]
        data = benchmark["stats"]["data"]
        joined = []
        for block in benchmark["extra_info"]["rnnbench"]["blocks"]:
            start = len(joined)
            joined += data[slice(*block["rounds"])]
            block["rounds"] = [start, len(joined)]
        benchmark["stats"].update(data=joined, rounds=len(joined))
        results = read(write(path, content))
        ratio, expected = ratios_of(results, [(0, 1)])[0], ratio_of(results, 0, 1)
        assert ratio.processes == expected.processes == 3
        assert ratio.low == pytest.approx(expected.low, rel=1e-12)
