"""Variants: each takes its turns in each process, and what fails has a reason and no number."""

from collections import Counter

import pytest

from rnnbench.cases import builtin_implementations
from rnnbench.classifier.settings import Settings
from rnnbench.errors import UserError
from rnnbench.lesson.curves import TARGET, Reached
from rnnbench.lesson.tables import not_compiled, remarks, variants_table
from rnnbench.lesson.variants import BASELINE, Effort, choose, measure, variants
from rnnbench.measuring.workers import CaseProblem, WorkerLost

BASE = Settings(samples=50, held_out=40, seq_len=6)
PLAIN, SLOW = "plain", "per_sample"


class FakeTrainer:
    """Answers at once: an epoch of `SLOW` takes twice as long as one of the others."""

    started: list["FakeTrainer"] = []
    wrong: dict[tuple[int, str, str], Exception] = {}

    def __init__(self, number):
        self.number = number
        self.asked = []
        self.closed = False
        FakeTrainer.started.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True

    def _ask(self, op, name):
        self.asked.append((op, name))
        error = FakeTrainer.wrong.get((self.number, op, name))
        if error is not None:
            raise error

    def prepare(self, name, settings):
        self._ask("prepare", name)
        return {"seconds": {"build": 1.0, "first_steps": 2.0}, "compiler_start": None}

    def epoch(self, name):
        self._ask("epoch", name)
        epochs = Counter(self.asked)["epoch", name]
        return {"loss": 1.0, "accuracy": 0.9 + 0.03 * epochs, "seconds": 0.5}

    def turn(self, name, epochs):
        self._ask("turn", name)
        return [(1 + 0.1 * self.number) * (2.0 if name == SLOW else 1.0)] * epochs


@pytest.fixture(autouse=True)
def _fresh():
    FakeTrainer.started, FakeTrainer.wrong = [], {}


def run(names=f"{PLAIN},{SLOW},batch_first", **effort):
    shown, kept = [], []
    outcomes = measure(
        BASE,
        choose(names),
        Effort(**{"processes": 3, "turns": 2, **effort}),
        FakeTrainer,
        lambda done, what: shown.append((done, what)),
        lambda outcomes: kept.append({o.variant.name: len(o.processes) for o in outcomes}),
    )
    run.shown, run.kept = shown, kept
    return {outcome.variant.name: outcome for outcome in outcomes}


class TestVariants:
    def test_every_implementation_and_every_piece_of_advice_is_one(self):
        names = [variant.name for variant in variants()]
        assert names[0] == BASELINE == PLAIN
        assert set(names) == {
            PLAIN,
            SLOW,
            "item_every_step",
            "batch_first",
            "compiled_model",
            *builtin_implementations(),
        } - {"nn_rnn"}

    def test_each_differs_from_the_plain_one_in_its_own_settings_alone(self):
        plain = variants()[0].settings(BASE).columns()
        for variant in variants()[1:]:
            changed = {k for k, v in variant.settings(BASE).columns().items() if plain[k] != v}
            assert len(changed) == 1, variant

    def test_the_plain_one_is_always_chosen(self):
        assert [v.name for v in choose("batch_first , per_sample")] == [PLAIN, SLOW, "batch_first"]

    def test_a_name_that_there_is_not_is_refused(self):
        with pytest.raises(UserError, match="--only holds 'fast', which is no variant; known: pl"):
            choose("fast")

    @pytest.mark.parametrize(
        ("option", "value", "least"),
        [("processes", 0, 1), ("turns", 0, 1), ("turn_epochs", 1, 2), ("epochs", 0, 1)],
    )
    def test_too_little_effort_is_refused(self, option, value, least):
        name = option.replace("_", "-")
        with pytest.raises(UserError, match=f"--{name} is {value}; give {least} or more"):
            Effort(**{option: value})


class TestMeasure:
    def test_each_has_its_turns_in_each_process_in_a_balanced_order(self):
        found = run(turns=4)
        assert [trainer.number for trainer in FakeTrainer.started] == [0, 1, 2]
        orders = []
        for trainer in FakeTrainer.started:
            turns = [name for op, name in trainer.asked if op == "turn"]
            assert Counter(turns) == dict.fromkeys(found, 4)
            assert turns[3:6] == turns[:3][::-1], "the second sweep is the first one reversed"
            assert trainer.closed
            orders.append(tuple(turns))
        assert len(set(orders)) > 1
        for outcome in found.values():
            assert [len(blocks) for blocks in outcome.processes] == [4, 4, 4]

    def test_the_ratio_is_taken_within_processes(self):
        found = run()
        ratio = found[SLOW].against(found[PLAIN])
        assert ratio.ratio == pytest.approx(2)
        assert (ratio.low, ratio.high) == pytest.approx((2, 2))
        assert ratio.verdict == "slower"
        assert found[SLOW].estimate().value == pytest.approx(2.2)

    def test_the_first_process_trains_to_the_target(self):
        found = run()
        assert found[PLAIN].reached == Reached(3, 1.5)
        assert found[PLAIN].best_accuracy >= TARGET
        assert found[PLAIN].start_seconds == 3.0
        epochs = [op for trainer in FakeTrainer.started for op, _ in trainer.asked]
        assert epochs.count("epoch") == 3 * 3, "three epochs of three variants, in one process"

    def test_one_that_does_not_get_there_says_how_far_it_came(self):
        found = run(epochs=2)
        assert found[PLAIN].reached is None
        assert found[PLAIN].best_accuracy == pytest.approx(0.96)

    def test_progress_never_goes_back(self):
        run()
        done = [number for number, _ in run.shown]
        assert done == sorted(done)
        assert done[-1] < 3

    def test_what_there_is_is_kept_after_each_process(self):
        run(f"{PLAIN},{SLOW}")
        assert run.kept == [{PLAIN: n, SLOW: n} for n in (1, 2, 3)]


class TestTable:
    def test_each_has_its_time_ratio_verdict_and_way_to_the_target(self):
        rows = [[cell.text for cell in row] for row in variants_table(list(run().values())).rows]
        assert [row[0] for row in rows] == [PLAIN, SLOW, "batch_first"]
        assert rows[0][2:] == ["1", "", "3", "4.50"]
        assert rows[1][2:4] == ["2.0000 [2.0000, 2.0000]", "slower"]
        assert rows[2][3] == "same"
        assert rows[1][1].startswith("2.20 [")

    def test_one_that_did_not_get_there_shows_its_best(self):
        table = variants_table(list(run(epochs=1).values()))
        assert [cell.text for cell in table.rows[0]][4:] == ["never", "best 0.9300"]

    def test_what_has_no_number_shows_its_status_and_the_reason_stands_below(self):
        FakeTrainer.wrong[0, "prepare", SLOW] = CaseProblem("unsupported", "it is slow")
        outcomes = list(run().values())
        rows = [[cell.text for cell in row] for row in variants_table(outcomes).rows]
        assert rows[1] == [SLOW, "unsupported", "", "", "", ""]
        assert list(remarks(outcomes)) == [f"{SLOW} is unsupported: it is slow."]

    def test_what_was_to_be_compiled_and_was_not_is_said(self):
        outcomes = list(run().values())
        outcomes[1].prepared["graphs"] = {"graphs": 0, "frames": 1, "breaks": {}}
        assert list(remarks(outcomes)) == [
            f"{SLOW}: torch.compile made no graph of it, so it ran as if not compiled."
        ]

    def test_a_broken_graph_is_said_with_its_reason_and_a_whole_one_is_not(self):
        broken = {"graphs": 2, "frames": 3, "breaks": {"a print": 1}}
        assert list(not_compiled("it", {"graphs": broken})) == [
            "it: torch.compile broke its graph (a print), so a part ran as if not compiled."
        ]
        assert list(not_compiled("it", {"graphs": {**broken, "breaks": {}}})) == []
        assert list(not_compiled("it", {"graphs": None})) == []

    def test_without_the_plain_one_the_others_have_times_alone(self):
        FakeTrainer.wrong[0, "turn", PLAIN] = CaseProblem("failed", "no")
        rows = [[cell.text for cell in row] for row in variants_table(list(run().values())).rows]
        assert rows[0][1] == "failed"
        assert rows[1][2:4] == ["no plain one", ""]


class TestFailures:
    def test_one_that_is_refused_has_its_reason_and_the_others_go_on(self):
        FakeTrainer.wrong[0, "prepare", SLOW] = CaseProblem("unsupported", "it is slow")
        found = run()
        assert (found[SLOW].status, found[SLOW].reason) == ("unsupported", "it is slow")
        assert found[SLOW].estimate() is None and found[SLOW].against(found[PLAIN]) is None
        assert found[SLOW].start_seconds is None
        assert len(found[PLAIN].processes) == 3
        assert all(("turn", SLOW) not in trainer.asked for trainer in FakeTrainer.started)
        assert ("prepare", SLOW) not in FakeTrainer.started[1].asked

    def test_one_that_takes_its_process_along_begins_it_anew_without_it(self):
        FakeTrainer.wrong[1, "turn", SLOW] = WorkerLost("crashed", "it was ended")
        found = run()
        assert [trainer.number for trainer in FakeTrainer.started] == [0, 1, 1, 2]
        assert found[SLOW].status == "crashed"
        assert found[SLOW].processes == [], "a number from one process alone would be none"
        assert [len(blocks) for blocks in found[PLAIN].processes] == [2, 2, 2]
        assert all(trainer.closed for trainer in FakeTrainer.started)

    def test_without_the_plain_one_there_is_no_ratio(self):
        FakeTrainer.wrong[0, "turn", PLAIN] = CaseProblem("failed", "no")
        found = run()
        assert found[SLOW].against(found[PLAIN]) is None
        assert found[SLOW].estimate() is not None

    def test_where_all_fail_nothing_is_started_again(self):
        for name in (PLAIN, SLOW):
            FakeTrainer.wrong[0, "prepare", name] = CaseProblem("failed", "no")
        found = run(f"{PLAIN},{SLOW}")
        assert len(FakeTrainer.started) == 1
        assert {outcome.status for outcome in found.values()} == {"failed"}

    def test_what_a_result_holds_of_both(self):
        FakeTrainer.wrong[0, "prepare", SLOW] = CaseProblem("unsupported", "it is slow")
        found = run()
        wrong = found[SLOW].columns(found[PLAIN])
        assert (wrong["seconds"], wrong["ratio"], wrong["blocks"]) == (None, None, [])
        right = found["batch_first"].columns(found[PLAIN])
        assert right["ratio"]["ratio"] == pytest.approx(1)
        assert right["settings"]["layout"] == "batch_first"
        assert right["reached"] == {"epoch": 3, "seconds": 1.5}
