"""Numbers: one reader, one check, one way to print them."""

import math
from fractions import Fraction

import numpy as np
import pytest

from amc_core import AmcError
from amc_core.quantities import number, ratio, require_number, whole, written


@pytest.mark.parametrize(
    "spelled", [200_000, 200e3, "200e3", "2e5", " 200000 ", "400000/2", np.float32(2e5), Fraction(200_000)]
)
def test_equal_numbers_are_equal_however_they_are_written(spelled):
    assert number(spelled) == 200e3 and whole(spelled) == 200_000
    assert type(number(spelled)) is float and type(whole(spelled)) is int


@pytest.mark.parametrize(
    "value", [True, False, None, math.nan, "nan", "1_000", "0x10", "1:5", "fast", "", "1/0", [1], "9" * 50, 10**400]
)
def test_what_is_no_number_is_none(value):
    assert number(value) is None


def test_minus_zero_is_zero():
    assert math.copysign(1, number(-0.0)) == 1


@pytest.mark.parametrize("value", [1.5, "3/2", math.inf, "1e-3", True])
def test_what_is_not_whole_is_none(value):
    assert whole(value) is None


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        (0.1, Fraction(1, 10)),
        ("0.30", Fraction(3, 10)),
        (10.67, Fraction(32, 3)),
        (8, 8),
        (np.float64(3.2), Fraction(16, 5)),
    ],
)
def test_a_ratio_is_what_the_decimal_says(value, exact):
    assert ratio(value) == exact


@pytest.mark.parametrize(
    ("value", "limits", "allowed"),
    [
        (5, {"low": 0, "high": 4, "unit": "Hz"}, "a number of Hz from 0 to 4"),
        (0, {"low": 0, "high": 1e6, "above": True}, "a number above 0 to 1,000,000"),
        (True, {"low": 0, "high": math.inf}, "a number from 0"),
        (1.5, {"low": 1, "high": 9, "integer": True}, "a whole number from 1 to 9"),
    ],
)
def test_a_refusal_names_the_field_the_value_and_what_is_allowed(value, limits, allowed):
    with pytest.raises(AmcError) as refusal:
        require_number("rate", value, **limits)
    assert str(refusal.value) == f"rate {value!r} is not allowed: it has to be {allowed}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (8.0, "8"), (0.35, "0.35"), (1_500_000.0, "1500000"), (1e-6, "1e-6"), (0.1 + 0.2, "0.3"), (1e300, "1e300"),
        (math.nan, ""), (None, ""), (math.inf, "inf"), ("awgn", "awgn"),
        ([1.5, None], "[1.5, None]"), (np.int64(3), "3"), (True, "True"),
    ],
)  # fmt: skip
def test_a_number_is_printed_in_one_way(value, text):
    assert written(value) == text
