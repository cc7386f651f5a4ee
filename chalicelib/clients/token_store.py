"""Rows of enrolment tokens and of their uses. A claim is one write of a transaction (`enrolling`); what is here makes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from chalicelib.clients.shares import share, with_room
from chalicelib.clients.token import EnrolmentToken, TokenUses
from chalicelib.instants import text
from chalicelib.storage import keys
from chalicelib.storage.dynamo import NEW, Condition, ConditionFailed, Put, Table, Update
from chalicelib.storage.rows import Item, Unreadable, each, from_item, readable_one, to_item
from muster.layout import Key

KEPT_SECONDS = 86_400
"""How much longer than its token a share is kept."""


class TokenRefused(Exception):
    """A token does not admit this client; nothing was changed. The text says what was expected of it."""


class TokenStore:
    """Tokens, in the `clients` table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, token: EnrolmentToken) -> None:
        """Store a new enrolment token. Its shares begin when somebody claims a use of them."""
        self._table.put(Put(table=self._table, key=keys.TOKEN.key(token=token.token_id), item=to_item(token), condition=NEW))

    def get(self, token_id: str) -> EnrolmentToken | None:
        """A token, or None when there is none, or none that can be read; that is named in the log."""
        return readable_one(EnrolmentToken, self._table.get(keys.TOKEN.key(token=token_id)))

    def page(self, after: str | None, limit: int) -> list[EnrolmentToken | Unreadable]:
        """Enrolment tokens, up to `limit` of those that follow the token `after`; also those that cannot be read."""
        last_seen = keys.TOKEN.key(token=after)["sk"] if after else None
        items = self._table.query(keys.TOKEN.partition(), keys.TOKEN.prefix, after=last_seen, limit=limit)
        return list(each(EnrolmentToken, items))

    def claimed(self, tokens: Sequence[EnrolmentToken]) -> dict[str, int]:
        """How many uses are taken of each token, by its id: one request for a hundred shares."""
        found = self._shares(tokens)
        return {token.token_id: sum(uses.claimed for uses in found[token.token_id]) for token in tokens}

    def claim(self, token: EnrolmentToken, number: int) -> Update:
        """The write that takes a use of this share.

        It counts upwards, so it belongs into a transaction with a write that a repeat fails.
        """
        condition = Condition(
            "attribute_not_exists(#revoked_at) AND (attribute_not_exists(#claimed) OR #claimed < :most)",
            "the token is not revoked, and a use of this share is left",
            {":most": share(token.uses, token.shares, number)},
        )
        return Update(
            table=self._table,
            key=keys.uses_key(token.token_id, number),
            condition=condition,
            set={"ttl": token.ttl + KEPT_SECONDS},
            add={"claimed": 1},
        )

    def other(self, token: EnrolmentToken, client_id: str) -> int:
        """A share of which a use is left, for a client that found its own one taken.

        Uses never come back, so whoever has seen all shares taken, one after another, may say that the token is used up.

        Raises:
            TokenRefused: none is left, or the token was revoked.
        """
        (found,) = self._shares([token]).values()
        if any(uses.revoked_at for uses in found):
            raise TokenRefused("a token that is not revoked")
        most = [share(token.uses, token.shares, number) for number in range(token.shares)]
        number = with_room([uses.claimed for uses in found], most, client_id)
        if number is None:
            raise TokenRefused("a token with a use left")
        return number

    def revoke(self, token_id: str, now: datetime) -> EnrolmentToken | None:
        """Let a token admit nobody any more, and return it, or None when there is none. A repeat ends what was begun.

        First the token's row: who reads it from now on is refused. Then each share: whoever had read the token before finds
        the mark there. So nobody enrols once this has returned, and an enrolment meanwhile is one that came before.
        """
        token = self._mark(token_id, now)
        if token is not None:
            for number, uses in enumerate(self._shares([token])[token_id]):
                if uses.revoked_at is None:
                    self._close(token, number, now)
        return token

    def _mark(self, token_id: str, now: datetime) -> EnrolmentToken | None:
        condition = Condition("attribute_exists(#pk) AND attribute_not_exists(#revoked_at)", "it is there, and not revoked")
        key = keys.TOKEN.key(token=token_id)
        try:
            item = self._table.update_and_read(
                Update(table=self._table, key=key, condition=condition, set={"revoked_at": text(now)})
            )
        except ConditionFailed as lost:
            return from_item(EnrolmentToken, lost.found) if lost.found else None
        return from_item(EnrolmentToken, item)

    def _close(self, token: EnrolmentToken, number: int, now: datetime) -> None:
        """Let nobody claim a use of this share any more, also if nobody has yet. A repeat changes nothing."""
        condition = Condition("attribute_not_exists(#revoked_at)", "the share is not closed yet")
        changes = {"revoked_at": text(now), "ttl": token.ttl + KEPT_SECONDS}
        key = keys.uses_key(token.token_id, number)
        try:
            self._table.update(Update(table=self._table, key=key, condition=condition, set=changes))
        except ConditionFailed:
            return  # somebody else has closed it

    def _shares(self, tokens: Sequence[EnrolmentToken]) -> dict[str, list[TokenUses]]:
        """The shares of each token, by its id, in order."""
        places = {token.token_id: [keys.uses_key(token.token_id, n) for n in range(token.shares)] for token in tokens}
        found = self._table.get_all(key for of_one in places.values() for key in of_one)
        return {token_id: [_uses(found, key) for key in of_one] for token_id, of_one in places.items()}


def _uses(found: dict[tuple[str, str], Item], key: Key) -> TokenUses:
    item = found.get((key["pk"], key["sk"]))
    return from_item(TokenUses, item) if item else TokenUses()
