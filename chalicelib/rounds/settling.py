"""When a round has closed, every receipt gets its last word; when it has ended, its updates are deleted and it is wound up."""

from __future__ import annotations

from collections.abc import Container

from chalicelib.instants import Clock
from chalicelib.rounds.receipt import Receipt, ReceiptState, Verdict, late, summarise
from chalicelib.rounds.round import Phase, Round
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.blobs import Blobs

NOBODY: frozenset[str] = frozenset()


class Settling:
    """The last words on receipts, and the end of a round."""

    def __init__(self, rounds: RoundStore, blobs: Blobs, clock: Clock) -> None:
        self._rounds = rounds
        self._blobs = blobs
        self._clock = clock

    def settle(self, rnd: Round, counted: Container[str]) -> None:
        """Make every receipt that is neither rejected nor of a counted client late, or rejected if it is an outlier.

        `counted` are the clients in the manifest. The round no longer collects, so a receipt can change under our hands only
        once more, by an inspection that had begun before; it is read again then. What is settled depends only on the receipt
        and the bound that the round's move named, so whoever dies here is followed by who says the same.
        """
        for receipt in self._rounds.receipts(rnd.id):
            last: Receipt | None = receipt
            while last and last.client_id not in counted and last.state not in (ReceiptState.REJECTED, ReceiptState.LATE):
                state, verdict = self._last_word(rnd, last)
                if self._rounds.settle(last, state, verdict=verdict):
                    break
                last = self._rounds.receipt(rnd.id, last.client_id)

    def wind_up(self, rnd: Round) -> Round | None:
        """Do what is left to do after a round has ended, and return it; None when another actor did it meanwhile."""
        if rnd.phase is Phase.ABANDONED and rnd.candidate is None:
            self.settle(rnd, NOBODY)  # a round that published has settled before, and its version keeps what it counted
        receipts = list(self._rounds.receipts(rnd.id))
        if not rnd.config.keep_updates:
            self._blobs.delete(receipt.declared.key for receipt in receipts if receipt.declared)
        return self._rounds.wind_up(rnd, summarise(receipts))

    def _last_word(self, rnd: Round, receipt: Receipt) -> tuple[ReceiptState, Verdict]:
        judged = receipt.under(rnd.norm_bound)
        if judged.state is ReceiptState.REJECTED and judged.verdict:
            return judged.state, judged.verdict
        if rnd.phase is Phase.ABANDONED:
            verdict = Verdict("round-abandoned", "a round that completes", rnd.reason or "one that was abandoned")
        else:
            verdict = late(self._clock(), receipt.report_by)
        return ReceiptState.LATE, verdict
