"""The plan: a manifest's work, cut into parts that one worker can do; deterministic, and without effect on the result.

    stage 0: tiles (updates x elements)     stage 1, 2, ...: what joins results of the stage before
      ┌────┬────┬────┐
      │    │    │    │  updates 0-63          a sum of tiles, and of such sums: a tree,
      ├────┼────┼────┤  ...                   whose last stage has one part for each range of elements
      │    │    │    │
      └────┴────┴────┘
       elements, through all tensors of an update in the order of its file

Rules that need all updates of an element at once have parts of their own: `columns`.

A part's result is stored once, under its name. A stage begins when the one before it is done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from muster.aggregation.manifest import Entry
from muster.aggregation.ranges import ranges
from muster.aggregation.reading import Group
from muster.wire.arrays import Array
from muster.wire.tensors import Schema, TensorSpec, build_header
from muster.wire.values import Values

Result = Mapping[str, Array]
"""What a part makes: named arrays."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one worker can do."""

    memory_bytes: int
    """Tensors that it may hold at a time."""
    read_bytes: int
    """Bytes that it may read from the store in its time."""
    reads: int
    """Objects that it may read in its time."""


NO_LIMITS = Limits(1 << 62, 1 << 62, 1 << 62)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of work: inputs `first` up to but not including `last`, elements `start` up to but not `stop`.

    Inputs are updates, or parts of the stage before by their numbers.
    """

    stage: int
    number: int
    first: int
    last: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Some rows of the matrices that a part made: only their bytes are read of its result."""

    part: Part
    schema: Schema
    """What the result holds, in the order of its file."""
    wanted: Mapping[str, tuple[int, int]]
    """By matrix: the first row, and the first one after it that is not wanted."""

    def spans(self) -> Iterator[tuple[TensorSpec, int]]:
        """What is wanted of each matrix, and where that begins in the result's file."""
        at = len(build_header(self.schema))
        for spec in self.schema:
            if spec.name in self.wanted:
                low, high = self.wanted[spec.name]
                row_bytes = spec.nbytes // spec.shape[0]
                yield replace(spec, shape=(high - low, *spec.shape[1:])), at + low * row_bytes
            at += spec.nbytes


class Inputs(Protocol):
    """What a part's work may read."""

    def updates(self, entries: Sequence[Entry], part: Part, room: int) -> Iterator[Group]:
        """A part's elements of some updates, in groups that hold no more than `room` bytes together, or one update each."""
        ...

    def results(self, parts: Sequence[Part]) -> Iterator[Result]:
        """Results of earlier parts, one after another."""
        ...

    def rows(self, several: Sequence[Rows], room: int) -> Iterator[Result]:
        """Some rows of earlier results, one after another; no more than `room` bytes at a time, or one result's."""
        ...

    def base(self, part: Part) -> Sequence[Values]:
        """A part's elements of the model that the updates are updates of."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """Parts that can be done side by side, and how."""

    parts: tuple[Part, ...]
    run: Callable[[Part, Inputs], Result]


@dataclass(frozen=True, slots=True)
class Plan:
    """All stages. The results of the last one, one after another, are the pseudo-gradient."""

    stages: tuple[Stage, ...]
    lost_bits: int = 0
    """Bits by which the arithmetic is too coarse for the median update, as the manifest says; 0 where it is fine enough."""

    @property
    def name(self) -> str:
        """A digest of all parts: results and messages of two plans never mix."""
        parts = [part for stage in self.stages for part in stage.parts]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]

    @property
    def is_small(self) -> bool:
        """Whether there is nothing to share out."""
        return all(len(stage.parts) == 1 for stage in self.stages)


def tiles(schema: Schema, updates: int, element_bytes: int, limits: Limits, held: int, stage: int = 0) -> tuple[Part, ...]:
    """Parts of some updates and a range of elements each; of one range all updates, then of the next.

    `element_bytes` is what an element takes in an update, `held` what it takes in a worker's memory, whatever the number of
    updates.
    """
    parts: list[Part] = []
    for start, stop in ranges(schema, limits.memory_bytes // held):
        width = max(1, min(limits.reads, limits.read_bytes // max(1, element_bytes * (stop - start))))
        for first in range(0, updates, width):
            parts.append(
                Part(stage=stage, number=len(parts), first=first, last=min(first + width, updates), start=start, stop=stop)
            )
    return tuple(parts)


def joining(before: Sequence[Part], result_bytes: Callable[[Part], int], limits: Limits) -> Iterator[tuple[Part, ...]]:
    """Stages that join the results of a stage, range by range, until there is one for each range; none if that is so already.

    Each part joins as many results as a worker may read, and at least two.
    """
    while len({(part.start, part.stop) for part in before}) < len(before):
        stage: list[Part] = []
        first = 0
        while first < len(before):
            head, last = before[first], first
            fan = max(2, min(limits.reads, limits.read_bytes // max(1, result_bytes(head))))
            while last < len(before) and last - first < fan and before[last].start == head.start:
                last += 1
            stage.append(
                Part(stage=head.stage + 1, number=len(stage), first=first, last=last, start=head.start, stop=head.stop)
            )
            first = last
        before = stage
        yield tuple(stage)
