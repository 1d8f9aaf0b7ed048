"""Curves: what is read off a training, and in which order its epochs run."""

import pytest

from rnnbench.classifier.settings import PARTS, Settings
from rnnbench.lesson.curves import Curve, EpochRecord, Reached, train
from rnnbench.lesson.tables import (
    about,
    curve_sentences,
    epochs_table,
    parts_table,
    seeds_sentences,
    seeds_table,
)

PREPARED = {"seconds": {"build": 0.5, "first_steps": 0.25}}


def record(epoch, accuracy, *, after=None, seconds=2.0, unseen=0.5, **more) -> EpochRecord:
    after = accuracy if after is None else after
    return EpochRecord(epoch, 1.0 / epoch, accuracy, seconds, after, after - 0.01, unseen, **more)


def curve(*accuracies, seed=0, **more) -> Curve:
    records = tuple(record(i, a, **more) for i, a in enumerate(accuracies, 1))
    return Curve(Settings(seed=seed), PREPARED, records, 12)


def split(seconds, whole=2.0) -> Curve:
    parts = dict(zip(PARTS, seconds, strict=True))
    return curve(0.5, 0.6, seconds=whole, split_seconds=sum(seconds), parts=parts)


class TestReached:
    def test_the_first_epoch_at_the_target_and_all_seconds_up_to_its_end(self):
        assert curve(0.5, 0.989, 0.99, 0.98, 1.0).reached() == Reached(3, 6.0)

    def test_none_where_it_never_came_there(self):
        assert curve(0.5, 0.98).reached() is None

    def test_another_column_may_get_there_earlier(self):
        found = curve(0.5, 0.6, after=0.995)
        assert found.reached() is None
        assert found.reached("training_accuracy") == Reached(1, 2.0)
        assert found.reached("held_out_accuracy") is None


class TestParts:
    def test_sums_and_the_cost_of_splitting(self):
        found = split([1, 0, 0.5, 0.25, 0.25, 0, 0.2])
        assert found.covered == (1.0, 1.0)
        assert found.cost_of_splitting == pytest.approx(1.1)
        assert list(found.parts) == list(PARTS)

    def test_without_split_epochs_there_are_none(self):
        found = curve(0.5)
        assert (found.parts, found.covered, found.cost_of_splitting) == ({}, (), None)

    def test_a_gap_between_parts_is_seen(self):
        parts = dict.fromkeys(PARTS, 0.25)
        found = curve(0.5, split_seconds=2.0, parts=parts)
        assert found.covered == (7 * 0.25 / 2,)
        assert "add up to 87.50 to 87.50 % of" in " ".join(curve_sentences(found))


class FakeTrainer:
    def __init__(self):
        self.asked = []

    def prepare(self, name, settings):
        self.asked.append("prepare")
        return PREPARED

    def epoch(self, name):
        self.asked.append("epoch")
        return {"loss": 1.0, "accuracy": 0.5, "seconds": 2.0, "parts": None}

    def epoch_both_ways(self, name, *, split_first):
        self.asked.append(f"split first: {split_first}")
        whole = {"loss": 1.0, "accuracy": 0.5, "seconds": 2.0, "parts": None}
        parts = dict.fromkeys(PARTS, 0.25)
        return {"whole": whole, "split": {**whole, "seconds": 3.0, "parts": parts}}

    def evaluate(self, name):
        self.asked.append("evaluate")
        return {"training": 0.6, "held_out": 0.4, "unseen": None, "unseen_sequences": 0}


class TestTrain:
    def test_whole_and_split_come_first_in_turn_and_each_is_heard_of(self):
        trainer, heard = FakeTrainer(), []
        found = train(trainer, Settings(), 3, heard.append)
        assert trainer.asked == [
            "prepare",
            *("split first: False", "evaluate"),
            *("split first: True", "evaluate"),
            *("split first: False", "evaluate"),
        ]
        assert heard == list(found.epochs)
        assert [r.epoch for r in found.epochs] == [1, 2, 3]
        assert found.epochs[0].seconds == 2.0 and found.epochs[0].split_seconds == 3.0
        assert (found.epochs[0].training_accuracy, found.epochs[0].held_out_accuracy) == (0.6, 0.4)

    def test_without_splitting_each_epoch_runs_once(self):
        trainer = FakeTrainer()
        found = train(trainer, Settings(), 2, lambda record: None, split=False)
        assert trainer.asked == ["prepare", "epoch", "evaluate", "epoch", "evaluate"]
        assert found.epochs[0].parts is None

    def test_what_a_result_holds(self):
        columns = train(FakeTrainer(), Settings(), 1, lambda record: None).columns()
        (epoch,) = columns["epochs"]
        assert {"loss", "accuracy", "seconds", "parts", "split_seconds"} <= set(epoch)
        assert (columns["reached"], columns["target"]) == (None, 0.99)


class TestWords:
    def test_when_the_target_was_reached(self):
        said = " ".join(curve_sentences(curve(0.5, 0.995)))
        assert "first reached 0.99 in epoch 2, after 4.0 s of training." in said
        assert "took 0.75 s" in said
        assert "0.9850 of 2,000 fresh sequences, and 0.5000 of the 12 among them" in said

    def test_where_it_was_not_how_far_it_came_and_what_the_weights_say(self):
        said = " ".join(curve_sentences(curve(0.5, 0.96, after=0.995, unseen=None)))
        assert "did not reach 0.99 in 2 epochs; the best was 0.9600." in said
        assert "The weights at the end of epoch 1 did, after 2.0 s of training." in said
        assert "all of which are among those that were trained on." in said
        assert "The weights" not in " ".join(curve_sentences(curve(0.5)))

    def test_tables_have_a_row_for_each_epoch_and_part(self):
        found = split([1, 0, 0.5, 0.25, 0.25, 0, 0])
        table = epochs_table(found)
        assert [[cell.text for cell in row] for row in table.rows] == [
            ["1", "1.0000", "0.5000", "0.5000", "0.4900", "2.0"],
            ["2", "0.5000", "0.6000", "0.6000", "0.5900", "2.0"],
        ]
        parts = parts_table(found)
        assert [row[0].text for row in parts.rows] == list(PARTS)
        assert [row[2].text for row in parts.rows][:3] == ["50 %", "0.0 %", "25 %"]

    def test_seeds_are_counted_from_the_epoch_on_in_which_they_came_there(self):
        curves = [curve(0.5, 0.995, 0.98, seed=0), curve(0.6, 0.7, 0.99, seed=1)]
        rows = [[cell.text for cell in row] for row in seeds_table(curves).rows]
        assert [row[4] for row in rows] == ["0", "1", "2"]
        assert rows[0][1] == "0.5000, 0.5500, 0.6000"
        said = " ".join(seeds_sentences(curves))
        assert "Within 3 epochs, 2 of 2 seeds reached an accuracy of 0.99 during an epoch" in said
        assert "and 0 on fresh sequences." in said

    def test_what_is_trained_where(self):
        text = about(Settings(compile=True, threads=2, seq_len=7), {"torch": "2.13.0"})
        assert "length 7" in text and "with torch.compile" in text
        assert text.endswith("On cpu with 2 threads, PyTorch 2.13.0.")
