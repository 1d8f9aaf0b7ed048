"""Settings refuse what cannot be trained with, and name the option."""

import pytest

from rnnbench.classifier.settings import Settings
from rnnbench.errors import UserError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"samples": 0}, "--samples is 0; an empty dataset teaches nothing: give 1 or more"),
        ({"seq_len": 0}, "--seq-len is 0; a sequence has at least one step: give 1 or more"),
        ({"batch": -1}, "--batch is -1; a step needs at least one sequence: give 1 or more"),
        ({"hidden": 0}, "--hidden is 0; a state has at least one feature: give 1 or more"),
        ({"threads": 0}, "--threads is 0; at least one computes: give 1 or more"),
        ({"learning_rate": 0.0}, "--learning-rate is 0.0; give a number above 0, such as 1e-3"),
        (
            {"learning_rate": float("nan")},
            "--learning-rate is nan; give a number above 0, such as 1e-3",
        ),
        ({"seed": -1}, "--seed is -1; give 0 to 999999"),
        (
            {"layout": "time-major"},
            "--layout is 'time-major', which there is not; known: time_major, batch_first",
        ),
        ({"data": "lazy"}, "--data is 'lazy', which there is not; known: prepared, per_sample"),
        ({"metrics": "never"}, "--metrics is 'never', which there is not; known: epoch, step"),
    ],
)
def test_what_cannot_be_trained_with_is_refused_by_its_option(given, said):
    with pytest.raises(UserError) as refused:
        Settings(**given)
    assert str(refused.value) == said


def test_an_implementation_that_there_is_not_is_refused():
    with pytest.raises(UserError, match="--implementation is 'reference', which there is not"):
        Settings(implementation="reference")


def test_a_device_that_is_none_is_refused():
    with pytest.raises(UserError, match="'CPU!'"):
        Settings(device="CPU!")


@pytest.mark.parametrize(
    ("samples", "batch", "sizes"),
    [(2000, 32, (32, 16)), (64, 32, (32,)), (20, 32, (20,)), (33, 32, (32, 1))],
)
def test_the_last_batch_is_smaller_where_the_size_does_not_divide(samples, batch, sizes):
    assert Settings(samples=samples, batch=batch).batch_sizes == sizes


def test_they_come_back_from_their_columns():
    settings = Settings(seq_len=7, compile=True, learning_rate=0.5)
    assert Settings.from_columns(settings.columns()) == settings


def test_the_course_s_settings_are_the_defaults():
    course = Settings()
    assert (course.seq_len, course.samples, course.batch, course.hidden) == (10, 2000, 32, 32)
    assert (course.learning_rate, course.implementation) == (1e-3, "nn_rnn")
