"""The census: counts the fleet in the background, shard by shard, so that no request ever needs to.

Counts derive from items. A shard that was counted too long ago is counted again, the oldest first, for as long as there is
time; each tally stands by itself, so a census that dies, runs twice or comes late leaves nothing half done. A shard of a fleet
of a million clients is about 60,000 rows, 40 pages of a query, two seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from chalicelib.clients.pacing import Pacing
from chalicelib.clients.store import ClientStore
from chalicelib.clients.tally import Tally, count, is_whole, total
from chalicelib.instants import Clock
from chalicelib.log import log
from chalicelib.storage import keys
from chalicelib.storage.rows import Item
from muster.wire import admin

BUDGET = timedelta(seconds=30)
"""How long one census may go on counting; the shards that are left are the next one's."""


class Census:
    """Counts, and says what was counted."""

    def __init__(self, *, store: ClientStore, clock: Clock, census_seconds: float, pacing: Pacing, max_clients: int) -> None:
        self._store = store
        self._clock = clock
        self._life = timedelta(seconds=census_seconds)
        self._pacing = pacing
        self._max_clients = max_clients

    def take(self) -> Tally | None:
        """Count again what was counted too long ago, and return the fleet; None when a shard was never counted."""
        started = self._clock()
        known = {tally.shard: tally for tally in self._store.tallies()}
        stale = [n for n in range(keys.SHARDS) if n not in known or started - known[n].counted_at >= self._life]
        cohorts, timeout = (self._store.cohorts(), self._timeout(total(known.values()))) if stale else ([], 0.0)
        for number in sorted(stale, key=lambda n: (n in known, known[n].counted_at if n in known else started)):
            now = self._clock()
            if now - started > BUDGET:
                break
            known[number] = count(number, _told(self._store.shard(number)), now, timeout, cohorts)
            self._store.put_tally(known[number])
        return total(known.values()) if len(known) == keys.SHARDS else None

    def statistics(self) -> admin.FleetStatistics:
        """The fleet as it was last counted, and after how long a client is gone: two requests, whatever its size."""
        tally = total(self._store.tallies())
        return admin.FleetStatistics(
            clients=tally.clients if tally else 0,
            active=tally.active if tally else 0,
            revoked=tally.revoked if tally else 0,
            by_device_type=tally.by_device_type if tally else {},
            active_by_model=tally.active_by_model if tally else {},
            active_by_cohort=tally.active_by_cohort if tally else {},
            rounds=tally.rounds if tally else 0,
            samples=tally.samples if tally else 0,
            max_clients=self._max_clients,
            heartbeat_timeout_seconds=self._timeout(tally),
            counted_at=tally.counted_at if tally else None,
        )

    def _timeout(self, counted: Tally | None) -> float:
        return self._pacing.timeout_of(self._pacing.steering_of(counted))


def _told(rows: Iterable[Item]) -> Iterator[Item]:
    """The rows; those that cannot be counted are named in the log."""
    for row in rows:
        if not is_whole(row):
            log.warning("row passed over", kind="Client", sk=row.get("sk"))
        yield row
