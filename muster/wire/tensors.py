"""The tensor file: safetensors, read strictly. Nothing here needs numpy.

Layout (https://huggingface.co/docs/safetensors, "Format"): eight bytes with the header's length N as a little-endian
unsigned integer; N bytes of JSON, `{name: {"dtype", "shape", "data_offsets": [begin, end]}}`, padded with spaces; then the
tensors' bytes, little-endian, row-major, without gaps.

safetensors is safe to *parse*: it runs no code. It is not safe to *accept*: a header may be 100 MB long, name a million
empty tensors, or repeat a key. So a header is read under a bound that the caller takes from the model's own schema, and
what it says must tile the data exactly.

Of `__metadata__` one entry means something here: `muster.buffers`, a JSON list of the names of those tensors that are buffers
(BatchNorm's running statistics and the like) and no parameters. It belongs to a model's checkpoint; an update needs none.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from muster.wire.reasons import Reason

LENGTH_BYTES = 8
HEADER_LIMIT_BYTES = 1 << 20
"""No header of any model may be longer than this (1 MiB, about 10,000 tensors)."""

ITEM_BYTES = {"I64": 8, "F64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
"""The dtypes that a file may hold, in the order in which it holds them, and the bytes of one element."""

FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
INTEGERS = frozenset({"I64", "I32", "I16", "I8", "U8"})
MODEL_DTYPES = frozenset(ITEM_BYTES) - {"BF16"}
"""What a model's own tensors may be; bfloat16 is an encoding of updates (`encodings`)."""

BUFFERS = "muster.buffers"
"""The key of the metadata that names the buffers, as a JSON list."""

_RANKS = {dtype: rank for rank, dtype in enumerate(ITEM_BYTES)}


class Unfit(Exception):
    """A tensor file that cannot be accepted, and why.

    `reason` is the word for machines; `expected` and `got` are for people.
    """

    def __init__(self, reason: Reason, expected: str, got: str) -> None:
        super().__init__(f"{reason}: expected {expected}, got {got}")
        self.reason = reason
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One tensor of a file: its name, dtype (safetensors' word) and shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    is_buffer: bool = field(default=False, compare=False)
    """Whether its model's checkpoint says that it is no parameter. What an update holds is compared without it."""

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a 0-d tensor, 0 for an empty one."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor's data."""
        return self.elements * ITEM_BYTES[self.dtype]

    @property
    def is_float(self) -> bool:
        """Whether updates of this tensor are averaged."""
        return self.dtype in FLOATS

    @property
    def is_parameter(self) -> bool:
        """Whether a server optimizer moves this tensor, and may keep state of it."""
        return self.is_float and not self.is_buffer

    @property
    def is_integer(self) -> bool:
        """Whether this is a counter, of which an aggregate keeps the largest."""
        return self.dtype in INTEGERS

    def __str__(self) -> str:
        return f"{self.name[:80]!a} {self.dtype}{list(self.shape)}"


Schema = tuple[TensorSpec, ...]
"""A model's tensors in the canonical order of a file: that of the safetensors library, by dtype and then by name.

Wide elements come first, so that all data is aligned, and booleans last.
"""


def canonical(specs: Sequence[TensorSpec]) -> Schema:
    """The specs in the order in which a file holds them."""
    return tuple(sorted(specs, key=lambda spec: (_RANKS[spec.dtype], spec.name)))


def update_schema(model: Schema) -> Schema:
    """What an update of this model holds: every float and integer tensor; booleans are kept from the base, never sent."""
    return tuple(spec for spec in model if spec.is_float or spec.is_integer)


def data_bytes(schema: Schema) -> int:
    """Bytes of all tensors of a file, without its header."""
    return sum(spec.nbytes for spec in schema)


def header_limit(schema: Schema) -> int:
    """The longest header, in bytes, that a file with exactly these tensors may have.

    Roomy for any writer's spacing and for a little metadata, and still proportional to the schema: a hostile file cannot
    make the reader parse more than about what an honest one does.
    """
    need = sum(128 + 6 * len(spec.name) + 24 * len(spec.shape) for spec in schema)
    return min(1024 + need, HEADER_LIMIT_BYTES)


def length_range(schema: Schema) -> tuple[int, int]:
    """Smallest and largest length, in bytes, of a whole file with exactly these tensors."""
    data = LENGTH_BYTES + data_bytes(schema)
    return data + 2, data + header_limit(schema)


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header: the tensors in the order of their data, and where the data starts in the file."""

    specs: Schema
    data_start: int

    @property
    def total_bytes(self) -> int:
        """Length of the whole file that this header describes."""
        return self.data_start + data_bytes(self.specs)


def header_bytes(prefix: bytes | bytearray | memoryview, limit: int) -> int:
    """Length of prefix and header together, in bytes, from a file's first eight bytes.

    Raises:
        Unfit: `wrong-length` (less than eight bytes) or `oversized-header` (the header is longer than `limit`).
    """
    if len(prefix) < LENGTH_BYTES:
        raise Unfit(Reason.WRONG_LENGTH, f"at least {LENGTH_BYTES} bytes", f"{len(prefix)} bytes")
    (length,) = struct.unpack_from("<Q", prefix)
    if length > limit:
        raise Unfit(Reason.OVERSIZED_HEADER, f"a header of at most {limit} bytes", f"{length} bytes")
    return LENGTH_BYTES + int(length)


def parse_header(head: bytes | bytearray | memoryview, limit: int) -> Header:
    """Read the header at the start of `head`, which holds at least the length and the whole header.

    Raises:
        Unfit: `oversized-header`, `wrong-length` or `bad-header`; nothing else, whatever the bytes are.
    """
    data_start = header_bytes(head, limit)
    if len(head) < data_start:
        raise Unfit(Reason.WRONG_LENGTH, f"a header of {data_start - LENGTH_BYTES} bytes", f"a file of {len(head)} bytes")
    try:
        parsed = json.loads(bytes(head[LENGTH_BYTES:data_start]).decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or a number of too many digits
        raise Unfit(Reason.BAD_HEADER, "a JSON object in UTF-8", "something else") from error
    if not isinstance(parsed, dict):
        raise Unfit(Reason.BAD_HEADER, "a JSON object", "another value")
    buffers = _buffers(parsed.pop("__metadata__", {}))
    if buffers - parsed.keys():
        raise Unfit(Reason.BAD_HEADER, f"tensors of the file as {BUFFERS}", _names(buffers - parsed.keys(), "no tensors"))
    placed = sorted((_placed(name, entry) for name, entry in parsed.items()), key=lambda item: (item[1], item[2]))
    cursor = 0
    for spec, begin, end in placed:
        if begin != cursor or end - begin != spec.nbytes:
            raise Unfit(Reason.BAD_HEADER, f"{spec} at bytes {cursor}-{cursor + spec.nbytes}", f"bytes {begin}-{end}")
        cursor = end
    return Header(tuple(replace(spec, is_buffer=spec.name in buffers) for spec, _, _ in placed), data_start)


def match(found: Schema, expected: Schema) -> None:
    """Check that a file holds exactly the expected tensors, in the expected order.

    Raises:
        Unfit: `wrong-tensors` (missing or extra names), `wrong-dtype` or `wrong-shape`, naming the first that differs;
            `wrong-order` when that is all.
    """
    have, want = ({spec.name: spec for spec in side} for side in (found, expected))
    if have.keys() != want.keys():
        raise Unfit(
            Reason.WRONG_TENSORS, _names(want.keys() - have.keys(), "missing"), _names(have.keys() - want.keys(), "extra")
        )
    for name in sorted(want):
        if have[name].dtype != want[name].dtype:
            raise Unfit(Reason.WRONG_DTYPE, str(want[name]), str(have[name]))
        if have[name].shape != want[name].shape:
            raise Unfit(Reason.WRONG_SHAPE, str(want[name]), str(have[name]))
    filled = ([spec for spec in side if spec.nbytes] for side in (found, expected))
    for here, there in zip(*filled, strict=True):
        if here != there:
            raise Unfit(Reason.WRONG_ORDER, f"{there} next (by dtype, then by name)", str(here))


def build_header(schema: Schema) -> bytes:
    """Length and header of a file with these tensors in this order: one byte sequence for one schema, and the one that the
    safetensors library writes too.
    """
    entries: dict[str, dict[str, Any]] = {}
    if buffers := [spec.name for spec in schema if spec.is_buffer]:
        entries["__metadata__"] = {BUFFERS: json.dumps(buffers, separators=(",", ":"))}
    cursor = 0
    for spec in schema:
        end = cursor + spec.nbytes
        entries[spec.name] = {"dtype": spec.dtype, "shape": list(spec.shape), "data_offsets": [cursor, end]}
        cursor = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unfit(Reason.BAD_HEADER, "every key once", "a repeated key")
    return found


def _buffers(metadata: Any) -> frozenset[str]:
    """The names of buffers that a header's metadata holds."""
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Unfit(Reason.BAD_HEADER, "__metadata__ of strings", "another type")
    try:
        names = json.loads(metadata.get(BUFFERS, "[]"))
    except (ValueError, RecursionError) as error:
        raise Unfit(Reason.BAD_HEADER, f"a JSON list as {BUFFERS}", type(error).__name__) from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Unfit(Reason.BAD_HEADER, f"a list of names as {BUFFERS}", "something else")
    return frozenset(names)


def _placed(name: str, entry: Any) -> tuple[TensorSpec, int, int]:
    """One header entry as (spec, begin, end), every member checked for type before it is used."""
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise Unfit(Reason.BAD_HEADER, "names that are Unicode", ascii(name[:80]))
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise Unfit(Reason.BAD_HEADER, f"dtype, shape and data_offsets for {name[:80]!a}", "other members")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise Unfit(Reason.WRONG_DTYPE, " or ".join(ITEM_BYTES), json.dumps(dtype)[:20])
    if not _counts(shape) or len(shape) > 16 or not _counts(offsets) or len(offsets) != 2:
        raise Unfit(Reason.BAD_HEADER, f"whole numbers as shape and offsets of {name[:80]!a}", "something else")
    return TensorSpec(name=name, dtype=dtype, shape=tuple(shape)), offsets[0], offsets[1]


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 48 for item in value)


def _names(names: Set[str], label: str) -> str:
    shown = ", ".join(sorted(ascii(name[:80]) for name in names)[:5])
    return f"{label}: {shown or 'none'}" + (" …" if len(names) > 5 else "")
