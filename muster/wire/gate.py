"""The gate: one function that names every way in which a tensor file can be unfit.

After it, aggregation cannot fail on the file's content: it has exactly the schema's names, shapes and dtypes, exactly its
length, and only finite numbers. The server's inspection is the judge; a device runs the same check before it uploads, and
spares itself the upload of what would be rejected.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from muster.wire.arrays import Array, views
from muster.wire.tensors import Header, Schema, Unfit, header_limit, match, parse_header

BLOCK = 1 << 16
"""Elements that are looked at at once, so that the working copy stays in cache (512 KiB as float64)."""

ZERO_EXPONENT = -2000
"""Stands for the exponent of a tensor that is all zero; lies below that of every float64."""

NORM_LIMIT = 1e100
"""The largest L2 norm of an update that is taken; a row could not hold a much larger one."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the gate measured of a fit file.

    `norm` is the L2 norm over all float tensors, in float64. `exponents` has one binary exponent for each float tensor, in
    the schema's order: every |x| in it is below 2**exponent (`ZERO_EXPONENT` when all are zero).
    """

    norm: float
    exponents: tuple[int, ...]


def inspect(data: bytes | bytearray, schema: Schema, sha256: str) -> Measured:
    """Measure a file that claims to hold exactly `schema` and to hash to `sha256` (hex).

    Raises:
        Unfit: `wrong-digest`, `oversized-header`, `bad-header`, `wrong-length`, `wrong-tensors`, `wrong-dtype`,
            `wrong-shape`, `not-finite` or `norm-overflow`.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise Unfit("wrong-digest", sha256, found)
    header = parse_header(memoryview(data), header_limit(schema))
    match(header.specs, schema)
    return measure(memoryview(data), header, schema)


def measure(data: memoryview, header: Header, schema: Schema) -> Measured:
    """Norm and exponents of a file whose header was already matched against `schema`.

    Raises:
        Unfit: `wrong-length`, `not-finite` or `norm-overflow`.
    """
    squares = 0.0
    exponents: dict[str, int] = {}
    for name, array in views(data, header):
        if array.dtype.kind != "f":
            continue
        largest, square = _scan(name, array.reshape(-1))
        exponents[name] = exponent_of(largest)
        squares += square
    norm = math.sqrt(squares)
    if not norm <= NORM_LIMIT:
        raise Unfit("norm-overflow", f"an L2 norm of at most {NORM_LIMIT:g}", f"{norm:g}")
    return Measured(norm, tuple(exponents[spec.name] for spec in schema if spec.is_float))


def exponent_of(largest: float) -> int:
    """The smallest e with |x| < 2**e for all |x| <= `largest` (finite, not negative)."""
    return math.frexp(largest)[1] if largest else ZERO_EXPONENT


def _scan(name: str, flat: Array) -> tuple[float, float]:
    """Largest magnitude and sum of squares (float64) of a flat float array.

    Raises:
        Unfit: `not-finite`, with the tensor and the position of the first bad element.
    """
    largest, square = 0.0, 0.0
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK].astype(np.float64)
        if not np.isfinite(block).all():
            at = int(np.flatnonzero(~np.isfinite(block))[0])
            raise Unfit("not-finite", "finite numbers", f"{block[at]} in {name[:80]!r} at element {start + at}")
        largest = max(largest, float(np.abs(block).max()))
        with np.errstate(over="ignore"):
            square += float(np.dot(block, block))
    return largest, square
