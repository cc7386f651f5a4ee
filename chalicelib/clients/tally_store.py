"""Rows of tallies, and the leases of those who count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.clients.segments import KEPT, Segment, TallyChange
from chalicelib.clients.tally import Tally
from chalicelib.instants import Instant, text
from chalicelib.storage import keys
from chalicelib.storage.dynamo import NEW, Condition, ConditionFailed, Put, Table
from chalicelib.storage.rows import from_item, readable, to_item
from muster.layout import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class CountLease:
    """Until when a segment is somebody's."""

    until: Instant
    ttl: int


class TallyStore:
    """Tallies, in the `clients` table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def all(self) -> list[Tally]:
        """The tallies of all segments: one request, and another one for each megabyte; those of a million clients are 20 kB."""
        return list(readable(Tally, self._table.query(keys.FLEET.partition(), keys.TALLY.prefix)))

    def change(self, changes: Sequence[TallyChange]) -> bool:
        """Write tallies in the place of what was seen, all or none; False when something else is there now.

        A row that is as it was seen covers what it covered, so the chain stays one. A repeat finds its own writes.
        """
        puts = [self._put(change) for change in changes]
        try:
            if len(puts) == 1:
                self._table.put(puts[0])
            else:
                self._table.transact(puts)
        except ConditionFailed:
            return False
        return True

    def lease(self, segment: Segment, now: datetime, lasting: timedelta) -> bool:
        """Let nobody else count a segment for a while; False when somebody else's lease lasts."""
        until = now + lasting
        free = Condition("attribute_not_exists(#until) OR #until <= :now", "nobody counts it", {":now": text(now)})
        key = _lease_key(segment)
        item = to_item(CountLease(until=until, ttl=int((until + KEPT).timestamp())))
        try:
            self._table.put(Put(table=self._table, key=key, item=item, condition=free))
        except ConditionFailed:
            return False
        return True

    def leased(self, some: Sequence[Segment], now: datetime) -> set[tuple[int, str]]:
        """Those of some segments that somebody is counting, by shard and begin: one request for a hundred."""
        places = {(one.shard, one.begins): _lease_key(one) for one in some}
        found = self._table.get_all(places.values())
        rows = {place: found.get((key["pk"], key["sk"])) for place, key in places.items()}
        return {place for place, row in rows.items() if row and from_item(CountLease, row).until > now}

    def _put(self, change: TallyChange) -> Put:
        condition = NEW
        if change.was is not None:
            condition = Condition(
                "#counted_at = :counted_at AND (attribute_not_exists(#ends) OR #ends = :ends)",
                "the tally is the one that was seen",
                {":counted_at": to_item(change.was)["counted_at"], ":ends": change.was.ends},
            )
        key = keys.TALLY.key(segment=keys.segment(change.now.shard, change.now.begins))
        return Put(table=self._table, key=key, item=to_item(change.now), condition=condition)


def _lease_key(segment: Segment) -> Key:
    return keys.COUNTING.key(segment=keys.segment(segment.shard, segment.begins))
