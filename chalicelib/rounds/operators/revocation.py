"""Revocation: a key is taken away for good, and what it has in open rounds, or has said in what goes on, no longer counts.

| the round is | its update | its voice as a judge |
|---|---|---|
| collecting | rejected | it gets none |
| aggregating | stays: the manifest is frozen | it gets none |
| evaluating | stays | is taken out; a decision that was made with it cannot be written any more |

What it has reported in a rollout or an experiment that goes on is withdrawn. What has ended stays as it is.
"""

from __future__ import annotations

from chalicelib.clients.directory import Directory
from chalicelib.instants import Clock
from chalicelib.registry.store import RegistryStore
from chalicelib.rollouts.withdrawing import Withdrawing
from chalicelib.rounds.judgement import Judgement
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.receipt import KEEP, REVOKED, ReceiptState, Rejected
from chalicelib.rounds.round import Round
from chalicelib.rounds.store import RoundStore
from muster.wire import admin


class Revocation:
    """Takes clients out."""

    def __init__(
        self,
        *,
        directory: Directory,
        registry: RegistryStore,
        rounds: RoundStore,
        withdrawing: Withdrawing,
        clock: Clock,
    ) -> None:
        self._withdrawing = withdrawing
        self._directory = directory
        self._registry = registry
        self._rounds = rounds
        self._clock = clock

    def revoke(self, client_id: str) -> admin.ClientReply:
        """Revoke a client's key, then take it out of every model's open round, rollout and experiments; a repeat finishes what
        is left.

        Raises:
            Refusal: `unknown-client`.
        """
        client = self._directory.revoke(client_id)
        for model in self._registry.models():
            while not self._is_out(model.name, client_id):
                pass
            present = self._registry.deployment(model.name)
            if present is not None:
                self._withdrawing.withdraw(client_id, present)
        return client

    def _is_out(self, model: str, client_id: str) -> bool:
        """Take the client out of the model's open round; False when that changed meanwhile and is to be read again."""
        rnd = self._rounds.current(model)
        if rnd is None or rnd.is_terminal:
            return True
        if rnd.phase is Phase.COLLECTING and not self._rejected(rnd, client_id):
            return False
        return self._barred(rnd, client_id)

    def _rejected(self, rnd: Round, client_id: str) -> bool:
        receipt = self._rounds.receipt(rnd.id, client_id)
        if receipt is None or receipt.state.is_final:
            return True
        if receipt.state is ReceiptState.ACCEPTED:
            return self._rounds.withdraw(rnd, receipt, REVOKED)
        return self._rounds.settle(receipt, Rejected(REVOKED))

    def _barred(self, rnd: Round, client_id: str) -> bool:
        """Take its place among the judges, if it has one; else put one there that counts for nothing, in whatever phase: a
        check-in that had authenticated it before may still be under way, and finds that place taken.
        """
        now = self._clock()
        gone = Judgement(
            round=rnd.id, client_id=client_id, assigned_at=now, report_by=now, ttl=int((now + KEEP).timestamp()), withdrawn=True
        )
        judge = self._rounds.appoint(gone)
        # one whose row cannot be read counts for nothing in any case
        return judge is None or judge.withdrawn or self._rounds.withdraw_judge(rnd, judge)
