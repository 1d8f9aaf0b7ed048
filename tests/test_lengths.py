"""Lengths of the sequences of a batch: what each word stands for, and what is refused."""

import dataclasses

import pytest

from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.forms import valid_lengths
from rnnbench.lengths import is_list, is_sorted, lengths_of
from rnnbench.schema import DISTRIBUTIONS, LENGTHS, SORTED


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("constant_sorted", (16,) * 8),
        ("bucketed_sorted", (16, 16, 15, 15, 14, 14, 13, 13)),
        ("uniform_sorted", (16, 14, 12, 10, 8, 6, 4, 2)),
        ("long_tail_sorted", (16, 8, 6, 4, 4, 3, 3, 2)),
        ("one_long_sorted", (16, 2, 2, 2, 2, 2, 2, 2)),
        ("full", (16,) * 8),
        ("3+16+1", (3, 16, 1)),
        ("16+3_sorted", (16, 3)),
    ],
)
def test_each_word_has_its_lengths(word, expected):
    assert lengths_of(word, 16, 8) == expected


@pytest.mark.parametrize("batch", [1, 2, 3, 32])
@pytest.mark.parametrize("seq_len", [1, 2, 7, 100])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_order_is_drawn_and_nothing_else(name, seq_len, batch):
    in_order = lengths_of(f"{name}{SORTED}", seq_len, batch)
    assert len(in_order) == batch
    assert in_order[0] == seq_len
    assert min(in_order) >= 1
    assert list(in_order) == sorted(in_order, reverse=True)
    drawn = {lengths_of(name, seq_len, batch, seed) for seed in range(5)}
    assert {tuple(sorted(lengths, reverse=True)) for lengths in drawn} == {in_order}
    # Never in order by luck, except where all are alike.
    assert (in_order in drawn) == (len(set(in_order)) == 1)
    assert lengths_of(name, seq_len, batch, 3) == lengths_of(name, seq_len, batch, 3)


def test_only_what_says_so_is_in_order():
    assert [word for word in LENGTHS if is_sorted(word)] == [f"{d}{SORTED}" for d in DISTRIBUTIONS]
    assert is_sorted("3+2+1_sorted")
    assert not is_sorted("3+2+1")


@pytest.mark.parametrize("word", ["", "+", "3+", "3+x", "3,2", "3 + 2", "uniform+3", "3_sorted_"])
def test_what_is_neither_a_word_nor_a_list_is_refused_with_both(word):
    assert not is_list(word)
    with pytest.raises(UserError, match="must be one of full, .*, or a length for each sequence"):
        Case(lengths=word)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("5+0+2", "the length of sequence 2 is 0; it must be 1 or more"),
        ("5+2+-3", "the length of sequence 3 is -3; it must be 1 or more"),
        (
            "9+2+1",
            "the length of sequence 1 is 9, longer than seq_len 8; shorten it, or give a larger "
            "seq_len",
        ),
        ("5+2", "it has 2 lengths for a batch of 3; give one for each sequence"),
        (
            "2+5+1_sorted",
            "it ends with '_sorted' and the longest do not come first; sort them, or leave "
            "'_sorted' out",
        ),
    ],
)
def test_each_wrong_list_has_its_sentence(word, expected):
    with pytest.raises(UserError) as refused:
        Case(seq_len=8, batch=3, lengths=word)
    assert str(refused.value) == f"column 'lengths' is {word!r}: {expected}"


def test_layouts_of_one_batch_are_competitors_and_other_lengths_are_not():
    case = Case(lengths="uniform", layout="packed")
    padded = dataclasses.replace(case, layout="padded")
    assert case.group == padded.group
    assert case.ground == padded.ground
    assert case.setting != padded.setting
    assert case.id != padded.id
    other = dataclasses.replace(case, lengths="uniform_sorted")
    assert other.group != case.group
    assert Case.from_columns(case.columns()) == case


def test_the_seed_draws_their_order():
    case = Case(lengths="uniform", layout="padded")
    assert valid_lengths(case) != valid_lengths(dataclasses.replace(case, seed=1))
    assert valid_lengths(Case(seq_len=3, batch=2)) == (3, 3)
