"""Recommendations: the planted winner at the nearest shapes, and nothing that was not measured."""

from __future__ import annotations

import dataclasses
import math
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.grids.axes import AXES, OPTION_PREFIX, parse_axis
from rnnbench.report._shapes import encloses, neighbours_of
from rnnbench.report.recommend import recommend
from rnnbench.report.recommend_command import recommendation_lines, register
from rnnbench.results import read
from tests import synthetic
from tests.synthetic import Noise, Planted, document, write

QUICK = Path(__file__).parents[2] / "results" / "cpu-quick" / "quick.json.gz"
CASE = Case(seq_len=10, batch=8, input_size=64, hidden_size=64, pass_="forward")
EXACT = Noise(process=0, luck=0, drift=0, block=0, round=0)


def changed(**changes):
    return dataclasses.replace(CASE, **changes)


def results_of(tmp_path, planted, name="made.json", **options):
    return read(write(tmp_path / name, document(planted, noise=EXACT, **options)))


@pytest.fixture
def grid(tmp_path):
    """T 10 and 100, B 8 and 32, H 64 and 256; hoisted_loop wins where B is 8, nn_rnn elsewhere."""
    planted = []
    for seq_len in (10, 100):
        for batch in (8, 32):
            for hidden in (64, 256):
                case = changed(seq_len=seq_len, batch=batch, hidden_size=hidden)
                planted.append(Planted(case, 1e-3))
                hoisted = dataclasses.replace(case, implementation="hoisted_loop")
                planted.append(Planted(hoisted, 0.5e-3 if batch == 8 else 2e-3))
    return results_of(tmp_path, planted)


def app():
    made = typer.Typer(pretty_exceptions_enable=False)

    @made.callback()
    def _nothing() -> None: ...

    register(made)
    return made


def invoke(*arguments):
    return CliRunner().invoke(app(), ["recommend", *map(str, arguments)])


class TestShapes:
    def test_a_measured_shape_is_its_own_only_neighbour(self):
        shapes = [(1, 1), (1, 4), (4, 1), (4, 4)]
        assert neighbours_of(shapes, (1, 4)) == [(1, 4)]

    def test_neighbours_on_a_grid_are_the_corners_of_the_cell(self):
        shapes = [(a, b) for a in (1, 4, 16, 64) for b in (1, 4, 16, 64)]
        assert set(neighbours_of(shapes, (6, 5))) == {(4, 4), (4, 16), (16, 4), (16, 16)}
        assert neighbours_of(shapes, (6, 5))[0] == (4, 4)
        assert neighbours_of(shapes, (4, 9)) == [(4, 16), (4, 4)]

    def test_a_hull_is_that_of_the_logarithms(self):
        cross = [(10, 32), (50, 32), (10, 1)]
        assert encloses(cross, (22, 32))
        assert encloses(cross, (12, 8))
        assert not encloses(cross, (50, 1))
        assert not encloses(cross, (49, 2))
        assert not encloses(cross, (51, 32))
        assert encloses([(10**17, 1), (1, 10**17)], (10**17, 1))

    def test_a_line_of_shapes_encloses_what_lies_on_it_alone(self):
        line = [(2, 8), (8, 2)]
        assert encloses(line, (4, 4))
        assert not encloses(line, (4, 5))


class TestMeasuredShape:
    def test_the_planted_winner_with_its_lead(self, grid):
        found = recommend(grid, batch=8, seq_len=100, hidden_size=256)
        assert found.exact and found.command is None and len(found.neighbours) == 1
        assert found.nearest.fastest is not None
        assert found.nearest.fastest.implementation == "hoisted_loop"
        assert found.nearest.fastest.time == pytest.approx(0.5e-3)
        assert [x.implementation for x in found.nearest.candidates] == ["hoisted_loop"]
        second = found.nearest.winners.standings[1]
        assert second.ratio is not None and second.ratio.value == pytest.approx(2.0)
        assert "torch.addmm" in found.snippet.text and "randn(100, 8, 64)" in found.snippet.text

    def test_all_that_cannot_be_told_from_the_best_are_candidates(self, tmp_path):
        planted = [
            Planted(changed(implementation=name), seconds)
            for name, seconds in (("nn_rnn", 1e-3), ("hoisted_loop", 1e-3), ("scan", 2e-3))
        ]
        found = recommend(results_of(tmp_path, planted), batch=8, seq_len=10, hidden_size=64)
        assert found.nearest.fastest is None
        assert {x.implementation for x in found.nearest.candidates} == {"nn_rnn", "hoisted_loop"}

    def test_what_was_not_measured_there_is_kept(self, tmp_path):
        scan = changed(implementation="scan")
        results = results_of(
            tmp_path, [Planted(CASE, 1e-3)], not_measured=[(scan, "unsupported", "no")]
        )
        found = recommend(results, batch=8, seq_len=10, hidden_size=64)
        assert found.nearest.not_measured == (("scan", "unsupported"),)
        lines = list(recommendation_lines(results, found))
        assert "  not measured here: scan (unsupported)" in lines
        assert "  No winner: nothing else was measured; 1 candidate." in lines


class TestBetweenShapes:
    def test_both_neighbours_and_that_their_winners_differ(self, grid):
        found = recommend(grid, batch=12, seq_len=10, hidden_size=64)
        assert [n.sizes["batch"] for n in found.neighbours] == [8, 32]
        assert found.nearest.factors == {"seq_len": 1, "batch": 8 / 12, "hidden_size": 1}
        assert found.nearest.distance == pytest.approx(math.log(12 / 8))
        firsts = [n.fastest and n.fastest.implementation for n in found.neighbours]
        assert firsts == ["hoisted_loop", "nn_rnn"]
        assert found.agreed == ()
        text = "\n".join(recommendation_lines(grid, found))
        assert "The best is not the same at both shapes (hoisted_loop and nn_rnn)" in text
        assert "(B × 0.667 of what is wanted; distance 0.41)" in text
        assert found.command is not None and found.command in text

    def test_neighbours_that_agree(self, grid):
        found = recommend(grid, batch=32, seq_len=30, hidden_size=100)
        assert len(found.neighbours) == 4
        assert found.agreed == ("nn_rnn",)
        assert "nn_rnn is the fastest at all 4 shapes." in recommendation_lines(grid, found)

    def test_times_are_those_of_measured_shapes_alone(self, grid):
        found = recommend(grid, batch=12, seq_len=30, hidden_size=100)
        assert len(found.neighbours) == 8
        times = set(grid.frame["time"].tolist())
        assert all(x.time in times for n in found.neighbours for x in n.candidates)
        lines = list(recommendation_lines(grid, found))
        assert "4 more of the neighbouring shapes lie further away." in lines

    def test_a_run_that_does_not_enclose_the_wish_is_left_out(self, grid, tmp_path):
        write(tmp_path / "far.json", document([Planted(changed(seq_len=11), 1e-3)]))
        results = read([tmp_path / "made.json", tmp_path / "far.json"])
        found = recommend(results, batch=8, seq_len=12, hidden_size=64)
        assert {n.run for n in found.neighbours} == {"made"}


class TestRefusals:
    @pytest.mark.parametrize(
        ("wish", "part"),
        [
            ({"seq_len": 101}, "--seq-len 101 (measured: 10 to 100) lies outside"),
            ({"batch": 7}, "--batch 7 (measured: 8 to 32) lies outside"),
            (
                {"hidden_size": 1, "batch": 99},
                "--batch 99 (measured: 8 to 32) and --hidden 1 (measured: 64 to 256) lie outside",
            ),
            ({"input_size": 65}, "--input 65 (measured: 64 alone) lies outside"),
            ({"device": "cuda"}, "--device cuda was not measured, only cpu"),
            ({"pass_": "training_step"}, "--pass training_step was not measured, only forward"),
            ({"dtype": "float64"}, "--dtype float64 was not measured, only float32"),
            (
                {"device": "cpu", "layout": "batch_first"},
                "--layout batch_first was not measured with --device cpu, only time_major",
            ),
            ({"threads": 2}, "--threads 2 was not measured, only 1"),
            ({"bidirectional": True}, "--bidirectional true was not measured, only false"),
            ({"bias": False}, "--bias false was not measured, only true"),
            ({"cell": "lstm"}, "--cell lstm was not measured, only rnn_tanh"),
            (
                {"initial_state": "zero"},
                "--initial-state zero was not measured, only given",
            ),
        ],
    )
    def test_nothing_is_extrapolated_and_the_command_measures_the_wish(self, grid, wish, part):
        wish = {"batch": 8, "seq_len": 10, "hidden_size": 64, **wish}
        with pytest.raises(UserError) as raised:
            recommend(grid, **wish)
        message = str(raised.value)
        assert message.startswith(part)
        check_command(message.partition("measure it: ")[2], wish)

    def test_sizes_that_were_never_measured_together(self, tmp_path):
        planted = [
            Planted(changed(seq_len=t, batch=b), 1e-3) for t, b in ((10, 32), (50, 32), (10, 1))
        ]
        results = results_of(tmp_path, planted)
        with pytest.raises(UserError, match="but no measured shapes enclose them together"):
            recommend(results, batch=1, seq_len=50, hidden_size=64)
        assert recommend(results, batch=32, seq_len=20, hidden_size=64).nearest.sizes["batch"] == 32

    @pytest.mark.parametrize(
        ("wish", "part"),
        [
            ({"batch": 0}, "--batch holds 0"),
            (
                {"pass_": "foward"},
                '--pass holds "foward", which is no pass; did you mean "forward"',
            ),
            ({"device": "<script>"}, "which is no torch device"),
        ],
    )
    def test_a_wish_that_makes_no_sense_is_named(self, grid, wish, part):
        with pytest.raises(UserError) as raised:
            recommend(grid, **{"batch": 8, "seq_len": 10, "hidden_size": 64, **wish})
        assert part in str(raised.value)

    def test_a_file_without_any_time(self, tmp_path):
        results = results_of(tmp_path, [], not_measured=[(CASE, "failed", "x")])
        with pytest.raises(UserError, match="nothing in these files was measured"):
            recommend(results, batch=8, seq_len=10, hidden_size=64)


def check_command(command, wish):
    """The command is one that pytest would take, and asks for the wish."""
    words = shlex.split(command)
    assert words[:2] == ["pytest", "suites"] and words[-1] == "--benchmark-json=wanted.json"
    given = dict(zip(words[2:-1:2], words[3:-1:2], strict=True))
    options = {OPTION_PREFIX + axis.option: axis for axis in AXES.values()}
    for option, text in given.items():
        values = parse_axis(options[option].name, text)
        column = "pass_" if options[option].name == "pass" else options[option].name
        if column in wish:
            assert values == (wish[column],)
    assert set(given) == set(options)


class TestChoices:
    def test_what_nobody_chose_is_said_where_there_was_a_choice(self, tmp_path):
        planted = [
            Planted(changed(pass_=pass_, layout=layout, threads=threads), 1e-3)
            for pass_ in ("inference", "training_step")
            for layout in ("time_major", "batch_first")
            for threads in (2, 4)
        ]
        results = results_of(tmp_path, planted)
        found = recommend(results, batch=8, seq_len=10, hidden_size=64)
        chosen = [found.setting[column] for column in ("pass", "layout", "threads", "device")]
        assert chosen == ["training_step", "time_major", 2, "cpu"]
        assert set(found.assumed) == {"pass", "layout", "threads"}
        found = recommend(
            results,
            batch=8,
            seq_len=10,
            hidden_size=64,
            pass_="inference",
            layout="batch_first",
            threads=4,
        )
        assert found.assumed == {} and found.setting["pass"] == "inference"

    def test_options_of_the_layer_are_choices_and_never_mixed(self, tmp_path):
        planted = [Planted(CASE, 1e-3)]
        for columns in ({"bias": False}, {"initial_state": "zero"}, {"cell": "lstm"}):
            planted.append(Planted(changed(implementation="python_loop", **columns), 1e-5))
        results = results_of(tmp_path, planted)
        found = recommend(results, batch=8, seq_len=10, hidden_size=64)
        assert [x.implementation for x in found.nearest.candidates] == ["nn_rnn"]
        lines = list(recommendation_lines(results, found))
        assert "  --bias was not given: true is taken; measured are false or true." in lines
        assert (
            "  --initial-state was not given: given is taken; measured are given or zero." in lines
        )
        other = recommend(results, batch=8, seq_len=10, hidden_size=64, bias=False)
        assert [x.implementation for x in other.nearest.candidates] == ["python_loop"]
        assert "torch.nn.RNN(64, 64, bias=False)" in other.snippet.text

    def test_dropout_is_a_choice_in_plain_numbers(self, tmp_path):
        planted = [Planted(changed(num_layers=2, dropout=share), 1e-3) for share in (0.0, 0.2, 0.5)]
        results = results_of(tmp_path, planted)
        found = recommend(results, batch=8, seq_len=10, hidden_size=64)
        lines = list(recommendation_lines(results, found))
        assert "  --dropout was not given: 0 is taken; measured are 0, 0.2 or 0.5." in lines

    def test_the_input_size_nearest_to_the_hidden_size_is_taken(self, tmp_path):
        planted = [Planted(changed(input_size=size), 1e-3) for size in (1, 32, 1000)]
        found = recommend(results_of(tmp_path, planted), batch=8, seq_len=10, hidden_size=64)
        assert found.nearest.sizes["input_size"] == 32
        assert found.assumed == {"input_size": (1, 32, 1000)}


class TestCompilation:
    @pytest.mark.parametrize(
        ("seconds", "part"),
        [
            (1e-3, "against nn_rnn it has paid after 10,000 [10,000, 10,000] calls."),
            (2e-3, "against nn_rnn it never pays: a call is not faster."),
        ],
    )
    def test_what_it_costs_and_when_it_has_paid(self, seconds, part, tmp_path):
        compiled = changed(implementation="compiled_loop")
        results = results_of(
            tmp_path,
            [
                Planted(CASE, 2e-3),
                Planted(compiled, seconds, compile_cold=10.0, compile_warm=1.0),
            ],
        )
        found = recommend(results, batch=8, seq_len=10, hidden_size=64)
        text = "\n".join(recommendation_lines(results, found))
        assert "Compiling takes 10.0 s with nothing cached and 1.0 s with a warm cache" in text
        assert part in text
        assert "It needs torch.compile" in text

    def test_without_anything_eager_beside_it(self, tmp_path):
        compiled = Planted(changed(implementation="scan"), 1e-3, compile_cold=3.0)
        results = results_of(tmp_path, [compiled])
        found = recommend(results, batch=8, seq_len=10, hidden_size=64)
        text = "\n".join(recommendation_lines(results, found))
        assert "nothing without compilation was measured beside it" in text


class TestCommand:
    def test_the_real_result(self):
        found = invoke(QUICK, "--batch", 32, "--seq-len", 10, "--hidden", 128, "--pass", "forward")
        assert found.exit_code == 0, found.output
        frame = read(QUICK).frame
        wanted = (
            (frame["pass"] == "forward")
            & (frame["batch"] == 32)
            & (frame["seq_len"] == 10)
            & (frame["layout"] == "time_major")
        )
        fastest = frame.loc[frame[wanted]["time"].idxmin(), "implementation"]
        assert f"  {fastest}: " in found.output
        assert "This shape was measured." in found.output
        for word in ("nan", "None", "<NA>"):
            assert word not in found.output

    def test_a_refusal_ends_the_command(self):
        found = invoke(QUICK, "--batch", 32, "--seq-len", 10, "--hidden", 4096)
        assert isinstance(found.exception, UserError)
        assert "--hidden 4096 (measured: 128 alone) lies outside" in str(found.exception)

    def test_hostile_names_are_harmless(self, tmp_path):
        path = write(
            tmp_path / "a.json", document([Planted(changed(implementation="a" * 10_000), 1e-3)])
        )
        evil = tmp_path / "e\u202evil\x1b.json"
        evil.write_text(path.read_text())
        found = invoke(path, evil, "--batch", 8, "--seq-len", 10, "--hidden", 64)
        assert found.exit_code == 0
        assert "\u202e" not in found.output and "\x1b" not in found.output
        assert "a" * 60 not in found.output
        assert "e\\u202evil\\x1b" in found.output

    def test_environments_are_told_apart(self, tmp_path):
        environments = {"old": synthetic.environment(), "new": synthetic.environment()}
        planted = [
            Planted(changed(environment="old"), 1e-3),
            Planted(changed(environment="new"), 1e-3),
        ]
        results = results_of(tmp_path, planted, environments=environments)
        found = recommend(results, batch=8, seq_len=10, hidden_size=64)
        text = "\n".join(recommendation_lines(results, found))
        assert "nn_rnn @ old" in text and "nn_rnn @ new" in text

    def test_registering_imports_nothing_heavy(self):
        code = (
            "import sys, typer\n"
            "from rnnbench.report.recommend_command import register\n"
            "register(typer.Typer())\n"
            "heavy = {'pandas', 'numpy', 'scipy', 'matplotlib', 'torch', 'jinja2'}\n"
            "print(sorted(heavy & set(sys.modules)))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"
