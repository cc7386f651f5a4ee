"""The operators' use case of a round's places: who trained in it and who judged, and what became of each. It reads, no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

from chalicelib.rounds.judgement import Judgement, Measurement
from chalicelib.rounds.operators.finding import RoundFinder
from chalicelib.rounds.receipt import Receipt
from chalicelib.rounds.round import Round
from chalicelib.rounds.round_id import RoundId
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.rows import Unreadable
from muster.wire import admin

PAGE = 100
"""Places on a page."""

LONGEST = 300
"""Characters of what was expected and of what came: names that a device chose may be in them, and a page must stay readable."""

EXAMINED = 2_000
"""Receipts that are looked at for one page: some 1.5 MB of rows."""

Row = TypeVar("Row", Receipt, Judgement)
Shown = TypeVar("Shown", admin.RoundReceipt, admin.RoundJudgement)


class RoundPlaces:
    """Lists places, as long as they are kept: thirty days after their round. A page costs two GetItem and a query for each part
    of the round that is looked into; what is looked at is bounded, however few of the places are wanted.
    """

    def __init__(self, *, finder: RoundFinder, rounds: RoundStore) -> None:
        self._finder = finder
        self._rounds = rounds

    def receipts(self, model: str, number: int, query: admin.RoundReceiptsPage) -> admin.RoundReceiptList:
        """A page of the receipts that the query wants.

        Raises:
            Refusal: `unknown-model`, `unknown-round`.
        """
        rnd, name = self._finder.find(model, number), RoundId(model, number)
        bound = rnd.norm_bound if isinstance(rnd, Round) else None
        most = PAGE if query.state is None and query.reason is None else EXAMINED

        def wanted(receipt: Receipt) -> admin.RoundReceipt | None:
            shown = _receipt(receipt.under(bound))
            is_wanted = query.state in (None, shown.state) and query.reason in (None, shown.reason)
            return shown if is_wanted else None

        found, after = _page(self._rounds.browse(name, query.after, most), wanted, most)
        return admin.RoundReceiptList(round=str(name), receipts=found, after=after)

    def judgements(self, model: str, number: int, query: admin.RoundJudgementsPage) -> admin.RoundJudgementList:
        """A page of the places of those who judge the round's candidate.

        Raises:
            Refusal: `unknown-model`, `unknown-round`.
        """
        rnd, name = self._finder.find(model, number), RoundId(model, number)
        known = rnd if isinstance(rnd, Round) else None
        rows = self._rounds.browse_judgements(name, query.after, PAGE)
        found, after = _page(rows, lambda judgement: _judgement(judgement, known), PAGE)
        return admin.RoundJudgementList(round=str(name), judgements=found, after=after)


def _page(rows: Iterable[Row | Unreadable], wanted: Callable[[Row], Shown | None], most: int) -> tuple[list[Shown], str | None]:
    """What is wanted of at most so many rows, and the client after whom the next page begins; None if it is the last one."""
    found: list[Shown] = []
    for examined, row in enumerate(rows, 1):
        if isinstance(row, Unreadable):
            row.tell()
            last = row.sk.rpartition("#")[2]
        else:
            last = row.client_id
            found += [shown for shown in [wanted(row)] if shown is not None]
        if len(found) == PAGE or examined == most:
            return found, last
    return found, None


def _receipt(receipt: Receipt) -> admin.RoundReceipt:
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


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _judgement(judgement: Judgement, rnd: Round | None) -> admin.RoundJudgement:
    failure = judgement.failure
    return admin.RoundJudgement(
        client_id=judgement.client_id,
        state=_state(judgement),
        assigned_at=judgement.assigned_at,
        report_by=judgement.report_by,
        candidate=_measured(judgement.measured.get("candidate")),
        deployed=_measured(judgement.measured.get("deployed")),
        gain=judgement.difference(rnd.config.metric) if rnd and judgement.is_complete else None,
        reason=failure.reason if failure else None,
        error=failure.error if failure else None,
    )


def _state(judgement: Judgement) -> Literal["assigned", "measured", "failed", "withdrawn"]:
    if judgement.withdrawn:
        return "withdrawn"
    if judgement.failure is not None:
        return "failed"
    return "measured" if judgement.is_complete else "assigned"


def _measured(measurement: Measurement | None) -> admin.RoundMeasurement | None:
    if measurement is None:
        return None
    is_finite = measurement.verdict == "measured"
    return admin.RoundMeasurement(examples=measurement.examples, metrics=measurement.metrics, is_finite=is_finite)
