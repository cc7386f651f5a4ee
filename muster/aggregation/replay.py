"""The whole aggregation in one process, from a manifest and the bytes that it names: what every worker together computes.

Whoever has the manifest, the base, the optimizer's state and the updates gets the published bytes again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from muster.aggregation.assembly import assemble
from muster.aggregation.manifest import Entry, Manifest
from muster.aggregation.plan import NO_LIMITS, Limits, Part, Plan, Result, Rows
from muster.aggregation.reading import Fetch, Group, Reader, base_values, groups
from muster.aggregation.registry import find_aggregator
from muster.wire.tensors import HEADER_LIMIT_BYTES, Schema, parse_header, update_schema
from muster.wire.values import Values

Load = Callable[[Entry], bytes]
"""An update's whole file."""


def replay(
    manifest: Manifest, base: bytes, state: Mapping[str, bytes], load: Load, limits: Limits = NO_LIMITS
) -> dict[str, bytes]:
    """The checkpoint (`model`) and the files of the optimizer's state, by letter, as the round published them.

    `state` are the files that came with the base, by letter. `limits` cut the work and do not change the result.

    Raises:
        WrongNumberOfUpdates, SumOutOfRange, UnknownRule, Unsuitable, Unfit: the round was abandoned for this reason.
        Damaged: the base, or a state, is not the file that the manifest names.
    """
    header = parse_header(base, HEADER_LIMIT_BYTES)
    states = {letter: io.BytesIO(data) for letter, data in state.items()}
    files: dict[str, bytearray] = {}
    data = memoryview(base)[header.data_start :]
    moves = gradient(
        manifest,
        update_schema(header.specs),
        Loaded(load),
        limits,
        base=lambda begin, scratch: data[begin : begin + len(scratch)],
    )
    for name, piece in assemble(manifest, io.BytesIO(base), states, moves):
        files.setdefault(name, bytearray()).extend(piece)
    return {name: bytes(data) for name, data in files.items()}


def no_base(begin: int, scratch: memoryview) -> memoryview:
    """Where nobody gave the base: most rules do not look at it."""
    raise ValueError("this rule needs the base's values; none were given")


def gradient(
    manifest: Manifest, schema: Schema, reader: Reader, limits: Limits = NO_LIMITS, *, base: Fetch = no_base
) -> Iterator[tuple[Part, Result]]:
    """The pseudo-gradient of a manifest over an update schema, range after range: flat float64 (int64 of counters) by name.

    `base` reads the data of the base's file, without its header; only some rules need it.
    """
    aggregator = find_aggregator(manifest.aggregator)
    aggregator.check(len(manifest.entries))
    plan = aggregator.plan(manifest, schema, limits)
    parts = LocalParts(schema, reader, base)
    parts.run(plan)
    return ((part, parts.done[part]) for part in plan.stages[-1].parts)


@dataclass
class LocalParts:
    """Does parts in this process, and keeps their results."""

    schema: Schema
    reader: Reader
    base_data: Fetch = no_base
    done: dict[Part, Result] = field(default_factory=dict)

    def run(self, plan: Plan) -> None:
        """Do all parts, stage after stage."""
        for stage in plan.stages:
            for part in stage.parts:
                self.done[part] = stage.run(part, self)

    def updates(self, entries: Sequence[Entry], part: Part, room: int) -> Iterator[Group]:
        """Updates, as the reader has them."""
        return groups(self.reader, self.schema, entries, part.start, part.stop, room)

    def results(self, parts: Sequence[Part]) -> Iterator[Result]:
        """Results that are here."""
        return (self.done[part] for part in parts)

    def rows(self, several: Sequence[Rows], room: int) -> Iterator[Result]:
        """Views of results that are here."""
        for rows in several:
            done = self.done[rows.part]
            yield {name: done[name][low:high] for name, (low, high) in rows.wanted.items()}

    def base(self, part: Part) -> Sequence[Values]:
        """The base, as far as it was given."""
        return base_values(self.base_data, self.schema, part.start, part.stop)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Updates that are loaded whole, each as often as it is needed."""

    load: Load
    concurrency: int = 0

    def read(self, entry: Entry, begin: int, scratch: memoryview) -> memoryview:
        """A view of the file."""
        return memoryview(self.load(entry))[begin : begin + len(scratch)]
