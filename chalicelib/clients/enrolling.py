"""How a device becomes a client: one transaction that stores it, claims a use of its token, and takes a place in the fleet.

    read the token ──▶ store the client AND claim a use AND take a place ──▶ enrolled
                              │ a share is full: look for another one, and again

All three or nothing: a device that dies at any point has used nothing, or is enrolled and gets the same answer again. The
client's own row is the claim, since there can be only one of it: a repeat meets it and counts nothing.

Transactions that meet at a row cancel each other. Uses and places are counted in up to 64 rows each (`shares`), so that they
seldom meet; when they do, `Table.transact` tries again, after a random time (`answers.CONFLICTS`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.clients import credentials
from chalicelib.clients.client import Client
from chalicelib.clients.credentials import Credential
from chalicelib.clients.fleet_store import FleetStore
from chalicelib.clients.shares import home
from chalicelib.clients.token import EnrolmentToken
from chalicelib.clients.token_store import TokenRefused, TokenStore
from chalicelib.recent import Recent
from chalicelib.storage import keys
from chalicelib.storage.dynamo import ConditionFailed, Put, Table
from chalicelib.storage.rows import from_item, to_item

TRIES = 16
"""How often an enrolment looks for another share. Each time, others have taken what it saw left."""

SETTLED = timedelta(seconds=60)
"""How long the shares of the fleet need not be looked at: only who runs with another `max_clients` could unsettle them."""


class Enroller:
    """Makes clients of devices; in each function instance one."""

    def __init__(self, *, table: Table, tokens: TokenStore, fleet: FleetStore) -> None:
        self._table = table
        self._tokens = tokens
        self._fleet = fleet
        self._spent: Recent[str, bool] = Recent()
        """Tokens that were seen used up. They stay so, whoever asks."""
        self._settled_at: datetime | None = None

    def admit(self, client: Client, credential: Credential, now: datetime) -> Client | None:
        """Make a client of a device that bears this token, with the token's scope. When the id is taken nothing changes, and
        the client that has it is returned.

        Raises:
            TokenRefused: the token is unknown, not good (any more), not for this type, or used up.
            FleetFull: there are as many clients as there may be.
        """
        token = self._good(client, credential, now)
        if self._settled_at is None or not timedelta() <= now - self._settled_at < SETTLED:
            self._fleet.settle()
            self._settled_at = now
        return self._stored(replace(client, models=token.models), token)

    def token(self, credential: Credential) -> EnrolmentToken | None:
        """The token that is borne, good or not; None when there is none of that secret."""
        token = self._tokens.get(credential.public)
        same = credentials.same(token.secret_hash if token else "0" * 64, credential)
        return token if same else None

    def _good(self, client: Client, credential: Credential, now: datetime) -> EnrolmentToken:
        """The token, if it is one that could admit this client."""
        if self._spent.get(credential.public):
            raise TokenRefused("a token with a use left")
        token = self.token(credential)
        if token is None:
            raise TokenRefused("a token that is known")
        if not token.admits(client.device_type, now):
            raise TokenRefused("a token that is good, and whose scope has the device type")
        return token

    def _stored(self, client: Client, token: EnrolmentToken) -> Client | None:
        new = Put(table=self._table, key=keys.client_key(client.client_id), item=to_item(client))
        use, place = home(client.client_id, token.shares), home(client.client_id, self._fleet.shares)
        for _ in range(TRIES):
            claim = self._tokens.claim(token, use)
            try:
                self._table.transact([new, claim, self._fleet.place(place)])
            except ConditionFailed as lost:
                if lost.condition is new.condition:
                    return from_item(Client, lost.found) if lost.found else None
                if lost.condition is claim.condition:
                    use = self._another_use(token, client.client_id)
                else:
                    place = self._fleet.other(client.client_id)
            else:
                return None
        raise RuntimeError(f"{TRIES} times others took the share in which client {client.client_id} was to be counted")

    def _another_use(self, token: EnrolmentToken, client_id: str) -> int:
        try:
            return self._tokens.other(token, client_id)
        except TokenRefused:
            self._spent.put(token.token_id, True)
            raise
