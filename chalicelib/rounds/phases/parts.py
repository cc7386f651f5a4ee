"""The parts of one round's plan in the store: what they read, and where their results lie, each written once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from chalicelib.rounds.round_id import RoundId
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs, ObjectMissing
from muster.aggregation.manifest import Entry, Manifest
from muster.aggregation.plan import Part, Plan, Result, Rows
from muster.aggregation.reading import Fetch, Group, base_values, groups
from muster.wire.arrays import DTYPES, decode, encode
from muster.wire.refs import CheckpointRef
from muster.wire.tensors import HEADER_LIMIT_BYTES, Schema, update_schema
from muster.wire.values import Values

RESULT_LIMIT_BYTES = 16 << 30
"""No part's result is longer; what was stored, we stored."""

ALWAYS_LOOK = 64
"""Parts of a stage up to which each one that is done looks whether all are; of more, about so many do."""


class CannotAggregate(Exception):
    """The frozen manifest can never become a version; the round is abandoned for this reason."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A round's frozen manifest, the model's schema, and the work cut into parts."""

    manifest: Manifest
    model: Schema
    plan: Plan

    @property
    def schema(self) -> Schema:
        """What an update of the model holds."""
        return update_schema(self.model)


class StoredUpdates:
    """Update files in the bucket: verified once, at inspection, and pinned by ETag since."""

    def __init__(self, blobs: Blobs, concurrency: int) -> None:
        self._blobs = blobs
        self._concurrency = concurrency

    @property
    def concurrency(self) -> int:
        """Connections: one alone brings less than a function's network can take."""
        return self._concurrency

    def read(self, entry: Entry, begin: int, scratch: memoryview) -> memoryview:
        """A ranged read.

        Raises:
            CannotAggregate: the update is gone, or is another one.
        """
        try:
            self._blobs.read_into(scratch, entry.key, begin, etag=entry.etag)
        except ObjectMissing as missing:
            raise CannotAggregate(f"update-missing: of client {entry.client_id}") from missing
        return scratch


def stored_base(blobs: Blobs, base: CheckpointRef) -> Fetch:
    """Reads of a checkpoint's data, without its header. Its digest is checked where the new one is written."""

    def fetch(begin: int, scratch: memoryview) -> memoryview:
        blobs.read_into(scratch, keys.CHECKPOINT.key(sha256=base.sha256), base.header_bytes + begin)
        return scratch

    return fetch


class StoredParts:
    """The parts of a plan, as far as they are done."""

    def __init__(self, *, blobs: Blobs, updates: StoredUpdates, round_id: RoundId, planned: Planned) -> None:
        self._blobs = blobs
        self._updates = updates
        self._round_id = round_id
        self._schema = planned.schema
        self._plan = planned.plan
        self._base = stored_base(blobs, planned.manifest.base)

    def missing(self) -> tuple[Part, ...]:
        """The parts to be done now: those of the first stage that is not done; none when all are."""
        stored = self._blobs.names(keys.PART.prefix(round=self._round_id, plan=self._plan.name))
        for stage in self._plan.stages:
            if missing := tuple(part for part in stage.parts if self._key(part) not in stored):
                return missing
        return ()

    def do(self, stage: int, number: int) -> bool:
        """Do one part and store its result, unless it is there already; whether its stage may be done with that."""
        work = self._plan.stages[stage]
        part = work.parts[number]
        if self._blobs.stat(self._key(part)) is None:
            self._blobs.put_once(self._key(part), encode(work.run(part, self)))
        if number % (1 + len(work.parts) // ALWAYS_LOOK):
            return False
        return not any(part.stage == stage for part in self.missing())

    def updates(self, entries: Sequence[Entry], part: Part, room: int) -> Iterator[Group]:
        """A part's elements of some updates."""
        return groups(self._updates, self._schema, entries, part.start, part.stop, room)

    def results(self, parts: Sequence[Part]) -> Iterator[Result]:
        """Stored results, read one after another."""
        return (decode(self._blobs.read(self._key(part), RESULT_LIMIT_BYTES), HEADER_LIMIT_BYTES) for part in parts)

    def rows(self, several: Sequence[Rows], room: int) -> Iterator[Result]:
        """Rows of stored results, by ranged reads, some of which are under way at a time."""
        longest = max(sum(spec.nbytes for spec, _ in rows.spans()) for rows in several)
        ahead = max(1, min(self._updates.concurrency, room // max(1, longest)))
        with ThreadPoolExecutor(ahead, thread_name_prefix="rows") as pool:
            for first in range(0, len(several), ahead):
                yield from pool.map(self._rows, several[first : first + ahead])

    def _rows(self, rows: Rows) -> Result:
        found = {}
        for spec, begin in rows.spans():
            array = np.empty(spec.shape, DTYPES[spec.dtype])
            self._blobs.read_into(array.reshape(-1).view(np.uint8).data, self._key(rows.part), begin)
            found[spec.name] = array
        return found

    def base(self, part: Part) -> Sequence[Values]:
        """A part's elements of the base."""
        return base_values(self._base, self._schema, part.start, part.stop)

    def _key(self, part: Part) -> str:
        return keys.PART.key(round=self._round_id, plan=self._plan.name, part=f"{part.stage}-{part.number:06d}")
