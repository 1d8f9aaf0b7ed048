"""The table at the end: digits that an interval supports, and a line for all that is missing."""

import dataclasses

import pytest

from rnnbench.bounds import bound_of
from rnnbench.cases import Case
from rnnbench.measuring.engine import CaseRun
from rnnbench.measuring.summary import summary_lines
from rnnbench.numbers import format_interval, format_seconds
from tests.synthetic import ceiling, least

CASE = Case(seq_len=10, batch=5, input_size=4, hidden_size=8, pass_="inference")


def measured(implementation="nn_rnn", *per_process, case=CASE, **columns) -> CaseRun:
    """A run with one block of equal rounds for each process."""
    case = dataclasses.replace(case, implementation=implementation, **columns)
    blocks = [
        {"replicate": replicate, "turn": replicate, "rounds": [seconds] * 4, "seconds": 1.0}
        for replicate, seconds in enumerate(per_process)
    ]
    return CaseRun(case, blocks=blocks)


def missing(implementation, status, reason, **columns) -> CaseRun:
    case = dataclasses.replace(CASE, implementation=implementation, **columns)
    return CaseRun(case, status=status, reason=reason)


class TestFormat:
    @pytest.mark.parametrize(
        ("value", "low", "high", "time", "interval"),
        [
            (1.2345, 1.2, 1.3, "1.234 s", "[1.200, 1.300]"),
            (0.0123456, 0.01, 0.0146, "12.3 ms", "[10.0, 14.6]"),
            (0.0123456, 0.0123, 0.0124, "12.346 ms", "[12.300, 12.400]"),
            (21.17e-6, 20.92e-6, 21.43e-6, "21.17 µs", "[20.92, 21.43]"),
            (89e-6, 50e-6, 120e-6, "89 µs", "[50, 120]"),
            (500e-9, 400e-9, 600e-9, "500 ns", "[400, 600]"),
            (0.5e-9, 0.4e-9, 0.6e-9, "0.50 ns", "[0.40, 0.60]"),
            (2.0, 2.0, 2.0, "2.000 s", "[2.000, 2.000]"),
        ],
    )
    def test_digits_follow_the_interval(self, value, low, high, time, interval):
        assert format_seconds(value, low, high) == time
        assert format_interval(value, low, high) == interval

    def test_without_replicates_there_is_no_interval_and_one_digit(self):
        assert format_seconds(0.0123456, None, None) == "12.3 ms"
        assert format_interval(0.0123456, None, None) == "[no replicates]"

    def test_the_interval_keeps_the_unit_of_its_value(self):
        assert format_interval(1.01e-3, 0.9e-3, 1.1e-3) == "[0.90, 1.10]"


class TestTable:
    def test_it_has_each_group_with_its_columns_and_its_fastest_first(self):
        runs = [
            measured("nn_rnn", 2e-3, 2.02e-3, 1.98e-3),
            measured("slow", 8e-3, 8.1e-3, 7.9e-3),
            measured("fast", 1e-3, 1.01e-3, 0.99e-3),
            measured("nn_rnn", 5e-3, 5e-3, 5e-3, batch=7),
        ]
        lines = list(summary_lines(runs, "nn_rnn"))
        assert [line for line in lines if line.startswith("inference")] == [
            "inference: layer rnn_tanh, T=10 B=5 I=4 H=8 L=1, time_major, float32, cpu, 1 thread",
            "inference: layer rnn_tanh, T=10 B=7 I=4 H=8 L=1, time_major, float32, cpu, 1 thread",
        ]
        head, *rows = lines[2:6]
        assert head.split("  ")[1] == "implementation"
        assert "time / nn_rnn" in head
        assert [row.split()[0] for row in rows] == ["fast", "nn_rnn", "slow"]
        assert rows[0].split()[-2:] == ["50", "k"], "10 steps of 5 sequences in 1 ms"

    def test_the_ratio_is_the_cases_time_over_the_baselines(self):
        runs = [measured("nn_rnn", 2e-3, 2e-3, 2e-3), measured("half", 1e-3, 1e-3, 1e-3)]
        _, _, _, half, base = summary_lines(runs, "nn_rnn")
        assert half.split()[-5] == "0.5000" or "0.5000" in half
        assert "[0.5000, 0.5000]" in half
        assert base.split()[:6] == ["nn_rnn", "2.000", "ms", "[2.000,", "2.000]", "1"]

    def test_one_process_has_no_interval_and_says_so(self):
        lines = list(summary_lines([measured("nn_rnn", 2e-3), measured("x", 1e-3)], "nn_rnn"))
        assert lines[3].count("[no replicates]") == 2
        assert "0.50" in lines[3]
        assert lines[4].count("[no replicates]") == 1

    def test_without_the_baseline_there_is_no_ratio(self):
        lines = list(summary_lines([measured("x", 1e-3, 1e-3, 1e-3)], "nn_rnn"))
        assert lines[3].split() == ["x", "1.000", "ms", "[1.000,", "1.000]", "50", "k"]

    def test_environments_are_named_where_there_are_several(self):
        runs = [
            measured("nn_rnn", 2e-3, 2e-3, environment="old"),
            measured("nn_rnn", 1e-3, 1e-3, environment="new"),
        ]
        lines = list(summary_lines(runs, "nn_rnn"))
        assert [line.split()[:3] for line in lines[3:]] == [
            ["nn_rnn", "@", "new"],
            ["nn_rnn", "@", "old"],
        ]
        assert [line.split()[-3] for line in lines[3:]] == ["1", "1"], "each is its own baseline"

    def test_another_environment_is_compared_with_the_first_that_has_the_baseline(self):
        runs = [
            measured("nn_rnn", 2e-3, 2e-3, 2e-3, environment="old"),
            measured("x", 1e-3, 1e-3, 1e-3, environment="new"),
        ]
        (row,) = [line for line in summary_lines(runs, "nn_rnn") if line.startswith("  x @ new")]
        assert "0.5000" in row

    @pytest.mark.parametrize(
        ("columns", "says"),
        [
            ({"bidirectional": True, "num_layers": 2}, "L=2 bidirectional,"),
            ({"threads": 4}, "cpu, 4 threads"),
            ({"seed": 3}, "1 thread, seed 3"),
            ({"dtype": "bfloat16", "device": "cuda:1"}, "bfloat16, cuda:1"),
        ],
    )
    def test_the_title_tells_groups_apart(self, columns, says):
        lines = list(summary_lines([measured("nn_rnn", 1e-3, 1e-3, **columns)], "nn_rnn"))
        assert says in lines[1]

    @pytest.mark.parametrize(
        ("seconds", "says"), [(50e-9, "1 G"), (50e-6, "1 M"), (50e-3, "1 k"), (50.0, "1")]
    )
    def test_rates_have_a_prefix(self, seconds, says):
        lines = list(summary_lines([measured("nn_rnn", seconds, seconds)], "nn_rnn"))
        assert lines[3].endswith(f" {says}")


class TestNotMeasured:
    def test_every_case_without_a_number_is_told_with_its_reason(self):
        runs = [
            measured("nn_rnn", 1e-3, 1e-3),
            missing("scan", "unsupported", "PyTorch 2.4 has no scan"),
            missing("scan", "unsupported", "PyTorch 2.4 has no scan", batch=9),
            missing("bad", "incorrect", "output[0, 0] is 1, the oracle says 2"),
        ]
        lines = list(summary_lines(runs, "nn_rnn"))
        at = lines.index("not measured:")
        assert lines[at + 1 :] == [
            f"  incorrect: bad ({runs[3].case.id}): output[0, 0] is 1, the oracle says 2",
            "  unsupported: scan (2 cases): PyTorch 2.4 has no scan",
        ]
        assert not any("scan" in line for line in lines[:at])

    def test_environments_are_named_where_there_are_several(self):
        runs = [
            missing("scan", "unsupported", "no", environment="old"),
            missing("scan", "crashed", "gone", environment="new"),
        ]
        lines = list(summary_lines(runs, "nn_rnn"))
        assert [line.split(" (")[0] for line in lines[2:]] == [
            "  crashed: scan @ new",
            "  unsupported: scan @ old",
        ]

    def test_where_all_was_measured_there_is_no_such_line(self):
        assert "not measured:" not in list(summary_lines([measured("a", 1e-3, 1e-3)], "a"))

    def test_a_case_that_was_verified_and_not_timed_is_in_no_table(self):
        assert list(summary_lines([measured("nn_rnn")], "nn_rnn")) == []


class TestLimits:
    RUNS = (
        measured("nn_rnn", 2e-3, 2e-3, 2e-3),
        measured("fast", 1e-3, 1e-3, 1e-3),
        measured("scan", 4e-3, 4e-3, 4e-3, batch=7),
    )

    def lines(self, seconds, spread=0.0):
        """The summary where a limit is known for a batch of five."""

        def limit(case):
            found = ceiling(call=seconds / case.seq_len)
            found = dataclasses.replace(
                found, calls=dict.fromkeys(found.calls, least(seconds / case.seq_len, spread))
            )
            return bound_of(case, found) if case.batch == 5 else None

        return list(summary_lines(self.RUNS, "nn_rnn", limit))

    def test_the_share_of_it_stands_last_where_one_is_known(self):
        lines = self.lines(0.5e-3)
        assert lines[2].endswith("  of limit")
        assert lines[3].endswith("  50 %") and lines[4].endswith("  25 %")
        assert not lines[7].endswith("of limit"), "another group"

    def test_a_limit_that_is_beaten_is_called_wrong(self):
        assert "1 of 2 cases are faster than their limit" in self.lines(1.2e-3, 0.1)[-1]
        assert "a defect of the limit" in self.lines(1.2e-3, 0.1)[-1]
        assert "faster" not in self.lines(1.05e-3, 0.1)[-1], "within its interval"

    def test_without_limits_there_is_no_column(self):
        assert not any("of limit" in line for line in summary_lines(self.RUNS, "nn_rnn"))
