"""The verdict: right about planted truths, in good sentences, for any file."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnnbench.cases import Case
from rnnbench.report.crossover import crossovers, speedups
from rnnbench.report.economics import economics
from rnnbench.report.groups import groups
from rnnbench.report.verdict import verdict
from rnnbench.report.winners import winners_of
from rnnbench.results import read
from rnnbench.schema import NOT_MEASURED
from tests import synthetic
from tests.synthetic import Noise, Planted, document, write

QUICK = Path(__file__).parents[2] / "results" / "cpu-quick" / "quick.json.gz"
CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=5)
EXACT = Noise(process=0, luck=0, drift=0, block=0, round=0)
ONLY_CPU = "Only one kind of device was measured (cpu), so nothing says whether a GPU is worth it."


def changed(**changes):
    return dataclasses.replace(CASE, **changes)


def sentences(tmp_path, planted, baseline="nn_rnn", **options):
    return verdict(read(write(tmp_path / "made.json", document(planted, **options))), baseline)


def check_form(said):
    assert 1 <= len(said) <= 8
    for sentence in said:
        assert sentence[-1] in ".…!?" and ".." not in sentence
        assert sentence == " ".join(sentence.split())
        for word in ("nan", "None", "<NA>", "NaN", "inf"):
            assert not re.search(rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])", sentence)
        assert not re.search(r"\b1 (settings|cases|processes|curves|others|runs)\b", sentence)
        assert sentence.isprintable()


class TestWholeVerdicts:
    def test_one_setting_with_a_winner(self, tmp_path):
        planted = [Planted(CASE, 2e-3), Planted(changed(implementation="hoisted_loop"), 1e-3)]
        said = sentences(tmp_path, planted, noise=EXACT)
        assert said == [
            "hoisted_loop is the fastest in the one setting with several implementations "
            "(forward, T=10 B=4 I=3 H=5).",
            "It is 2.0000 [2.0000, 2.0000] times as fast as nn_rnn.",
            ONLY_CPU,
            "Both cases could be measured.",
            "Each case was timed in 3 processes; the 95 % interval of a time is typically ± 0.0 % "
            "wide, at most ± 0.0 %; for both cases the time was spent before the intervals were "
            "as narrow as asked for.",
            "Read with care: the machine is a virtual one, whose neighbours cannot be seen; the "
            "run noted: synthetic: made by rnnbench's tests, never measured.",
        ]

    def test_one_case_alone(self, tmp_path):
        said = sentences(tmp_path, [Planted(CASE, 1e-3)], noise=EXACT)
        assert said[0] == (
            "Only nn_rnn was measured (1 case), so there is nothing to compare it with."
        )
        assert said[2] == "The one case could be measured."
        assert said[3].startswith("The one case was timed in 3 processes; the 95 % interval of its")

    def test_nothing_measured(self, tmp_path):
        missing = [(CASE, "unsupported", "no such thing"), (changed(batch=5), "timed_out", "slow")]
        assert sentences(tmp_path, [], not_measured=missing) == [
            "Nothing has a time, so nothing can be called the fastest.",
            "2 of 2 cases were not measured: 1 unsupported (“no such thing”) and 1 timed out "
            "(“slow”).",
        ]

    def test_no_case_at_all(self, tmp_path):
        assert sentences(tmp_path, []) == [
            "The result holds no case, so nothing can be said of speed."
        ]

    def test_no_two_in_one_setting(self, tmp_path):
        planted = [Planted(CASE, 1e-3), Planted(changed(implementation="scan", batch=8), 1e-3)]
        assert sentences(tmp_path, planted)[0] == (
            "No two implementations were measured in the same setting (2 cases), so none can be "
            "called the fastest."
        )


class TestFastest:
    def test_ties_name_nobody(self, tmp_path):
        planted = [Planted(CASE, 1e-3), Planted(changed(implementation="hoisted_loop"), 1e-3)]
        said = sentences(tmp_path, planted, noise=EXACT)
        assert said[0] == (
            "In the one setting with several implementations, none can be called the fastest: the "
            "intervals cannot tell the fastest from the others (nn_rnn and hoisted_loop)."
        )
        assert not any("is the fastest" in sentence for sentence in said)

    def test_one_process_names_nobody_and_says_whose_time_is_least(self, tmp_path):
        planted = [
            Planted(changed(implementation=name, batch=batch), seconds)
            for batch in (1, 2, 4)
            for name, seconds in (("nn_rnn", 2e-3), ("hoisted_loop", 1e-3))
        ]
        said = sentences(tmp_path, planted, replicates=1)
        assert said[0] == (
            "In none of 3 settings can one implementation be called the fastest: too few processes "
            "to tell the fastest from the others; the least time is that of hoisted_loop in 3 of "
            "them, which does not settle it."
        )
        assert any("so there is no interval" in sentence for sentence in said)

    def test_wins_are_counted_and_leads_are_the_planted_ones(self, tmp_path):
        speed = {1: 1.5, 2: 2.0, 4: 3.0, 8: 1.0, 16: 0.5}
        planted = []
        for batch, factor in speed.items():
            planted.append(Planted(changed(batch=batch), 1e-3 * factor))
            planted.append(Planted(changed(batch=batch, implementation="hoisted_loop"), 1e-3))
        said = sentences(tmp_path, planted, noise=EXACT)
        assert said[0] == (
            "hoisted_loop is the fastest in 3 of 5 settings, nn_rnn in 1; in the other one no "
            "winner is named: the intervals cannot tell the fastest from the others."
        )
        assert said[1] == (
            "Where another implementation is the fastest, it is 2.0000 [2.0000, 2.0000] times as "
            "fast as nn_rnn in the middle one of 3 settings, and 3.0000 [3.0000, 3.0000] times at "
            "most (hoisted_loop: forward, T=10 B=4 I=3 H=5)."
        )

    def test_without_a_baseline_the_lead_is_over_the_next(self, tmp_path):
        planted = [
            Planted(changed(implementation=name), seconds)
            for name, seconds in (("scan", 4e-3), ("python_loop", 2e-3), ("hoisted_loop", 1e-3))
        ]
        said = sentences(tmp_path, planted, noise=EXACT)
        assert said[1] == "It is 2.0000 [2.0000, 2.0000] times as fast as the next."

    def test_passes_are_told_apart_where_their_winners_differ(self, tmp_path):
        planted = []
        for pass_, factor in (("inference", 2.0), ("forward", 2.0), ("backward", 0.5)):
            planted.append(Planted(changed(pass_=pass_), 1e-3 * factor))
            planted.append(Planted(changed(pass_=pass_, implementation="hoisted_loop"), 1e-3))
        said = sentences(tmp_path, planted, noise=EXACT)
        assert said[2] == (
            "By pass, the most frequent winner is hoisted_loop in inference and forward; nn_rnn in "
            "backward."
        )

    def test_environments_and_runs_are_named_where_they_differ(self, tmp_path):
        environments = {"old": synthetic.environment(), "new": synthetic.environment()}
        planted = [
            Planted(changed(environment="old"), 2e-3),
            Planted(changed(environment="new"), 1e-3),
        ]
        content = document(planted, environments=environments, replicates=8)
        said = verdict(read(write(tmp_path / "a.json", content)))
        assert said[0].startswith("nn_rnn @ new is the fastest in the one setting")
        paths = [write(tmp_path / f"{name}.json", content) for name in ("a", "b")]
        said = verdict(read(paths))
        check_form(said)
        assert said[0].startswith("nn_rnn @ new is the fastest in both settings")
        assert "the numbers are from 2 separate runs" in said[-1]


class TestDevices:
    @pytest.fixture
    def results(self, tmp_path):
        planted = []
        for batch in (1, 4, 16, 64):
            planted.append(Planted(changed(batch=batch, hidden_size=64), 1e-4 * batch))
            on_gpu = changed(batch=batch, hidden_size=64, device="cuda")
            planted.append(Planted(on_gpu, 8e-4, device_seconds=4e-4))
        environments = {"default": synthetic.environment(devices=synthetic.GPU)}
        content = document(planted, environments=environments, noise=EXACT)
        return read(write(tmp_path / "gpu.json", content))

    def test_a_gpu_is_worth_it_from_the_planted_size_on(self, results):
        said = verdict(results)
        check_form(said)
        text = next(sentence for sentence in said if "best time of each device" in sentence)
        assert text == (
            "With the best time of each device, cuda is faster than cpu in 2 of 4 settings, slower "
            "in 2, and not told apart in 0: the speed-ups go from 0.1250 [0.1250, 0.1250] "
            "(forward, T=10 B=1 I=3 H=64, cuda) to 8.0000 [8.0000, 8.0000] (forward, T=10 B=64 I=3 "
            "H=64, cuda); it overtakes within the measured sizes along batch in the one curve, at "
            "B=8.0000 [8.0000, 8.0000]."
        )

    def test_the_numbers_are_those_of_the_frames(self, results):
        pairs = speedups(results)
        best = pairs[pairs["implementation"] == "fastest"]
        size = crossovers(results, "batch", best).loc[0, "size"]
        said = " ".join(verdict(results))
        assert f"B={size:.4f}" in said
        assert f"to {best['speedup'].max():.4f} [" in said

    def test_devices_that_share_no_setting(self, tmp_path):
        planted = [Planted(CASE, 1e-3), Planted(changed(device="cuda", batch=9), 1e-3)]
        said = sentences(tmp_path, planted)
        assert "cpu and cuda share no setting, so nothing says which is faster." in said


class TestCompilation:
    def test_what_pays_what_never_does_and_what_cannot_be_told(self, tmp_path):
        planted = [
            Planted(CASE, 2e-3),
            Planted(
                changed(implementation="compiled_loop"), 1e-3, compile_cold=10.0, compile_warm=1.0
            ),
            Planted(
                changed(implementation="compiled_cell"), 4e-3, compile_cold=20.0, compile_warm=2.0
            ),
        ]
        said = sentences(tmp_path, planted, noise=EXACT)
        assert said[3] == (
            "Compiling took 10.0 s to 20.0 s with nothing cached and 1.0 s to 2.0 s with a warm "
            "cache; against nn_rnn it pays in 1 of 2 cases (after 10,000 [10,000, 10,000] calls), "
            "never in 1, and cannot be told in 0; against the best time without compilation it "
            "pays in 1 of 2 cases (after 10,000 [10,000, 10,000] calls), never in 1, and cannot be "
            "told in 0."
        )

    def test_nothing_is_said_where_nothing_compiled(self, tmp_path):
        said = sentences(tmp_path, [Planted(CASE, 2e-3)])
        assert not any("ompil" in sentence for sentence in said)


class TestNotMeasured:
    def test_counts_by_status_with_the_commonest_reason(self, tmp_path):
        missing = [
            (changed(implementation="scan", batch=n), "unsupported", "no scan" if n < 3 else "eh")
            for n in (1, 2, 3)
        ]
        missing.append((changed(implementation="scan", batch=9), "out_of_memory", "too large"))
        said = sentences(tmp_path, [Planted(CASE, 1e-3)], not_measured=missing)
        assert (
            "4 of 5 cases were not measured: 3 unsupported (mostly “no scan”) and 1 out of memory "
            "(“too large”)."
        ) in said


class TestTrust:
    def test_a_busy_machine_goes_before_other_notes(self, tmp_path):
        said = sentences(
            tmp_path, [Planted(CASE, 1e-3)], notes=["busy machine: others used 30% of it"]
        )
        assert "the run noted: busy machine: others used 30% of it (and 1 other note)" in said[-1]

    def test_widths_are_those_of_the_frame(self, tmp_path):
        planted = [Planted(changed(batch=batch), 1e-3) for batch in (1, 2, 4)]
        content = document(planted, noise=Noise(luck=0.05))
        results = read(write(tmp_path / "made.json", content))
        frame = results.frame
        halves = (frame["time_high"] - frame["time_low"]) / 2 / frame["time"]
        said = " ".join(verdict(results))
        for half in (halves.median(), halves.max()):
            percent = 100 * half
            assert f"± {percent:.1f} %" in said if percent < 10 else f"± {percent:.0f} %" in said


class TestAnyFile:
    def test_hostile_names_are_shown_short_and_visible(self, tmp_path):
        evil = "x\u202e\x00\x1b[31m<script>" + "y" * 10_000
        said = sentences(
            tmp_path,
            [Planted(changed(implementation="a" * 10_000), 1e-3), Planted(CASE, 2e-3)],
            not_measured=[(changed(implementation="b" * 10_000), "failed", evil)],
            notes=["busy machine " + evil],
        )
        check_form(said)
        text = " ".join(said)
        assert "\u202e" not in text and "\\u202e" in text and "a" * 60 not in text
        assert max(map(len, said)) < 1000

    def test_the_quick_result(self):
        results = read(QUICK)
        said = verdict(results)
        check_form(said)
        contests = [
            winners_of(results, rows) for rows in groups(results.measured).values() if len(rows) > 1
        ]
        columns = results.frame["implementation"]
        wins = [columns[c.named] for c in contests if c.named is not None]
        most = max(set(wins), key=wins.count)
        assert said[0].startswith(
            f"{most} is the fastest in {wins.count(most)} of {len(contests)} settings"
        )
        states = economics(results)["base_state"].value_counts()
        assert f"against nn_rnn it pays in {states['pays']} of {states.sum()} cases" in said[3]
        assert f"never in {states['never']}, and" in said[3]
        assert said[2] == ONLY_CPU

    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(data=st.data())
    def test_sentences_are_well_formed_whatever_was_measured(self, data, tmp_path):
        implementations = st.sampled_from(["nn_rnn", "hoisted_loop", "compiled_loop", "mine"])
        devices = st.sampled_from(["cpu", "cuda", "cuda:1", "mps"])
        said_reason = st.text(min_size=1).filter(str.strip)  # a file with another is refused
        cases = data.draw(
            st.lists(
                st.builds(
                    changed,
                    implementation=implementations,
                    device=devices,
                    batch=st.sampled_from([1, 2, 8]),
                    pass_=st.sampled_from(["inference", "forward"]),
                ),
                unique=True,
                max_size=12,
            )
        )
        planted, missing = [], []
        for case in cases:
            if data.draw(st.integers(0, 3)) == 0:
                status = data.draw(st.sampled_from(NOT_MEASURED))
                missing.append((case, status, data.draw(said_reason)))
                continue
            seconds = data.draw(st.sampled_from([1e-6, 1e-3, 1.001e-3, 2.0]))
            compiled = case.implementation == "compiled_loop"
            cold = data.draw(st.sampled_from([1e-3, 5.0, 900.0])) if compiled else None
            warm = data.draw(st.sampled_from([None, 1e-2])) if compiled else None
            planted.append(Planted(case, seconds, compile_cold=cold, compile_warm=warm))
        said = sentences(
            tmp_path,
            planted,
            baseline=data.draw(st.sampled_from(["nn_rnn", "absent"])),
            replicates=data.draw(st.sampled_from([1, 2, 3])),
            blocks=2,
            rounds=3,
            not_measured=missing,
            notes=data.draw(st.lists(st.text(), max_size=2)),
        )
        check_form(said)

    def test_planted_leads_are_recovered_from_noise(self, tmp_path):
        planted = [Planted(CASE, 1.5e-3), Planted(changed(implementation="hoisted_loop"), 1e-3)]
        said = sentences(tmp_path, planted, replicates=8, blocks=10)
        found = re.fullmatch(
            r"It is ([\d.]+) \[([\d.]+), ([\d.]+)\] times as fast as nn_rnn\.", said[1]
        )
        assert found is not None
        value, low, high = map(float, found.groups())
        assert low <= value <= high
        assert math.isclose(value, 1.5, rel_tol=0.03)
