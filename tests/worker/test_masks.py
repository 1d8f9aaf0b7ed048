"""Masks of dropout that a layer and the oracle draw alike."""

import dataclasses

import torch

from rnnbench.cases import Case
from rnnbench.worker.masks import fix_masks, masks_between_layers

CASE = Case(
    seq_len=6, batch=5, input_size=3, hidden_size=40, num_layers=3, bidirectional=True, dropout=0.3
)


def test_there_is_one_between_each_two_layers_and_a_share_is_dropped():
    masks = masks_between_layers(CASE)
    assert [mask.shape for mask in masks] == 2 * [(6, 5, 80)]
    assert not torch.equal(*masks)
    for mask in masks:
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        assert 0.25 < 1 - mask.mean() < 0.35


def test_without_dropout_there_are_none_and_nothing_is_seeded():
    plain = dataclasses.replace(CASE, dropout=0.0)
    before = torch.get_rng_state()
    assert masks_between_layers(plain) == []
    fix_masks(plain)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_generator_of_the_process_is_left_as_it_was():
    before = torch.get_rng_state()
    masks_between_layers(CASE)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_forward_after_fixing_draws_them():
    fix_masks(CASE)
    ones = torch.ones(6, 5, 80)
    drawn = [torch.nn.functional.dropout(ones, 0.3) for _ in range(2)]
    for mine, mask in zip(drawn, masks_between_layers(CASE), strict=True):
        torch.testing.assert_close(mine, (mask / 0.7).float())


def test_a_dtype_changes_no_mask():
    masks = {
        dtype: masks_between_layers(dataclasses.replace(CASE, dtype=dtype))
        for dtype in ("float32", "float64", "bfloat16", "float16", "autocast_bfloat16")
    }
    for others in masks.values():
        assert all(map(torch.equal, masks["float32"], others))
