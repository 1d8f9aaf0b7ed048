"""Limits of a machine: what they are made of, how they are kept, and whose they are."""

import dataclasses
import json

import pytest

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.limits import (
    Ceiling,
    Launches,
    Least,
    Limits,
    Product,
    ceilings_in,
    facts_of,
    fingerprint,
    known_limits,
    read_limits,
    why_not_of,
)
from tests.synthetic import ceiling, environment, least, limits

CASE = Case(seq_len=10, batch=4, input_size=6, hidden_size=8)
SHAPE = Product(4, 8, 8)


def with_call(found, **seconds):
    calls = {**found.calls, **{name: least(value, 0.1) for name, value in seconds.items()}}
    return dataclasses.replace(found, calls=calls)


class TestLeast:
    def test_it_is_the_quickest_process_and_reaches_to_the_middle_one(self):
        found = Least.of_processes([4.0, 1.0, 2.0])
        assert (found.seconds, found.high) == (1.0, 2.0)
        assert found.low == pytest.approx(0.5), "by the same factor to the other side"
        assert Least.of_processes([1.0, 4.0, 2.0, 3.0]).high == 2.5

    def test_one_process_has_no_other_to_differ_from(self):
        assert Least.of_processes([3.0]) == Least(3.0, 3.0, 3.0)

    @pytest.mark.parametrize(
        "value",
        [
            None,
            [],
            {},
            {"seconds": 1.0, "low": 2.0, "high": 3.0},
            {"seconds": 1.0, "low": 0.5, "high": 0.9},
            {"seconds": float("nan"), "low": 1.0, "high": 1.0},
            {"seconds": True, "low": True, "high": True},
            {"seconds": -1.0, "low": -1.0, "high": -1.0},
            {"seconds": "1", "low": 1.0, "high": 1.0},
        ],
    )
    def test_what_is_none_is_refused(self, value):
        with pytest.raises(ValueError, match=r"seconds|interval"):
            Least.from_json(value)


class TestCeiling:
    def test_a_product_is_without_its_call(self):
        found = ceiling({(4, 8, 8): least(5e-6, 0.1)})
        found = with_call(found, product=1e-6)
        net = found.product(SHAPE)
        assert net.seconds == pytest.approx(4e-6)
        # The least of the product goes with the most of the call, and the other way round.
        assert net.low == pytest.approx(4.5e-6 - 1.1e-6)
        assert net.high == pytest.approx(5.5e-6 - 0.9e-6)

    def test_a_product_is_never_quicker_than_the_best_rate(self):
        found = with_call(ceiling({(4, 8, 8): least(1e-6)}), product=0.9999e-6)
        assert found.product(SHAPE).seconds == pytest.approx(SHAPE.flops / 1e11)

    def test_a_shape_that_was_not_measured_has_the_best_rate_of_any(self):
        found = ceiling({(40, 80, 80): least(40 * 80 * 80 * 2 / 4e11)})
        assert found.flops_per_second == pytest.approx(4e11)
        assert found.product(SHAPE).seconds == pytest.approx(SHAPE.flops / 4e11)

    def test_bytes_move_at_the_better_rate_of_the_amounts_next_to_it(self):
        moves = {1000: least(1e-6), 4000: least(2e-6, 0.5), 16000: least(1e-3)}
        found = dataclasses.replace(ceiling(), moves=moves)
        assert found.moving(2000).seconds == pytest.approx(1e-6), "at the 2e9 B/s of 4000"
        assert found.moving(8000).seconds == pytest.approx(4e-6), "the same"
        assert found.moving(8000).low == pytest.approx(2e-6)
        assert found.moving(4000) == found.moves[4000]
        assert found.moving(10**6).seconds == pytest.approx(1e-3 * 10**6 / 16000), "the largest"
        assert found.moving(10).seconds == pytest.approx(5e-9), "below all: the best of any"
        assert found.bytes_per_second == pytest.approx(16e6)

    def test_a_step_costs_the_cheaper_call(self):
        assert with_call(ceiling(), python=2e-6, cpp=1e-6).step.seconds == 1e-6
        assert with_call(ceiling(), python=1e-6, cpp=2e-6).step.seconds == 1e-6

    @pytest.mark.parametrize(
        ("place", "value"),
        [
            (("products",), []),
            (("products",), None),
            (("products", 0, "shape"), [1, 2]),
            (("products", 0, "shape"), [1, 2, 0]),
            (("products", 0, "shape"), [1, 2, 10**30]),
            (("products", 0, "seconds"), None),
            (("moves",), []),
            (("moves", 0, "bytes"), 0.5),
            (("calls", "cpp"), None),
            (("calls",), []),
            (("threads",), 0),
            (("threads",), True),
            (("device",), None),
            (("dtype",), 3),
        ],
    )
    def test_one_that_lacks_something_is_left_out_of_a_result(self, place, value):
        whole = ceiling().as_json()
        broken = json.loads(json.dumps(whole))
        *above, last = place
        at = broken
        for key in above:
            at = at[key]
        at[last] = value
        assert ceilings_in({"limits": [broken, whole, 7]}) == [ceiling()]
        assert ceilings_in({"limits": broken}) == ceilings_in({}) == []


class TestFile:
    def test_what_was_written_is_read_again(self, tmp_path):
        made = dataclasses.replace(
            limits(ceiling({(4, 8, 8): least(1e-6, 0.1)}), ceiling(threads=2)),
            launches=(
                Launches("cuda", reason="there is none"),
                Launches("xpu", dict.fromkeys(Launches.NAMES, least(1e-6))),
            ),
            measured_at="2026-01-01T00:00:00+00:00",
            seconds=85.5,
            processes=4,
        )
        file = tmp_path / "l.json"
        file.write_bytes(made.document())
        assert read_limits(file) == made
        assert json.loads(file.read_bytes())["key"] == made.key == fingerprint(made.facts)

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "[]",
            "{}",
            '{"rnnbench_limits": 99}',
            '{"rnnbench_limits": 2, "facts": 1}',
            "[" * 9999,
        ],
    )
    def test_what_holds_no_limits_is_refused(self, tmp_path, content):
        file = tmp_path / "l.json"
        file.write_text(content)
        with pytest.raises(UserError, match="holds no limits of a machine"):
            read_limits(file)

    def test_none_is_refused(self, tmp_path):
        with pytest.raises(UserError, match="cannot be read: No such file"):
            read_limits(tmp_path / "none.json")


class TestWhose:
    FACTS = facts_of(environment())

    @pytest.mark.parametrize(
        ("changed", "says"),
        [
            ({"torch": "2.12.0"}, "another PyTorch (2.12.0 and 2.13.0+cpu)"),
            ({"cpu": {"model": "Other", "count": 2}}, "another machine (other: processor)"),
            ({"variables": {"MKL_CBWR": "AVX2"}}, "another machine (other: variables)"),
        ],
    )
    def test_another_machine_or_pytorch_is_named(self, changed, says):
        other = limits(described=environment(**changed))
        assert other.key != fingerprint(self.FACTS)
        assert why_not_of(other, self.FACTS) == says

    def test_another_build_of_one_version_is_another(self):
        ours, theirs = (environment(torch_git=commit) for commit in ("abc", "def"))
        assert why_not_of(limits(described=theirs), facts_of(ours)) == "another build of PyTorch"

    def test_processors_of_one_name_are_told_apart_by_what_they_can_do(self):
        ours, theirs = (
            environment(cpu={"model": "AMD EPYC", "flags": flags})
            for flags in (["avx2"], ["avx2", "avx512f"])
        )
        assert "CPU features" in why_not_of(limits(described=theirs), facts_of(ours))

    def test_what_sets_threads_or_devices_is_no_difference(self):
        other = environment(variables={"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "1"})
        assert facts_of(other) == self.FACTS

    def test_what_one_side_does_not_tell_is_no_difference(self):
        assert why_not_of(limits(described={"torch": "2.13.0+cpu"}), self.FACTS) == ""

    def test_odd_descriptions_have_facts_too(self):
        odd = {"cpu": 3, "devices": {"cuda": [], 5: {"devices": [None, "a"]}}, "variables": []}
        assert set(facts_of(odd)) == set(self.FACTS)


class TestKnown:
    @pytest.fixture
    def kept(self, tmp_path):
        def keep(found: Limits, name: str = ""):
            (tmp_path / f"{name or found.key}.json").write_bytes(found.document())

        return keep

    def test_those_of_this_machine_go_into_the_result(self, kept, tmp_path):
        here = environment()
        kept(limits(ceiling(), ceiling(threads=2)))
        found = known_limits(here, [CASE], tmp_path)
        assert ceilings_in(found) == [ceiling(), ceiling(threads=2)]
        assert "no_limits" not in found

    def test_none_were_measured(self, tmp_path):
        for folder in (tmp_path, tmp_path / "missing"):
            (said,) = known_limits(environment(), [CASE], folder).values()
            assert said == (
                "no share of a limit is known: this machine's limits were not measured; "
                "`rnnbench machine` does that"
            )

    def test_other_threads_are_not_used_and_named(self, kept, tmp_path):
        kept(limits(ceiling(threads=2), ceiling(dtype="float64")))
        found = known_limits(environment(), [CASE, dataclasses.replace(CASE, threads=2)], tmp_path)
        assert found["no_limits"] == (
            "no share of a limit is known for float32 with 1 thread: `rnnbench machine` measured "
            "float32 with 2 threads, float64 with 1 thread here; give it the grid and axes of this "
            "run"
        )
        assert len(found["limits"]) == 2, "the others are still told"

    def test_another_pytorch_or_machine_is_not_used_and_the_nearest_is_named(self, kept, tmp_path):
        far = environment(torch="1.0", cpu={"model": "Other", "count": 9})
        kept(limits(ceiling(), described=far), "a")
        kept(limits(ceiling(), described=environment(torch="2.12.0")), "b")
        (tmp_path / "c.json").write_text("no limits at all")
        found = known_limits(environment(), [CASE], tmp_path)
        assert found == {
            "no_limits": "no share of a limit is known: the limits that are kept are of another "
            "PyTorch (2.12.0 and 2.13.0+cpu); `rnnbench machine` measures those of this one"
        }

    def test_a_broken_file_ends_nothing(self, kept, tmp_path):
        (tmp_path / f"{limits().key}.json").write_text("{")
        found = known_limits(environment(), [CASE], tmp_path)
        assert "holds no limits of a machine" in found["no_limits"]

    @pytest.mark.parametrize(
        "columns", [{"device": "cuda"}, {"workload": "many_to_one"}, {"dtype": "autocast_bfloat16"}]
    )
    def test_what_has_no_limit_needs_no_words(self, columns, tmp_path):
        assert known_limits(environment(), [dataclasses.replace(CASE, **columns)], tmp_path) == {}

    def test_launches_are_told_where_they_were_measured(self, kept, tmp_path):
        launches = (
            Launches("cuda", dict.fromkeys(Launches.NAMES, least(1e-6))),
            Launches("xpu", reason="there is none"),
        )
        kept(dataclasses.replace(limits(ceiling()), launches=launches))
        found = known_limits(environment(), [CASE], tmp_path)
        assert [entry["device"] for entry in found["launches"]] == ["cuda"]


def test_a_ceiling_is_read_as_it_was_written():
    made = ceiling({(4, 8, 8): least(1e-6, 0.1)}, dtype="float64", threads=3)
    assert Ceiling.from_json(json.loads(json.dumps(made.as_json()))) == made
