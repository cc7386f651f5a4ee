"""From an assignment to a reported update: grant, report, receipt.

Grant and report check the key, the scope and the receipt, and change the receipt, in one transaction. Only when that is not
done is more read, to say why.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from chalicelib import metering
from chalicelib.clients.credentials import Credential
from chalicelib.clients.directory import Directory
from chalicelib.errors import Refusal
from chalicelib.instants import Clock, text
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.receipt import Declared, Late, Receipt, ReceiptState, Uploaded, last_word, late
from chalicelib.rounds.round_id import RoundId
from chalicelib.rounds.store import MOST_GRANTS, NotDone, OutOfScope, RoundStore
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs
from chalicelib.storage.presign import Presigner
from chalicelib.storage.queues import Queue
from chalicelib.storage.rows import readable_one, storable
from muster.pricing.guesses import UPDATE_DAYS
from muster.pricing.usage import DAYS, GB, usage
from muster.wire import messages as wire
from muster.wire.problems import Problem


class Updates:
    """Takes devices' updates."""

    def __init__(
        self, *, directory: Directory, rounds: RoundStore, blobs: Blobs, presigner: Presigner, inspections: Queue, clock: Clock
    ) -> None:
        self._directory = directory
        self._rounds = rounds
        self._blobs = blobs
        self._presigner = presigner
        self._inspections = inspections
        self._clock = clock

    def grant(self, round_id: RoundId, caller: Credential | None, request: wire.UploadRequest) -> wire.UploadGrant:
        """One PUT of exactly the declared bytes. May be asked for again, a few times also for other bytes, until the report.

        Raises:
            Refusal: `unauthenticated`, `unknown-round`, `not-assigned`, `report-conflict`, `round-closed`, `wrong-length`,
                `too-many-grants`.
        """
        by = self._directory.allowance(caller, round_id.model)
        key = keys.UPDATE.key(round=round_id, client=by.caller.public, sha256=request.sha256)
        declared = Declared(key=key, sha256=request.sha256, nbytes=request.bytes, examples=request.examples)
        now = self._clock()
        try:
            self._rounds.declare(round_id, by, declared, now)
        except OutOfScope as foreign:
            raise unknown_round(round_id) from foreign
        except NotDone as other:
            receipt = self._settled(self._found(round_id, other))
            self._refuse_if_closed(receipt)
            if receipt.state is not ReceiptState.ASSIGNED:
                raise _conflict(receipt, f"sha256 {request.sha256}", _reported_sha256(receipt)) from other
            if receipt.grants >= MOST_GRANTS and receipt.takes(declared, now):
                raise Refusal(
                    Problem.TOO_MANY_GRANTS,
                    f"this client has declared {receipt.grants} different updates for round {round_id}; upload the last one",
                    expected=f"sha256 {receipt.declared.sha256}" if receipt.declared else f"at most {MOST_GRANTS}",
                    got=f"sha256 {request.sha256}",
                ) from other
            raise Refusal(
                Problem.WRONG_LENGTH,
                f"no update to the base of round {round_id} is {request.bytes} bytes long",
                expected=f"{receipt.min_bytes} to {receipt.max_bytes} bytes",
                got=f"{request.bytes} bytes",
            ) from other
        url, headers = self._presigner.put(key, request.bytes, request.sha256)
        expires_at = now + timedelta(seconds=self._presigner.seconds)
        metering.note(usage(s3_put_requests=1))
        return wire.UploadGrant(url=url, headers=headers, expires_at=expires_at)

    def report(
        self, round_id: RoundId, caller: Credential | None, report: wire.UpdateReport, traceparent: str | None = None
    ) -> wire.ReceiptReply:
        """Count an uploaded update toward its round; the same report may be sent again.

        The receipt is durable before the reply. The message to the inspection may be lost: the tick sends it again.

        Raises:
            Refusal: `unauthenticated`, `unknown-round`, `not-assigned`, `upload-missing`, `upload-mismatch`,
                `report-conflict`, `round-closed`.
        """
        by, metrics = self._directory.allowance(caller, round_id.model), storable(report.metrics)
        stat = self._blobs.stat(keys.UPDATE.key(round=round_id, client=by.caller.public, sha256=report.sha256))
        if stat is None:
            receipt = self._own(round_id, caller)
            receipt = self._check_same(receipt, report.sha256, metrics, None)
        else:
            uploaded = Uploaded(stat.sha256 or report.sha256, stat.nbytes, stat.etag)
            try:
                self._rounds.report(round_id, by, uploaded, metrics, self._clock(), traceparent=traceparent)
            except OutOfScope as foreign:
                raise unknown_round(round_id) from foreign
            except NotDone as other:
                receipt = self._found(round_id, other)
                receipt = self._check_same(receipt, report.sha256, metrics, stat.nbytes)
            else:
                self._inspections.send({"round": str(round_id), "client": by.caller.public})
                metering.note(usage(s3_gb_months=stat.nbytes * UPDATE_DAYS / DAYS / GB))
                return wire.ReceiptReply(round=str(round_id), client_id=by.caller.public, state="reported")
        if receipt.state is ReceiptState.REPORTED:
            self._inspections.send({"round": str(round_id), "client": by.caller.public})
        return reply(receipt)

    def receipt(self, round_id: RoundId, caller: Credential | None) -> wire.ReceiptReply:
        """Where the caller's update stands, and why.

        Raises:
            Refusal: `unauthenticated`, `unknown-round`, `not-assigned`.
        """
        return reply(self._settled(self._own(round_id, caller)))

    def _own(self, round_id: RoundId, caller: Credential | None) -> Receipt:
        client = self._directory.authenticate(caller)
        if not client.may_use(round_id.model):
            raise unknown_round(round_id)
        return self._known(round_id, self._rounds.receipt(round_id, client.client_id))

    def _found(self, round_id: RoundId, other: NotDone) -> Receipt:
        """The receipt that a write found and could not change so."""
        return self._known(round_id, readable_one(Receipt, other.found))

    def _known(self, round_id: RoundId, receipt: Receipt | None) -> Receipt:
        if receipt is not None:
            return receipt
        raise no_place(self._rounds, round_id)

    def _check_same(self, receipt: Receipt, sha256: str, metrics: dict[str, float], nbytes: int | None) -> Receipt:
        """Accept a report that was not counted now because the very same was counted before, and return the receipt as it
        stands; refuse any other.
        """
        receipt = self._settled(receipt)
        self._refuse_if_closed(receipt)
        if receipt.state is ReceiptState.ASSIGNED:
            raise _not_as_declared(receipt, sha256, nbytes)
        if receipt.failure is not None or receipt.declared is None or receipt.declared.sha256 != sha256:
            raise _conflict(receipt, f"sha256 {sha256}", _reported_sha256(receipt))
        if (receipt.metrics or {}) != metrics:
            raise _conflict(receipt, f"metrics {words(metrics)}", f"metrics {words(receipt.metrics or {})}")
        return receipt

    def _settled(self, receipt: Receipt) -> Receipt:
        """The receipt with its last word, if its round takes no more updates.

        A check-in takes its place while the round collects and writes the receipt after that; where the round closed and
        settled its receipts in between, whoever asks for this one is who settles it.
        """
        if not receipt.state.is_open:
            return receipt
        now, outcome = self._clock(), None
        rnd = self._rounds.get(receipt.round.model, receipt.round.number)
        if rnd is None:
            return receipt  # a round that cannot be read: its receipts wait until an operator has taken it away
        if rnd.phase is not Phase.COLLECTING:
            outcome = last_word(rnd, receipt, now)
        elif receipt.state is ReceiptState.ASSIGNED and now >= receipt.report_by:
            outcome = Late(late(now, receipt.report_by))
        if outcome is None:
            return receipt
        if self._rounds.settle(receipt, outcome):
            return receipt.after(outcome)
        return self._rounds.receipt(receipt.round, receipt.client_id) or receipt

    def _refuse_if_closed(self, receipt: Receipt) -> None:
        """Refuse what comes after the deadline or after the round closed."""
        if receipt.state is not ReceiptState.LATE:
            return
        verdict = late(self._clock(), receipt.report_by)
        raise Refusal(
            Problem.ROUND_CLOSED,
            f"round {receipt.round} takes no more updates; check in again for the next one",
            expected=verdict.expected,
            got=verdict.got,
        )


def unknown_round(name: object) -> Refusal:
    """There is no round of that name."""
    text = str(name)[:64]
    return Refusal(Problem.UNKNOWN_ROUND, f"no round {text!r}", expected="the id of a round", got=text)


def no_place(rounds: RoundStore, round_id: RoundId) -> Refusal:
    """A client has no place in that round, or there is no such round."""
    if rounds.get(round_id.model, round_id.number) is None:
        return unknown_round(round_id)
    return Refusal(
        Problem.NOT_ASSIGNED,
        f"this client has no place in round {round_id}; check in first",
        expected="a client that was assigned to the round",
        got="one that was not",
    )


def reply(receipt: Receipt) -> wire.ReceiptReply:
    """A receipt as its client reads it."""
    verdict, failure = receipt.verdict, receipt.failure
    return wire.ReceiptReply(
        round=str(receipt.round),
        client_id=receipt.client_id,
        state=receipt.state.value,
        reason=failure.reason if failure else verdict.reason if verdict else None,
        expected=verdict.expected if verdict else None,
        got=verdict.got if verdict else None,
    )


def words(metrics: Mapping[str, float]) -> str:
    """Metrics, for a person."""
    return ", ".join(f"{name} {value!r}" for name, value in sorted(metrics.items())) or "none"


def _reported_sha256(receipt: Receipt) -> str:
    return f"sha256 {receipt.declared.sha256}" if receipt.declared else "no further update"


def _conflict(receipt: Receipt, got: str, expected: str) -> Refusal:
    reported_at = text(receipt.reported_at) if receipt.reported_at else "an earlier time"
    told = f"this client's update for round {receipt.round} was reported at {reported_at} and is {receipt.state.value}"
    if receipt.failure is not None:
        told = f"this client said at {text(receipt.failure.at)} that its training for round {receipt.round} failed"
    return Refusal(
        Problem.REPORT_CONFLICT,
        told,
        expected=expected,
        got=got,
    )


def _not_as_declared(receipt: Receipt, sha256: str, nbytes: int | None) -> Refusal:
    declared = receipt.declared
    expected = f"{declared.nbytes} bytes with sha256 {declared.sha256}" if declared else "an upload grant, and an upload"
    if nbytes is None:
        return Refusal(
            Problem.UPLOAD_MISSING,
            f"nothing with that digest was uploaded for round {receipt.round}",
            expected=expected,
            got=f"no object for sha256 {sha256}",
        )
    return Refusal(
        Problem.UPLOAD_MISMATCH,
        f"the upload for round {receipt.round} is not the one that was declared",
        expected=expected,
        got=f"{nbytes} bytes with sha256 {sha256}",
    )
