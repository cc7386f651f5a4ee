"""The operators' use case of a round's receipts: who had a place in it, and what became of that. It reads and settles none."""

from __future__ import annotations

from chalicelib.rounds.operators.finding import RoundFinder
from chalicelib.rounds.receipt import Receipt
from chalicelib.rounds.round import Round
from chalicelib.rounds.round_id import RoundId
from chalicelib.rounds.store import RoundStore
from chalicelib.storage import keys
from chalicelib.storage.rows import Unreadable
from muster.wire import admin

PAGE = 100
"""Receipts on a page."""

LONGEST = 300
"""Characters of what was expected and of what came: names that a device chose may be in them, and a page must stay readable."""

EXAMINED = 2_000
"""Receipts that are looked at for one page: some 1.5 MB of rows."""


class RoundReceipts:
    """Lists receipts. A page costs two GetItem and a query for each part of the round that is looked into; what is looked at is
    bounded, however few of the receipts are wanted.
    """

    def __init__(self, *, finder: RoundFinder, rounds: RoundStore) -> None:
        self._finder = finder
        self._rounds = rounds

    def page(self, model: str, number: int, query: admin.RoundReceiptsPage) -> admin.RoundReceiptList:
        """A page of the receipts that the query wants. Those of a round that ended more than 30 days ago are gone.

        Raises:
            Refusal: `unknown-model`, `unknown-round`.
        """
        rnd, name = self._finder.find(model, number), RoundId(model, number)
        bound = rnd.norm_bound if isinstance(rnd, Round) else None
        most = PAGE if query.state is None and query.reason is None else EXAMINED
        found: list[admin.RoundReceipt] = []
        for examined, row in enumerate(self._rounds.browse(name, query.after, most), 1):
            if isinstance(row, Unreadable):
                row.tell()
                last = keys.RECEIPT.name_in(row.sk)
            else:
                last = row.client_id
                found += [reply for reply in [_reply(row.under(bound))] if _wanted(reply, query)]
            if len(found) == PAGE or examined == most:
                return admin.RoundReceiptList(round=str(name), receipts=found, after=last)
        return admin.RoundReceiptList(round=str(name), receipts=found, after=None)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _wanted(reply: admin.RoundReceipt, query: admin.RoundReceiptsPage) -> bool:
    return query.state in (None, reply.state) and query.reason in (None, reply.reason)


def _reply(receipt: Receipt) -> admin.RoundReceipt:
    declared, verdict, failure = receipt.declared, receipt.verdict, receipt.failure
    return admin.RoundReceipt(
        client_id=receipt.client_id,
        state=receipt.state.value,
        assigned_at=receipt.assigned_at,
        report_by=receipt.report_by,
        reported_at=receipt.reported_at,
        encoding=receipt.encoding,
        examples=declared.examples if declared else None,
        bytes=declared.nbytes if declared else None,
        sha256=declared.sha256 if declared else None,
        norm=receipt.norm,
        metrics=receipt.metrics or {},
        reason=failure.reason if failure else verdict.reason if verdict else None,
        expected=_short(verdict.expected) if verdict else None,
        got=_short(verdict.got) if verdict else failure.error if failure else None,
        traceparent=receipt.traceparent,
    )
