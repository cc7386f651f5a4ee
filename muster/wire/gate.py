"""The gate: one function that names every way in which a tensor file can be unfit.

After it, aggregation cannot fail on the file's content: it has exactly the schema's names, shapes and dtypes, in their order,
exactly its length, and only finite numbers. The server's inspection is the judge; a device runs the same check before it
uploads, and spares itself the upload of what would be rejected.

The file is read once, in blocks, and nothing is kept of it: the length of a file costs time and no memory.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from muster.wire.arrays import DTYPES, Array
from muster.wire.encodings import BLOCK, SCALE, Encoding, blocks, encoded_schema
from muster.wire.reasons import Reason
from muster.wire.spread import Spread
from muster.wire.tensors import (
    ITEM_BYTES,
    LENGTH_BYTES,
    Header,
    Schema,
    TensorSpec,
    Unfit,
    header_bytes,
    header_limit,
    match,
    parse_header,
)
from muster.wire.values import LARGEST, Values

ELEMENTS = 64 * BLOCK
"""Elements that are looked at at once, so that the working copy stays in cache (512 KiB as float64)."""

ZERO_EXPONENT = -2000
"""Stands for the exponent of a tensor that is all zero; lies below that of every float64."""

NORM_LIMIT = 1e30
"""The largest L2 norm that any file may have; a model may ask for less (`norm_limit`)."""

NORM_GROWTH = 1e4
"""How long an update may be beside the model that it changes, where the model's configuration does not say."""

NORM_DIGITS = 6
"""Significant digits that are kept of a model's norm: a sum of squares differs in its last bits from one CPU to another."""


class Readable(Protocol):
    """A file, or the body of an answer, that is read from its beginning to its end."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the beginning of a buffer; 0 at the end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the gate measured of a fit file.

    `norm` is the L2 norm over all float tensors, in float64. `exponents` has one binary exponent for each float tensor, in the
    schema's order: every |x| in it is below 2**exponent (`ZERO_EXPONENT` when all are zero). The scale of an `int8` block whose
    numbers are all zero counts for nothing: it may be anything that is finite. `header_bytes` is the length of prefix and
    header: the data begins there. `levels` says of each float tensor how fine a grid must be for it (`spread`).
    """

    norm: float
    exponents: tuple[int, ...]
    header_bytes: int
    levels: tuple[int, ...] = ()


def norm_limit(configured: float | None, base: float | None) -> float:
    """The largest L2 norm of an update: the configured one, or else relative to the norm of the base, if that is known."""
    if configured is not None:
        return min(configured, NORM_LIMIT)
    return NORM_LIMIT if base is None else min(NORM_LIMIT, NORM_GROWTH * (1.0 + base))


def rounded_norm(squares: float) -> float:
    """The L2 norm of a model whose sum of squares this is, as its reference keeps it; at most `NORM_LIMIT`, also of a sum that
    is not finite.
    """
    norm = math.sqrt(squares) if squares < NORM_LIMIT**2 else NORM_LIMIT
    return float(f"{norm:.{NORM_DIGITS}g}")


def inspect(
    file: Readable,
    nbytes: int,
    schema: Schema,
    sha256: str,
    encoding: Encoding = "plain",
    *,
    max_norm: float = NORM_LIMIT,
    max_count: int | None = None,
) -> Measured:
    """Measure a file of `nbytes` that claims to hold exactly `schema`, in an encoding, and to hash to `sha256` (hex).

    `max_norm` bounds the L2 norm over all float tensors.

    `max_count` bounds the magnitude of each element of an integer tensor: of an update, by how much it moves a counter.

    Raises:
        Unfit: `oversized-header`, `bad-header`, `wrong-tensors`, `wrong-dtype`, `wrong-shape`, `wrong-order`, `wrong-length`,
            `not-finite`, `bad-scale`, `counter-overflow`, `norm-overflow` or `wrong-digest`: the first that is found.
    """
    expected = encoded_schema(schema, encoding)
    reading = _Reading(file, nbytes)
    header = reading.header(header_limit(expected))
    match(header.specs, expected)
    if nbytes != header.total_bytes:
        raise Unfit(Reason.WRONG_LENGTH, f"{header.total_bytes} bytes", f"{nbytes} bytes")
    floats = {spec.name for spec in schema if spec.is_float}
    scales: dict[str, Array] = {SCALE + name: np.empty(0, np.float32) for name in floats} if encoding == "int8" else {}
    exponents, squares = dict[str, int](), 0.0
    spreads = {spec.name: Spread(blocks(spec.elements) if scales else spec.elements) for spec in schema if spec.is_float}
    for spec in header.specs:
        if spec.name in scales:
            scales[spec.name] = _scales(spec, reading)
        elif spec.name in floats:
            exponents[spec.name], square = _scan(spec, scales.get(SCALE + spec.name), reading, spreads[spec.name])
            squares += square
        else:
            _count(spec, reading, max_count)
    norm = math.sqrt(squares)
    if not norm <= max_norm:
        raise Unfit(Reason.NORM_OVERFLOW, f"an L2 norm of at most {max_norm:.{NORM_DIGITS}g}", f"{norm:.{NORM_DIGITS}g}")
    reading.finish(sha256)
    levels = tuple(spread.level for spread in spreads.values())
    return Measured(
        norm=norm,
        exponents=tuple(exponents[spec.name] for spec in schema if spec.is_float),
        header_bytes=header.data_start,
        levels=levels,
    )


def exponent_of(largest: float) -> int:
    """The smallest e with |x| < 2**e for all |x| <= `largest` (finite, not negative)."""
    return math.frexp(largest)[1] if largest else ZERO_EXPONENT


class _Reading:
    """A file that is read once, in blocks of one buffer, and hashed on the way."""

    def __init__(self, file: Readable, nbytes: int) -> None:
        self._file = file
        self._nbytes = nbytes
        self._read = 0
        self._hash = hashlib.sha256()
        self._buffer = memoryview(bytearray(8 * ELEMENTS))

    def header(self, limit: int) -> Header:
        """The parsed header, of at most `limit` bytes."""
        prefix = self._take(min(LENGTH_BYTES, self._nbytes)).tobytes()
        rest = header_bytes(prefix, limit) - LENGTH_BYTES
        if rest > self._nbytes - LENGTH_BYTES:
            raise Unfit(Reason.WRONG_LENGTH, f"a header of {rest} bytes", f"a file of {self._nbytes} bytes")
        text = bytearray(prefix)
        while rest:
            piece = self._take(min(rest, len(self._buffer)))
            text += piece
            rest -= len(piece)
        return parse_header(text, limit)

    def blocks(self, spec: TensorSpec) -> Iterator[tuple[int, Array]]:
        """A tensor's elements, flat, in blocks, each with the number of its first; good until the next one is asked for."""
        size = ITEM_BYTES[spec.dtype]
        for start in range(0, spec.elements, ELEMENTS):
            count = min(ELEMENTS, spec.elements - start)
            yield start, np.frombuffer(self._take(count * size), DTYPES[spec.dtype])

    def finish(self, sha256: str) -> None:
        """Check that the file ends here, and its digest."""
        if self._file.readinto(self._buffer[:1]):
            raise Unfit(Reason.WRONG_LENGTH, f"{self._nbytes} bytes", "more")
        found = self._hash.hexdigest()
        if found != sha256:
            raise Unfit(Reason.WRONG_DIGEST, sha256, found)

    def _take(self, count: int) -> memoryview:
        """The next `count` bytes, at the beginning of the buffer."""
        view = self._buffer[:count]
        got = 0
        while got < count:
            more = self._file.readinto(view[got:])
            if not more:
                raise Unfit(Reason.WRONG_LENGTH, f"{self._nbytes} bytes", f"{self._read + got} bytes")
            got += more
        self._read += count
        self._hash.update(view)
        return view


def _scales(spec: TensorSpec, reading: _Reading) -> Array:
    """A tensor of scales: finite and not negative."""
    found = np.empty(spec.elements, np.float32)
    for start, block in reading.blocks(spec):
        good = np.isfinite(block) & (block >= 0)
        if not good.all():
            at = int(np.flatnonzero(~good)[0])
            raise Unfit(
                Reason.BAD_SCALE, "finite scales, zero or more", f"{block[at]} in {spec.name[:80]!r} at element {start + at}"
            )
        found[start : start + block.size] = block
    return found


def _count(spec: TensorSpec, reading: _Reading, most: int | None) -> None:
    """Read over an integer tensor, and hold it against a bound. No absolute values: the lowest int64 has none."""
    for start, block in reading.blocks(spec):
        if most is not None and spec.dtype != "BOOL" and not -most <= int(block.min()) <= int(block.max()) <= most:
            at = int(np.flatnonzero((block > most) | (block < -most))[0])
            got = f"{block[at]} in {spec.name[:80]!r} at element {start + at}"
            raise Unfit(Reason.COUNTER_OVERFLOW, f"integers from {-most} to {most}", got)


def _scan(spec: TensorSpec, scales: Array | None, reading: _Reading, spread: Spread) -> tuple[int, float]:
    """Exponent, and sum of squares (float64), of a tensor's values. They are counted in `spread`; of an `int8` tensor the
    scales of blocks that are not all zero are, because it is they that are rounded to a grid.

    Raises:
        Unfit: `not-finite`, with the tensor and the position of the first bad element.
    """
    largest, square = 0.0, 0.0
    scratch = np.empty(min(ELEMENTS, spec.elements), np.float64)
    for start, raw in reading.blocks(spec):
        block = scratch[: raw.size]
        first = start // BLOCK
        some = None if scales is None else scales[first : first + blocks(raw.size)]
        Values(raw, some).into(block)
        with np.errstate(over="ignore", invalid="ignore"):
            squares = float(np.dot(block, block))
        if not math.isfinite(squares) and not np.isfinite(block).all():
            at = int(np.flatnonzero(~np.isfinite(block))[0])
            raise Unfit(Reason.NOT_FINITE, "finite numbers", f"{block[at]} in {spec.name[:80]!r} at element {start + at}")
        square += squares
        if some is None:
            spread.add(block)
            largest = max(largest, float(block.max()), -float(block.min()))
        else:
            used = some[np.logical_or.reduceat(raw != 0, np.arange(0, raw.size, BLOCK))].astype(np.float64)
            spread.add(used)
            # A number and its scale, rounded to a grid, stay below this too (`aggregation.rules.mean`).
            largest = max(largest, (LARGEST + 1) * float(used.max(initial=0.0)))
    return exponent_of(largest), square
