"""Exact sums: order, grouping and threads cannot change a bit, and nothing is lost that the model would keep."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.aggregation.exact import (
    SumOutOfRange,
    addend_bits,
    anchor,
    anchors,
    grid_bits,
    left_over,
    quotient,
    round_to_grid,
    split,
)
from muster.wire.gate import ZERO_EXPONENT, exponent_of

values = st.floats(-1e30, 1e30)
addends = st.lists(values, min_size=1, max_size=12)


def sums(addends: list[float], count: int, exponent: int) -> tuple[float, float]:
    """Both limbs of the sum of some of `count` addends below 2**exponent, one after another."""
    c, totals = anchor(grid_bits(exponent, count)), np.zeros(2)
    for x in addends:
        low, high = np.array([x]), np.empty(1)
        split(low, c, addend_bits(count), high)
        totals += [high[0], low[0]]
    return float(totals[0]), float(totals[1])


def exponent_over(addends: list[float]) -> int:
    return exponent_of(max(abs(x) for x in addends))


@given(addends, st.randoms(use_true_random=False))
def test_a_sum_is_the_same_bits_in_every_order_and_grouping(addends: list[float], rng: Any) -> None:
    count, exponent = len(addends), exponent_over(addends)
    shuffled = list(addends)
    rng.shuffle(shuffled)
    cut = count // 2

    whole = sums(addends, count, exponent)

    assert sums(shuffled, count, exponent) == whole
    parts = sums(shuffled[:cut], count, exponent), sums(shuffled[cut:], count, exponent)
    assert (parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]) == whole


@given(addends)
def test_a_sum_is_the_true_sum_of_the_rounded_addends(addends: list[float]) -> None:
    k = grid_bits(exponent_over(addends), len(addends))
    step = Fraction(2) ** -k
    rounded = np.array(addends)
    round_to_grid(rounded, anchor(k))
    assert Fraction(float(rounded.sum())) == sum((round(Fraction(x) / step) * step for x in addends), Fraction(0))


@given(addends)
def test_two_limbs_keep_twice_the_bits(addends: list[float]) -> None:
    count, exponent = len(addends), exponent_over(addends)
    high, low = sums(addends, count, exponent)
    error = abs(Fraction(high) + Fraction(low) - sum(map(Fraction, addends)))
    assert error <= count * max(Fraction(2) ** (exponent - 2 * addend_bits(count) - 1), Fraction(2) ** -1074)


@given(st.lists(values.filter(lambda x: x == 0 or abs(x) > 1e-200), min_size=1, max_size=9), st.integers(1, 2**47))
def test_a_quotient_of_two_limbs_is_the_nearest_float_or_the_one_beside_it(addends: list[float], divisor: int) -> None:
    high, low = sums(addends, len(addends), exponent_over(addends))
    true = (Fraction(high) + Fraction(low)) / divisor
    found = float(quotient(np.array([high]), np.array([low]), divisor)[0])
    assert abs(Fraction(found) - true) <= Fraction(math.ulp(found)) * Fraction(501, 1000)


@given(values.filter(lambda x: abs(x) > 1e-200), st.floats(1e-9, 1e9), st.integers(1, 2**30))
def test_what_a_product_leaves_over_is_known_far_beyond_its_53_bits(x: float, fraction: float, weight: int) -> None:
    for factor in (float(weight), weight * fraction):
        rounded = np.array([x * factor])
        round_to_grid(rounded, anchor(grid_bits(exponent_of(abs(x * factor)) + 3, 100)))
        out = np.empty(1)
        left_over(np.array([x]), factor, rounded, np.empty(1), out)
        true = Fraction(x) * Fraction(factor) - Fraction(float(rounded[0]))
        assert abs(Fraction(float(out[0])) - true) <= abs(Fraction(x) * Fraction(factor)) * Fraction(2) ** -76


@given(st.lists(values, min_size=1, max_size=20), st.integers(1, 100_000))
def test_each_column_has_the_grid_that_it_would_have_alone(columns: list[float], count: int) -> None:
    exponents = [exponent_of(abs(x)) for x in columns]
    for found, exponent in zip(anchors(np.array(exponents, np.int16), addend_bits(count)), exponents, strict=True):
        alone = anchor(grid_bits(exponent, count))
        assert found == alone or found < math.ldexp(1.0, 52 - 1074), "finer than the smallest float64"


def test_the_grid_by_hand() -> None:
    # Values below 2**1, a hundred of them: k = 53 - 7 - 1 = 45, and C = 1.5 * 2**7.
    assert grid_bits(1, 100) == 45
    assert anchor(45) == 192.0
    # A single one: the second bound, |x| < 2**(51 - k), decides.
    assert grid_bits(1, 1) == 50
    x = np.array([1.0 + 2.0**-45, 1.0 + 2.0**-46, 1.0 + 3 * 2.0**-46])
    round_to_grid(x, anchor(45))
    assert x.tolist() == [1.0 + 2.0**-45, 1.0, 1.0 + 2.0**-44]


def test_zero_and_the_smallest_numbers_have_a_grid() -> None:
    assert grid_bits(ZERO_EXPONENT, 10) == 1074
    tiny = np.array([5e-324, 0.0, -0.0])
    round_to_grid(tiny, anchor(grid_bits(exponent_of(5e-324), 1000)))
    assert tiny.tolist() == [5e-324, 0.0, 0.0]


def test_what_is_too_large_for_any_grid_is_refused_by_name() -> None:
    assert math.isfinite(anchor(grid_bits(exponent_of(1e30) + 47, 100_000)))
    with pytest.raises(SumOutOfRange, match="expected magnitudes below"):
        grid_bits(exponent_of(1e308), 10**9)
