"""A range of elements of all updates, one row an update: for rules that compare updates with one another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from muster.aggregation.blocks import ROOM_BYTES, Block, Gathering, clipped_into, dtype_of, placed
from muster.aggregation.plan import Inputs, Part
from muster.aggregation.ranges import Slice
from muster.wire.arrays import Array


@dataclass(frozen=True, slots=True)
class UpdateStack:
    """Rows of the float elements of a range, clipped, in the manifest's order; and the counters, a matrix each.

    Where the updates were gathered, `rows` is a block turned over: what lies side by side are the updates of an element.
    """

    pieces: tuple[Slice, ...]
    """The float tensors' slices; `at` is the column of the first element."""
    rows: Array
    counters: dict[str, Array]
    """By name: int64, an update a row."""

    @classmethod
    def of(cls, part: Part, gathering: Gathering, inputs: Inputs) -> UpdateStack:
        """The stack of a column."""
        if part.stage:
            return cls._turned(part, gathering, gathering.block(part, inputs))
        return cls._read(part, gathering, inputs)

    @classmethod
    def _read(cls, part: Part, gathering: Gathering, inputs: Inputs) -> UpdateStack:
        manifest, schema = gathering.manifest, gathering.schema
        places = placed(schema, part)
        count, columns = len(manifest.entries), sum(len(piece) for piece, is_float, _ in places if is_float)
        rows = np.empty((count, columns), dtype_of(manifest, schema))
        counters = {
            schema[piece.tensor].name: np.empty((count, len(piece)), np.int64) for piece, is_float, _ in places if not is_float
        }
        number = 0
        for group in inputs.updates(manifest.entries, part, ROOM_BYTES):
            for entry, several in group:
                factor = manifest.factor(entry)
                for (piece, is_float, at), values in zip(places, several, strict=True):
                    if is_float:
                        clipped_into(rows[number, at : at + len(piece)], values, factor)
                    else:
                        counters[schema[piece.tensor].name][number] = values.raw
                number += 1
        return cls(tuple(replace(piece, at=at) for piece, is_float, at in places if is_float), rows, counters)

    @classmethod
    def _turned(cls, part: Part, gathering: Gathering, block: Block) -> UpdateStack:
        places = placed(gathering.schema, part)
        counters = {
            gathering.schema[piece.tensor].name: block.counters[at : at + len(piece)].T
            for piece, is_float, at in places
            if not is_float
        }
        pieces = tuple(replace(piece, at=at) for piece, is_float, at in places if is_float)
        return cls(pieces, block.floats.T, counters)
