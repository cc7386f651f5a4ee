"""The write with which a client comes: it proves the key, marks the client seen, and takes from its bucket, all or none.

A client that comes no faster than its rate costs this one write. Whoever comes faster fails its condition, which shows the
row: then it is refused at that price, or the write is done under the number that was there. There is a bucket for heartbeats
and one for check-ins, so that a device which checks in right after a heartbeat comes no faster than it should.

Without the key nothing is written, so nobody empties the bucket of another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from chalicelib.clients import credentials
from chalicelib.clients.client import Client, ClientState
from chalicelib.clients.credentials import Credential
from chalicelib.clients.rate import RequestRate, TooSoon
from chalicelib.instants import text
from chalicelib.storage import keys
from chalicelib.storage.dynamo import Condition, ConditionFailed, Table, Update, both
from chalicelib.storage.rows import Item, from_item

TRIES = 3
"""How often the bucket is read again because another request of the same client took from it meanwhile."""

NotHere = Literal["foreign-model", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What a client comes with."""

    kind: Literal["heartbeat", "checkin"]
    model: str | None
    """That must be in its scope."""
    says: Item = field(default_factory=dict)
    """Attributes of its row."""
    no_longer_says: tuple[str, ...] = ()
    no_oftener_seconds: float = 0.0
    """One each so many seconds is enough in the long run, if its rate allows more."""


class ArrivalStore:
    """Rows of clients, as their devices come."""

    def __init__(self, table: Table, rate: RequestRate) -> None:
        self._table = table
        self._rate = rate

    def arrive(self, credential: Credential, arrival: Arrival, now: datetime) -> Item | NotHere | TooSoon:
        """Mark a client seen at `now` and store what it says, if the key is its own and it is active, may use the model, and
        comes in time; and return its row. Else nothing is changed. A repeat is another arrival.
        """
        bucket, at = f"{arrival.kind}_arrival", now.timestamp()
        allowed = own(credential) if arrival.model is None else own_within(credential, arrival.model)
        rate = self._rate.slowed(arrival.no_oftener_seconds)
        taken: Item = {} if rate.is_unlimited else {bucket: rate.fresh(at)}
        condition = allowed if rate.is_unlimited else both(allowed, _idle(bucket, at))
        for _ in range(TRIES):
            update = Update(
                table=self._table,
                key=keys.client_key(credential.public),
                condition=condition,
                set={"last_seen_at": text(now), **arrival.says, **taken},
                remove=arrival.no_longer_says,
            )
            try:
                return self._table.update_and_read(update)
            except ConditionFailed as lost:
                found = from_item(Client, lost.found) if lost.found else None
            if found is None or not credentials.holds(found, credential):
                return "refused"
            if arrival.model is not None and not found.may_use(arrival.model):
                return "foreign-model"
            seen: float | None = getattr(found, bucket)
            next_arrival = rate.taken(seen, at)
            if isinstance(next_arrival, TooSoon):
                return next_arrival
            taken, condition = {bucket: next_arrival}, both(allowed, _unchanged(bucket, seen))
        return TooSoon(rate.seconds)


def own(credential: Credential) -> Condition:
    """The key is its client's, at that instant."""
    return Condition(
        "#key_hash = :key_hash AND #state = :active",
        "the key is this client's and not revoked",
        {":key_hash": credential.hashed, ":active": ClientState.ACTIVE},
    )


def own_within(credential: Credential, model: str) -> Condition:
    """The key is its client's, and the model in its scope."""
    held = own(credential)
    return Condition(
        f"{held.expression} AND (attribute_not_exists(#models) OR contains(#models, :model))",
        f"{held.because}, and the model is in its scope",
        {**held.values, ":model": model},
    )


def _idle(bucket: str, at: float) -> Condition:
    return Condition(f"(attribute_not_exists(#{bucket}) OR #{bucket} <= :at)", "it comes no faster than its rate", {":at": at})


def _unchanged(bucket: str, seen: float | None) -> Condition:
    if seen is None:
        return Condition(f"attribute_not_exists(#{bucket})", "nothing was taken since")
    return Condition(f"#{bucket} = :seen", "nothing was taken since", {":seen": seen})
