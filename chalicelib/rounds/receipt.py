"""A receipt: a client's place in a round, and the server's word on its update.

      check-in ──▶ ASSIGNED ──report──▶ REPORTED ──inspection──▶ ACCEPTED ──▶ in the manifest
                    │ │                    ├────inspection──▶ REJECTED (reason) ◀── revoked, or an outlier
                    │ └───────────────── the round closed ──────▶ LATE ◀─────────── not in it
                    └─given up by its device──▶ FAILED (reason): the place is free for another client

A client has one receipt a round, because the key is made of both: it cannot count twice. When a round has closed, every
receipt is settled: accepted and in the manifest, rejected with a reason, late, or failed. One that was written after that, by a
check-in that had begun before, is settled when its round is finalised, or when anybody asks for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.instants import Instant, text
from chalicelib.rounds.failure import Failure, by_reason
from chalicelib.rounds.moves import Phase, members
from chalicelib.rounds.round import Round, Summary
from chalicelib.rounds.round_id import RoundName
from muster.aggregation.manifest import Entry
from muster.aggregation.outliers import exceeds
from muster.wire.encodings import Encoding
from muster.wire.reasons import Reason

KEEP = timedelta(days=30)
"""How long receipts and evaluations are kept after their round (by TTL)."""


OF_A_SITE = -1
"""No part of a round."""


class ReceiptState(StrEnum):
    """What became of a place."""

    ASSIGNED = "assigned"
    REPORTED = "reported"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    LATE = "late"
    FAILED = "failed"

    @property
    def is_open(self) -> bool:
        """Whether its round has yet to say what becomes of it."""
        return self in (ReceiptState.ASSIGNED, ReceiptState.REPORTED)

    @property
    def is_final(self) -> bool:
        """Whether no receipt leaves it."""
        return self in (ReceiptState.REJECTED, ReceiptState.LATE, ReceiptState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What the client said it would upload, and what the grant was bound to."""

    key: str
    sha256: str
    nbytes: int
    examples: int


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What the store says of an uploaded object."""

    sha256: str
    nbytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why an update was rejected or late: a word for machines, and for people what was expected and what came."""

    reason: Reason
    expected: str
    got: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An update passed inspection, which measured this of it (see `muster.wire.gate`)."""

    norm: float
    magnitudes: str
    header_bytes: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """An update is not counted, because of what it is or who sent it."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Late:
    """An update is not counted, because there was no time or no round for it."""

    verdict: Verdict


Outcome = Accepted | Rejected | Late
"""What settles a receipt."""

OUTCOMES: Mapping[type[Outcome], ReceiptState] = {
    Accepted: ReceiptState.ACCEPTED,
    Rejected: ReceiptState.REJECTED,
    Late: ReceiptState.LATE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One client's place in one round. It knows no key: whoever has the client's key at that time may use it."""

    round: RoundName
    client_id: str
    state: ReceiptState
    assigned_at: Instant
    report_by: Instant
    min_bytes: int
    max_bytes: int
    """Length that an update of this round's base can have."""
    ttl: int
    part: int = 0
    """The round's part from which its place is; `OF_A_SITE` of a place that waited for its client by name."""
    encoding: Encoding = "plain"
    """How the client writes its update; settled at its check-in."""
    declared: Declared | None = None
    grants: int = 0
    """Different declarations that were made so far; each was given a grant."""
    etag: str | None = None
    """The uploaded object, pinned at the report."""
    metrics: dict[str, float] | None = None
    reported_at: Instant | None = None
    traceparent: str | None = None
    """The span of its device's in which it was reported (`muster.wire.tracing`), if the device traces."""
    verdict: Verdict | None = None
    failure: Failure | None = None
    """Why its client gave it up, if it did."""
    norm: float | None = None
    magnitudes: str = ""
    header_bytes: int | None = None
    """What inspection measured (see `muster.wire.gate`) when it accepted the update; kept, whatever becomes of the update."""

    def takes(self, declared: Declared, now: datetime) -> bool:
        """Whether such an update may be declared at `now`, whatever was declared before."""
        in_time = self.state is ReceiptState.ASSIGNED and now < self.report_by
        return in_time and self.min_bytes <= declared.nbytes <= self.max_bytes

    def is_silent(self, now: datetime, too_long: timedelta) -> bool:
        """Whether it was reported so long ago."""
        return self.reported_at is not None and now - self.reported_at >= too_long

    def entry(self) -> Entry:
        """An accepted receipt as an entry of the manifest."""
        if (
            self.state is not ReceiptState.ACCEPTED
            or not self.declared
            or not self.etag
            or self.norm is None
            or self.header_bytes is None
        ):
            raise AssertionError(f"receipt {self.round}/{self.client_id} is {self.state}, not accepted and measured")
        declared = self.declared
        return Entry(
            client_id=self.client_id,
            key=declared.key,
            etag=self.etag,
            sha256=declared.sha256,
            nbytes=declared.nbytes,
            examples=declared.examples,
            norm=self.norm,
            header_bytes=self.header_bytes,
            encoding=self.encoding,
            magnitudes=self.magnitudes,
        )

    def after(self, outcome: Outcome) -> Receipt:
        """The receipt as it is once this has become of it."""
        return replace(self, state=OUTCOMES[type(outcome)], **members(outcome))

    def under(self, bound: float | None) -> Receipt:
        """The receipt as it is, or will be, when its round has closed with this bound on norms: an outlier is rejected."""
        if self.state is not ReceiptState.ACCEPTED or self.norm is None or not exceeds(self.norm, bound):
            return self
        return self.after(Rejected(Verdict(Reason.NORM_OUTLIER, f"an L2 norm of at most {bound}", str(self.norm))))


REVOKED = Verdict(Reason.CLIENT_REVOKED, "an update of an active client", "one whose key was revoked")

STRIKES = frozenset(Reason) - {
    Reason.NORM_OUTLIER,  # said by comparison with others, who may be liars: they must not get an honest client struck
    Reason.UPLOAD_CHANGED,  # a grant puts once, so it was not its client who replaced or deleted the object
    Reason.CLIENT_REVOKED,
    Reason.ROUND_CLOSED,
    Reason.ROUND_ABANDONED,
    Reason.TOO_LARGE,  # said of a model
}
"""Why an update is rejected for what it is, whatever others sent: a strike against its client."""


def late(now: datetime, report_by: datetime) -> Verdict:
    """The word on an update that came too late to be counted."""
    return Verdict(Reason.ROUND_CLOSED, f"a report before {text(report_by)} and before the round closed", f"it is {text(now)}")


def last_word(rnd: Round, receipt: Receipt, now: datetime) -> Rejected | Late:
    """What becomes of a receipt that is not in the manifest of its round, which collects no more."""
    judged = receipt.under(rnd.norm_bound)
    if judged.state is ReceiptState.REJECTED and judged.verdict:
        return Rejected(judged.verdict)
    if rnd.phase is Phase.ABANDONED:
        return Late(Verdict(Reason.ROUND_ABANDONED, "a round that completes", rnd.reason or "one that was abandoned"))
    return Late(late(now, receipt.report_by))


def summarise(receipts: Iterable[Receipt], sites: Sequence[str] = ()) -> Summary:
    """Count a round's receipts, and say which of its sites have no accepted update."""
    everyone = list(receipts)
    present = {receipt.client_id for receipt in everyone if receipt.state is ReceiptState.ACCEPTED}
    states = Counter(receipt.state for receipt in everyone)
    rejected = Counter(
        receipt.verdict.reason for receipt in everyone if receipt.state is ReceiptState.REJECTED and receipt.verdict
    )
    accepted = [r.declared.examples for r in everyone if r.state is ReceiptState.ACCEPTED and r.declared]
    return Summary(
        assigned=states[ReceiptState.ASSIGNED],
        reported=states[ReceiptState.REPORTED],
        accepted=states[ReceiptState.ACCEPTED],
        late=states[ReceiptState.LATE],
        rejected=dict(sorted(rejected.items())),
        in_order=sum(r.state is ReceiptState.LATE and r.norm is not None for r in everyone),
        failed=by_reason(r.failure for r in everyone if r.state is ReceiptState.FAILED and r.failure),
        uploaded_bytes=sum(r.declared.nbytes for r in everyone if r.reported_at and r.declared),
        examples=sum(accepted),
        absent=[site for site in sites if site not in present] or None,
    )
