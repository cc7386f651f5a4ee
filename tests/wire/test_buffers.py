"""Who is a buffer: a list in a checkpoint's metadata, read strictly, written as the safetensors library writes it."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from muster.wire.arrays import encode
from muster.wire.tensors import BUFFERS, HEADER_LIMIT_BYTES, Unfit, build_header, match, parse_header, update_schema

TENSORS = {"b": np.zeros(2, "f4"), "a": np.zeros(3, "f4")}


def head(buffers: str) -> bytes:
    """A file's header with this text as its list."""
    entries = {"__metadata__": {BUFFERS: buffers}, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


@given(st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9), max_size=6), st.data())
def test_any_names_read_back(names: set[str], data: st.DataObject) -> None:
    names -= {"__metadata__"}
    buffers = data.draw(st.sets(st.sampled_from(sorted(names)))) if names else set()
    file = encode({name: np.zeros(1, "f4") for name in names}, buffers)
    parsed = parse_header(file, HEADER_LIMIT_BYTES)
    assert {spec.name for spec in parsed.specs if spec.is_buffer} == buffers
    assert file.startswith(build_header(parsed.specs))


def test_the_file_is_the_one_that_the_safetensors_library_writes() -> None:
    assert encode(TENSORS, ["b"]) == save(TENSORS, metadata={BUFFERS: '["b"]'})
    assert encode(TENSORS) == save(TENSORS)


@pytest.mark.parametrize("wrong", ["a", "{}", '"a"', "[1]", '["x"]', "[" * 100_000, "null"])
def test_a_list_that_is_none_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(Unfit, match="bad-header"):
        parse_header(head(wrong), HEADER_LIMIT_BYTES)


def test_an_update_needs_not_say_it() -> None:
    model = parse_header(encode(TENSORS, ["a"]), HEADER_LIMIT_BYTES).specs
    assert [spec.is_parameter for spec in model] == [False, True]
    match(parse_header(encode(TENSORS), HEADER_LIMIT_BYTES).specs, update_schema(model))
