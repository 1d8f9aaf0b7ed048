"""The cost of a step from times that are known, and what a profile tells of itself."""

import pytest

from rnnbench.diagnosis import tables
from rnnbench.diagnosis.growth import Growth
from rnnbench.diagnosis.profiles import fitted, lengths_for
from rnnbench.report.render import to_text
from tests.diagnosis.made import profile


class TestStepCost:
    def test_a_line_is_found_again(self):
        lengths = lengths_for(100)
        assert lengths == (25, 50, 100)
        turns = [[2e-5 + b * n for n in lengths] for b in (1e-6, 3e-6, 2e-6)]
        found = fitted(lengths, turns)
        assert found.fixed == pytest.approx(2e-5)
        assert found.per_step == pytest.approx(2e-6)
        assert found.per_step_range == pytest.approx((1e-6, 3e-6))
        assert found.deviation < 1e-9

    def test_what_is_no_line_deviates(self):
        found = fitted((10, 20, 40), [[n * n * 1e-6 for n in (10, 20, 40)]])
        assert found.deviation > 0.1

    @pytest.mark.parametrize("seq_len", [1, 2, 7, 8, 9, 1000])
    def test_three_lengths_that_differ_always(self, seq_len):
        lengths = lengths_for(seq_len)
        assert len(set(lengths)) == 3 and seq_len in lengths and min(lengths) >= 1


class TestRemarks:
    def test_a_complete_profile_needs_none(self):
        assert list(tables.remarks([profile()])) == []

    def test_events_that_were_dropped_are_told(self):
        (said,) = tables.remarks([profile(seconds=2e-3, plain=2e-3)])
        assert "the parts add up to 50.0 % of the call" in said

    def test_a_profiler_that_is_most_of_the_call_is_told(self):
        (said,) = tables.remarks([profile(plain=4e-4)])
        assert "2.5 times as long" in said

    def test_an_operator_that_is_not_known_is_told(self):
        (said,) = tables.remarks([profile(unknown=["aten::new"])])
        assert "aten::new" in said and "counts as framework overhead" in said

    def test_a_device_that_waits_is_told(self):
        (said,) = tables.remarks([profile(idle=4e-4)])
        assert "nothing to do for 400.0 µs of 1.0 ms, 40 %" in said

    def test_what_has_no_profile_is_told(self):
        found = profile()
        found.status, found.reason = "unsupported", "there is no cell"
        (said,) = tables.remarks([found])
        assert said.endswith("is unsupported: there is no cell.")


def test_shares_and_counts_are_in_the_tables():
    text = to_text(tables.parts_table([profile()]), 200)
    for share in ("50 %", "20 %", "10 %", "100.0 %"):
        assert share in text
    text = to_text(tables.operators_table(profile()), 200)
    assert "aten::addmm" in text and "between operators" in text


class TestTablesOfWhatIsAskedForApart:
    def test_without_it_there_is_none(self):
        for table in (
            tables.compiled_table,
            tables.growth_table,
            tables.instructions_table,
            tables.memory_table,
            tables.steps_table,
            tables.gradients_table,
        ):
            assert table([profile()]) is None

    def test_phases_kernels_and_breaks(self):
        found = profile()
        phases = {"tracing": 0.5, "autograd": 2, "lowering": 2, "code_generation": 1.5}
        found.compiled = {
            "phases": {**phases, "compiling": 20.4},
            "kernels": 18,
            "breaks": ["Unsupported: torch.nn.RNN (model.py, line 12)"],
            "recompilations": [],
        }
        text = to_text(tables.compiled_table([found]), 300)
        assert "20.40" in text and " 18 " in text and "model.py, line 12" in text
        found.compiled["phases"] = None
        assert "not told" in to_text(tables.compiled_table([found]), 300)

    def test_growth(self):
        found = profile()
        found.growth = Growth((5, 10, 20), (10.0, 20.0, 40.0), (None,) * 3)
        text = to_text(tables.growth_table([found]), 200)
        assert "T5: 10.0, T10: 20.0, T20: 40.0" in text and "1.00 [1.00, 1.00]" in text
        assert found.columns()["compile_growth"]["exponent"] == pytest.approx(1)

    def test_instructions_and_where_other_code_was_counted(self):
        found = profile()
        found.instructions = {
            "instructions": 1_000_000,
            "counts": [999_000, 1_000_000, 1_001_000],
            "functions": [{"name": "sgemm [libtorch_cpu.so]", "instructions": 400_000}],
            "cpu_capability": "AVX2",
            "hidden_features": ["AVX512"],
        }
        text = to_text(tables.instructions_table([found]), 200)
        assert "1,000,000" in text and "0.20 %" in text and "100,000" in text
        assert "This processor has AVX512, which Valgrind has not" in " ".join(text.split())
        assert "40 %" in to_text(tables.functions_table(found), 200)


def test_columns_are_marked_as_profiled():
    columns = profile().columns()
    assert columns["profiled"] is True
    assert columns["case"]["seq_len"] == 10
    assert columns["memory"] is None
