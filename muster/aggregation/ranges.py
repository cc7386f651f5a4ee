"""Elements, numbered through all tensors of an update in the order of its file; and ranges of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from muster.wire.encodings import BLOCK
from muster.wire.tensors import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Elements `low` up to but not including `high` of one tensor of the schema; the first is number `at` of a range."""

    tensor: int
    low: int
    high: int
    at: int

    def __len__(self) -> int:
        return self.high - self.low


def elements(schema: Schema) -> int:
    """How many elements all tensors have together."""
    return sum(spec.elements for spec in schema)


def slices(schema: Schema, start: int, stop: int) -> list[Slice]:
    """A range of elements, tensor by tensor; tensors without any are left out."""
    found, begin = [], 0
    for number, spec in enumerate(schema):
        end = begin + spec.elements
        low, high = max(start, begin), min(stop, end)
        if low < high:
            found.append(Slice(tensor=number, low=low - begin, high=high - begin, at=low - start))
        begin = end
    return found


def ranges(schema: Schema, width: int, start: int = 0, stop: int | None = None) -> list[tuple[int, int]]:
    """Ranges of at most `width` elements that together are those from `start` to `stop`, or all; at least one range, and at
    least one block in each.

    Inside a tensor a range begins where a block of the encodings does, if `start` does.
    """
    last = elements(schema) if stop is None else stop
    edges, begin = [start], 0
    for spec in schema:
        end = min(begin + spec.elements, last)
        while end - edges[-1] > width:
            edge = begin + max(0, (edges[-1] + width - begin) // BLOCK * BLOCK)
            if edge <= edges[-1]:
                edge = begin + ((edges[-1] - begin) // BLOCK + 1) * BLOCK
            if edge >= end:
                break
            edges.append(edge)
        begin += spec.elements
    return list(pairwise([*edges, last])) if last > start else [(start, start)]
