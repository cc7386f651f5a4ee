"""The gate: what may enter a sum."""

from __future__ import annotations

import hashlib
import io
import json
import math
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from muster.wire import gate
from muster.wire.arrays import encode, schema_of, write
from muster.wire.encodings import BLOCK, Encoding, encoded_schema
from muster.wire.tensors import Schema, Unfit

SHAPE = {"w": np.zeros((2, 3), "f4"), "b": np.zeros(0, "f8"), "n": np.zeros((), "i8")}


def look(data: bytes, schema: Schema, sha256: str | None = None, encoding: Encoding = "plain") -> gate.Measured:
    return gate.inspect(io.BytesIO(data), len(data), schema, sha256 or hashlib.sha256(data).hexdigest(), encoding)


def inspect(**changes: Any) -> gate.Measured:
    return look(encode(SHAPE | changes), schema_of(SHAPE))


def test_a_fit_file_is_measured() -> None:
    measured = inspect(w=np.array([[3, 0, 0], [0, -4, 0]], "f4"), n=np.array(7, "i8"))
    assert measured.norm == 5.0
    # In the schema's order: b (float64, empty), then w, whose largest magnitude 4 lies below 2**3.
    assert measured.exponents == (gate.ZERO_EXPONENT, 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_number_that_is_not_finite_is_found_wherever_it_is(bad: float) -> None:
    big = np.zeros(3 * gate.ELEMENTS + 5, "f4")
    for position in (0, gate.ELEMENTS - 1, gate.ELEMENTS, big.size - 1):
        spoiled = big.copy()
        spoiled[position] = bad
        data = encode({"w": spoiled})
        with pytest.raises(Unfit) as refusal:
            look(data, schema_of({"w": big}))
        assert refusal.value.reason == "not-finite"
        assert f"element {position}" in refusal.value.got


@pytest.mark.parametrize("dtype", ["i8", "i4", "u1"])
@pytest.mark.parametrize("place", [0, gate.ELEMENTS - 1, gate.ELEMENTS])
def test_an_integer_beyond_the_bound_is_found_wherever_it_is_and_one_at_the_bound_is_fit(dtype: str, place: int) -> None:
    tensors = {"n": np.zeros(gate.ELEMENTS + 5, dtype)}
    schema = schema_of(tensors)
    for value, fits in ((100, True), (101, False), (-100, True), (-101, False), (np.iinfo(dtype).min, dtype == "u1")):
        if value < 0 and dtype == "u1":
            continue
        tensors["n"][place] = value
        data = encode(tensors)
        if fits:
            gate.inspect(io.BytesIO(data), len(data), schema, hashlib.sha256(data).hexdigest(), max_count=100)
            continue
        with pytest.raises(Unfit) as refusal:
            gate.inspect(io.BytesIO(data), len(data), schema, hashlib.sha256(data).hexdigest(), max_count=100)
        assert refusal.value.reason == "counter-overflow"
        assert f"{value} in 'n' at element {place}" in refusal.value.got


def test_without_a_bound_any_integer_is_fit() -> None:
    assert inspect(n=np.array(np.iinfo("i8").min, "i8")).norm == 0.0


def test_a_fit_file_of_another_digest_is_refused() -> None:
    with pytest.raises(Unfit) as refusal:
        look(encode(SHAPE), schema_of(SHAPE), "0" * 64)
    assert refusal.value.reason == "wrong-digest"


@pytest.mark.parametrize(("claimed", "reason"), [(-1, "wrong-length"), (1, "wrong-length"), (-200, "wrong-length")])
def test_a_file_that_is_longer_or_shorter_than_it_claims_is_refused(claimed: int, reason: str) -> None:
    data = encode(SHAPE)
    with pytest.raises(Unfit) as refusal:
        gate.inspect(io.BytesIO(data), len(data) + claimed, schema_of(SHAPE), hashlib.sha256(data).hexdigest())
    assert refusal.value.reason == reason


def test_a_body_that_ends_early_or_goes_on_is_refused() -> None:
    data = encode(SHAPE)
    for body in (data[:-1], data + b"x", b""):
        with pytest.raises(Unfit) as refusal:
            gate.inspect(io.BytesIO(body), len(data), schema_of(SHAPE), hashlib.sha256(data).hexdigest())
        assert refusal.value.reason == "wrong-length"


def test_a_file_is_measured_the_same_however_its_bytes_arrive() -> None:
    class Dripping(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            return super().readinto(memoryview(buffer)[: rng.integers(1, 5000)])

    rng = np.random.default_rng(0)
    big = rng.standard_normal(200_000).astype("f4")
    data = encode({"w": big, "n": np.array(3, "i8")})
    schema, sha256 = schema_of({"w": big, "n": np.array(3, "i8")}), hashlib.sha256(data).hexdigest()
    assert gate.inspect(Dripping(data), len(data), schema, sha256) == look(data, schema)


def test_tensors_in_another_order_are_refused_because_ranges_of_them_are_read() -> None:
    one, other = np.ones(2, "f4"), np.zeros(3, "f4")
    header = {
        "b": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [12, 20]},
    }
    text = json.dumps(header).encode()
    data = len(text).to_bytes(8, "little") + text + other.tobytes() + one.tobytes()
    with pytest.raises(Unfit) as refusal:
        look(data, schema_of({"a": one, "b": other}))
    assert refusal.value.reason == "wrong-order"


def test_what_the_safetensors_library_writes_is_in_order() -> None:
    tensors = {
        "z": np.ones(2, "f8"),
        "a": np.ones(3, "f4"),
        "b": np.ones(1, "i4"),
        "c": np.ones(1, "f2"),
        "n": np.ones(1, "i8"),
    }
    assert look(safetensors.numpy.save(tensors), schema_of(tensors)).norm == pytest.approx(6**0.5)


def test_a_norm_beyond_all_measure_is_refused() -> None:
    data = encode({"w": np.full(4, 1e300)})
    with pytest.raises(Unfit) as refusal:
        look(data, schema_of({"w": np.zeros(4)}))
    assert refusal.value.reason == "norm-overflow"


def test_a_norm_may_be_as_large_as_the_limit_that_is_given_and_no_larger() -> None:
    data = encode({"w": np.array([3.0, 4.0])})
    schema, sha256 = schema_of({"w": np.zeros(2)}), hashlib.sha256(data).hexdigest()
    assert gate.inspect(io.BytesIO(data), len(data), schema, sha256, max_norm=5.0).norm == 5.0
    with pytest.raises(Unfit) as refusal:
        gate.inspect(io.BytesIO(data), len(data), schema, sha256, max_norm=4.9999999)
    assert (refusal.value.reason, refusal.value.expected, refusal.value.got) == (
        "norm-overflow", "an L2 norm of at most 5", "5",
    )  # fmt: skip


@pytest.mark.parametrize(("value", "fits"), [(0.99e30, True), (1.01e30, False), (1e38, False)])
def test_no_norm_is_larger_than_1e30_whatever_the_limit_that_is_given(value: float, fits: bool) -> None:
    data = encode({"w": np.array([value])})
    schema, sha256 = schema_of({"w": np.zeros(1)}), hashlib.sha256(data).hexdigest()
    if fits:
        assert gate.inspect(io.BytesIO(data), len(data), schema, sha256).norm == value
        return
    with pytest.raises(Unfit, match="norm-overflow"):
        gate.inspect(io.BytesIO(data), len(data), schema, sha256)


@pytest.mark.parametrize(
    ("configured", "base", "limit"),
    [
        (None, None, 1e30), (None, 0.0, 1e4), (None, 9.0, 1e5), (None, 1e29, 1e30), (None, 1e30, 1e30), (2.5, 1e20, 2.5),
        (1e30, 0.0, 1e30), (1e-30, None, 1e-30),
    ],
)  # fmt: skip
def test_the_limit_of_a_norm_is_the_configured_one_or_relative_to_the_base(
    configured: float | None, base: float | None, limit: float
) -> None:
    assert gate.norm_limit(configured, base) == limit


@pytest.mark.parametrize(
    ("squares", "norm"), [(0.0, 0.0), (25.0, 5.0), (2.0, 1.41421), (1e60, 1e30), (math.inf, 1e30), (math.nan, 1e30)]
)
def test_a_models_norm_is_kept_to_six_digits_and_is_never_more_than_a_limit_can_be(squares: float, norm: float) -> None:
    assert gate.rounded_norm(squares) == norm


def int8(numbers: list[int], scales: list[float]) -> tuple[bytes, Schema]:
    """An update in int8 of one tensor that has a block for each scale; each block begins with one of the numbers."""
    flat = np.zeros(len(scales) * BLOCK - 7, np.int8)
    flat[::BLOCK] = numbers
    model = {"w": np.zeros(flat.size, "f4")}
    schema = schema_of(model)
    return write(encoded_schema(schema, "int8"), {"w": flat, "scale:w": np.array(scales, "f4")}), schema


def test_the_scale_of_a_block_of_zeros_counts_for_nothing() -> None:
    data, schema = int8([0, 2, 0], [3e38, 0.5, 3e38])
    plain, _ = int8([0, 2, 0], [0.0, 0.5, 0.0])
    assert look(data, schema, encoding="int8").exponents == look(plain, schema, encoding="int8").exponents == (7,)
    assert look(data, schema, encoding="int8").norm == 1.0
    nothing, schema = int8([0, 0], [3e38, 1e-45])
    assert look(nothing, schema, encoding="int8").exponents == (gate.ZERO_EXPONENT,)


def test_one_number_in_a_block_makes_its_scale_count() -> None:
    for numbers in ([0, 0, -1], [1, 0, 0]):
        data, schema = int8(numbers, [2.0**20] * 3)
        assert look(data, schema, encoding="int8").exponents == (28,)


def test_minus_zero_and_subnormals_are_numbers_like_others() -> None:
    measured = inspect(w=np.array([[-0.0, 1e-45, 0], [0, 0, 0]], "f4"))
    assert measured.exponents[1] == -148


@given(st.floats(min_value=5e-324, max_value=1e300))
def test_the_exponent_is_the_smallest_power_of_two_above(x: float) -> None:
    e = gate.exponent_of(x)
    assert math.ldexp(1.0, e - 1) <= x if e > -1073 else True
    assert math.frexp(x)[0] < 1.0
    assert x < math.ldexp(1.0, e)
