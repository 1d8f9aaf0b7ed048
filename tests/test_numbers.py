"""Numbers as people read them: units, and digits that the interval supports."""

import pytest

from rnnbench import numbers


class TestColumnUnit:
    @pytest.mark.parametrize(
        ("times", "unit"),
        [
            ([42.9e-6, 4.97e-3], "µs"),
            ([1.2e-3, 3.0], "ms"),
            ([20e-6, 0.5], "ms"),
            ([9e-9], "ns"),
            ([2.0, 900.0], "s"),
            ([], "s"),
        ],
    )
    def test_is_that_of_the_smallest_unless_the_largest_has_six_digits(self, times, unit):
        assert numbers.column_unit(times)[1] == unit

    def test_zero_and_negative_numbers_choose_no_smaller_unit(self):
        assert numbers.column_unit([0.0, -2e-3])[1] == "ms"


class TestInUnit:
    @pytest.mark.parametrize(
        ("value", "low", "high", "expected"),
        [
            (798.7e-6, 796.9e-6, 800.8e-6, ("798.7", "[796.9, 800.8]")),
            (832e-6, 821e-6, 847e-6, ("832", "[821, 847]")),
            (-1.2e-6, -3.4e-6, 0.9e-6, ("-1.2", "[-3.4, 0.9]")),
            (0.00001e-6, -2e-6, 2e-6, ("0.0", "[-2.0, 2.0]")),
            (-0.00001e-6, -2e-6, 2e-6, ("0.0", "[-2.0, 2.0]")),
            (7.9818e-6, None, None, ("7.98", numbers.NO_INTERVAL)),
            (12345.6e-6, None, None, ("12346", numbers.NO_INTERVAL)),
            (0.0, None, None, ("0", numbers.NO_INTERVAL)),
        ],
    )
    def test_digits_follow_the_interval(self, value, low, high, expected):
        assert numbers.format_in_unit(value, low, high, 1e-6) == expected

    def test_agrees_with_times_that_bring_their_unit(self):
        value, low, high = 798.7e-6, 796.9e-6, 800.8e-6
        text, interval = numbers.format_in_unit(value, low, high, 1e-6)
        assert numbers.format_seconds(value, low, high) == f"{text} µs"
        assert numbers.format_interval(value, low, high) == interval


class TestRates:
    @pytest.mark.parametrize(
        ("rate", "low", "high", "expected"),
        [
            (400_640, 399_600, 401_550, "400.64 k"),
            (363_000, 353_000, 373_000, "363 k"),
            (1_164_000, 1_150_000, 1_170_000, "1.16 M"),
            (708.0, 690.0, 725.0, "708"),
            (1_164_000, None, None, "1.16 M"),
        ],
    )
    def test_digits_follow_the_interval(self, rate, low, high, expected):
        assert numbers.format_rate_within(rate, low, high) == expected


def test_counts_set_thousands_apart():
    assert numbers.format_count(1234567.0) == "1,234,567"
