"""Rows of clients and enrolment tokens."""

from __future__ import annotations

from datetime import datetime

from chalicelib.clients.client import Client, ClientState, EnrolmentToken
from chalicelib.clients.credentials import Credential
from chalicelib.instants import text
from chalicelib.storage import keys
from chalicelib.storage.dynamo import NEW, Condition, ConditionFailed, Put, Table, Update
from chalicelib.storage.rows import from_item, to_item


class ClientStore:
    """The `clients` table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, client_id: str) -> Client | None:
        """A client, or None."""
        item = self._table.get(keys.CLIENT.key(client=client_id))
        return from_item(Client, item) if item else None

    def add(self, client: Client) -> Client | None:
        """Store a new client. When the id is taken nothing changes and the client that has it is returned."""
        try:
            self._table.put(Put(self._table, keys.CLIENT.key(client=client.client_id), to_item(client), NEW))
        except ConditionFailed as lost:
            return from_item(Client, lost.found) if lost.found else None
        return None

    def touch(self, credential: Credential, now: datetime, model: str | None, version: int | None) -> bool:
        """Mark a client seen at `now`, if the key is its own and it is active; a repeat changes nothing more."""
        seen = {"last_seen_at": text(now)} | {k: v for k, v in (("model", model), ("version", version)) if v is not None}
        condition = Condition(
            "#key_hash = :key_hash AND #state = :active",
            "the key is this client's and not revoked",
            {":key_hash": credential.hashed, ":active": ClientState.ACTIVE},
        )
        try:
            self._table.update(Update(self._table, keys.CLIENT.key(client=credential.public), condition, set=seen))
        except ConditionFailed:
            return False
        return True

    def revoke(self, client_id: str) -> Client | None:
        """Take a client's key away for good, and return the client, or None when there is none. A repeat is the same."""
        condition = Condition("attribute_exists(#pk)", "the client exists")
        try:
            item = self._table.update_and_read(
                Update(self._table, keys.CLIENT.key(client=client_id), condition, set={"state": ClientState.REVOKED})
            )
        except ConditionFailed:
            return None
        return from_item(Client, item)

    def add_token(self, token: EnrolmentToken) -> None:
        """Store a new enrolment token."""
        self._table.put(Put(self._table, keys.TOKEN.key(token=token.token_id), to_item(token), NEW))

    def claim(self, token: Credential, client_id: str, now: datetime) -> None:
        """Use the token once for this client id. The claims are a set, so a repeat uses nothing more and uses are exact.

        Raises:
            ConditionFailed: there is no such token, its secret is another, it has expired, or all its uses are taken.
        """
        condition = Condition(
            "#secret_hash = :secret_hash AND #expires_at > :now AND "
            "(attribute_not_exists(#claims) OR size(#claims) < #uses OR contains(#claims, :client))",
            "the token is known, has not expired, and has a use left or was used by this client",
            {":secret_hash": token.hashed, ":now": text(now), ":client": client_id},
        )
        key = keys.TOKEN.key(token=token.public)
        self._table.update(Update(self._table, key, condition, add={"claims": {client_id}}))
