"""The printed numbers of the real result against a calculation of their own from its raw rounds.

Nothing of rnnbench computes here: Python's statistics, scipy's t and the JSON file alone.
"""

import gzip
import json
import math
import re
import statistics
from pathlib import Path

import pytest
from scipy import stats

from rnnbench.report import tables
from rnnbench.report.render import to_csv, to_markdown
from rnnbench.results import read

FILE = Path(__file__).parents[2] / "results" / "cpu-quick" / "quick.json.gz"
SHAPE = ("pass", "seq_len", "batch", "layout", "implementation")
CASES = [
    ("inference", 10, 1, "time_major", "hoisted_loop"),
    ("inference", 10, 32, "time_major", "compiled_loop"),
    ("inference", 10, 32, "batch_first", "torchscript_cell"),
    ("inference", 50, 32, "time_major", "python_loop"),
    ("forward", 10, 1, "time_major", "nn_rnn"),
    ("forward", 10, 32, "time_major", "compiled_cell"),
    ("forward", 50, 32, "time_major", "torchscript_loop"),
    ("backward", 10, 32, "time_major", "compiled_nn_rnn"),
    ("backward", 10, 32, "time_major", "compiled_loop"),
    ("backward", 50, 32, "time_major", "hoisted_loop"),
    ("forward_backward", 10, 1, "time_major", "python_loop"),
    ("forward_backward", 10, 32, "time_major", "hoisted_loop"),
    ("forward_backward", 10, 32, "batch_first", "torchscript_loop"),
    ("forward_backward", 50, 32, "time_major", "nn_rnn"),
]


@pytest.fixture(scope="module")
def benchmarks():
    document = json.loads(gzip.decompress(FILE.read_bytes()))
    return {
        tuple(b["extra_info"]["rnnbench"]["case"][name] for name in SHAPE): b
        for b in document["benchmarks"]
    }


@pytest.fixture(scope="module")
def results():
    return read(FILE)


@pytest.fixture(scope="module")
def printed(results):
    """By table and case the row as its data has it, and as it is printed under its headings."""
    found = {}
    for name in ("comparison", "rates", "cases"):
        table = getattr(tables, name)(results)
        headings = [column.heading for column in table.columns]
        records = table.data.to_dict("records")
        for row, record in zip(table.rows, records):
            shown = dict(zip(headings, (cell.text for cell in row)))
            found[name, tuple(record[key] for key in SHAPE)] = record, shown
    return found


def blocks_of(benchmark):
    """Rounds of each block by process, in the order of their turns."""
    data = benchmark["stats"]["data"]
    found = {}
    blocks = benchmark["extra_info"]["rnnbench"]["blocks"]
    for block in sorted(blocks, key=lambda block: block["turn"]):
        found.setdefault(block["replicate"], []).append(data[slice(*block["rounds"])])
    return found


def student(values):
    """95 % interval for the mean of a few values."""
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values) - half, statistics.mean(values) + half


def expected_time(benchmark):
    """Median of rounds, blocks, processes; Student's interval of three logarithms around it."""
    by_process = [
        statistics.median(map(statistics.median, blocks))
        for blocks in blocks_of(benchmark).values()
    ]
    assert len(by_process) == 3
    value = statistics.median(by_process)
    low, high = map(math.exp, student([math.log(time) for time in by_process]))
    return value, min(low, value), max(high, value)


def tenth(rounds):
    """The 10 % quantile by linear interpolation between the sorted rounds."""
    ordered = sorted(rounds)
    place = 0.1 * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def expected_ratio(base, new):
    """Over three shared processes, each the median ratio of its pairs of blocks."""
    left, right = blocks_of(base), blocks_of(new)
    assert left.keys() == right.keys()
    shifts = [
        statistics.median(
            math.log(tenth(y)) - math.log(tenth(x)) for x, y in zip(left[key], right[key])
        )
        for key in left
    ]
    value = statistics.median(shifts)
    low, high = student(shifts)
    return tuple(math.exp(x) for x in (value, min(low, value), max(high, value)))


def numbers_in(text):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


def half_of_last_digit(text):
    decimals = re.match(r"-?\d+(?:\.(\d+))?", text).group(1) or ""
    return 0.5 * 10 ** -len(decimals) * (1 + 1e-6)


def assert_printed(text, numbers):
    """Each number is the nearest to what is expected that has as many digits."""
    assert len(numbers_in(text)) == len(numbers), text
    for shown, number in zip(numbers_in(text), numbers):
        assert abs(shown - number) <= half_of_last_digit(text), text


SCALES = {" k": 1e3, " M": 1e6, " G": 1e9, " T": 1e12}


def assert_rate(text, rate):
    scale = SCALES.get(text[-2:], 1.0)
    assert_printed(text.removesuffix(text[-2:]) if scale != 1 else text, [rate / scale])


def column(shown, start):
    return next(text for heading, text in shown.items() if heading.startswith(start))


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
class TestNumbers:
    @pytest.fixture(autouse=True)
    def _case(self, case, benchmarks):
        self.case = tuple(case)
        self.benchmark = benchmarks[self.case]
        self.base = benchmarks[(*self.case[:4], "nn_rnn")]
        self.time = expected_time(self.benchmark)

    @pytest.mark.parametrize("table", ["comparison", "cases"])
    def test_time_and_interval(self, printed, table):
        record, shown = printed[table, self.case]
        assert [record[f"time{end}"] for end in ("", "_low", "_high")] == pytest.approx(self.time)
        assert "time, µs [95 % interval]" in shown
        assert_printed(column(shown, "time, µs").split("%")[-1], [1e6 * x for x in self.time])

    @pytest.mark.parametrize("table", ["comparison", "cases"])
    def test_ratio_to_the_baseline_and_interval(self, printed, table):
        record, shown = printed[table, self.case]
        if self.case[-1] == "nn_rnn":
            assert shown["time / nn_rnn"] == "1"
            return
        ratio = expected_ratio(self.base, self.benchmark)
        found = [record[f"ratio{end}"] for end in ("", "_low", "_high")]
        assert found == pytest.approx(ratio)
        assert_printed(shown["time / nn_rnn"], ratio)

    def test_tokens_in_a_second(self, printed):
        _, seq_len, batch, *_ = self.case
        record, shown = printed["comparison", self.case]
        rate = seq_len * batch / self.time[0]
        assert record["tokens_per_second"] == pytest.approx(rate)
        assert_rate(shown["tokens/s"], rate)

    def test_operations_and_cases_in_a_second(self, printed):
        pass_, seq_len, batch, *_ = self.case
        case = self.benchmark["extra_info"]["rnnbench"]["case"]
        hidden, inputs = case["hidden_size"], case["input_size"]
        products = {"inference": 1, "forward": 1, "backward": 2, "forward_backward": 3}[pass_]
        rate = products * 2 * seq_len * batch * hidden * (inputs + hidden) / self.time[0]
        record, shown = printed["rates", self.case]
        assert record["flops_per_second"] == pytest.approx(rate)
        assert record["cases_per_second"] == pytest.approx(1 / self.time[0])
        assert_rate(shown["FLOP/s"], rate)
        assert_rate(shown["cases/s"], 1 / self.time[0])


def test_markdown_and_csv_hold_the_same_numbers(results, benchmarks):
    table = tables.comparison(results)
    time = expected_time(benchmarks[CASES[0]])[0]
    assert repr(time)[:14] in to_csv(table)
    assert f"**{1e6 * time:.1f} [" in to_markdown(table)
