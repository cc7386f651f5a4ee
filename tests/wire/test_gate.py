"""The gate: what may enter a sum."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.wire import gate
from muster.wire.arrays import encode, schema_of
from muster.wire.tensors import Unfit

SHAPE = {"w": np.zeros((2, 3), "f4"), "b": np.zeros(0, "f8"), "n": np.zeros((), "i8")}


def inspect(**changes: Any) -> gate.Measured:
    data = encode(SHAPE | changes)
    return gate.inspect(data, schema_of(SHAPE), hashlib.sha256(data).hexdigest())


def test_a_fit_file_is_measured() -> None:
    measured = inspect(w=np.array([[3, 0, 0], [0, -4, 0]], "f4"), n=np.array(7, "i8"))
    assert measured.norm == 5.0
    # In the schema's order: b (float64, empty), then w, whose largest magnitude 4 lies below 2**3.
    assert measured.exponents == (gate.ZERO_EXPONENT, 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_number_that_is_not_finite_is_found_wherever_it_is(bad: float) -> None:
    big = np.zeros(3 * gate.BLOCK + 5, "f4")
    for position in (0, gate.BLOCK - 1, gate.BLOCK, big.size - 1):
        spoiled = big.copy()
        spoiled[position] = bad
        data = encode({"w": spoiled})
        with pytest.raises(Unfit) as refusal:
            gate.inspect(data, schema_of({"w": big}), hashlib.sha256(data).hexdigest())
        assert refusal.value.reason == "not-finite"
        assert f"element {position}" in refusal.value.got


def test_another_digest_is_refused_before_anything_is_parsed() -> None:
    with pytest.raises(Unfit) as refusal:
        gate.inspect(b"not a tensor file", schema_of(SHAPE), "0" * 64)
    assert refusal.value.reason == "wrong-digest"


def test_a_norm_beyond_all_measure_is_refused() -> None:
    data = encode({"w": np.full(4, 1e300)})
    with pytest.raises(Unfit) as refusal:
        gate.inspect(data, schema_of({"w": np.zeros(4)}), hashlib.sha256(data).hexdigest())
    assert refusal.value.reason == "norm-overflow"


def test_minus_zero_and_subnormals_are_numbers_like_others() -> None:
    measured = inspect(w=np.array([[-0.0, 1e-45, 0], [0, 0, 0]], "f4"))
    assert measured.exponents[1] == -148


@given(st.floats(min_value=5e-324, max_value=1e300))
def test_the_exponent_is_the_smallest_power_of_two_above(x: float) -> None:
    e = gate.exponent_of(x)
    assert math.ldexp(1.0, e - 1) <= x if e > -1073 else True
    assert math.frexp(x)[0] < 1.0
    assert x < math.ldexp(1.0, e)
