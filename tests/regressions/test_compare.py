"""Two sides, case by case: verdicts, what else changed, and what cannot be compared."""

import dataclasses
import json
import math

import pytest

from rnnbench.errors import UserError
from rnnbench.regressions.compare import compare
from rnnbench.regressions.machine_noise import MachineNoise, NoiseSession, Share
from rnnbench.regressions.machines import machine_key
from rnnbench.regressions.sides import read_sides
from tests.regressions.made import NEW, OLD, case, one, only, planted, two
from tests.synthetic import environment


def session(measured_at="2026-01-01", *, times, torch="2.13.0", deviation=0.01):
    return NoiseSession(
        measured_at=measured_at,
        torch=torch,
        threads=(1,),
        replicates=8,
        seconds=4.0,
        margin=0.02,
        times=times,
        false_alarms=Share(0, 42),
        same=Share(40, 42),
        covered=Share(41, 42),
        power={"0.05": Share(42, 42)},
        process_deviation=deviation,
    )


def sessions_apart(deviation):
    """Two sessions whose times of a case have that standard deviation of their logarithm."""
    half = math.exp(deviation / math.sqrt(2))
    return tuple(
        session(str(at), times={"a": 1e-3 * factor}) for at, factor in enumerate((half, 1 / half))
    )


def by_batch(comparison):
    frame = comparison.sides.results.frame
    return {int(frame.at[found.row, "batch"]): found for found in comparison.cases}


class TestTookTurns:
    def test_each_case_gets_the_verdict_that_its_truth_asks_for(self, tmp_path):
        ratios = {1: 1.0, 2: 1.1, 4: 0.9, 8: 1.005, 16: 1.0}
        file = two(tmp_path / "two.json", planted(ratios))
        found = compare(read_sides(f"{file}@{OLD}", f"{file}@{NEW}"))
        verdicts = {batch: entry.verdict for batch, entry in by_batch(found).items()}
        assert verdicts == {1: "same", 2: "slower", 4: "faster", 8: "same", 16: "same"}
        for batch, entry in by_batch(found).items():
            assert entry.finding.low <= ratios[batch] <= entry.finding.high
        assert found.footing == "took turns"
        assert found.verdicts == {"same": 3, "slower": 1, "faster": 1}

    def test_the_sides_can_be_swapped(self, tmp_path):
        file = two(tmp_path / "two.json", planted({1: 1.1}))
        (found,) = compare(read_sides(f"{file}@{NEW}", f"{file}@{OLD}")).cases
        assert found.verdict == "faster"
        assert found.finding.ratio == pytest.approx(1 / 1.1, rel=0.01)

    def test_files_that_were_split_from_one_run_took_turns(self, tmp_path):
        entries = planted({1: 1.1, 2: 1.0})
        old = one(tmp_path / "old.json", only(entries, OLD), run_id="a", seed=1)
        new = one(tmp_path / "new.json", only(entries, NEW), run_id="a", seed=2)
        found = compare(read_sides(str(old), str(new)))
        assert found.footing == "took turns"
        assert [entry.verdict for entry in found.cases] == ["slower", "same"]
        assert not found.notes

    def test_times_are_those_of_both_sides(self, tmp_path):
        file = two(tmp_path / "two.json", planted({1: 2.0}))
        (found,) = compare(read_sides(f"{file}@{OLD}", f"{file}@{NEW}")).cases
        assert found.base_time[0] == pytest.approx(1e-3, rel=0.02)
        assert found.new_time[0] == pytest.approx(2e-3, rel=0.02)
        assert found.processes == 8

    def test_a_single_pair_of_processes_is_inconclusive(self, tmp_path):
        file = two(tmp_path / "two.json", planted({1: 1.3}), replicates=1)
        (found,) = compare(read_sides(f"{file}@{OLD}", f"{file}@{NEW}")).cases
        assert (found.verdict, found.finding.low) == ("inconclusive", None)

    def test_unless_the_effect_is_far_beyond_the_known_noise(self, tmp_path):
        file = two(tmp_path / "two.json", planted({1: 1.3, 2: 1.02}), replicates=1)
        noise = MachineNoise("m", (session(times={}, deviation=0.03),))
        found = compare(read_sides(f"{file}@{OLD}", f"{file}@{NEW}"), noise=noise)
        assert [entry.verdict for entry in found.cases] == ["slower", "inconclusive"]

    def test_the_machines_latest_noise_is_told(self, tmp_path):
        file = two(tmp_path / "two.json", planted({1: 1.0}))
        noise = MachineNoise("m", (session("2026-02-03T10:00:00", times={}),))
        (note,) = compare(read_sides(f"{file}@{OLD}", f"{file}@{NEW}"), noise=noise).notes
        assert (
            "2026-02-03" in note and "0 of 42 unchanged" in note and "5% slower in 42 of 42" in note
        )


class TestWhatElse:
    def test_cases_that_fail_appear_or_vanish_are_told_apart(self, tmp_path):
        entries = planted({1: 1.0})
        gone = planted({2: 1.0, 4: 1.0, 8: 1.0, 16: 1.0, 32: 1.0})
        extra = [
            e
            for e in gone
            if (e.case.batch, e.case.environment) in {(2, OLD), (4, NEW), (8, OLD), (16, NEW)}
        ]
        missing = [
            (case(batch=2, environment=NEW), "failed", "RuntimeError: no"),
            (case(batch=4, environment=OLD), "unsupported", "too old"),
            (case(batch=32, environment=OLD), "unsupported", "never"),
            (case(batch=32, environment=NEW), "timed_out", "no answer"),
        ]
        file = two(tmp_path / "two.json", [*entries, *extra], not_measured=missing)
        found = compare(read_sides(f"{file}@{OLD}", f"{file}@{NEW}"))
        told = {batch: (e.state, e.reason) for batch, e in by_batch(found).items()}
        assert told == {
            1: ("compared", ""),
            2: ("failing", "failed: RuntimeError: no"),
            4: ("mended", "unsupported: too old"),
            8: ("missing", ""),
            16: ("added", ""),
            32: ("not measured", "timed_out: no answer"),
        }
        assert all(e.verdict is None for batch, e in by_batch(found).items() if batch != 1)

    def test_another_path_is_told_apart_from_the_speed(self, tmp_path):
        entries = [
            dataclasses.replace(
                entry,
                ran={"backend": "native" if entry.case.environment == NEW else "cudnn"},
            )
            for entry in planted({1: 1.0})
        ]
        file = two(tmp_path / "two.json", entries)
        (found,) = compare(read_sides(f"{file}@{OLD}", f"{file}@{NEW}")).cases
        assert (found.verdict, found.path) == ("same", "backend cudnn → native")


class TestSeparateRuns:
    def files(self, tmp_path, ratio=1.1, *, old=None, new=None):
        entries = planted({1: ratio})
        return (
            str(one(tmp_path / "old.json", only(entries, OLD), described=old, seed=1)),
            str(one(tmp_path / "new.json", only(entries, NEW), described=new, seed=2)),
        )

    def test_without_known_noise_no_verdict_is_given(self, tmp_path):
        found = compare(read_sides(*self.files(tmp_path, 1.5)))
        (entry,) = found.cases
        assert (entry.verdict, entry.finding.low) == ("inconclusive", None)
        assert entry.finding.ratio == pytest.approx(1.5, rel=0.02)
        (note,) = found.notes
        assert "separate runs" in note and "rnnbench noise" in note

    def test_known_noise_between_sessions_widens_the_interval(self, tmp_path):
        quiet = [{"a": 1e-3 * f} for f in (1.0, 1.002, 0.998, 1.001, 1.0)]
        noisy = [{"a": 1e-3 * f} for f in (1.0, 1.3, 0.8, 1.1, 0.9)]
        widths = []
        verdicts = []
        for times in (quiet, noisy):
            noise = MachineNoise("m", tuple(session(str(i), times=t) for i, t in enumerate(times)))
            found = compare(read_sides(*self.files(tmp_path)), noise=noise)
            (entry,) = found.cases
            widths.append(entry.finding.high / entry.finding.low)
            verdicts.append(entry.verdict)
            assert any("separate runs" in note for note in found.notes)
        assert widths[0] < 1.05 < 1.5 < widths[1]
        assert verdicts == ["slower", "inconclusive"]

    @pytest.mark.parametrize(("deviation", "rate"), [(0.1, 0.05 / 400), (0.08, 0.0001)])
    def test_two_sessions_at_a_high_level_give_no_interval(self, tmp_path, deviation, rate):
        noise = MachineNoise("m", sessions_apart(deviation))
        found = compare(read_sides(*self.files(tmp_path, 1.5)), rate=rate, noise=noise)
        (entry,) = found.cases
        assert entry.verdict == "inconclusive"
        assert (entry.finding.low, entry.finding.high, entry.finding.detectable) == (None,) * 3
        assert entry.finding.ratio == pytest.approx(1.5, rel=0.02)
        assert any(note.startswith("No interval for the one case") for note in found.notes)
        (note,) = [note for note in found.notes if "separate runs" in note]
        assert f"(standard deviation {100 * deviation:.1f} %), so that only changes of" in note

    def test_two_sessions_that_are_too_far_apart_find_nothing(self, tmp_path):
        noise = MachineNoise("m", sessions_apart(60.0))
        found = compare(read_sides(*self.files(tmp_path)), noise=noise)
        (note,) = [note for note in found.notes if "separate runs" in note]
        assert "so that no change can be found." in note
        assert found.verdicts == {"inconclusive": 1}

    def test_of_many_cases_only_those_at_a_high_level_lose_their_interval(self, tmp_path):
        """At 1 - 0.05 all have one; of 20 with one change, that one is judged at 1 - 0.05 / 20."""
        entries = planted({batch: 9.0 if batch == 1 else 1.0 for batch in range(1, 21)})
        files = [
            str(one(tmp_path / f"{name}.json", only(entries, name), seed=seed))
            for seed, name in enumerate((OLD, NEW))
        ]
        without = {}
        for deviation in (0.03, 0.1):
            noise = MachineNoise("m", sessions_apart(deviation))
            found = compare(read_sides(*files), noise=noise)
            assert found.verdicts == {"inconclusive": 20}
            assert sorted({entry.finding.level for entry in found.cases}) == [
                0.95,
                pytest.approx(1 - 0.05 / 20),
            ]
            without[deviation] = [
                batch for batch, entry in by_batch(found).items() if entry.finding.low is None
            ]
        assert without == {0.03: [], 0.1: [1]}
        assert any(note.startswith("No interval for 1 of 20 cases") for note in found.notes)

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"cpu": {"model": "Another CPU", "count": 2}}, "processor"),
            ({"cpu": {"model": "Synthetic CPU", "count": 8}}, "logical processors"),
            (
                {"cpu": {"model": "Synthetic CPU", "count": 2, "family": "25.17.1"}},
                "processor's family",
            ),
            ({"cpu_capability": "AVX2"}, "CPU capability"),
            ({"variables": {"OMP_NUM_THREADS": "4"}}, "variables"),
            ({"tf32": {"matmul": True, "cudnn": True}}, "TF32"),
            (
                {
                    "devices": {
                        "cuda": {"devices": [{"name": "H100"}], "driver": [{"driver_version": "2"}]}
                    }
                },
                "GPU driver",
            ),
        ],
    )
    def test_other_machines_and_settings_are_refused_by_name(self, tmp_path, changes, named):
        described = environment(
            cpu={"model": "Synthetic CPU", "count": 2, "family": "25.1.1"},
            cpu_capability="AVX512",
            tf32={"matmul": False, "cudnn": False},
            devices={"cuda": {"devices": [{"name": "H100"}], "driver": [{"driver_version": "1"}]}},
        )
        files = self.files(tmp_path, old=described, new={**described, **changes})
        with pytest.raises(UserError, match="different machines or settings") as raised:
            compare(read_sides(*files))
        assert named in str(raised.value) and "--across-machines" in str(raised.value)
        found = compare(read_sides(*files), across_machines=True)
        assert [difference.name for difference in found.differences if named in difference.name]
        if changes.keys() <= {"cpu", "cpu_capability", "devices"} and "driver" not in named:
            assert machine_key(described) != machine_key({**described, **changes})
        assert found.cases[0].verdict == "inconclusive"
        assert "Different machines" in found.notes[0]

    def test_another_pytorch_and_python_are_what_is_compared(self, tmp_path):
        files = self.files(
            tmp_path,
            old=environment(torch="2.4.1", python="3.11.1"),
            new=environment(torch="2.13.0"),
        )
        assert compare(read_sides(*files)).differences == []

    def test_what_an_older_file_does_not_say_is_no_difference(self, tmp_path):
        files = self.files(tmp_path, old=environment(cpu_capability="AVX512"), new=environment())
        assert compare(read_sides(*files)).differences == []


class TestSides:
    def test_several_environments_must_be_chosen_from(self, tmp_path):
        file = two(tmp_path / "two.json", planted({1: 1.0}))
        with pytest.raises(UserError, match=r"several environments \(old, new\).*two.json@old"):
            read_sides(str(file), f"{file}@{NEW}")

    def test_an_unknown_environment_is_named_with_those_there_are(self, tmp_path):
        file = two(tmp_path / "two.json", planted({1: 1.0}))
        with pytest.raises(UserError, match="no environment 'newer'; there is: old, new"):
            read_sides(f"{file}@{OLD}", f"{file}@newer")

    def test_the_same_side_twice_is_refused(self, tmp_path):
        file = two(tmp_path / "two.json", planted({1: 1.0}))
        with pytest.raises(UserError, match="BASE and NEW are both old"):
            read_sides(f"{file}@{OLD}", f"{file}@{OLD}")

    def test_a_files_name_may_hold_the_mark(self, tmp_path):
        file = two(tmp_path / "mine@home.json", planted({1: 1.0}))
        assert read_sides(f"{file}@{OLD}", f"{file}@{NEW}").new.environment == NEW

    def test_no_common_case_is_said(self, tmp_path):
        old = one(tmp_path / "old.json", only(planted({1: 1.0}), OLD))
        new = one(tmp_path / "new.json", only(planted({2: 1.0}), NEW))
        with pytest.raises(UserError, match="no case is in both old and new") as raised:
            compare(read_sides(str(old), str(new)))
        assert "they differ in batch: 1 in base, 2 in new." in str(raised.value)

    def test_columns_of_cases_are_named_where_no_value_is_common(self, tmp_path):
        old = [
            *planted({1: 1.0}, environments=(OLD,), dtype="float32"),
            *planted({2: 1.0}, environments=(OLD,), dtype="float32", seq_len=20),
        ]
        new = [
            *planted({1: 1.0}, environments=(NEW,), dtype="bfloat16", seq_len=20),
            *planted({4: 1.0}, environments=(NEW,), dtype="bfloat16"),
        ]
        files = one(tmp_path / "old.json", old), one(tmp_path / "new.json", new)
        with pytest.raises(UserError) as raised:
            compare(read_sides(*map(str, files)), across_machines=True)
        differ = str(raised.value).partition("they differ in ")[2]
        assert differ.partition(".")[0] == "dtype: float32 in base, bfloat16 in new"

    def test_where_no_single_column_tells_it_none_is_named(self, tmp_path):
        old = planted({1: 1.0}, environments=(OLD,)) + planted(
            {2: 1.0}, environments=(OLD,), threads=2
        )
        new = planted({1: 1.0}, environments=(NEW,), threads=2) + planted(
            {2: 1.0}, environments=(NEW,)
        )
        files = one(tmp_path / "old.json", old), one(tmp_path / "new.json", new)
        with pytest.raises(UserError, match="there is nothing to compare. Measure the same grid"):
            compare(read_sides(*map(str, files)))

    def test_many_values_of_a_column_are_cut(self, tmp_path):
        old = planted(dict.fromkeys(range(1, 9), 1.0), environments=(OLD,))
        new = planted({16: 1.0}, environments=(NEW,))
        files = one(tmp_path / "old.json", old), one(tmp_path / "new.json", new)
        with pytest.raises(UserError, match="batch: 1, 2, 3, 4, 5 and 3 more in base, 16 in new"):
            compare(read_sides(*map(str, files)))

    def test_a_file_without_cases_is_said(self, tmp_path):
        file = two(tmp_path / "two.json", planted({1: 1.0}))
        content = json.loads(file.read_text())
        content["benchmarks"] = []
        empty = tmp_path / "empty.json"
        empty.write_text(json.dumps(content))
        with pytest.raises(UserError, match="holds no case"):
            read_sides(str(empty), f"{file}@{NEW}")
