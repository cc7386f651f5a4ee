"""Inspection: the worker that looks into an uploaded update, and accepts or rejects it. It may run twice, late, or never.

A message names a receipt. Only a receipt that is still REPORTED is looked at, and only one that is still REPORTED is settled;
so a message delivered twice settles once. A message lost is sent again by the tick. An update is then counted for its client,
once, as accepted or as a strike: an inspection that dies in between is delivered again, and finds what is left to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from chalicelib.clients.directory import Directory
from chalicelib.clients.reputation import Reputation
from chalicelib.instants import Clock
from chalicelib.log import log
from chalicelib.registry.schemas import Schemas
from chalicelib.rounds.counter_store import CounterStore
from chalicelib.rounds.looks import Looks
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.receipt import REVOKED, STRIKES, Accepted, Receipt, ReceiptState, Rejected, Verdict, last_word
from chalicelib.rounds.round import Round
from chalicelib.rounds.round_id import RoundId
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.blobs import Blobs, ObjectMissing
from muster.wire import gate
from muster.wire.admin import Off
from muster.wire.magnitudes import packed
from muster.wire.reasons import Reason
from muster.wire.tensors import Unfit, update_schema


class Inspector:
    """Inspects reported updates."""

    def __init__(
        self,
        *,
        directory: Directory,
        reputation: Reputation,
        rounds: RoundStore,
        counters: CounterStore,
        schemas: Schemas,
        blobs: Blobs,
        looks: Looks,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._reputation = reputation
        self._rounds = rounds
        self._counters = counters
        self._schemas = schemas
        self._blobs = blobs
        self._looks = looks
        self._clock = clock

    def inspect(self, round_id: RoundId, client_id: str) -> bool:
        """Settle one reported update; False when there was nothing to settle."""
        receipt = self._rounds.receipt(round_id, client_id)
        rnd = self._rounds.get(round_id.model, round_id.number)
        if receipt is None or rnd is None:
            return False
        if receipt.norm is not None:
            self._credit(receipt)  # it was accepted, and the inspection that died then comes again
        if receipt.state is ReceiptState.REJECTED and receipt.verdict:
            self._strike(receipt, receipt.verdict.reason)  # the same
        if receipt.state is not ReceiptState.REPORTED:
            return False
        if rnd.phase is not Phase.COLLECTING:
            return self._rounds.settle(receipt, last_word(rnd, receipt, self._clock()))
        if not self._directory.is_active(client_id):
            return self._rounds.settle(receipt, Rejected(REVOKED))
        try:
            measured = self._measure(rnd, receipt)
        except Unfit as unfit:
            verdict = Verdict(unfit.reason, unfit.expected, unfit.got)
            log.info("update rejected", round=str(round_id), client=client_id, reason=unfit.reason)
            rejected = self._rounds.settle(receipt, Rejected(verdict))
            if rejected:
                self._strike(receipt, unfit.reason)
            return rejected
        magnitudes = packed(measured.exponents, measured.levels)
        accepted = self._rounds.settle(
            receipt, Accepted(norm=measured.norm, magnitudes=magnitudes, header_bytes=measured.header_bytes)
        )
        if accepted:
            self._credit(receipt)
        return accepted

    def ask_to_reconcile(self, settled: Iterable[RoundId]) -> None:
        """After a batch: note how many receipts of each round were settled, and ask to reconcile where something may be due."""
        for round_id, count in Counter(settled).items():
            rnd = self._collecting(round_id)
            if rnd and self._may_be_due(rnd, self._counters.count_inspected(rnd, count)):
                self._looks.ask(rnd.model)

    def _collecting(self, round_id: RoundId) -> Round | None:
        rnd = self._rounds.get(round_id.model, round_id.number)
        return rnd if rnd and rnd.phase is Phase.COLLECTING else None

    def _may_be_due(self, rnd: Round, inspected: int) -> bool:
        """Whether a look may find the goal reached, when so many updates were inspected."""
        if inspected < min(rnd.inspections_wanted, rnd.config.goal):
            return False
        fresh = self._collecting(rnd.id)  # a look may have seen since what is still wanted
        return fresh is not None and inspected >= fresh.inspections_wanted

    def _credit(self, receipt: Receipt) -> None:
        if receipt.declared is None:
            raise AssertionError(f"receipt {receipt.round}/{receipt.client_id} is accepted without an upload")
        self._reputation.credit(receipt.client_id, str(receipt.round), receipt.declared.examples)

    def _strike(self, receipt: Receipt, reason: Reason) -> None:
        if reason in STRIKES:
            self._reputation.strike(receipt.client_id, str(receipt.round))

    def _measure(self, rnd: Round, receipt: Receipt) -> gate.Measured:
        if receipt.declared is None or receipt.etag is None:
            raise AssertionError(f"receipt {receipt.round}/{receipt.client_id} is reported without an upload")
        schema = update_schema(self._schemas.of(rnd.base))
        declared = receipt.declared
        longest = gate.norm_limit(rnd.config.max_norm, rnd.base.norm)
        try:
            with self._blobs.open(declared.key, declared.nbytes, etag=receipt.etag) as body:
                return gate.inspect(
                    body, body.nbytes, schema, declared.sha256, receipt.encoding,
                    max_norm=longest, max_count=_limit(rnd.config.max_count),
                )  # fmt: skip
        except ObjectMissing as missing:
            raise Unfit(Reason.UPLOAD_CHANGED, f"the object with ETag {receipt.etag}", "another, or none") from missing


def _limit(guard: int | Off) -> int | None:
    return None if guard == "none" else guard
