"""The sequences: their label rule, what is refused, and the same batches however they are read."""

import dataclasses

import pytest
import torch

from rnnbench.classifier.data import (
    Order,
    Sequences,
    batches,
    draw,
    held_out,
    training,
    unseen,
)
from rnnbench.classifier.settings import Settings
from rnnbench.errors import UserError

SMALL = Settings(samples=50, held_out=40, batch=16, seq_len=6, hidden=4)


def sequences(*rows, labels=None) -> Sequences:
    values = torch.tensor(rows, dtype=torch.float32).unsqueeze(-1)
    return Sequences(
        values, torch.zeros(len(rows), dtype=torch.int64) if labels is None else labels
    )


class TestDraw:
    @pytest.mark.parametrize("seq_len", [9, 10])
    def test_the_label_is_1_where_more_than_half_are_ones(self, seq_len):
        drawn = draw(500, seq_len, 3)
        for row, label in zip(drawn.values.squeeze(-1).tolist(), drawn.labels.tolist()):
            assert set(row) <= {0.0, 1.0}
            assert label == int(sum(row) > seq_len / 2)
        assert set(drawn.labels.tolist()) == {0, 1}

    def test_half_of_ten_are_not_more_than_half(self):
        drawn = draw(2000, 10, 0)
        ones = drawn.values.sum((1, 2))
        assert drawn.labels[ones == 5].unique().tolist() == [0]
        assert drawn.labels[ones == 6].unique().tolist() == [1]

    def test_the_same_seed_draws_the_same(self):
        assert torch.equal(draw(30, 5, 1).values, draw(30, 5, 1).values)
        assert not torch.equal(draw(30, 5, 1).values, draw(30, 5, 2).values)

    def test_what_is_held_out_is_drawn_anew_and_not_from_the_weights_bits(self):
        """A generator looks at 32 bits of its seed: seeds further apart may be the same stream."""
        settings = dataclasses.replace(SMALL, samples=200, held_out=200, seq_len=40)
        trained, fresh = training(settings), held_out(settings)
        assert not unseen(fresh, trained).logical_not().any()
        weights_stream = torch.Generator().manual_seed(settings.seed)
        same_bits = torch.randint(0, 2, trained.values.shape, generator=weights_stream)
        assert not torch.equal(same_bits.float(), trained.values)


class TestRefused:
    def test_an_empty_dataset(self):
        with pytest.raises(UserError, match="the dataset is empty; give at least one sequence"):
            draw(0, 10, 0)

    def test_sequences_of_length_zero(self):
        with pytest.raises(UserError, match="the sequences have length 0; give at least one step"):
            draw(5, 0, 0)

    @pytest.mark.parametrize(("value", "word"), [(float("nan"), "nan"), (float("inf"), "inf")])
    def test_a_value_that_is_no_finite_number_with_its_place(self, value, word):
        with pytest.raises(UserError, match=f"sequence 1 is {word} at step 2; every value"):
            sequences([0, 1, 0], [0, 1, value])

    @pytest.mark.parametrize("label", [2, -1])
    def test_a_label_out_of_range_with_its_place(self, label):
        with pytest.raises(
            UserError, match=f"the label of sequence 2 is {label}; there are 2 classes, 0 to 1"
        ):
            sequences([0], [1], [1], labels=torch.tensor([0, 1, label]))

    def test_labels_of_another_number(self):
        with pytest.raises(UserError, match=r"the labels have shape \(1,\) and there are 2"):
            sequences([0], [1], labels=torch.tensor([0]))

    def test_another_shape_or_type(self):
        with pytest.raises(UserError, match=r"shape \(3, 2\); it must be \(samples, steps, 1\)"):
            Sequences(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64))
        with pytest.raises(UserError, match=r"must be torch\.float32 and torch\.int64"):
            Sequences(torch.zeros(3, 2, 1), torch.zeros(3))


class TestUnseen:
    def test_it_marks_what_was_not_trained_on(self):
        trained = sequences([0, 1], [1, 1])
        assert unseen(sequences([1, 1], [1, 0], [0, 1], [0, 0]), trained).tolist() == [
            False,
            True,
            False,
            True,
        ]


class TestBatches:
    @pytest.mark.parametrize("layout", ["time_major", "batch_first"])
    def test_both_ways_to_read_give_the_same_batches_in_every_epoch(self, layout):
        read = []
        for data in ("prepared", "per_sample"):
            settings = dataclasses.replace(SMALL, data=data, layout=layout)
            order = Order(settings.samples, settings.seed)
            source = batches(training(settings), order, settings)
            read.append([list(source), list(source)])
        for prepared, made in zip(*read):
            assert len(prepared) == len(made) == 4
            for (x, labels), (other_x, other_labels) in zip(prepared, made):
                assert torch.equal(x, other_x)
                assert torch.equal(labels, other_labels)
                assert x.is_contiguous() and other_x.is_contiguous()

    def test_an_epoch_has_each_sequence_once_in_a_new_order(self):
        data = Sequences(torch.arange(50.0).reshape(50, 1, 1), torch.zeros(50, dtype=torch.int64))
        settings = dataclasses.replace(SMALL, seq_len=1)
        source = batches(data, Order(50, 0), settings)
        epochs = [torch.cat([x.flatten() for x, _ in source]).tolist() for _ in range(2)]
        assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(50))
        assert epochs[0] != epochs[1] != sorted(epochs[1])

    def test_the_last_batch_is_what_is_left(self):
        settings = SMALL
        source = batches(training(settings), Order(50, 0), settings)
        assert [tuple(x.shape) for x, _ in source] == [(6, 16, 1)] * 3 + [(6, 2, 1)]
