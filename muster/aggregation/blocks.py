"""Blocks: a range of elements of some updates, an element a row, so that a part of the range is one run of bytes.

What rules compare are the values themselves, clipped, each exact in the block's dtype; gathered or not, a rule sees the same
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from muster.aggregation.columns import Cell, Columns
from muster.aggregation.manifest import Manifest
from muster.aggregation.plan import Inputs, Limits, Part, Result, Rows, Stage
from muster.aggregation.ranges import Slice, slices
from muster.aggregation.reading import Group
from muster.wire.arrays import DTYPES, Array
from muster.wire.encodings import BLOCK
from muster.wire.tensors import ITEM_BYTES, Schema, TensorSpec, canonical
from muster.wire.values import Values

ROOM_BYTES = 48 << 20
"""What inputs may hold in memory while they are copied to their places."""

AT_ONCE = 32 * BLOCK
"""Elements of a group of updates that are turned over at once, so that they stay in a core's cache."""

FLOATS, COUNTERS = "floats", "counters"


def dtype_of(manifest: Manifest, schema: Schema) -> np.dtype[np.float64] | np.dtype[np.float32]:
    """Wide enough for every value of an update, exactly: of every float tensor of the schema, and of int8 numbers times their
    scales; and for what clipping makes of it, rounded to a float64.
    """
    wide = manifest.is_quantised or any(DTYPES[spec.dtype].itemsize > 4 for spec in schema if spec.is_float)
    wide = wide or any(manifest.factor(entry) != 1.0 for entry in manifest.entries)
    return np.dtype(np.float64) if wide else np.dtype(np.float32)


def clipped_into(out: Array, values: Values, factor: float, start: int = 0) -> None:
    """Write an update's float values from `start` on, which begins a block of its encoding, times its factor."""
    values.into(out, start)
    if factor != 1.0:
        out *= factor


@dataclass(frozen=True, slots=True)
class Block:
    """Floats and counters of some elements (axis 0), in the order of the file, of some updates (axis 1)."""

    floats: Array
    counters: Array
    """int64."""

    @classmethod
    def empty(cls, schema: Schema, part: Part, updates: int, dtype: np.dtype[np.float64] | np.dtype[np.float32]) -> Block:
        """A block of a part's elements, not yet written."""
        floats, counters = counted(schema, part.start, part.stop)
        return cls(np.empty((floats, updates), dtype), np.empty((counters, updates), np.int64))

    def put(self, group: Group, factors: Sequence[float], pieces: Sequence[tuple[Slice, bool, int]], at: int) -> None:
        """Some updates, the first of them as column `at`."""
        scratch = np.empty((len(group), AT_ONCE), self.floats.dtype)
        columns = slice(at, at + len(group))
        for number, (piece, is_float, row) in enumerate(pieces):
            if not is_float:
                for column, (_, several) in enumerate(group, start=at):
                    self.counters[row : row + len(piece), column] = several[number].raw
                continue
            for low in range(0, len(piece), AT_ONCE):
                count = min(AT_ONCE, len(piece) - low)
                for line, (_, several), factor in zip(scratch, group, factors, strict=True):
                    clipped_into(line[:count], several[number], factor, low)
                self.floats[row + low : row + low + count, columns] = scratch[:, :count].T

    def join(self, rows: Result, columns: slice) -> None:
        """The same elements of other updates."""
        for name, whole in self.result().items():
            whole[:, columns] = rows[name]

    def result(self) -> dict[str, Array]:
        """What is stored; nothing of what is empty."""
        return {name: array for name, array in ((FLOATS, self.floats), (COUNTERS, self.counters)) if array.size}


@dataclass(frozen=True, slots=True)
class Gathering:
    """How a manifest's updates come together into columns."""

    manifest: Manifest
    schema: Schema
    columns: Columns

    @classmethod
    def of(cls, manifest: Manifest, schema: Schema, limits: Limits) -> Gathering:
        """The gathering within a worker's limits."""
        cell = Cell(
            read_bytes=max(ITEM_BYTES[spec.dtype] for spec in schema),
            float_bytes=dtype_of(manifest, schema).itemsize,
            counters=sum(spec.elements for spec in schema if not spec.is_float),
        )
        return cls(manifest, schema, Columns.of(schema, len(manifest.entries), cell, limits))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What is done before the columns; often nothing."""

        def run(part: Part, inputs: Inputs) -> Result:
            return self.block(part, inputs).result()

        return tuple(Stage(parts, run) for parts in self.columns.stages[:-1])

    def block(self, part: Part, inputs: Inputs) -> Block:
        """A part's block, of updates or of the blocks before."""
        begin, end = self.columns.rows(part)
        block = Block.empty(self.schema, part, end - begin, dtype_of(self.manifest, self.schema))
        if not part.stage:
            self._put(block, part, inputs)
            return block
        before = self.columns.stages[part.stage - 1][part.first : part.last]
        wanted = self._wanted(before[0], part)
        several = [Rows(part=other, schema=self._stored(other), wanted=wanted) for other in before]
        for rows, found in zip(several, inputs.rows(several, ROOM_BYTES), strict=True):
            low, high = self.columns.rows(rows.part)
            block.join(found, slice(low - begin, high - begin))
        return block

    def _put(self, block: Block, part: Part, inputs: Inputs) -> None:
        pieces, at = placed(self.schema, part), 0
        for group in inputs.updates(self.manifest.entries[part.first : part.last], part, ROOM_BYTES):
            block.put(group, [self.manifest.factor(entry) for entry, _ in group], pieces, at)
            at += len(group)

    def _stored(self, part: Part) -> Schema:
        """What is stored of a block."""
        low, high = self.columns.rows(part)
        dtype = "F64" if dtype_of(self.manifest, self.schema) == np.float64 else "F32"
        counts = zip((FLOATS, COUNTERS), (dtype, "I64"), counted(self.schema, part.start, part.stop), strict=True)
        return canonical([TensorSpec(name=name, dtype=kind, shape=(rows, high - low)) for name, kind, rows in counts if rows])

    def _wanted(self, before: Part, part: Part) -> Mapping[str, tuple[int, int]]:
        """The rows of an earlier block that are a part's elements."""
        skipped = counted(self.schema, before.start, part.start)
        counts = counted(self.schema, part.start, part.stop)
        found = zip((FLOATS, COUNTERS), skipped, counts, strict=True)
        return {name: (first, first + rows) for name, first, rows in found if rows}


def counted(schema: Schema, start: int, stop: int) -> tuple[int, int]:
    """How many floats, and how many counters, are in a range."""
    pieces = slices(schema, start, stop)
    floats = sum(len(piece) for piece in pieces if schema[piece.tensor].is_float)
    return floats, sum(map(len, pieces)) - floats


def placed(schema: Schema, part: Part) -> list[tuple[Slice, bool, int]]:
    """A part's slices; whether each is of floats; and its place among those, or among the counters."""
    found, floats, counters = list[tuple[Slice, bool, int]](), 0, 0
    for piece in slices(schema, part.start, part.stop):
        is_float = schema[piece.tensor].is_float
        found.append((piece, is_float, floats if is_float else counters))
        floats, counters = floats + len(piece) * is_float, counters + len(piece) * (not is_float)
    return found
