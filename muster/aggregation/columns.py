"""Columns: parts of all updates and a range of elements, for rules that need every update of an element at once.

    stage 0: tiles                    stage 1: columns
      ┌─────────┬─────────┐             ┌──┬──┬──┬──┬──┬──┐
      │ block 0 │ block 2 │  updates    │  │  │  │  │  │  │
      ├─────────┼─────────┤  0-99       │  │  │  │  │  │  │
      │ block 1 │ block 3 │  100-199    │  │  │  │  │  │  │
      └─────────┴─────────┘             └──┴──┴──┴──┴──┴──┘

A column is the narrower the more updates there are, so reading it out of the updates takes many short reads: as many as there
are updates, for each column. While a worker may read so many objects, that is one stage. Beyond, tiles are gathered into blocks
first, and a column reads its elements out of each block of their range; of n updates there are about √n blocks of √n updates
each. The ranges of columns lie within those of tiles.

A worker that may read next to nothing needs more stages than two: each then joins blocks into higher and narrower ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from muster.aggregation.plan import Limits, Part
from muster.aggregation.ranges import elements, ranges
from muster.wire.tensors import Schema

COUNTER_BYTES = 8
"""What a counter takes in memory."""

COPIES = 2
"""How often a block lies in the memory of who makes it: as an array, and as the file that is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What an element of one update takes."""

    read_bytes: int
    """In the update's file, at most."""
    float_bytes: int
    """In memory, unless it is a counter; no more than a counter."""
    counters: int
    """How many elements of an update are counters."""

    def fitting(self, room_bytes: int) -> int:
        """How many elements of one update fit, even if all its counters are among them."""
        counters = min(self.counters, room_bytes // COUNTER_BYTES)
        return counters + (room_bytes - counters * COUNTER_BYTES) // self.float_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Stages of parts, whose last one has the columns; each part of it, and of those before, joins at most `fan` inputs."""

    updates: int
    fan: int
    stages: tuple[tuple[Part, ...], ...]

    @classmethod
    def of(cls, schema: Schema, updates: int, cell: Cell, limits: Limits) -> Columns:
        """The fewest stages whose parts read no more objects than a worker may, or two each."""
        fan, last = updates, 0
        while fan > max(2, limits.reads):
            last += 1
            fan = _root(updates, last + 1)
        stages: list[tuple[Part, ...]] = []
        before = [(0, elements(schema))]
        for stage in range(last + 1):
            height = min(updates, fan ** (stage + 1))
            held = limits.memory_bytes // (height if stage == last else COPIES * height)
            read = limits.read_bytes // height
            width = min(cell.fitting(held), cell.fitting(read) if stage else read // cell.read_bytes)
            inputs = -(-updates // fan**stage)
            stages.append(tuple(_joining(schema, stage, before, width=max(1, width), inputs=inputs, fan=fan)))
            before = list(dict.fromkeys((part.start, part.stop) for part in stages[-1]))
        return cls(updates=updates, fan=fan, stages=tuple(stages))

    @property
    def parts(self) -> tuple[Part, ...]:
        """The columns."""
        return self.stages[-1]

    def rows(self, part: Part) -> tuple[int, int]:
        """A part's updates: the first, and the first one after it that is not among them."""
        height = self.fan**part.stage
        first = part.first % -(-self.updates // height)
        return first * height, min(self.updates, (first + part.last - part.first) * height)


def _joining(schema: Schema, stage: int, before: list[tuple[int, int]], *, width: int, inputs: int, fan: int) -> Iterator[Part]:
    """The parts of a stage: of each range of the stage before, which has so many inputs, narrower ranges."""
    number = 0
    for place, (start, stop) in enumerate(before):
        for low, high in ranges(schema, width, start, stop):
            for first in range(0, inputs, fan):
                at, end = place * inputs + first, place * inputs + min(first + fan, inputs)
                yield Part(stage=stage, number=number, first=at, last=end, start=low, stop=high)
                number += 1


def _root(number: int, degree: int) -> int:
    """The smallest whole number that, multiplied by itself so often, is at least `number`."""
    root: int = max(1, round(number ** (1 / degree)) - 1)
    while root**degree < number:
        root += 1
    return root
