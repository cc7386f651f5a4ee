"""The census: counts the fleet in the background, segment by segment, so that no request ever needs to.

    monitor, once a minute ──▶ what was counted too long ago, the oldest first, as long as it has time
                                  │ what has waited for a whole period: a message each
                                  ▼
    work queue ──▶ any worker: a lease, one segment, its tally

Counts derive from items. How a shard is cut into segments, and that no client is in two of them, is in `segments`. A tally
stands by itself, so a census that dies, runs twice or comes late leaves nothing half done; of two that count the same, the one
that writes first wins. A lease only saves the other one its work: workers take one, and the monitor passes over what they have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.clients.cohort import Cohort
from chalicelib.clients.pacing import Pacing
from chalicelib.clients.segments import (
    CensusLimits,
    Segment,
    TallyChange,
    counted,
    emptied,
    is_torn,
    is_whole,
    joined,
    period,
    segments,
    sum_of,
)
from chalicelib.clients.store import ClientStore
from chalicelib.clients.tally import Tally, count, is_countable
from chalicelib.clients.tally_store import TallyStore
from chalicelib.instants import Clock
from chalicelib.log import log
from chalicelib.storage import keys
from chalicelib.storage.rows import Item
from muster.wire import admin

BUDGET = timedelta(seconds=30)
"""How long one census may go on counting; what is left is the next one's."""

LEASE = timedelta(minutes=5)
"""How long somebody who counts a segment is waited for: longer than it takes."""

READINGS = 3
"""How often the tallies are read when they do not make a chain: a transaction may have been half visible."""

MOST_ASKED = 100
"""Segments that one run puts on the queue."""

Ask = Callable[[Iterable[Mapping[str, str | int]]], None]
"""Puts messages on the work queue."""

Chain = dict[tuple[int, str], Tally]
"""The rows that are there, by shard and by the id at which they begin."""


@dataclass(frozen=True, slots=True)
class Counting:
    """How clients are counted: into which cohorts, and when one is gone."""

    cohorts: Sequence[Cohort]
    timeout_seconds: float
    now: datetime


class Census:
    """Counts, and says what was counted."""

    def __init__(
        self,
        *,
        store: ClientStore,
        tallies: TallyStore,
        ask: Ask,
        clock: Clock,
        census_seconds: float,
        pacing: Pacing,
        max_clients: int,
        limits: CensusLimits | None = None,
    ) -> None:
        self._store = store
        self._tallies = tallies
        self._ask = ask
        self._clock = clock
        self._shortest_seconds = census_seconds
        self._pacing = pacing
        self._max_clients = max_clients
        self._limits = limits or CensusLimits()

    def take(self) -> Tally | None:
        """Count again what was counted too long ago, and return the fleet; None when a part of it was never counted."""
        started = self._clock()
        there = self._read()
        life = self._life(there)
        due = [segment for segment in _segments(there) if segment.is_due(started, life)]
        due.sort(key=lambda segment: segment.tally.counted_at.timestamp() if segment.tally else 0.0)
        cohorts = self._store.cohorts() if due else []
        late = [segment for segment in due[:MOST_ASKED] if segment.is_late(started, life)]
        busy = self._tallies.leased(late, started) if late else set()
        timeout = self._timeout(_counted(there)) if due else 0.0
        size = 0
        for at, segment in enumerate(due):
            now = self._clock()
            if now - started > BUDGET or size >= self._limits.own:
                self._ask_for([left for left in due[at:] if left.is_late(started, life)])
                break
            if segment not in _segments(there) or (segment.shard, segment.begins) in busy:
                continue
            there, done = self._count(segment, there, Counting(cohorts, timeout, now))
            size += done
        return _whole(there)

    def help(self, shard: int, begins: str) -> None:
        """Count the segment of a shard that begins at this id, and go on with what is left of it; for a message of `take`. One
        that is not there, was counted meanwhile, or is being counted is left alone.
        """
        started = self._clock()
        at: str | None = begins
        cohorts: Sequence[Cohort] | None = None
        while at is not None and self._clock() - started <= BUDGET:
            now, there = self._clock(), self._read()
            found = [one for one in _segments(there) if (one.shard, one.begins) == (shard, at)]
            if not found or not found[0].is_due(now, self._life(there)) or not self._tallies.lease(found[0], now, LEASE):
                return
            cohorts = self._store.cohorts() if cohorts is None else cohorts
            there, _ = self._count(found[0], there, Counting(cohorts, self._timeout(_counted(there)), now))
            following = _after(found[0].begins, _segments(there), shard)
            at = following.begins if following and following.tally is None else None

    def counted(self) -> Tally | None:
        """The fleet as it was last counted, by one request; None when a part of it was never counted."""
        return _whole(self._read())

    def statistics(self) -> admin.FleetStatistics:
        """The fleet as it was last counted: a request, or a few of one of a hundred million; and after how long a client
        is gone: one more.
        """
        tally = _counted(self._read())
        return admin.FleetStatistics(
            clients=tally.clients if tally else 0,
            active=tally.active if tally else 0,
            revoked=tally.revoked if tally else 0,
            by_device_type=tally.by_device_type if tally else {},
            by_sdk_version=tally.by_sdk_version if tally else {},
            active_by_model=tally.active_by_model if tally else {},
            active_by_cohort=tally.active_by_cohort if tally else {},
            rounds=tally.rounds if tally else 0,
            samples=tally.samples if tally else 0,
            max_clients=self._max_clients,
            heartbeat_timeout_seconds=self._timeout(tally),
            counted_at=tally.counted_at if tally else None,
        )

    def _timeout(self, counted: Tally | None) -> float:
        """After how long a client counts as gone."""
        return self._pacing.timeout_of(self._pacing.steering_of(counted))

    def _read(self) -> Chain:
        """The rows that are there. Where they do not make a chain they are read again."""
        for _ in range(READINGS):
            rows = self._tallies.all()
            if not rows or not is_torn(rows, segments(rows, keys.SHARDS)):
                break
        return {(row.shard, row.begins): row for row in rows}

    def _life(self, there: Chain) -> timedelta:
        return period(sum(row.size for row in there.values()), self._shortest_seconds)

    def _ask_for(self, late: Sequence[Segment]) -> None:
        asked = late[:MOST_ASKED]
        if asked:
            log.info("others are asked to count", segments=len(asked), late=len(late))
            self._ask({"census": segment.shard, "begins": segment.begins} for segment in asked)

    def _count(self, segment: Segment, there: Chain, how: Counting) -> tuple[Chain, int]:
        """Count a segment and store that; what is there now, and how many rows were read."""
        rows = _told(self._store.between(segment.shard, segment.begins, segment.ends))
        now = how.now
        parts = counted(
            segment, rows, self._limits, lambda some: count(segment.shard, some, now, how.timeout_seconds, how.cohorts)
        )
        size = sum(part.size for part in parts)
        following = _after(segment.begins, _segments(there), segment.shard)
        is_fresh = following is not None and not following.is_due(now, self._life(there))  # or both would be due at once
        together = joined(parts[0], following, self._limits) if len(parts) == 1 and is_fresh else None
        if together and following and following.tally:
            parts = [together, emptied(following.tally, now)]
        changes = [TallyChange(there.get((part.shard, part.begins)), part) for part in parts]
        if not self._tallies.change(changes):
            return self._read(), size
        return there | {(part.shard, part.begins): part for part in parts}, size


def _counted(there: Chain) -> Tally | None:
    """All that was counted."""
    return sum_of(_segments(there))


def _whole(there: Chain) -> Tally | None:
    """The fleet; None when a part of it was never counted."""
    found = _segments(there)
    return sum_of(found) if is_whole(found) else None


def _segments(there: Chain) -> list[Segment]:
    return segments(there.values(), keys.SHARDS)


def _after(begins: str, found: Iterable[Segment], shard: int) -> Segment | None:
    return next((segment for segment in found if segment.shard == shard and segment.begins > begins), None)


def _told(rows: Iterable[Item]) -> Iterator[Item]:
    """The rows; those that cannot be counted are named in the log."""
    for row in rows:
        if not is_countable(row):
            log.warning("row passed over", kind="Client", sk=row.get("sk"))
        yield row
