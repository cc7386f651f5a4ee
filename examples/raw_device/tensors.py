"""The tensor file, read and written by hand, and the encodings of an update (docs/protocol.md, sections 8 and 9)."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

FORMATS = {
    "I64": "q",
    "F64": "d",
    "F32": "f",
    "I32": "i",
    "BF16": "H",
    "F16": "e",
    "I16": "h",
    "I8": "b",
    "U8": "B",
    "BOOL": "?",
}
"""`struct`'s letter for each dtype, in the order in which a file holds them."""

FLOATS = ("F64", "F32", "BF16", "F16")
ORDER = list(FORMATS)
BLOCK = 1024
NARROW = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
ENCODINGS = ["int8", "bfloat16", "float16", "float32", "plain"]


@dataclass(frozen=True)
class Tensor:
    """A tensor's dtype (the file's word), shape, and numbers, row by row."""

    dtype: str
    shape: tuple[int, ...]
    values: list[float]

    @property
    def is_float(self) -> bool:
        """Whether it is averaged; integers are counters, and booleans are not sent."""
        return self.dtype in FLOATS


def read_file(data: bytes) -> dict[str, Tensor]:
    """The tensors of a checkpoint, whose digest was compared before."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = Tensor(entry["dtype"], tuple(entry["shape"]), _unpacked(entry["dtype"], data[8 + length :][begin:end]))
    return tensors


def write_file(tensors: Mapping[str, Tensor]) -> bytes:
    """The file of some tensors: by dtype, then by name (Python compares text by code points, as the page asks)."""
    header, data = {}, b""
    for name, tensor in sorted(tensors.items(), key=lambda item: (ORDER.index(item[1].dtype), item[0])):
        packed = _packed(tensor.dtype, tensor.values)
        offsets = [len(data), len(data) + len(packed)]
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets}
        data += packed
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def encoded(update: Mapping[str, Tensor], encoding: str) -> dict[str, Tensor]:
    """The tensors of an update's file."""
    made: dict[str, Tensor] = {}
    for name, tensor in update.items():
        if not tensor.is_float or encoding == "plain":
            made[name] = tensor
        elif encoding == "int8":
            scales, numbers = _quantised(tensor.values)
            made[f"scale:{name}"] = Tensor("F32", (len(scales),), scales)
            made[name] = Tensor("I8", tensor.shape, numbers)
        else:
            narrow = NARROW[encoding]
            wider = struct.calcsize(FORMATS[tensor.dtype]) > struct.calcsize(FORMATS[narrow])
            made[name] = Tensor(narrow if wider else tensor.dtype, tensor.shape, tensor.values)
    return made


def decoded(tensors: Mapping[str, Tensor], name: str) -> list[float]:
    """What the server will read of tensor `name` of an encoded file."""
    tensor, scales = tensors[name], tensors.get(f"scale:{name}")
    values = _unpacked(tensor.dtype, _packed(tensor.dtype, tensor.values))
    if scales is None:
        return values
    return [number * scales.values[at // BLOCK] for at, number in enumerate(values)]


def _quantised(values: list[float]) -> tuple[list[float], list[float]]:
    """Scales and numbers: one scale for each block, so that its largest value becomes 127."""
    scales: list[float] = []
    numbers: list[float] = []
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        (scale,) = struct.unpack("<f", struct.pack("<f", max(map(abs, block)) / 127))
        scales.append(scale)
        numbers += [max(-127, min(127, round(value / scale))) if scale else 0 for value in block]
    return scales, numbers


def _packed(dtype: str, values: list[float]) -> bytes:
    """Little-endian bytes; a float is rounded to the nearest, ties to even.

    Raises:
        ValueError: a number is not finite, or the dtype cannot hold it.
    """
    if dtype in FLOATS and not all(map(math.isfinite, values)):
        raise ValueError("a number is not finite")
    if dtype == "BF16":
        values = [_bfloat16(value) for value in values]
    try:
        return struct.pack(f"<{len(values)}{FORMATS[dtype]}", *values)
    except (OverflowError, struct.error) as error:
        raise ValueError(f"a number that {dtype} cannot hold") from error


def _unpacked(dtype: str, data: bytes) -> list[float]:
    values = list(struct.unpack(f"<{len(data) // struct.calcsize(FORMATS[dtype])}{FORMATS[dtype]}", data))
    if dtype == "BF16":
        return [struct.unpack("<f", struct.pack("<I", bits << 16))[0] for bits in values]
    return values


def _bfloat16(value: float) -> int:
    """The upper half of a float32's bits, rounded: half of the last bit that stays is added, a little less where it is even."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    if rounded & 0x7F80 == 0x7F80:
        raise ValueError("a number that BF16 cannot hold")
    return int(rounded)
