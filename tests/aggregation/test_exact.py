"""Exact sums: order, grouping and threads cannot change a bit, and nothing is lost that float32 would keep."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.aggregation.exact import SumOutOfRange, grid_bits, round_to_grid
from muster.wire.gate import ZERO_EXPONENT, exponent_of

values = st.floats(width=32, allow_nan=False, allow_infinity=False)
addends = st.lists(st.tuples(values, st.integers(1, 10_000)), min_size=1, max_size=12)


def exact_sum(pairs: list[tuple[float, int]], k: int) -> np.ndarray:
    total = np.zeros(1)
    for x, n in pairs:
        rounded = np.array([float(x)])
        round_to_grid(rounded, k)
        rounded *= n
        total += rounded
    return total


def grid_of(pairs: list[tuple[float, int]]) -> int:
    return grid_bits(exponent_of(max(abs(x) for x, _ in pairs)), sum(n for _, n in pairs))


@given(addends, st.randoms())
def test_a_sum_is_the_same_bits_in_every_order_and_grouping(pairs: list[tuple[float, int]], rng: object) -> None:
    k = grid_of(pairs)
    shuffled = list(pairs)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    cut = len(pairs) // 2

    whole = exact_sum(pairs, k)

    assert exact_sum(shuffled, k).tobytes() == whole.tobytes()
    assert (exact_sum(shuffled[:cut], k) + exact_sum(shuffled[cut:], k)).tobytes() == whole.tobytes()


@given(addends)
def test_a_sum_is_the_true_sum_of_the_rounded_addends(pairs: list[tuple[float, int]]) -> None:
    k = grid_of(pairs)
    step = Fraction(2) ** -k
    true = sum((round(Fraction(x) / step) * step * n for x, n in pairs), Fraction(0))
    assert Fraction(float(exact_sum(pairs, k)[0])) == true


@given(addends)
def test_the_error_of_a_mean_is_far_below_float32(pairs: list[tuple[float, int]]) -> None:
    weight = sum(n for _, n in pairs)
    largest = max(abs(x) for x, _ in pairs)
    true = sum((Fraction(x) * n for x, n in pairs), Fraction(0)) / weight
    found = Fraction(float(exact_sum(pairs, grid_of(pairs))[0] / weight))
    assert abs(found - true) <= Fraction(largest) * Fraction(weight) / 2**51


def test_the_grid_by_hand() -> None:
    # Values below 2**1 and a total weight of 100 < 2**7: k = 53 - 7 - 1 = 45, and C = 1.5 * 2**7.
    assert grid_bits(1, 100) == 45
    # A single update of weight 1: the second bound, |x| < 2**(51 - k), decides.
    assert grid_bits(1, 1) == 50
    x = np.array([1.0 + 2.0**-45, 1.0 + 2.0**-46, 1.0 + 3 * 2.0**-46])
    round_to_grid(x, 45)
    assert x.tolist() == [1.0 + 2.0**-45, 1.0, 1.0 + 2.0**-44]


def test_zero_and_the_smallest_numbers_have_a_grid() -> None:
    assert grid_bits(ZERO_EXPONENT, 10) == 1074
    tiny = np.array([5e-324, 0.0, -0.0])
    round_to_grid(tiny, grid_bits(exponent_of(5e-324), 1000))
    assert tiny.tolist() == [5e-324, 0.0, 0.0]


def test_the_largest_float32_has_a_grid_for_any_weight_and_float64_is_refused_by_name() -> None:
    largest = float(np.finfo(np.float32).max)
    assert math.isfinite(math.ldexp(1.5, 52 - grid_bits(exponent_of(largest), 10**14)))
    with pytest.raises(SumOutOfRange, match="expected magnitudes below"):
        grid_bits(exponent_of(1e308), 10**9)
