"""Rows from different nodes of one merged result: labelled, widened, and never of a slow node."""

import json
import math

import numpy as np
import pytest

from rnnbench.cli import main
from rnnbench.errors import UserError
from rnnbench.fleet.merging import merge_results
from rnnbench.regressions.compare import compare
from rnnbench.regressions.sides import read_sides
from rnnbench.report._processes import ratios_of
from rnnbench.report.ratios import PAIRINGS, pairing_of, ratio_of
from rnnbench.results import read
from tests.regressions.made import QUIET, case
from tests.synthetic import GPU, Planted, document, environment, write

DEVIATION = 0.1


def merged(tmp_path, shards, *, slow=(), spreads=True, kinds=None, name="all"):
    """One result of shards, each given as {batch: seconds}; of nodes that differ by DEVIATION."""
    files = []
    for number, times in enumerate(shards):
        kind = (kinds or {}).get(number, "default")
        described = environment(processes=4, **({"devices": GPU} if kind == "gpu" else {}))
        made = document(
            [Planted(case(batch=b, environment=kind), t) for b, t in times.items()],
            environments={kind: described},
            noise=QUIET,
            replicates=4,
            seed=number,
        )
        made["rnnbench"]["run_id"] = f"{name}-{number}"
        files.append(write(tmp_path / f"{name}-{number}.json", made))
    output = tmp_path / f"{name}.json"
    spread = [{"kind": "default", "even": 1000, "deviation": DEVIATION, "slow": []}]
    merge_results(files, output, extra={"spreads": spread} if spreads else {})
    found = json.loads(output.read_text())
    for number in slow:
        found["rnnbench"]["sessions"][number]["slow"] = True
    return write(output, found)


def row_of(results, batch, name="default"):
    frame = results.frame
    (row,) = frame.index[(frame["batch"] == batch) & (frame["environment"] == name)]
    return int(row)


class TestPairing:
    def test_rows_of_two_shards_are_of_other_nodes_and_those_of_one_are_not(self, tmp_path):
        results = read([str(merged(tmp_path, [{1: 1e-3, 2: 1e-3}, {3: 1e-3}]))])
        one, two, three = (row_of(results, batch) for batch in (1, 2, 3))
        assert pairing_of(results, one, two) == "same run"
        assert pairing_of(results, one, three) == "other nodes"
        assert set(PAIRINGS) >= {"other nodes", "other kinds"}

    def test_where_nothing_says_how_nodes_differ_they_are_separate_runs(self, tmp_path):
        results = read([str(merged(tmp_path, [{1: 1e-3}, {3: 1e-3}], spreads=False))])
        assert pairing_of(results, row_of(results, 1), row_of(results, 3)) == "separate runs"

    def test_kinds_of_node_never_took_turns(self, tmp_path):
        path = merged(tmp_path, [{1: 1e-3}, {1: 2e-3}], kinds={1: "gpu"})
        results = read([str(path)])
        cpu, gpu = row_of(results, 1), row_of(results, 1, "gpu")
        assert pairing_of(results, cpu, gpu) == "other kinds"
        (found,) = ratios_of(results, [(cpu, gpu)])
        assert found.pairing == "other kinds" and not found.paired


class TestIntervals:
    def test_they_are_widened_by_the_nodes_and_both_ways_agree(self, tmp_path):
        path = merged(tmp_path, [{1: 1e-3, 2: 1e-3}, {3: 1e-3}])
        results = read([str(path)])
        one, two, three = (row_of(results, batch) for batch in (1, 2, 3))
        near, far = ratio_of(results, one, two), ratio_of(results, one, three)
        assert math.log(near.high / near.low) < 0.1
        expected = 2 * 1.96 * math.sqrt(2) * DEVIATION
        assert math.log(far.high / far.low) == pytest.approx(expected, rel=0.1)
        assert far.verdict == "inconclusive"
        (quick,) = ratios_of(results, [(one, three)])
        assert (quick.low, quick.high) == pytest.approx((far.low, far.high), rel=0.01)
        assert quick.verdict == "inconclusive"

    def test_they_hold_the_truth_where_nodes_differ(self, tmp_path):
        rng = np.random.default_rng(1)
        held = 0
        for number in range(20):
            speeds = rng.normal(0, DEVIATION, 2)
            shards = [{1: 1e-3 * math.exp(speeds[0])}, {2: 1e-3 * math.exp(speeds[1])}]
            results = read([str(merged(tmp_path, shards, name=f"n{number}"))])
            found = ratio_of(results, row_of(results, 1), row_of(results, 2))
            held += found.low <= 1.0 <= found.high
        assert held >= 17

    def test_of_few_nodes_they_are_wider_still(self, tmp_path):
        path = merged(tmp_path, [{1: 1e-3}, {3: 1e-3}])
        found = json.loads(path.read_text())
        widths = []
        for even in (1000, 3):
            found["rnnbench"]["spreads"][0]["even"] = even
            results = read([str(write(path, found))])
            ratio = ratio_of(results, row_of(results, 1), row_of(results, 3))
            widths.append(math.log(ratio.high / ratio.low))
        assert widths[1] == pytest.approx(widths[0] * 4.303 / 1.962, rel=0.05)

    @pytest.mark.parametrize("slow", [0, 1])
    def test_nothing_is_said_across_nodes_of_which_one_is_slow(self, tmp_path, slow):
        path = merged(tmp_path, [{1: 1e-3, 2: 1e-3}, {3: 5e-3}], slow=[slow])
        results = read([str(path)])
        one, two, three = (row_of(results, batch) for batch in (1, 2, 3))
        for found in (ratio_of(results, one, three), *ratios_of(results, [(one, three)])):
            assert (found.low, found.high, found.verdict) == (None, None, "inconclusive")
        assert ratio_of(results, one, two).low is not None, "within the node it stands"


class TestCompare:
    def test_kinds_of_one_file_are_no_sides_of_one_run(self, tmp_path):
        path = merged(tmp_path, [{1: 1e-3}, {1: 2e-3}], kinds={1: "gpu"})
        sides = read_sides(f"{path}@default", f"{path}@gpu")
        assert not sides.one_run
        with pytest.raises(UserError, match="are of different machines or settings"):
            compare(sides)
        found = compare(sides, across_machines=True)
        assert found.footing == "separate runs"
        assert found.verdicts == {"inconclusive": 1}


def test_a_report_of_many_nodes_is_written(tmp_path):
    shards = [{2**n: 1e-3 * 2**n} for n in range(6)]
    path = merged(tmp_path, shards, slow=[3], kinds={5: "gpu"})
    with pytest.raises(SystemExit) as ended:
        main(["report", str(path), "--output", str(tmp_path / "report")])
    assert ended.value.code == 0
    assert (tmp_path / "report" / "index.html").exists()
