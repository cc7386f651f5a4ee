"""The tensor file: what is read, what is refused, and that it is plain safetensors."""

from __future__ import annotations

import contextlib
import json
import struct
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from muster.wire.arrays import DTYPES, decode, encode, schema_of
from muster.wire.tensors import (
    HEADER_LIMIT_BYTES,
    MODEL_DTYPES,
    Unfit,
    header_limit,
    length_range,
    match,
    parse_header,
    update_schema,
)

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20).filter(lambda n: n != "__metadata__")
arrays = st.sampled_from(sorted(MODEL_DTYPES)).flatmap(
    lambda dtype: npst.arrays(DTYPES[dtype], npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)


def file_of(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@given(st.dictionaries(names, arrays, max_size=4))
def test_what_is_written_is_read_back_and_other_readers_agree(tensors: dict[str, Any]) -> None:
    data = encode(tensors)
    assert data == safetensors.numpy.save(tensors)

    found = decode(data, HEADER_LIMIT_BYTES)
    assert found.keys() == tensors.keys()
    others = safetensors.numpy.load(data)
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes() == others[name].tobytes()


@given(st.dictionaries(names, arrays, max_size=4))
def test_what_other_writers_write_is_read(tensors: dict[str, Any]) -> None:
    found = decode(safetensors.numpy.save(tensors), HEADER_LIMIT_BYTES)

    assert {n: a.tobytes() for n, a in found.items()} == {n: a.tobytes() for n, a in tensors.items()}


@given(st.dictionaries(names, arrays, max_size=4), st.randoms())
def test_the_same_tensors_are_the_same_bytes_whatever_the_order(tensors: dict[str, Any], rng: Any) -> None:
    shuffled = list(tensors.items())
    rng.shuffle(shuffled)
    assert encode(dict(shuffled)) == encode(tensors)


@given(st.dictionaries(names, arrays, max_size=4))
def test_the_length_of_a_file_lies_in_the_range_of_its_schema(tensors: dict[str, Any]) -> None:
    shortest, longest = length_range(schema_of(tensors))
    for data in (encode(tensors), safetensors.numpy.save(tensors)):
        assert shortest <= len(data) <= longest


@given(st.binary(max_size=200))
def test_no_bytes_at_all_do_worse_than_being_refused(data: bytes) -> None:
    for candidate in (data, struct.pack("<Q", max(0, len(data) - 8)) + data[8:]):
        with contextlib.suppress(Unfit):
            decode(candidate, 4096)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "wrong-length"),
        (b"\x00" * 7, "wrong-length"),
        (struct.pack("<Q", 1 << 40), "oversized-header"),
        (struct.pack("<Q", 5000) + b" " * 5000, "oversized-header"),
        (struct.pack("<Q", 100) + b"{}", "wrong-length"),
        (file_of(b"{"), "bad-header"),
        (file_of(b"\xff\xfe"), "bad-header"),
        (file_of(b"[" * 4000), "bad-header"),
        (file_of([]), "bad-header"),
        (file_of(b'{"a":' + b"9" * 4000 + b"}"), "bad-header"),
        (file_of({"a": 1}), "bad-header"),
        (file_of({"a": {**entry(), "more": 1}}, b"1234"), "bad-header"),
        (file_of({"\ud800": entry()}, b"1234"), "bad-header"),
        (file_of({"a": entry("F99")}, b"1234"), "wrong-dtype"),
        (file_of({"a": {**entry(), "dtype": ["F32"]}}, b"1234"), "wrong-dtype"),
        (file_of({"a": entry(shape=(-1,))}, b"1234"), "bad-header"),
        (file_of({"a": entry(shape=(1.0,))}, b"1234"), "bad-header"),
        (file_of({"a": entry(shape=(True,))}, b"1234"), "bad-header"),
        (file_of({"a": entry(shape=[1] * 17)}, b"1234"), "bad-header"),
        (file_of({"a": entry(shape=(1 << 60,), offsets=(0, 1 << 62))}), "bad-header"),
        (file_of({"a": entry(offsets=(4, 8))}, b"12345678"), "bad-header"),
        (file_of({"a": entry(offsets=(0, 8))}, b"12345678"), "bad-header"),
        (file_of({"a": entry(offsets=(4, 0))}, b"1234"), "bad-header"),
        (file_of({"a": entry(), "b": entry()}, b"1234"), "bad-header"),
        (file_of(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{}}', b"1234"), "bad-header"),
        (file_of({"__metadata__": {"a": 1}}), "bad-header"),
        (file_of({"a": entry()}, b"123"), "wrong-length"),
        (file_of({"a": entry()}, b"12345"), "wrong-length"),
        (b"\x80\x04\x95pickle..", "oversized-header"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Unfit) as refusal:
        decode(data, 4096)
    assert refusal.value.reason == reason


def test_a_million_empty_tensors_are_refused_by_the_length_of_their_header() -> None:
    schema = schema_of({"w": np.zeros(3, np.float32)})
    header = {f"t{n}": entry(shape=(0,), offsets=(0, 0)) for n in range(20_000)}
    with pytest.raises(Unfit) as refusal:
        parse_header(file_of(header), header_limit(schema))
    assert refusal.value.reason == "oversized-header"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({}, "wrong-tensors"),
        ({"w": np.zeros((2, 3), "f4"), "x": np.zeros(1, "f4")}, "wrong-tensors"),
        ({"v": np.zeros((2, 3), "f4")}, "wrong-tensors"),
        ({"w": np.zeros((2, 3), "f8")}, "wrong-dtype"),
        ({"w": np.zeros((2, 3), "i4")}, "wrong-dtype"),
        ({"w": np.zeros((3, 2), "f4")}, "wrong-shape"),
        ({"w": np.zeros(6, "f4")}, "wrong-shape"),
        ({"w": np.zeros((1, 2, 3), "f4")}, "wrong-shape"),
    ],
)
def test_another_schema_is_refused_and_never_broadcast(found: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unfit) as refusal:
        match(schema_of(found), schema_of({"w": np.zeros((2, 3), "f4")}))
    assert refusal.value.reason == reason


def test_booleans_are_no_part_of_an_update() -> None:
    schema = schema_of({"w": np.zeros(2, "f4"), "n": np.zeros((), "i8"), "mask": np.zeros(2, "?")})
    assert [spec.name for spec in update_schema(schema)] == ["n", "w"]


def test_big_endian_arrays_are_written_little_endian_and_odd_dtypes_refused() -> None:
    assert encode({"w": np.arange(3, dtype=">f4")}) == encode({"w": np.arange(3, dtype="<f4")})
    with pytest.raises(TypeError, match="complex"):
        encode({"w": np.zeros(2, "c8")})
