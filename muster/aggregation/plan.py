"""The plan: a manifest cut into parts, each small enough for one worker. Deterministic, and without effect on the result.

Sums are cut by clients: each part reads some of the updates whole. What needs all updates of a coordinate at once is cut by
parameters: each part holds a range of elements of every update. Elements are numbered through all float tensors, in the
schema's order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from muster.aggregation.manifest import Entry, Manifest
from muster.wire.tensors import Schema


@dataclass(frozen=True, slots=True)
class Part:
    """Part `index` of `count`: entries `first` up to but not including `last`, elements `start` up to but not `stop`."""

    index: int
    count: int
    first: int
    last: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """What names the part in keys and messages; it names the plan too, so that two plans never mix."""
        return f"{self.index:05d}-of-{self.count:05d}"

    def entries(self, manifest: Manifest) -> tuple[Entry, ...]:
        """The manifest's entries that this part reads."""
        return manifest.entries[self.first : self.last]


@dataclass(frozen=True, slots=True)
class Slice:
    """Elements `low` up to but not including `high` of one float tensor, at `at` of a part's own elements."""

    name: str
    tensor: int
    """The tensor's number among the schema's float tensors: that of its exponent in the manifest."""
    low: int
    high: int
    at: int


def float_elements(schema: Schema) -> int:
    """How many elements all float tensors have together."""
    return sum(spec.elements for spec in schema if spec.is_float)


def by_clients(manifest: Manifest, schema: Schema, part_bytes: int) -> tuple[Part, ...]:
    """Parts that each read at most `part_bytes` of whole updates, and at least one update."""
    largest = max(entry.nbytes for entry in manifest.entries)
    total, width = len(manifest.entries), max(1, part_bytes // largest)
    starts = range(0, total, width)
    stop = float_elements(schema)
    return tuple(Part(i, len(starts), first, min(first + width, total), 0, stop) for i, first in enumerate(starts))


def by_parameters(manifest: Manifest, schema: Schema, part_bytes: int, item_bytes: int) -> tuple[Part, ...]:
    """Parts that each hold at most `part_bytes`, at `item_bytes` an element, of all updates, and at least one element."""
    clients, elements = len(manifest.entries), float_elements(schema)
    width = max(1, part_bytes // (item_bytes * clients))
    starts = range(0, max(elements, 1), width)
    return tuple(Part(i, len(starts), 0, clients, start, min(start + width, elements)) for i, start in enumerate(starts))


def slices(part: Part, schema: Schema) -> Iterator[Slice]:
    """A part's elements, tensor by tensor."""
    begin = 0
    for number, spec in enumerate(spec for spec in schema if spec.is_float):
        end = begin + spec.elements
        low, high = max(part.start, begin), min(part.stop, end)
        if low < high:
            yield Slice(spec.name, number, low - begin, high - begin, low - part.start)
        begin = end
