"""Encodings of updates: how a device may write its float tensors, in fewer bytes than the model has them.

    plain                 in the model's own dtypes
    float32, float16      narrower floats (IEEE 754), where the model's are wider
    bfloat16              the upper half of a float32
    int8                  whole numbers of -127 to 127, with a float32 scale for each block of `BLOCK` elements:
                          value = scale * number

An encoded update is a tensor file like any other, with a schema of its own that follows from the model's: `int8` keeps the
scales of tensor `w` in a tensor `scale:w`. Which encoding a client uses is settled when it checks in; integer tensors are
always plain. Nothing here needs numpy.

Block-wise scales are those of Dettmers et al., "8-bit Optimizers via Block-wise Quantization", ICLR 2022, §2: one outlier
spoils the precision of its own block only.
"""

from __future__ import annotations

from typing import Literal, get_args

from muster.wire.tensors import HEADER_LIMIT_BYTES, ITEM_BYTES, Schema, TensorSpec, build_header, canonical, length_range

Encoding = Literal["plain", "float32", "float16", "bfloat16", "int8"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)

BLOCK = 1024
"""Elements that share a scale."""

SCALE = "scale:"
"""What the name of a tensor of scales begins with."""

_NARROW = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}


class NotEncodable(Exception):
    """A model has no update in this encoding."""


def encoded_schema(update: Schema, encoding: Encoding) -> Schema:
    """What an update of this (plain) schema holds when it is encoded, in the order of its file.

    Raises:
        NotEncodable: a tensor of the model has the name of another one's scales, or the header would be too long.
    """
    if encoding == "plain":
        return update
    specs: list[TensorSpec] = []
    for spec in update:
        if not spec.is_float:
            specs.append(spec)
        elif encoding == "int8":
            specs.append(TensorSpec(name=SCALE + spec.name, dtype="F32", shape=(blocks(spec.elements),)))
            specs.append(TensorSpec(name=spec.name, dtype="I8", shape=spec.shape))
        else:
            narrow = _NARROW[encoding]
            wider = ITEM_BYTES[spec.dtype] > ITEM_BYTES[narrow]
            specs.append(TensorSpec(name=spec.name, dtype=narrow if wider else spec.dtype, shape=spec.shape))
    if len({spec.name for spec in specs}) != len(specs):
        raise NotEncodable(f"a tensor of the model has a name that begins with {SCALE!r} and ends like another's")
    schema = canonical(specs)
    if len(build_header(schema)) > HEADER_LIMIT_BYTES:
        raise NotEncodable(f"the header of an update in {encoding} would be longer than {HEADER_LIMIT_BYTES} bytes")
    return schema


def blocks(elements: int) -> int:
    """How many scales so many elements have."""
    return -(-elements // BLOCK)


def update_lengths(update: Schema) -> tuple[int, int]:
    """Smallest and largest length, in bytes, of an update of this (plain) schema, in any encoding."""
    ranges = []
    for encoding in ENCODINGS:
        try:
            ranges.append(length_range(encoded_schema(update, encoding)))
        except NotEncodable:
            continue
    return min(low for low, _ in ranges), max(high for _, high in ranges)
