"""A range of elements of all updates, one row an update: for rules that compare updates with one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from muster.aggregation.manifest import Manifest
from muster.aggregation.plan import Inputs, Part
from muster.aggregation.ranges import Slice, slices
from muster.wire.arrays import DTYPES, Array
from muster.wire.tensors import Schema

ROOM_BYTES = 48 << 20
"""What updates may hold in memory while they are copied into their rows."""


def dtype_of(manifest: Manifest, schema: Schema) -> np.dtype[np.float64] | np.dtype[np.float32]:
    """Wide enough for every value of an update, exactly: of every float tensor of the schema, and of int8 numbers times their
    scales; and for what clipping makes of it, rounded to a float64.
    """
    wide = manifest.is_quantised or any(DTYPES[spec.dtype].itemsize > 4 for spec in schema if spec.is_float)
    wide = wide or any(manifest.factor(entry) != 1.0 for entry in manifest.entries)
    return np.dtype(np.float64) if wide else np.dtype(np.float32)


@dataclass(frozen=True, slots=True)
class UpdateStack:
    """Rows of the float elements of a range, clipped, in the manifest's order; and the counters, a matrix each."""

    pieces: tuple[Slice, ...]
    """The float tensors' slices; `at` is the column of the first element."""
    rows: Array
    counters: dict[str, Array]
    """By name: int64, an update a row."""

    @classmethod
    def of(cls, part: Part, manifest: Manifest, schema: Schema, inputs: Inputs) -> UpdateStack:
        """The stack of a part."""
        everything = slices(schema, part.start, part.stop)
        places, columns = list[int | None](), 0
        for piece in everything:
            places.append(columns if schema[piece.tensor].is_float else None)
            columns += len(piece) if schema[piece.tensor].is_float else 0
        rows = np.empty((len(manifest.entries), columns), dtype_of(manifest, schema))
        counters = {
            schema[piece.tensor].name: np.empty((len(manifest.entries), len(piece)), np.int64)
            for piece, at in zip(everything, places, strict=True)
            if at is None
        }
        number = 0
        for group in inputs.updates(manifest.entries, part, ROOM_BYTES):
            for entry, several in group:
                factor = manifest.factor(entry)
                for piece, at, values in zip(everything, places, several, strict=True):
                    if at is None:
                        counters[schema[piece.tensor].name][number] = values.raw
                        continue
                    row = rows[number, at : at + len(piece)]
                    values.into(row)
                    if factor != 1.0:
                        row *= factor
                number += 1
        pieces = (
            Slice(tensor=piece.tensor, low=piece.low, high=piece.high, at=at)
            for piece, at in zip(everything, places, strict=True)
            if at is not None
        )
        return cls(tuple(pieces), rows, counters)
