"""How the elements of a part come out of update files: which bytes are read, into which memory, and what lies where in them.

Of each update only the bytes of the part's elements are read. While one group of updates is being added up, the next one is
being read; both lie in memory that is made once, so a long list of updates takes no more of it than a short one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from muster.aggregation.manifest import Entry
from muster.aggregation.ranges import Slice, slices
from muster.wire.arrays import DTYPES
from muster.wire.encodings import BLOCK, SCALE, Encoding, blocks, encoded_schema
from muster.wire.tensors import ITEM_BYTES, Schema
from muster.wire.values import Values

GROUP = 8
"""Updates that are added up at once, if there is room for so many of them."""

GAP_BYTES = 1 << 20
"""Spans of a file that lie no further apart are read as one."""

Update = tuple[Entry, Sequence[Values]]
"""An update, and its values for each slice of a range."""

Group = Sequence[Update]
"""Some updates; their values are good until the next group is asked for."""


Fetch = Callable[[int, memoryview], memoryview]
"""As many bytes of one file as the memory is long, from a place on: in that memory, or where they lie already."""


class Reader(Protocol):
    """Where update files are."""

    @property
    def concurrency(self) -> int:
        """How many reads should be under way at a time, or 0 where the bytes are in memory anyway."""
        ...

    def read(self, entry: Entry, begin: int, scratch: memoryview) -> memoryview:
        """As many bytes of an update's file as `scratch` is long, from `begin` on: in `scratch`, or where they lie already."""
        ...


def groups(reader: Reader, schema: Schema, entries: Sequence[Entry], start: int, stop: int, room: int) -> Iterator[Group]:
    """The elements from `start` to `stop` of some updates, in their order, in groups that together hold no more than `room`
    bytes at a time, or one update each.
    """
    layouts = {encoding: Layout.of(schema, encoding, start, stop) for encoding in {entry.encoding for entry in entries}}
    longest = max((layout.nbytes for layout in layouts.values()), default=0)
    halves = 2 if reader.concurrency else 1
    size = max(1, min(GROUP, len(entries), room // max(1, halves * longest)))
    memory = [[np.empty(longest, np.uint8).data for _ in range(size)] for _ in range(halves)]

    def read(entry: Entry, scratch: memoryview) -> Update:
        return entry, layouts[entry.encoding].read(partial(reader.read, entry), entry.header_bytes, scratch)

    chosen = [entries[first : first + size] for first in range(0, len(entries), size)]
    if not reader.concurrency:
        for some in chosen:
            yield [read(entry, scratch) for entry, scratch in zip(some, memory[0], strict=False)]
        return
    with ThreadPoolExecutor(reader.concurrency, thread_name_prefix="reads") as pool:
        under_way: list[list[Future[Update]]] = []
        for number, some in enumerate(chosen):
            under_way.append([pool.submit(read, *pair) for pair in zip(some, memory[number % 2], strict=False)])
            if number:
                yield [future.result() for future in under_way.pop(0)]
        for last in under_way:
            yield [future.result() for future in last]


def base_values(base: Fetch, schema: Schema, start: int, stop: int) -> list[Values]:
    """The elements from `start` to `stop` of the model that was trained, for each slice; `base` reads the data of its file,
    without the header.
    """
    layout = Layout.of(schema, "plain", start, stop)
    return layout.read(base, 0, np.empty(layout.nbytes, np.uint8).data)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the values of a range's slices lie in an update of an encoding, in bytes from the beginning of its data."""

    spans: tuple[tuple[int, int], ...]
    raws: tuple[tuple[str, int, int], ...]
    """Dtype, place and number of elements, of each slice."""
    scales: tuple[tuple[int, int] | None, ...]
    """Place and number of its scales, where it has any."""

    @classmethod
    def of(cls, schema: Schema, encoding: Encoding, start: int, stop: int) -> Layout:
        """The layout of some elements of an update schema."""
        places, begin = {}, 0
        encoded = {spec.name: spec for spec in encoded_schema(schema, encoding)}
        for spec in encoded.values():
            places[spec.name] = begin
            begin += spec.nbytes
        raws: list[tuple[str, int, int]] = []
        scales: list[tuple[int, int] | None] = []
        wanted: list[tuple[int, int]] = []
        for piece in slices(schema, start, stop):
            spec = encoded[schema[piece.tensor].name]
            at = places[spec.name] + piece.low * ITEM_BYTES[spec.dtype]
            raws.append((spec.dtype, at, len(piece)))
            wanted.append((at, at + len(piece) * ITEM_BYTES[spec.dtype]))
            scales.append(None)
            if encoding == "int8" and schema[piece.tensor].is_float:
                place, count = _scales_of(piece, places[SCALE + spec.name])
                scales[-1] = place, count
                wanted.append((place, place + 4 * count))
        return cls(_joined(wanted), tuple(raws), tuple(scales))

    @property
    def nbytes(self) -> int:
        """Bytes that are read of an update."""
        return sum(end - begin for begin, end in self.spans)

    def read(self, fetch: Fetch, header_bytes: int, scratch: memoryview) -> list[Values]:
        """The values of each slice, of one file whose data begin after so many bytes."""
        views, used = [], 0
        for begin, end in self.spans:
            views.append((begin, end, fetch(header_bytes + begin, scratch[used : used + end - begin])))
            used += end - begin

        def view(at: int) -> tuple[memoryview, int]:
            return next((bytes_, at - begin) for begin, end, bytes_ in views if begin <= at < end)

        values = []
        for (dtype, at, count), scales in zip(self.raws, self.scales, strict=True):
            data, offset = view(at)
            raw = np.frombuffer(data, DTYPES[dtype], count, offset)
            if scales is None:
                values.append(Values(raw))
            else:
                data, offset = view(scales[0])
                values.append(Values(raw, np.frombuffer(data, np.dtype("<f4"), scales[1], offset)))
        return values


def _scales_of(piece: Slice, begin: int) -> tuple[int, int]:
    first = piece.low // BLOCK
    return begin + 4 * first, blocks(piece.high) - first


def _joined(wanted: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Spans that cover what is wanted, in the order of the file, with no small gaps between them."""
    spans: list[tuple[int, int]] = []
    for begin, end in sorted(wanted):
        if spans and begin - spans[-1][1] <= GAP_BYTES:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((begin, end))
    return tuple(spans)
