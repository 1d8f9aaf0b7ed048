"""Shards brought together: what is done, what was given up, and which node measured what."""

import json

import pytest

from rnnbench.errors import UserError
from rnnbench.fleet.canaries import canary_grid
from rnnbench.fleet.collecting import collect
from rnnbench.fleet.folder import Folder, KindOfNode, Plan, ShardPlan
from rnnbench.fleet.salvage import salvaged
from rnnbench.fleet.status import collected_sentences
from rnnbench.measuring.journal import journal_path
from rnnbench.regressions.stages import grid_of
from rnnbench.validation import read_document, validate
from tests.regressions.made import case
from tests.synthetic import Planted, document, environment, write

HERE = "default"


def one(batch):
    return case(batch=batch, environment=HERE)


def result(path, batches, *, seconds=1e-3, replicates=2, run_id="", node="n"):
    made = document(
        [Planted(one(batch), seconds) for batch in batches],
        environments={HERE: environment(processes=replicates)},
        replicates=replicates,
    )
    made["rnnbench"]["run_id"] = run_id
    made["machine_info"]["node"] = node
    return write(path, made)


@pytest.fixture
def folder(tmp_path):
    """Four shards of two cases each, all done, each with its canaries."""
    made = Folder(tmp_path / "fleet")
    made.begin(
        Plan(
            executor="local",
            grid={"name": "mine", "description": "a grid"},
            arguments=[],
            kinds=[KindOfNode(HERE)],
            shards=[ShardPlan(number, HERE, 2, 10.0) for number in range(4)],
            version="0",
            code="0" * 64,
            plugins={},
            variables={},
            made=0.0,
        )
    )
    made.write(made.canaries_of(HERE), canary_grid([one(99)]))
    for number in range(4):
        batches = [2 * number + 1, 2 * number + 2]
        made.write(made.grid_of(number), grid_of([one(batch) for batch in batches], "a shard"))
        made.note(number, "started", node=f"n{number}", finished=0)
        made.note(number, "done", finished=2)
        result(made.result_of(number), batches, run_id=f"r{number}", node=f"n{number}")
        journal(made, number, {"type": "run", "node": f"n{number}", "first_replicate": 0})
        for moment in ("before", "after"):
            canary(made, number, moment)
    return made


def journal(folder, number, *records):
    lines = "".join(json.dumps(record) + "\n" for record in records)
    journal_path(folder.result_of(number)).write_text(lines)


def canary(folder, number, moment, factor=1.0):
    path = folder.shard(number) / f"canaries-001-{moment}.json"
    result(path, [99], seconds=1e-3 * factor, run_id=f"c{number}{moment}", node=f"n{number}")


def ran_in(**changes):
    """What a journal says of its environment; devices it knows only by name."""
    described = environment(**changes)
    return {key: described[key] for key in ("torch", "python", "system", "cpu", "variables")} | {
        "devices": {"cuda": {"devices": []}}
    }


def batches_of(entries, where):
    return sorted(where(entry)["batch"] for entry in entries)


class TestCollected:
    def test_every_case_is_in_one_valid_result_and_canaries_are_apart(self, folder):
        found = collect(folder)
        assert validate(folder.result) == []
        document = read_document(folder.result)
        cases = batches_of(document["benchmarks"], lambda e: e["extra_info"]["rnnbench"]["case"])
        assert cases == list(range(1, 9))
        ours = document["rnnbench"]
        assert [(s["shard"], s["node"], s["slow"]) for s in ours["sessions"]] == [
            (n, f"n{n}", False) for n in range(4)
        ]
        assert len(ours["canaries"]) == 8
        assert ours["grid"] == {"name": "mine", "description": "a grid", "cases": 8}
        assert found.lost == {}
        assert found.spreads[0].shards == 4

    def test_a_slow_shard_is_flagged_in_the_result_and_in_words(self, folder):
        canary(folder, 2, "after", factor=2.0)
        found = collect(folder)
        ours = read_document(folder.result)["rnnbench"]
        assert [s["slow"] for s in ours["sessions"]] == [False, False, True, False]
        (note,) = [note for note in ours["notes"] if "slow or busy" in note]
        assert note.startswith("shard 2 ran on a slow or busy node")
        assert any("Shard 2 ran on a slow" in line for line in collected_sentences(folder, found))

    @pytest.mark.parametrize("canaries", ["its own", "none"])
    def test_what_a_shard_had_finished_before_it_was_given_up_is_kept(self, folder, canaries):
        if canaries == "none":
            for file in folder.canary_results(3):
                file.unlink()
        document = read_document(folder.result_of(3))
        whole = document["benchmarks"][0]
        ours, data = whole["extra_info"]["rnnbench"], whole["stats"]["data"]
        blocks = [
            {
                "type": "block",
                "case": ours["case"],
                **block,
                "rounds": data[slice(*block["rounds"])],
                "device_rounds": [],
                "seconds": 0.05,
            }
            for block in ours["blocks"]
        ]
        other = document["benchmarks"][1]["extra_info"]["rnnbench"]["case"]
        end = {
            "type": "finished",
            "case": ours["case"],
            "status": "measured",
            "reason": "",
            "stopped": "time spent",
            "prepared": {
                "verification": ours["verification"],
                "iterations": 1,
                "compile": None,
                "clock": ours["clock"],
            },
            "ran": ours["ran"],
            "warm_compile": None,
        }
        options = {"seconds": 1.0, "replicates": 2, "plugins": []}
        begun = {"type": "run", "node": "n3", "first_replicate": 0, "run_id": "r3"}
        folder.result_of(3).unlink()
        journal(
            folder,
            3,
            {**begun, "identity": {"options": options, "environments": {HERE: ran_in()}}},
            *blocks,
            end,
            {**blocks[0], "case": other},
        )
        (folder.shard(3) / "events.jsonl").unlink()
        folder.note(3, "given up", reason="no torch here")
        found = collect(folder)
        assert validate(folder.result) == []
        merged = read_document(folder.result)
        kept = {
            entry["extra_info"]["rnnbench"]["case"]["batch"]: entry
            for entry in merged["benchmarks"]
        }
        assert sorted(kept) == [1, 2, 3, 4, 5, 6, 7]
        assert kept[7]["stats"]["data"] == data
        assert kept[7]["extra_info"]["rnnbench"]["verification"] == ours["verification"]
        (missing,) = merged["rnnbench"]["not_measured"]
        assert missing["case"]["batch"] == 8, "its group was not finished"
        assert any("made from the journal" in note for note in merged["rnnbench"]["notes"])
        assert [s["node"] for s in merged["rnnbench"]["sessions"]] == ["n0", "n1", "n2", "n3"]
        assert found.lost == {3: "given up: no torch here"}

    def test_what_ran_on_a_node_like_no_other_is_not_described_by_another(self, folder):
        path = folder.result_of(3)
        run = {"type": "run", "node": "n3", "run_id": "r3"}
        end = {"type": "finished", "case": one(7).columns(), "status": "measured"}
        for changes in ({"torch": "2.9.0"}, {"cpu": {"model": "another"}}):
            identity = {"options": {}, "environments": {HERE: ran_in(**changes)}}
            journal(folder, 3, {**run, "identity": identity}, end)
            assert salvaged(path, [folder.result_of(0), *folder.canary_results(3)]) is None

    def test_cases_of_a_shard_that_was_given_up_have_its_reason(self, folder):
        folder.result_of(3).unlink()
        journal(folder, 3, {"type": "run"})
        events = folder.shard(3) / "events.jsonl"
        events.unlink()
        folder.note(3, "ended", how="failed", reason="no torch here", finished=1)
        folder.note(3, "given up", reason="no torch here")
        found = collect(folder)
        assert validate(folder.result) == []
        missing = read_document(folder.result)["rnnbench"]["not_measured"]
        assert batches_of(missing, lambda entry: entry["case"]) == [7, 8]
        assert {entry["reason"] for entry in missing} == {
            "shard 3 of the fleet was given up: no torch here"
        }
        assert found.lost == {3: "given up: no torch here"}

    def test_a_shard_that_went_on_elsewhere_has_a_session_for_each_node(self, folder):
        path = folder.result_of(1)
        path.unlink()
        result(path, [3, 4], replicates=5, run_id="r1", node="n7")
        journal(
            folder,
            1,
            {"type": "run", "node": "n1", "first_replicate": 0},
            {"type": "resumed", "node": "n5", "first_replicate": 2},
            {"type": "resumed", "node": "n7", "first_replicate": 2},
        )
        collect(folder)
        assert validate(folder.result) == []
        sessions = read_document(folder.result)["rnnbench"]["sessions"]
        assert [(s["shard"], s["node"], s["replicates"]) for s in sessions] == [
            (0, "n0", [0, 2]),
            (1, "n1", [2, 4]),
            (1, "n7", [4, 7]),
            (2, "n2", [7, 9]),
            (3, "n3", [9, 11]),
        ]

    def test_a_clock_that_is_off_is_told(self, folder):
        folder.note(0, "started", node="n0", finished=0, clock=3600.0)
        folder.note(0, "done", finished=2)
        collect(folder)
        notes = read_document(folder.result)["rnnbench"]["notes"]
        assert any(note.startswith("the clock of node n0 is +3600 s off") for note in notes)

    def test_where_nothing_is_done_there_is_no_result(self, folder):
        for number in range(4):
            (folder.shard(number) / "events.jsonl").unlink()
            folder.note(number, "given up", reason="no torch here")
        with pytest.raises(UserError, match="no shard of the fleet in .* is done") as raised:
            collect(folder)
        assert "shard 0 was given up: no torch here" in str(raised.value)
        assert not folder.result.exists()

    def test_a_damaged_result_of_a_shard_is_named(self, folder):
        path = folder.result_of(2)
        path.write_text(path.read_text()[:-50])
        with pytest.raises(UserError, match=r"0002/result\.json: is no JSON, or was cut off"):
            collect(folder)
