"""What a client's updates came to: accepted ones are counted, bad ones are strikes, and an operator lets a client go.

Both are counted once a round, because the row names the last rounds that were: an inspection that is delivered again counts
nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chalicelib.clients.client import Client
from chalicelib.clients.conduct import StrikeRule, accepted, released
from chalicelib.clients.directory import Directory
from chalicelib.clients.store import ClientStore
from chalicelib.instants import Clock
from chalicelib.log import log
from muster.wire import admin

TRIES = 8
"""How often a client's sums are read again when another inspection changed them in between."""


class Reputation:
    """The use cases of what a client has sent."""

    def __init__(self, *, store: ClientStore, directory: Directory, rule: StrikeRule, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._rule = rule
        self._clock = clock

    def credit(self, client_id: str, round_id: str, samples: int) -> None:
        """Count an accepted update for its client, once, and forget its strikes."""
        self._change(client_id, round_id, lambda client: accepted(client, round_id, samples))

    def strike(self, client_id: str, round_id: str) -> None:
        """Count an update that was rejected for what it is against its client, once."""
        was, now = self._change(client_id, round_id, lambda client: self._rule.struck(client, round_id, self._clock()))
        if was is not None and now is not None and now.conduct and now.conduct != was.conduct:
            quarantined = now.is_quarantined(self._clock())
            log.info("strike", client=client_id, round=round_id, strikes=now.conduct.strikes, quarantined=quarantined)

    def release(self, client_id: str) -> admin.ClientReply:
        """Forget a client's strikes and quarantines; a repeat is the same.

        Raises:
            Refusal: `unknown-client`.
        """
        self._directory.show(client_id)
        self._change(client_id, "its release", lambda client: _let_go(client))
        log.info("client released", client=client_id)
        return self._directory.show(client_id)

    def _change(self, client_id: str, what: str, changed: Callable[[Client], Client]) -> tuple[Client | None, Client | None]:
        """Change what was counted of a client, and return it as it was and as it is; as often as another one comes before."""
        for _ in range(TRIES):
            client = self._store.get(client_id)
            if client is None:
                return None, None
            after = changed(client)
            if after == client or self._store.judge(client, after):
                return client, after
        raise RuntimeError(f"the sums of client {client_id} changed {TRIES} times while {what} was to be counted")


def _let_go(client: Client) -> Client:
    return replace(client, conduct=client.conduct and released(client.conduct))
