"""Ratios: the footing they stand on, and that it is told by what two rows had in common."""

import dataclasses

import pytest

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.report._processes import ratios_of
from rnnbench.report.groups import competitor_labels, groups, setting_text, varying
from rnnbench.report.ratios import PAIRINGS, pairing_of, ratio_of, require_paired
from rnnbench.results import read
from rnnbench.statistics import compare_blocks
from tests import synthetic
from tests.synthetic import Noise, Planted, document, write

CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=5, environment="old")
LOOP = dataclasses.replace(CASE, implementation="python_loop")
NEW = dataclasses.replace(CASE, environment="new")
LAID = dataclasses.replace(CASE, layout="batch_first")
SCAN = dataclasses.replace(CASE, implementation="scan")
ENVIRONMENTS = {"old": synthetic.environment(), "new": synthetic.environment(torch="2.15.0")}


@pytest.fixture
def results(tmp_path):
    quiet = Noise(process=0.05, luck=0.0, drift=0.02, block=0.0, round=0.0)
    planted = [Planted(CASE, 1e-3), Planted(LOOP, 2e-3), Planted(NEW, 3e-3), Planted(LAID, 4e-3)]
    planted = [dataclasses.replace(p, device_seconds=p.seconds / 4) for p in planted[:2]] + planted[
        2:
    ]
    made = document(
        planted,
        noise=quiet,
        environments=ENVIRONMENTS,
        not_measured=[(SCAN, "failed", "x")],
    )
    first = write(tmp_path / "first.json", made)
    second = write(tmp_path / "second.json", document(planted, seed=1, environments=ENVIRONMENTS))
    return read([first, second])


class TestFooting:
    @pytest.mark.parametrize(
        ("new", "expected"),
        [(1, "same process"), (2, "took turns"), (3, "same run"), (5, "separate runs")],
    )
    def test_it_is_what_two_rows_had_in_common(self, results, new, expected):
        assert pairing_of(results, 0, new) == expected
        ratio = ratio_of(results, 0, new)
        assert ratio.pairing == expected
        assert ratio.paired == (expected in ("same process", "took turns"))
        assert expected in PAIRINGS

    def test_rows_of_one_process_cancel_what_is_common(self, results):
        ratio = ratio_of(results, 0, 1)
        # No noise is left but what both share, so the ratio is exact.
        assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2, 2, 2), rel=1e-9)
        assert ratio.verdict == "slower"
        assert ratio.tells_apart

    def test_processes_of_their_own_are_compared_as_sides(self, results):
        sides = [list(results.samples[row].by_replicate().values()) for row in (0, 2)]
        expected = compare_blocks(*sides, warmup_rounds=0)
        ratio = ratio_of(results, 0, 2)
        assert (ratio.value, ratio.low, ratio.high) == (expected.ratio, expected.low, expected.high)

    def test_the_devices_own_clock_can_be_asked(self, results):
        assert ratio_of(results, 0, 1, device=True).value == pytest.approx(2, rel=1e-9)

    def test_a_row_without_a_time_is_a_mistake_of_the_caller(self, results):
        with pytest.raises(ValueError, match="row 4 was not measured"):
            ratio_of(results, 0, 4)

    def test_separate_runs_are_refused_where_pairs_were_asked_for(self, results):
        require_paired(results, [0, 1, 2], "--paired")
        with pytest.raises(UserError, match=r"--paired: .*first\.json and .*second\.json are sep"):
            require_paired(results, [0, 5], "--paired")


class TestGroups:
    def test_competitors_share_all_but_what_sets_them_apart(self, results):
        found = list(groups(results.frame).values())
        assert found == [[0, 1, 2, 4], [3], [5, 6, 7], [8]]
        across = list(groups(results.frame, across_runs=True).values())
        assert across == [[0, 1, 2, 4, 5, 6, 7], [3, 8]]

    def test_labels_say_what_differs_and_no_more(self, results):
        frame = results.frame
        assert competitor_labels(frame.loc[[0]]).tolist() == ["nn_rnn"]
        assert competitor_labels(frame.loc[[0, 2]]).tolist() == ["nn_rnn @ old", "nn_rnn @ new"]
        assert competitor_labels(frame.loc[[0, 5]]).tolist() == [
            "nn_rnn (first)",
            "nn_rnn (second)",
        ]
        assert varying(frame.loc[[0, 1, 3]]) == ["implementation", "layout"]

    def test_a_setting_is_said_in_the_order_of_the_schema(self):
        values = dataclasses.replace(CASE, bidirectional=True).columns()
        names = ["pass", "threads", "seq_len", "batch", "bidirectional", "layout"]
        assert (
            setting_text(values, names) == "forward, T=10 B=4 bidirectional, time_major, 1 thread"
        )


class TestSessions:
    def test_sides_are_compared_within_what_ran_at_one_time(self, tmp_path):
        quiet = Noise(process=0.0, luck=0.01, drift=0.0, block=0.0, round=0.0)
        made = document(
            [Planted(CASE, 1e-3), Planted(NEW, 1.1e-3), Planted(LOOP, 1.2e-3)],
            noise=quiet,
            replicates=16,
            environments=ENVIRONMENTS,
        )
        for benchmark in made["benchmarks"]:
            ours, data = benchmark["extra_info"]["rnnbench"], benchmark["stats"]["data"]
            for block in ours["blocks"]:
                if block["replicate"] >= 8:  # slower then, too little to be a speed of it
                    span = slice(*block["rounds"])
                    data[span] = [1.045 * seconds for seconds in data[span]]
        one = write(tmp_path / "one.json", made)
        sessions = [{"replicates": [0, 8]}, {"replicates": [8, 16]}]
        made["rnnbench"]["sessions"] = sessions
        two = write(tmp_path / "two.json", made)
        widths = {}
        for file in (one, two):
            found = read([file])
            ratio = ratio_of(found, 0, 1)
            (quick,) = ratios_of(found, [(0, 1)])
            assert (quick.low, quick.high) == pytest.approx((ratio.low, ratio.high))
            assert ratio.low <= 1.1 <= ratio.high
            widths[file] = ratio.high / ratio.low - 1
            same = ratio_of(found, 0, 2)
            assert same.processes == 16 and same.high / same.low - 1 < 0.02
        assert widths[two] < 0.03 < widths[one]


def test_variants_of_a_workload_took_turns_and_two_workloads_did_not(tmp_path):
    from rnnbench.report._processes import figures_of

    names = ("training", "training.tbptt", "many_to_many")
    planted = [Planted(dataclasses.replace(CASE, workload=name), 1e-3) for name in names]
    results = read(write(tmp_path / "a.json", document(planted, environments=ENVIRONMENTS)))
    rows = {results.frame.at[row, "workload"]: row for row in results.frame.index}
    plain, variant, other = (rows[name] for name in names)
    for pairing in (lambda *pair: pairing_of(results, *pair), figures_of(results).pairing):
        assert pairing(plain, variant) == "same process"
        assert pairing(plain, other) == "same run"
