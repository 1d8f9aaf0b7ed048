"""Measuring in stages: what is run again, what is not, what the result says, and going on."""

import json

import pytest

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.grids import load_grid
from rnnbench.measuring.options import Options
from rnnbench.regressions import stages as module
from rnnbench.regressions.compare import compare
from rnnbench.regressions.processes import Interrupted
from rnnbench.regressions.sides import read_sides
from rnnbench.regressions.split import split_result
from rnnbench.regressions.stages import (
    Plan,
    check_stages,
    grid_of,
    measure_in_stages,
    seconds_of_case,
)
from rnnbench.results import read
from rnnbench.validation import validate
from tests.regressions.made import NEW, OLD, case
from tests.synthetic import Noise, Planted, document, environment, write

THIRD = "third"
ALL = ["--rnn-grid=all", "--rnn-batch=1,2"]
NOISY = Noise(process=0.0, luck=0.3, drift=0.0, block=0.0, round=0.0)
CLEAR = Noise(process=0.0, luck=0.001, drift=0.0, block=0.0, round=0.0)


@pytest.fixture(autouse=True)
def _no_noise_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


class Runs:
    """Stand-in runs of the suites: ratios of new over old by batch size and stage."""

    def __init__(self, folder, ratios, noisy):
        self.folder = folder
        self.ratios = ratios
        self.noisy = noisy
        self.made = []
        self.interrupt = None
        self.slower_machine = 1.0

    def __call__(self, result, arguments, *, resume):
        options = dict(text.removeprefix("--rnn-").partition("=")[::2] for text in arguments)
        stage = int(result.stem.removeprefix("stage-"))
        batches = [1, 2, 3]
        if options["grid"] != "all":
            batches = [each.batch for each in load_grid(options["grid"]).cases()]
        self.made.append((stage, batches, options, resume))
        if self.interrupt == stage:
            self.interrupt = None
            write(result, document([], environments={}))  # a part of it, as an interrupt leaves it
            raise Interrupted(2)
        machine = 1.0 if stage == 1 else self.slower_machine
        parts = [
            document(
                [
                    Planted(case(batch=batch, environment=name), 1e-3 * machine * factor)
                    for name, factor in (
                        (OLD, 1.0),
                        (NEW, self.ratios.get(batch, 1.0)),
                        (THIRD, 9.0),
                    )
                ],
                noise=NOISY if batch in self.noisy.get(stage, ()) else CLEAR,
                replicates=8,
                blocks=1,
                environments={name: environment(torch=name) for name in (OLD, NEW, THIRD)},
                seed=100 * stage + batch,
            )
            for batch in batches
        ]
        whole = parts[0]
        whole["benchmarks"] = [found for part in parts for found in part["benchmarks"]]
        whole["rnnbench"]["run_id"] = f"run {stage}"
        write(result, whole)

    @property
    def stages(self):
        return [(stage, batches) for stage, batches, *_ in self.made]


@pytest.fixture
def runs(monkeypatch, tmp_path):
    """Installs stand-in runs and returns them with the path of the result."""

    def install(ratios=None, noisy=None):
        made = Runs(tmp_path, ratios or {}, noisy or {})
        monkeypatch.setattr(module, "measure", made)
        return made, tmp_path / "out" / "versions.json"

    return install


def plan(stages=3, **changes):
    values = {
        "stages": stages,
        "seconds": 6.0,
        "selection": ALL,
        "arguments": ["--rnn-replicates=8"],
        "names": [OLD, NEW],
    }
    return Plan(**{**values, **changes})


def run(result, *, said=None, resume=False, **changes):
    measure_in_stages(
        result, plan(**changes), resume=resume, say=([] if said is None else said).append
    )


def stages_of(result):
    return json.loads(result.read_text())["rnnbench"]["stages"]


class TestStages:
    def test_only_what_is_inconclusive_is_measured_again(self, runs):
        made, result = runs({1: 1.0, 2: 1.3}, noisy={1: [3], 2: [3]})
        said = []
        run(result, said=said)
        assert made.stages == [(1, [1, 2, 3]), (2, [3]), (3, [3])]
        assert said == [
            "Stage 1 of 3: all cases, 2 s of rounds each",
            "Stage 2 of 3: 1 case with an inconclusive verdict, 2 s of rounds each",
            "Stage 3 of 3: 1 case with an inconclusive verdict, 2 s of rounds each",
        ]
        assert validate(result) == []
        found = read([str(result)])
        processes = dict(zip(found.frame["batch"], found.frame["processes"]))
        assert processes == {1: 8, 2: 8, 3: 24}
        assert stages_of(result) == {"planned": 3, "run": 3}

    def test_it_ends_where_nothing_is_inconclusive(self, runs):
        made, result = runs({1: 1.3, 2: 1.4}, noisy={1: [2]})
        said = []
        run(result, said=said)
        assert made.stages == [(1, [1, 2, 3]), (2, [2])]
        assert said[-1] == "After stage 2 of 3 no verdict is inconclusive."
        assert stages_of(result) == {"planned": 3, "run": 2}
        (note,) = [n for n in json.loads(result.read_text())["rnnbench"]["notes"] if "stages" in n]
        assert note.startswith("measured in 2 of 3 planned stages (2 cases in 1, 1 case in 2): ")

    def test_each_stage_has_its_share_of_the_seconds_and_an_order_of_its_own(self, runs):
        made, result = runs(noisy={1: [1, 2, 3], 2: [1, 2, 3], 3: [1, 2, 3]})
        run(result)
        options = [options for _, _, options, _ in made.made]
        assert [float(each["seconds"]) for each in options] == [2.0, 2.0, 2.0]
        orders = [each.get("order-seed") for each in options]
        assert orders[0] is None and len(set(orders)) == 3
        assert all(each["replicates"] == "8" for each in options)
        assert options[0]["batch"] == "1,2"
        assert all("batch" not in each for each in options[1:]), "it would widen the grid"

    @pytest.mark.parametrize(
        ("names", "count"), [([OLD, THIRD], 1), ([OLD, NEW, THIRD], 2), ([OLD, THIRD, NEW], 2)]
    )
    def test_a_case_is_open_while_any_comparison_of_it_is(self, runs, names, count):
        made, result = runs(noisy={1: [2], 2: [2]})
        run(result, stages=2, names=names)
        assert made.stages == [(1, [1, 2, 3]), (2, [2])][:count]

    def test_one_environment_has_nothing_to_compare(self, runs):
        made, result = runs(noisy={1: [2]})
        run(result, names=[OLD])
        assert made.stages == [(1, [1, 2, 3])]

    def test_a_machine_that_changes_between_stages_does_not_hide_what_they_say(self, runs):
        made, result = runs({3: 1.1}, noisy={1: [3]})
        made.slower_machine = 1.25
        run(result, stages=2)
        assert made.stages == [(1, [1, 2, 3]), (2, [3])]
        found = compare(read_sides(f"{result}@{OLD}", f"{result}@{NEW}"))
        verdicts = {found.sides.results.frame.at[c.row, "batch"]: c.verdict for c in found.cases}
        assert verdicts[3] == "slower"

    def test_files_split_from_it_are_judged_as_the_whole_is(self, runs):
        _, result = runs({2: 1.3}, noisy={1: [3], 2: [3]})
        run(result)
        whole = compare(read_sides(f"{result}@{OLD}", f"{result}@{NEW}"))
        files = split_result(result)
        parts = compare(read_sides(str(files[OLD]), str(files[NEW])))
        assert parts.footing == "took turns"
        assert [c.finding for c in parts.cases] == [c.finding for c in whole.cases]
        assert parts.notes == whole.notes


class TestRate:
    def test_each_verdict_is_held_to_its_share_and_it_is_said_once(self, runs):
        _, result = runs()
        run(result, stages=2)
        found = compare(read_sides(f"{result}@{OLD}", f"{result}@{NEW}"), rate=0.1)
        assert {c.finding.level for c in found.cases} == {1 - 0.1 / 2}
        (note,) = [note for note in found.notes if "stages" in note]
        assert "10 % / 2 = 5.0 %" in note
        assert found.rate == 0.1, "the promise is the same"

    def test_planned_looks_count_and_not_those_that_were_taken(self, runs):
        _, result = runs()
        run(result, stages=4)
        assert stages_of(result) == {"planned": 4, "run": 1}
        found = compare(read_sides(f"{result}@{OLD}", f"{result}@{NEW}"))
        assert {c.finding.level for c in found.cases} == {1 - 0.05 / 4}

    def test_of_two_runs_every_look_counts_with_every_one_of_the_other(self, tmp_path, runs):
        _, result = runs()
        run(result, stages=2)
        content = json.loads(result.read_text())
        content["rnnbench"] |= {"run_id": "other", "stages": {"planned": 3, "run": 1}}
        other = write(tmp_path / "other.json", content)
        found = compare(read_sides(f"{result}@{OLD}", f"{other}@{NEW}"))
        assert {c.finding.level for c in found.cases} == {1 - 0.05 / 6}


class TestGoingOn:
    @pytest.mark.parametrize("stage", [1, 2, 3])
    def test_after_an_interrupt_in_any_stage(self, runs, stage):
        noisy = {1: [2, 3], 2: [3], 3: [3]}
        made, result = runs({2: 1.3}, noisy=noisy)
        made.interrupt = stage
        with pytest.raises(Interrupted):
            run(result)
        before = len(made.made)
        assert before == stage
        assert result.exists() == (stage > 1), "what the stages before have found is there"
        run(result, resume=True)
        again = made.made[before:]
        assert [found[0] for found in again] == list(range(stage, 4)), "none that had ended"
        assert all(resume for *_, resume in again)
        assert again[0][1] == made.made[before - 1][1], "the same cases as before the interrupt"
        whole = json.loads(result.read_text())
        assert whole["rnnbench"]["stages"] == {"planned": 3, "run": 3}
        assert validate(result) == []

    @pytest.mark.parametrize("written", ["versions.json.stages", "versions.json"])
    def test_after_a_kill_between_a_stage_and_what_is_written_then(
        self, runs, monkeypatch, written
    ):
        made, result = runs(noisy={1: [3], 2: [3], 3: [3]})
        real = module.write_document

        def killed(path, document):
            if len(made.made) == 2 and path.name == written:
                raise KeyboardInterrupt
            real(path, document)

        monkeypatch.setattr(module, "write_document", killed)
        with pytest.raises(KeyboardInterrupt):
            run(result)
        monkeypatch.setattr(module, "write_document", real)
        run(result, resume=True)
        assert [batches for _, batches in made.stages[1:]] == [[3]] * (len(made.stages) - 1)
        assert [stage for stage, _ in made.stages][2:] == (
            [2, 3] if written == "versions.json.stages" else [3]
        ), "a stage of which nothing says that it ended goes on from its journal"
        assert stages_of(result) == {"planned": 3, "run": 3}
        (frame,) = [read([str(result)]).frame]
        assert frame["processes"].max() == 24

    def test_a_run_that_had_ended_measures_nothing(self, runs):
        made, result = runs(noisy={1: [3]})
        run(result)
        before, count = result.read_bytes(), len(made.made)
        run(result, resume=True)
        assert (result.read_bytes(), len(made.made)) == (before, count)

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"seconds": 5.0}, "--seconds"),
            ({"selection": ["--rnn-grid=other", "--rnn-batch=1,2"]}, "--grid"),
            ({"arguments": ["--rnn-replicates=9"]}, "--replicates"),
            ({"arguments": ["--rnn-replicates=8", "--rnn-python=a=x"]}, "the environments"),
            ({"plugins": ["x.py"]}, "the content of plug-ins"),
        ],
    )
    def test_with_other_options_it_is_refused(self, runs, changes, named):
        made, result = runs(noisy={1: [3]})
        made.interrupt = 2
        with pytest.raises(Interrupted):
            run(result)
        with pytest.raises(UserError, match=f"begun with other options; different: {named}"):
            run(result, resume=True, **changes)

    def test_a_plugin_that_changed_between_stages_is_refused(self, runs, tmp_path):
        made, result = runs(noisy={1: [3]})
        made.interrupt = 2
        cell = tmp_path / "cell.py"
        cell.write_text("one")
        given = {"plugins": [f"old={cell}"]}
        with pytest.raises(Interrupted):
            run(result, **given)
        cell.write_text("two")
        with pytest.raises(UserError, match="different: the content of plug-ins"):
            run(result, resume=True, **given)

    def test_the_lock_is_no_part_of_what_was_asked(self, runs):
        made, result = runs(noisy={1: [3]})
        made.interrupt = 2
        with pytest.raises(Interrupted):
            run(result)
        run(result, resume=True, arguments=["--rnn-replicates=8", "--rnn-no-lock"])
        assert stages_of(result)["run"] >= 2

    def test_a_stage_that_is_gone_is_named(self, runs):
        made, result = runs(noisy={1: [3]})
        made.interrupt = 2
        with pytest.raises(Interrupted):
            run(result)
        result.with_name("stage-1.json").unlink()
        with pytest.raises(UserError, match=r"stage-1\.json is missing"):
            run(result, resume=True)


class TestCheck:
    @pytest.mark.parametrize("stages", [0, -1, 101])
    def test_a_number_of_stages_that_cannot_be(self, tmp_path, stages):
        with pytest.raises(UserError, match=f"--stages is {stages}; give a whole number from 1"):
            check_stages(tmp_path / "versions.json", stages, 8, resume=False)

    def test_single_processes_have_no_interval(self, tmp_path):
        check_stages(tmp_path / "versions.json", 1, 1, resume=False)
        with pytest.raises(UserError, match="give --replicates 2 or more"):
            check_stages(tmp_path / "versions.json", 2, 1, resume=False)

    def test_the_folder_of_a_run_in_stages(self, runs):
        _, result = runs(noisy={1: [3]})
        run(result)
        check_stages(result, 3, 8, resume=True)
        with pytest.raises(UserError, match="holds an earlier run in stages; give another folder"):
            check_stages(result, 3, 8, resume=False)
        for other in (1, 2):
            with pytest.raises(UserError, match=f"--stages is {other}, but .*with --stages 3; how"):
                check_stages(result, other, 8, resume=True)

    @pytest.mark.parametrize("name", ["versions.json", "versions.json.journal"])
    def test_the_folder_of_a_run_without_stages(self, tmp_path, name):
        (tmp_path / name).write_text("{}")
        check_stages(tmp_path / "versions.json", 1, 8, resume=True)
        with pytest.raises(UserError, match="was begun without --stages; leave the option out"):
            check_stages(tmp_path / "versions.json", 2, 8, resume=True)

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"stages": 2}', '{"stages": "x"}'])
    def test_a_state_that_is_none(self, tmp_path, content):
        (tmp_path / "versions.json.stages").write_text(content)
        with pytest.raises(UserError, match=r"versions\.json\.stages .*give another --output"):
            check_stages(tmp_path / "versions.json", 2, 8, resume=True)


class TestGrid:
    def test_it_holds_just_these_cases_in_any_environment(self, tmp_path):
        cases = [
            Case(batch=3, implementation="scan", input_size=7, bidirectional=True),
            Case(batch=3, pass_="backward", dtype="float64"),
            Case(threads=2, seed=4, implementation="my_cell"),
        ]
        file = tmp_path / "few.toml"
        file.write_text(grid_of(cases, 'what "is" left'))
        grid = load_grid(file)
        assert grid.cases(plugins=["my_cell"]) == sorted(cases)
        assert grid.with_implementations(["my_cell"]) == grid, "no plug-in joins by itself"

    def test_seconds_are_the_options_the_grids_or_those_of_the_suites(self, tmp_path):
        file = tmp_path / "mine.toml"
        file.write_text('description = "x"\n[options]\nseconds = 2.5\n[[product]]\nbatch = 1\n')
        assert seconds_of_case(3.0, str(file)) == 3.0
        assert seconds_of_case(None, str(file)) == 2.5
        file.write_text('description = "x"\n[[product]]\nbatch = 1\n')
        assert seconds_of_case(None, str(file)) == Options().seconds
