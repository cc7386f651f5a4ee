"""Rows of clients, enrolment tokens, the fleet and its tallies. Every method is one write with one condition, or one read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from chalicelib.clients.arrivals import own, own_within
from chalicelib.clients.bounds import PaceBounds
from chalicelib.clients.client import Client, ClientState
from chalicelib.clients.cohort import Cohort
from chalicelib.clients.credentials import Credential
from chalicelib.clients.tally import Tally
from chalicelib.clients.token import EnrolmentToken
from chalicelib.instants import text
from chalicelib.storage import keys
from chalicelib.storage.dynamo import NEW, Condition, ConditionCheck, ConditionFailed, Put, Table, Update, both
from chalicelib.storage.rows import Item, Unreadable, each, from_item, readable, readable_one, to_item


class FleetFull(Exception):
    """No further client may be enrolled; nothing was changed."""


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

    def shard(self, number: int) -> Iterator[Item]:
        """What a tally counts of each client of a shard. May miss the last second."""
        attributes = ("sk", "client_id", "state", "device_type", "last_seen_at", "model", "rounds", "samples", "sdk_version",
                      "capabilities")  # fmt: skip
        return self._table.query(_shard(number), keys.CLIENT.prefix, attributes=attributes, consistent=False)

    def ids_like(self, client_id: str, limit: int) -> Iterator[str]:
        """Ids that begin like this one, up to `limit` of each shard: for telling a person what the typing error was."""
        prefix = keys.CLIENT.prefix + client_id[: max(1, len(client_id) // 2)]
        for number in range(keys.SHARDS):
            for item in self._table.query(_shard(number), prefix, limit=limit, attributes=("client_id",), consistent=False):
                yield str(item["client_id"])

    def add(self, client: Client, max_clients: int) -> Client | None:
        """Store a new client and count it, both or neither. When the id is taken nothing changes and the client that has it
        is returned.

        Raises:
            FleetFull: there are `max_clients` clients.
        """
        room = Condition("attribute_not_exists(#enrolled) OR #enrolled < :most", "the fleet has room", {":most": max_clients})
        try:
            self._table.transact(
                [
                    Put(table=self._table, key=keys.client_key(client.client_id), item=to_item(client), condition=NEW),
                    Update(table=self._table, key=keys.FLEET.key(), condition=room, add={"enrolled": 1}),
                ]
            )
        except ConditionFailed as lost:
            if lost.condition is room:
                raise FleetFull from lost
            return from_item(Client, lost.found) if lost.found else None
        return None

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

    def revoke(self, client: Client) -> bool:
        """Take a client's key away for good and free its place, both or neither; False when that was done before."""
        active = Condition("#state = :active", "it is not revoked yet", {":active": ClientState.ACTIVE})
        counted = Condition("#enrolled > :none", "it is counted", {":none": 0})
        try:
            self._table.transact(
                [
                    Update(
                        table=self._table,
                        key=keys.client_key(client.client_id),
                        condition=active,
                        set={"state": ClientState.REVOKED},
                    ),
                    Update(table=self._table, key=keys.FLEET.key(), condition=counted, add={"enrolled": -1}),
                ]
            )
        except ConditionFailed as lost:
            if lost.condition is active:
                return False
            raise
        return True

    # ---- enrolment tokens

    def add_token(self, token: EnrolmentToken) -> None:
        """Store a new enrolment token."""
        item = {name: value for name, value in to_item(token).items() if name != "claims"}  # DynamoDB has no empty set
        self._table.put(Put(table=self._table, key=keys.TOKEN.key(token=token.token_id), item=item, condition=NEW))

    def token(self, token_id: str) -> EnrolmentToken | None:
        """An enrolment token, or None when there is none, or none that can be read."""
        return readable_one(EnrolmentToken, self._table.get(keys.TOKEN.key(token=token_id)))

    def tokens(self, after: str | None, limit: int) -> list[EnrolmentToken | Unreadable]:
        """Enrolment tokens, up to `limit` of those that follow the token `after`; also those that cannot be read."""
        last_seen = keys.TOKEN.key(token=after)["sk"] if after else None
        items = self._table.query(keys.TOKEN.partition(), keys.TOKEN.prefix, after=last_seen, limit=limit)
        return list(each(EnrolmentToken, items))

    def claim(self, token: Credential, client_id: str, device_type: str, now: datetime) -> EnrolmentToken:
        """Use the token once for this client id, and return it. The claims are a set, so a repeat uses nothing more and uses
        are exact.

        Raises:
            ConditionFailed: there is no such token, its secret is another, it was revoked or has expired, the device's type
                is not in its scope, or all its uses are taken.
        """
        condition = Condition(
            "#secret_hash = :secret_hash AND #expires_at > :now AND attribute_not_exists(#revoked_at) AND "
            "(attribute_not_exists(#device_types) OR contains(#device_types, :type)) AND "
            "(attribute_not_exists(#claims) OR size(#claims) < #uses OR contains(#claims, :client))",
            "the token is known and good, its scope has the device type, and it has a use left or was used by this client",
            {":secret_hash": token.hashed, ":now": text(now), ":client": client_id, ":type": device_type},
        )
        key = keys.TOKEN.key(token=token.public)
        return from_item(
            EnrolmentToken,
            self._table.update_and_read(Update(table=self._table, key=key, condition=condition, add={"claims": {client_id}})),
        )

    def revoke_token(self, token_id: str, now: datetime) -> EnrolmentToken | None:
        """Let a token admit nobody any more, and return it, or None when there is none. A repeat changes nothing."""
        condition = Condition("attribute_exists(#pk) AND attribute_not_exists(#revoked_at)", "it is there, and not revoked")
        key = keys.TOKEN.key(token=token_id)
        try:
            item = self._table.update_and_read(
                Update(table=self._table, key=key, condition=condition, set={"revoked_at": text(now)})
            )
        except ConditionFailed as lost:
            return from_item(EnrolmentToken, lost.found) if lost.found else None
        return from_item(EnrolmentToken, item)

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

    # ---- tallies

    def tallies(self) -> list[Tally]:
        """The tallies of all shards that were ever counted: one request."""
        items = self._table.query(keys.FLEET.partition(), keys.TALLY.prefix)
        return list(readable(Tally, items))

    def put_tally(self, tally: Tally) -> bool:
        """Store a shard's tally, if no newer one is there; False when one is."""
        stored = to_item(tally)
        older = Condition(
            "attribute_not_exists(#counted_at) OR #counted_at < :counted_at",
            "the stored tally is older",
            {":counted_at": stored["counted_at"]},
        )
        try:
            self._table.put(
                Put(table=self._table, key=keys.TALLY.key(shard=f"{tally.shard:02d}"), item=stored, condition=older)
            )
        except ConditionFailed:
            return False
        return True

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
