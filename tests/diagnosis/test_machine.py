"""`rnnbench machine` as a user runs it, and the visits that limits are made of."""

import dataclasses
import json
from pathlib import Path

import pytest

from rnnbench.cases import Case
from rnnbench.cli import main
from rnnbench.diagnosis import machine as machine_module
from rnnbench.diagnosis.machine import measure, shapes_of
from rnnbench.diagnosis.machine_tables import launches_table, limits_table
from rnnbench.limits import Launches, Product, kept_limits, read_limits
from tests.synthetic import Planted, ceiling, document, environment, least, limits, write

MEASURED = Case(pass_="forward")
LIMITS = limits(ceiling(call=1e-6))

TINY = (
    "--no-lock",
    "--seconds=0",
    "--implementation=nn_rnn",
    "--pass=forward",
    "--seq-len=3",
    "--hidden=8",
    "--input=4",
    "--batch=2",
    "--layout=time_major",
    "--threads=1",
)


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["machine", *arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_shapes_are_those_of_cases_that_have_a_limit():
    case = Case(seq_len=3, batch=2, input_size=4, hidden_size=8)
    others = [
        Case(device="cuda"),
        Case(dtype="autocast_bfloat16"),
        Case(workload="many_to_one"),
    ]
    assert shapes_of([case, *others]) == {("float32", 1): [Product(2, 8, 8), Product(6, 4, 8)]}


class Visited:
    """A profiler that answers at once, its n-th visit with the n-th of some factors."""

    def __init__(self, clock, *factors, squares=2):
        self.environment = environment()
        self.clock, self.factors, self.squares = clock, factors, squares
        self.visits = []

    def limits(self, shapes, dtype, threads, *, seconds):
        factor = self.factors[min(len(self.visits), len(self.factors) - 1)]
        self.visits.append((dtype, threads))
        self.clock.now += 1.0
        return {
            "products": [factor * 1e-6 * (1 + place) for place, _ in enumerate(shapes)],
            "squares": [
                {"rows": 64 * (1 + n), "seconds": factor * 1e-3} for n in range(self.squares)
            ],
            "moves": [{"bytes": 1000, "seconds": [factor * 3e-7, factor * 2e-7]}],
            "nothing": [factor * 1e-9, factor * 1e-7],
            "calls": {
                "python": factor * 2e-8,
                "product": factor * 3e-8,
                "entries": 10,
                "list": factor * 4e-7,
                "longer_list": factor * 5e-7,
            },
        }

    def launches(self, *, seconds):
        return [{"device": "cuda", "reason": "there is none"}]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class TestVisits:
    SHAPES = {("float32", 1): [Product(2, 8, 8), Product(6, 4, 8)], ("float32", 2): []}

    def measured(self, *profilers, seconds=0.0):
        shown = []
        found = measure(
            profilers,
            self.SHAPES,
            lambda done, what: shown.append((done, what)),
            seconds=seconds,
            clock=profilers[0].clock,
        )
        return found, shown

    def test_each_process_is_visited_once_however_long_it_takes(self):
        clock = Clock()
        profilers = [Visited(clock, 1.0), Visited(clock, 1.0)]
        found, shown = self.measured(*profilers)
        assert [one.visits for one in profilers] == [[("float32", 1), ("float32", 2)]] * 2
        assert found.processes == 2 and found.seconds == 4.0
        assert [what for _, what in shown] == ["float32, 1 thread", "float32, 2 threads"] * 2
        assert {done for done, _ in shown} == {0.0}

    def test_processes_take_turns_until_the_time_is_over(self):
        clock = Clock()
        profilers = [Visited(clock, 1.0), Visited(clock, 1.0)]
        _, shown = self.measured(*profilers, seconds=7.0)
        assert [len(one.visits) for one in profilers] == [4, 3]
        assert [done for done, _ in shown] == [0, 1, 2, 3, 4, 5, 6]

    def test_a_process_is_told_by_its_best_visit_and_all_by_the_best_process(self):
        clock = Clock()
        # The first is slowed down in one of its visits to a setting, the second always.
        profilers = [Visited(clock, 9.0, 9.0, 1.0, 1.0), Visited(clock, 3.0)]
        found, _ = self.measured(*profilers, seconds=7.0)
        for one in found.ceilings:
            call = one.calls["cpp"]
            assert (call.seconds, call.high) == pytest.approx((1e-8, 2e-8))
            assert one.moves[1000].seconds == pytest.approx(1e-7), "the call taken off"
            assert one.calls["product"].seconds == pytest.approx(3e-8)
        first = found.ceilings[0].products
        assert first[Product(6, 4, 8)].seconds == pytest.approx(2e-6)
        assert first[Product(128, 128, 128)].seconds == pytest.approx(1e-3)

    def test_the_least_is_taken_before_one_is_taken_from_another(self):
        """Else a list that was slowed down would make what the longer one takes more too little."""
        clock = Clock()
        profiler = Visited(clock, 1.0)
        answer = profiler.limits

        def slowed(shapes, dtype, threads, *, seconds):
            found = answer(shapes, dtype, threads, seconds=seconds)
            if len(profiler.visits) == 1:
                found["calls"]["list"] *= 1.2
                found["nothing"] = [1e-7, 1.9e-7]
            return found

        profiler.limits = slowed
        found, _ = self.measured(profiler, seconds=4.0)
        assert found.ceilings[0].calls["cpp"].seconds == pytest.approx(1e-8)
        assert found.ceilings[0].moves[1000].seconds == pytest.approx(1e-7)

    def test_what_is_mostly_the_call_is_not_told_as_nothing(self):
        assert machine_module._moving([4.0], [3.9]) == 1.0
        odd = {"list": 4.0, "longer_list": 4.1, "entries": 1}
        assert machine_module._call_of_a_list(odd) == 1.0

    def test_squares_that_a_visit_left_out_are_left_out(self):
        clock = Clock()
        found, _ = self.measured(Visited(clock, 1.0), Visited(clock, 1.0, squares=1))
        assert Product(64, 64, 64) in found.ceilings[0].products
        assert Product(128, 128, 128) not in found.ceilings[0].products

    def test_whose_limits_they_are_is_on_record(self):
        found, _ = self.measured(Visited(Clock(), 1.0))
        assert found.key == limits().key
        assert found.measured_at[:2] == "20"

    def test_launches_are_the_best_of_all_processes_or_a_reason(self):
        clock = Clock()
        profilers = [Visited(clock, 1.0), Visited(clock, 1.0)]
        found, _ = self.measured(*profilers)
        assert found.launches == (Launches("cuda", reason="there is none"),)
        for one, seconds in zip(profilers, (1e-6, 3e-6)):
            told = {"device": "cuda", **dict.fromkeys(Launches.NAMES, seconds)}
            one.launches = lambda *, seconds, told=told: [told]
        found, _ = self.measured(*profilers)
        (launches,) = found.launches
        assert launches.reason == ""
        assert launches.times["launch"].seconds == 1e-6
        assert launches.times["step"].high == pytest.approx(2e-6)


class TestTables:
    def test_limits_have_a_row_for_each_setting_with_intervals(self):
        found = limits(ceiling(call=1e-6), ceiling(threads=2, flops_per_second=2e11))
        table = limits_table(found)
        texts = [[cell.text for cell in row] for row in table.rows]
        assert [row[:4] for row in texts] == [
            ["float32", "1", "100 GFLOP/s", "1"],
            ["float32", "2", "200 GFLOP/s", "1"],
        ]
        assert texts[0][5] == "1 TB/s at 1 MiB"
        assert texts[0][6].startswith("1.000 µs [1.000, 1.000]")
        assert table.data["flops_per_second"].tolist() == pytest.approx([1e11, 2e11])
        assert table.data["call_cpp_high"].tolist() == pytest.approx([1e-6, 1e-9])
        assert "Synthetic CPU, PyTorch 2.13.0+cpu" in table.title

    def test_a_device_that_there_is_not_has_its_reason(self):
        there = Launches("xpu", dict.fromkeys(Launches.NAMES, least(5e-6, 0.1)))
        launches = (Launches("cuda", reason="there is none"), there)
        table = launches_table(dataclasses.replace(LIMITS, launches=launches))
        texts = [[cell.text for cell in row] for row in table.rows]
        assert texts[0] == ["cuda", *["not measured"] * 3, "there is none"]
        assert texts[1] == ["xpu", *["5.00 µs [4.50, 5.50]"] * 3, "measured"]
        assert table.data["launch"].tolist()[1] == 5e-6


class TestCommand:
    @pytest.mark.slow
    def test_limits_are_measured_kept_and_read_again(self, run, monkeypatch):
        monkeypatch.setattr(machine_module, "PROCESSES", 2)
        status, out, err = run(*TINY)
        assert (status, err) == (0, "")
        assert "Limits of this machine" in out and "FLOP/s" in out
        (kept,) = Path("data").rglob("*.json")
        found = read_limits(kept)
        assert kept.name == f"{found.key}.json" == kept_limits(found.key).name
        assert found.processes == 2
        (one,) = found.ceilings
        # The grid has layers upon layers, whose inputs are as wide as a state; squares are larger.
        shapes = {(p.m, p.k, p.n) for p in one.products if p.m < 64}
        assert shapes == {(2, 8, 8), (6, 4, 8), (6, 8, 8)}
        assert one.calls["cpp"].seconds < one.calls["python"].high * 2
        status, again, _ = run(f"--limits={kept}")
        assert status == 0 and again in out

    def test_results_are_held_against_the_limits_of_their_machine(self, run):
        result = write(Path("r.json"), document([Planted(MEASURED, 2e-3)]))
        Path("l.json").write_bytes(LIMITS.document())
        status, out, err = run("--limits=l.json", "--format=csv", str(result))
        assert (status, err) == (0, "")
        shares = out.split("\n\n")[2]
        row = dict(zip(*(line.split(",") for line in shares.split("\n")[:2])))
        flops = 2 * 20 * 32 * 128 * (64 + 128)
        assert float(row["limit"]) == pytest.approx(flops / 1e11)
        assert row["limit_by"] == "products"
        assert float(row["limit_share"]) == pytest.approx(flops / 1e11 / float(row["time"]))

    def test_a_result_of_another_machine_is_refused(self, run):
        result = write(Path("r.json"), document([Planted(MEASURED, 2e-3)]))
        other = limits(ceiling(), described=environment(torch="2.12.0"))
        Path("l.json").write_bytes(other.document())
        status, _, err = run("--limits=l.json", str(result))
        assert status == 2
        assert "r.json: its limits must be measured where it was" in err
        assert "another PyTorch (2.12.0 and 2.13.0+cpu)" in err
        assert err.count("\n") == 1

    def test_results_without_any_limit_are_told(self, run):
        result = write(Path("r.json"), document([Planted(MEASURED, 2e-3)]))
        Path("l.json").write_bytes(limits(ceiling(threads=2)).document())
        status, _, err = run("--limits=l.json", str(result))
        assert status == 2 and "no case has limits here" in err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--timeout=0"], "--timeout is 0; give seconds above 0"),
            (["--seconds=-1"], "--seconds is -1; give 0 or more"),
            (["--limits=none.json"], "none.json: cannot be read"),
            (["--output=missing/a.json"], "its parent missing does not exist"),
            (["--grid=none_such"], "none_such"),
            (["--python=/none/such"], "/none/such"),
            (["--workload=many_to_one"], "no case of the grid has limits"),
        ],
    )
    def test_bad_input_is_one_sentence(self, run, arguments, message):
        status, out, err = run(*arguments)
        assert status == 2 and out == ""
        assert message in err and err.count("\n") == 1 and "Traceback" not in err


def test_a_file_of_limits_is_readable_by_others():
    content = json.loads(LIMITS.document())
    assert content["limits"][0]["flops_per_second"] == pytest.approx(1e11)
    assert content["facts"]["processor"] == "Synthetic CPU"
