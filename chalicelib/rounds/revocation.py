"""Revocation: a key is taken away for good, and what it still has in open rounds no longer counts."""

from __future__ import annotations

from chalicelib.clients.directory import Directory
from chalicelib.registry.store import RegistryStore
from chalicelib.rounds.receipt import REVOKED, ReceiptState
from chalicelib.rounds.round import Phase
from chalicelib.rounds.store import RoundStore
from muster.wire import admin


class Revocation:
    """Takes clients out."""

    def __init__(self, directory: Directory, registry: RegistryStore, rounds: RoundStore) -> None:
        self._directory = directory
        self._registry = registry
        self._rounds = rounds

    def revoke(self, client_id: str) -> admin.ClientReply:
        """Revoke a client's key, then reject its receipts in rounds that still collect; a repeat finishes what is left.

        A round whose manifest is frozen keeps what it has.

        Raises:
            Refused: `unknown-client`.
        """
        client = self._directory.revoke(client_id)
        for model in self._registry.models():
            while self._reject(model.name, client_id):
                pass
        return client

    def _reject(self, model: str, client_id: str) -> bool:
        """Reject the client's receipt in the model's open round; True when it changed meanwhile and is to be read again."""
        rnd = self._rounds.current(model)
        if rnd is None or rnd.phase is not Phase.COLLECTING:
            return False
        receipt = self._rounds.receipt(rnd.id, client_id)
        if receipt is None or receipt.state in (ReceiptState.REJECTED, ReceiptState.LATE):
            return False
        if receipt.state is ReceiptState.ACCEPTED:
            return not self._rounds.withdraw(rnd, receipt, REVOKED)
        return not self._rounds.settle(receipt, ReceiptState.REJECTED, verdict=REVOKED)
