"""The simulation of a fleet, small: even shards, honest losses, and files that merge."""

from results.fleet import simulation
from rnnbench.fleet.dealing import deal, imbalance
from rnnbench.fleet.merging import merge_results
from rnnbench.validation import validate


def dealt(cases, nodes):
    return deal(
        simulation.cases_of_size(cases),
        lambda case: simulation.case_cost(case, simulation.BUDGET),
        nodes,
    )


def test_a_hundredth_of_it_is_dealt_evenly():
    shards = dealt(2_000, 20)
    assert sum(len(shard.cases) for shard in shards) == 2_000
    assert imbalance(shards) <= 0.05


def test_without_preemption_nothing_is_lost_and_with_it_time_is():
    shard = dealt(800, 8)[0]
    calm = simulation.with_preemption(shard, 0.0, 0)
    assert (calm.lost, calm.preemptions, calm.given_up) == (0.0, 0, False)
    harmed = [simulation.with_preemption(shard, 10.0, seed) for seed in range(20)]
    assert sum(one.preemptions for one in harmed) > 0
    for one in harmed:
        if one.given_up:
            continue
        # All that was not lost is the work itself, but for parts of blocks, which are rounded.
        slack = one.preemptions * (simulation.BLOCK + 1e-6) + 1e-6
        assert one.total - one.lost <= calm.total + slack
        assert one.total >= calm.total - 1e-6


def test_its_files_are_valid_and_so_is_what_they_merge_to(tmp_path):
    shards = dealt(60, 3)
    files = list(simulation.shard_files(tmp_path, shards, rounds=2))
    assert all(validate(file) == [] for file in files)
    merged = merge_results(files, tmp_path / "all.json")
    assert (merged.files, merged.benchmarks) == (3, 60)
    assert validate(tmp_path / "all.json") == []
    assert simulation.journal_bytes(shards, 2) > 0
