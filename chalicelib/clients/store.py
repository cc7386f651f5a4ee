"""Rows of clients and cohorts. Every method is one write with one condition, or one read.

How clients come and go is in `enrolling` and `fleet_store`: that is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from chalicelib.clients.arrivals import own, own_within
from chalicelib.clients.bounds import PaceBounds
from chalicelib.clients.client import Client
from chalicelib.clients.cohort import Cohort
from chalicelib.clients.credentials import Credential
from chalicelib.clients.tally import LAST
from chalicelib.instants import text
from chalicelib.storage import keys
from chalicelib.storage.dynamo import NEW, Condition, ConditionCheck, ConditionFailed, Put, Table, Update, both
from chalicelib.storage.rows import Item, Unreadable, each, from_item, readable, readable_one, to_item


class ClientStore:
    """The `clients` table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    # ---- clients

    def get(self, client_id: str) -> Client | None:
        """A client, or None."""
        item = self._table.get(keys.client_key(client_id))
        return from_item(Client, item) if item else None

    def browse(self, after: str | None = None, limit: int | None = None) -> Iterator[Client | Unreadable]:
        """Clients, shard by shard, those that follow the client `after`; up to `limit` a shard. Also those that cannot be
        read.
        """
        first = int(keys.shard(after)) if after else 0
        for number in range(first, keys.SHARDS):
            last_seen = keys.client_key(after)["sk"] if after and number == first else None
            items = self._table.query(_shard(number), keys.CLIENT.prefix, after=last_seen, limit=limit)
            yield from each(Client, items)

    def between(self, number: int, begins: str, ends: str) -> Iterator[Item]:
        """What a tally counts of the clients of a shard from one id up to another, which is left out; all from `FIRST` to
        `LAST`. May miss the last second.
        """
        attributes = ("sk", "client_id", "state", "device_type", "last_seen_at", "model", "rounds", "samples", "sdk_version",
                      "capabilities")  # fmt: skip
        prefix = keys.CLIENT.prefix
        ends_at = None if ends == LAST else prefix + ends
        above = prefix + begins if begins else None
        for item in self._table.query(
            _shard(number), prefix, above=above, below=ends_at, attributes=attributes, consistent=False
        ):
            if item["sk"] != ends_at:
                yield item

    def ids_like(self, client_id: str, limit: int) -> Iterator[str]:
        """Ids that begin like this one, up to `limit` of each shard: for telling a person what the typing error was."""
        prefix = keys.CLIENT.prefix + client_id[: max(1, len(client_id) // 2)]
        for number in range(keys.SHARDS):
            for item in self._table.query(_shard(number), prefix, limit=limit, attributes=("client_id",), consistent=False):
                yield str(item["client_id"])

    def may_use(self, credential: Credential, model: str) -> ConditionCheck:
        """What a transaction checks that is done for a client: that the key is its own, at that instant, and the model in its
        scope.
        """
        return ConditionCheck(self._table, keys.client_key(credential.public), own_within(credential, model))

    def describe(self, credential: Credential, changes: Item) -> Client | None:
        """Change what a client says of itself, if the key is its own and it is active, and return the client, or else None."""
        return self._change(credential.public, own(credential), changes)

    def rotate(self, credential: Credential, fresh: Credential, now: datetime) -> Client | None:
        """Put a fresh key in the place of the one that is borne, and return the client.

        When the borne key is not the client's (any more), nothing changes, and the client is returned as it is; None when
        there is no such client.
        """
        changes = {"key_hash": fresh.hashed, "previous_key_hash": credential.hashed, "key_rotated_at": text(now)}
        key = keys.client_key(credential.public)
        try:
            return from_item(
                Client, self._table.update_and_read(Update(table=self._table, key=key, condition=own(credential), set=changes))
            )
        except ConditionFailed as lost:
            return from_item(Client, lost.found) if lost.found else None

    def judge(self, client: Client, after: Client) -> bool:
        """Store what a client's updates came to, if its row still says what was read of that; False when it does not.

        The sums are set, not added to, so a request sent twice counts once.
        """
        stored, was = to_item(after), to_item(client)
        changes: Item = {name: stored[name] for name in ("rounds", "samples", "credited", "conduct") if name in stored}
        condition = Condition("#credited = :was", "no other update was counted since", {":was": was["credited"]})
        if client.conduct is None:
            conduct = Condition("attribute_not_exists(#conduct)", "no other update was rejected since")
        else:
            known = {name: was["conduct"][name] for name in ("strikes", "rounds", "quarantines")}
            same = " AND ".join(f"#conduct.#{name} = :{name}" for name in known)
            conduct = Condition(same, "no other one was rejected since", {f":{name}": value for name, value in known.items()})
        return self._change(client.client_id, both(condition, conduct), changes) is not None

    # ---- cohorts

    def cohort(self, name: str) -> Cohort | None:
        """A cohort, or None."""
        item = self._table.get(keys.COHORT.key(cohort=name))
        return from_item(Cohort, item) if item else None

    def cohorts(self) -> list[Cohort]:
        """All cohorts, by name: one request. One that cannot be read is passed over."""
        return list(readable(Cohort, self._table.query(keys.COHORT.partition(), keys.COHORT.prefix)))

    def put_cohort(self, cohort: Cohort) -> Cohort:
        """Store a revision of a cohort, if it has the one before, and return it, or else the one that is there."""
        if cohort.revision == 1:
            condition = NEW
        else:
            condition = Condition("#revision = :seen", "it has the revision before", {":seen": cohort.revision - 1})
        try:
            self._table.put(
                Put(table=self._table, key=keys.COHORT.key(cohort=cohort.name), item=to_item(cohort), condition=condition)
            )
        except ConditionFailed as lost:
            if lost.found:
                return from_item(Cohort, lost.found)
            raise
        return cohort

    # ---- the pace

    def pace(self) -> PaceBounds | None:
        """The operator's bounds, or None. A row that cannot be read is told of, and bounds nothing."""
        return readable_one(PaceBounds, self._table.get(keys.PACE.key()))

    def put_pace(self, bounds: PaceBounds) -> PaceBounds | None:
        """Store a revision of the bounds, if the one before is there, and return it, or else those that are there; None when
        none are.
        """
        if bounds.revision == 1:
            condition = NEW
        else:
            condition = Condition("#revision = :seen", "they have the revision before", {":seen": bounds.revision - 1})
        try:
            self._table.put(Put(table=self._table, key=keys.PACE.key(), item=to_item(bounds), condition=condition))
        except ConditionFailed as lost:
            return from_item(PaceBounds, lost.found) if lost.found else None
        return bounds

    def _change(self, client_id: str, condition: Condition, changes: Item) -> Client | None:
        try:
            item = self._table.update_and_read(
                Update(table=self._table, key=keys.client_key(client_id), condition=condition, set=changes)
            )
        except ConditionFailed:
            return None
        return from_item(Client, item)


def _shard(number: int) -> str:
    return keys.CLIENT.partition(shard=f"{number:02d}")
