"""Enrolment tokens, as operators handle them."""

from __future__ import annotations

from datetime import timedelta

from chalicelib.clients import credentials
from chalicelib.clients.shares import shares_of
from chalicelib.clients.token import EnrolmentToken
from chalicelib.clients.token_store import TokenStore
from chalicelib.errors import Refusal, near
from chalicelib.instants import Clock
from chalicelib.storage import keys
from chalicelib.storage.rows import Unreadable
from muster.wire import admin
from muster.wire.problems import Problem

PAGE = 25


class Tokens:
    """Minted, listed, revoked."""

    def __init__(self, store: TokenStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def mint(self, request: admin.MintToken) -> admin.MintedToken:
        """A new enrolment token; its secret is in this reply and nowhere else."""
        now = self._clock()
        token = credentials.new_token()
        expires_at = now + timedelta(seconds=request.expires_in_seconds)
        self._store.add(
            EnrolmentToken(
                token_id=token.public,
                secret_hash=token.hashed,
                uses=request.uses,
                shares=shares_of(request.uses),
                label=request.label,
                created_at=now,
                expires_at=expires_at,
                ttl=int(expires_at.timestamp()),
                models=request.models,
                device_types=request.device_types,
            )
        )
        return admin.MintedToken(token=str(token), token_id=token.public, uses=request.uses, expires_at=expires_at)

    def page(self, query: admin.After) -> admin.TokenList:
        """A page of the tokens that are kept."""
        rows = self._store.page(query.after, PAGE)
        claimed = self._store.claimed([row for row in rows if isinstance(row, EnrolmentToken)])
        found: list[admin.TokenReply] = []
        after = None
        for row in rows:
            if isinstance(row, Unreadable):
                row.tell()
                after = keys.TOKEN.name_in(row.sk)
            else:
                found.append(self._reply(row, claimed[row.token_id]))
                after = row.token_id
        return admin.TokenList(tokens=found, after=after if len(rows) == PAGE else None)

    def revoke(self, token_id: str) -> admin.TokenReply:
        """Let a token admit nobody any more; a repeat is the same. Who enrolled with it stays.

        Raises:
            Refusal: `unknown-token`.
        """
        token = self._store.revoke(token_id, self._clock())
        if token is None:
            known = (row.token_id for row in self._store.page(None, PAGE) if isinstance(row, EnrolmentToken))
            raise Refusal(
                Problem.UNKNOWN_TOKEN,
                f"no enrolment token {token_id[:32]!r}",
                expected=near(token_id[:32], known),
                got=token_id[:32],
            )
        return self._reply(token, self._store.claimed([token])[token_id])

    def _reply(self, token: EnrolmentToken, claimed: int) -> admin.TokenReply:
        return admin.TokenReply(
            token_id=token.token_id,
            label=token.label,
            state=token.state(self._clock(), claimed).value,
            uses=token.uses,
            claimed=claimed,
            models=token.models,
            device_types=token.device_types,
            created_at=token.created_at,
            expires_at=token.expires_at,
        )
