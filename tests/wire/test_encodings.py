"""Encodings of updates: what is written is read back as nearly as they can say it; what is unfit is refused by its reason."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import safetensors
from hypothesis import given
from hypothesis import strategies as st

from muster.wire import gate
from muster.wire.arrays import decode, schema_of, write
from muster.wire.encodings import BLOCK, ENCODINGS, Encoding, NotEncodable, encoded_schema, update_lengths
from muster.wire.tensors import HEADER_LIMIT_BYTES, Schema, TensorSpec, Unfit
from muster.wire.values import Values, decode_update, encode_update

deserialize: Callable[[bytes], list[tuple[str, dict[str, Any]]]] = safetensors.deserialize

ERROR = {"plain": 0.0, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Half of the last bit of each, relative to the value."""


def update(size: int, seed: int = 0, dtype: str = "f4") -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"w": rng.standard_normal((size, 2)).astype(dtype), "s": np.array(0.5, dtype), "e": np.zeros((0, 3), dtype),
            "n": np.array([3, -4], "i8")}  # fmt: skip


def look(data: bytes, schema: Schema, encoding: Encoding) -> gate.Measured:
    return gate.inspect(io.BytesIO(data), len(data), schema, hashlib.sha256(data).hexdigest(), encoding)


@given(st.sampled_from(ENCODINGS), st.sampled_from(["f2", "f4", "f8"]), st.integers(0, 1500), st.integers(0, 99))
def test_every_encoding_is_read_back_within_its_error_and_passes_the_gate(
    encoding: Encoding, dtype: str, size: int, seed: int
) -> None:
    made = update(size, seed, dtype)
    data = encode_update(made, encoding)
    found = decode_update(decode(data, HEADER_LIMIT_BYTES), made)
    assert (found["n"] == made["n"]).all()
    wide, back = made["w"].astype("f8").reshape(-1), found["w"].astype("f8").reshape(-1)
    if encoding == "int8":
        for start in range(0, wide.size, BLOCK):
            block = slice(start, start + BLOCK)
            assert np.abs(wide[block] - back[block]).max() <= np.abs(wide[block]).max() / 127 * 0.52 + 1e-3 * (dtype == "f2")
    else:
        smallest = 2.0**-25 if encoding == "float16" else 0.0  # half of the least number that a float16 can say
        assert (np.abs(wide - back) <= ERROR[encoding] * np.abs(wide) + smallest).all()
    measured = look(data, schema_of(made), encoding)
    assert measured.norm == pytest.approx(float(np.sqrt((back**2).sum() + 0.25)), rel=1e-2)
    if wide.size:
        assert np.abs(back).max() < 2.0 ** measured.exponents[[s.name for s in schema_of(made) if s.is_float].index("w")]


def test_an_encoded_update_is_a_file_that_any_reader_of_safetensors_takes() -> None:
    made = update(700)
    found = dict(deserialize(encode_update(made, "int8")))
    assert {name: (one["dtype"], one["shape"]) for name, one in found.items()} == {
        "w": ("I8", [700, 2]), "scale:w": ("F32", [2]), "s": ("I8", []), "scale:s": ("F32", [1]), "e": ("I8", [0, 3]),
        "scale:e": ("F32", [0]), "n": ("I64", [2]),
    }  # fmt: skip
    assert dict(deserialize(encode_update(made, "bfloat16")))["w"]["dtype"] == "BF16"


def test_int8_takes_about_a_quarter_and_the_halves_a_half() -> None:
    made = update(50_000)
    sizes = {encoding: len(encode_update(made, encoding)) for encoding in ENCODINGS}
    assert max(sizes["float16"], sizes["bfloat16"]) < 0.51 * sizes["plain"]
    assert sizes["int8"] < 0.26 * sizes["plain"]
    assert sizes["float32"] == sizes["plain"]
    shortest, longest = update_lengths(schema_of(made))
    assert shortest <= min(sizes.values()) <= max(sizes.values()) <= longest


@pytest.mark.parametrize("bits", [0x3F808000, 0x3F818000, 0x3F818001, 0x3F807FFF, 0x80000000, 0x00010000, 0x7F7F7FFF])
def test_bfloat16_rounds_to_nearest_and_ties_to_even_as_torch_does(bits: int) -> None:
    import torch

    value = np.array([bits], "u4").view("f4")
    found = decode_update(decode(encode_update({"w": value}, "bfloat16"), HEADER_LIMIT_BYTES), {"w": value})["w"]
    assert found.tobytes() == torch.from_numpy(value).to(torch.bfloat16).to(torch.float32).numpy().tobytes()


@pytest.mark.parametrize(
    ("encoding", "value"), [("float16", 70_000.0), ("bfloat16", 3.4e38), ("int8", 1e300), ("float32", 1e39)]
)
def test_what_an_encoding_cannot_hold_is_refused(encoding: Encoding, value: float) -> None:
    made = {"w": np.array([1.0, value])}
    with pytest.raises(Unfit) as refusal:
        look(encode_update(made, encoding), schema_of(made), encoding)
    assert refusal.value.reason == ("bad-scale" if encoding == "int8" else "not-finite")


@pytest.mark.parametrize("scale", [np.nan, np.inf, -1.0])
def test_a_scale_that_is_not_finite_or_is_negative_is_refused(scale: float) -> None:
    made = {"w": np.ones(3000, "f4")}
    specs = encoded_schema(schema_of(made), "int8")
    data = write(specs, {"w": np.ones(3000, "i1"), "scale:w": np.array([1, scale, 1], "f4")})
    with pytest.raises(Unfit) as refusal:
        look(data, schema_of(made), "int8")
    assert refusal.value.reason == "bad-scale"
    assert "element 1" in refusal.value.got


def test_an_update_in_another_encoding_than_the_agreed_one_is_refused() -> None:
    made = update(10)
    for written in ENCODINGS:
        for agreed in ENCODINGS:
            if {written, agreed} <= {"plain", "float32"} or written == agreed:
                continue
            with pytest.raises(Unfit) as refusal:
                look(encode_update(made, written), schema_of(made), agreed)
            assert refusal.value.reason in ("wrong-dtype", "wrong-tensors", "oversized-header")


def test_a_model_whose_names_collide_with_those_of_scales_has_no_int8() -> None:
    schema = schema_of({"w": np.zeros(1, "f4"), "scale:w": np.zeros(1, "i4")})
    with pytest.raises(NotEncodable, match="scale:"):
        encoded_schema(schema, "int8")
    assert update_lengths(schema)[0] > 0


def test_a_header_that_would_be_too_long_is_refused_beforehand() -> None:
    schema = tuple(TensorSpec(name=f"{n:060d}", dtype="F32", shape=()) for n in range(7000))
    encoded_schema(schema, "float16")
    with pytest.raises(NotEncodable, match="header"):
        encoded_schema(schema, "int8")


@given(st.integers(1, 5000), st.integers(0, 4))
def test_values_are_the_same_read_whole_or_block_by_block(size: int, first: int) -> None:
    rng = np.random.default_rng(size)
    raw = rng.integers(-127, 128, size).astype("i1")
    values = Values(raw, rng.random(-(-size // BLOCK)).astype("f4"))
    whole, piece = np.empty(size), np.empty(max(0, size - first * BLOCK))
    values.into(whole)
    values.into(piece, first * BLOCK)
    assert (piece == whole[first * BLOCK :]).all()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_thread_may_begin_with_a_tensor_that_has_no_element(encoding: Encoding) -> None:
    made = {"e": np.zeros((0, 3), "f4")}
    data = encode_update(made, encoding)
    with ThreadPoolExecutor(1) as fresh:
        found = fresh.submit(lambda: decode_update(decode(data, HEADER_LIMIT_BYTES), made)).result()
    assert found["e"].shape == (0, 3)
