"""The places of a round: who trained in it and who judged, and what became of each."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from muster.wire.encodings import Encoding
from muster.wire.failures import FailureReason
from muster.wire.messages import ClientId, Query, Reply
from muster.wire.reasons import Reason

StateOfPlace = Literal["assigned", "reported", "accepted", "rejected", "late", "failed"]


class RoundReceiptsPage(Query):
    """A page of a round's receipts, perhaps only some of them."""

    after: ClientId | None = Field(None, description="what the last page gave as `after`")
    state: StateOfPlace | None = None
    reason: Reason | FailureReason | None = Field(
        None, description="only places that ended for this reason; one word of docs/protocol.md"
    )


class RoundReceipt(Reply):
    """One client's place in one round, as operators see it: without a URL, and without anything of the update itself."""

    client_id: str
    state: StateOfPlace
    assigned_at: datetime
    report_by: datetime
    reported_at: datetime | None
    encoding: Encoding
    examples: int | None = Field(description="as it declared, as are the next two; null before it did")
    bytes: int | None
    sha256: str | None
    norm: float | None = Field(description="L2 norm of its update, as inspection measured it; null of one that did not pass")
    metrics: dict[str, float] = Field(description="what its device reported of the training")
    reason: str | None = Field(description="why it was rejected, late or given up, one word of docs/protocol.md")
    expected: str | None
    got: str | None
    traceparent: str | None = Field(description="the span of its device's in which it was reported, if the device traces")


class RoundReceiptList(Reply):
    """Receipts, in no particular order, one page. A page may be short, even empty, and yet not be the last."""

    round: str
    receipts: list[RoundReceipt]
    after: str | None = Field(description="pass as `?after=` for the next page; null on the last")


class RoundJudgementsPage(Query):
    """A page of a round's judges."""

    after: ClientId | None = Field(None, description="what the last page gave as `after`")


class RoundMeasurement(Reply):
    """What one judge measured of one version."""

    examples: int = Field(description="that it says it has; they weigh nothing")
    metrics: dict[str, float]
    is_finite: bool = Field(description="false: nothing finite could be measured, so the version is worse than any that can be")


class RoundJudgement(Reply):
    """One client's place among a round's judges."""

    client_id: str
    state: Literal["assigned", "measured", "failed", "withdrawn"] = Field(
        description="measured: both versions, so it counts; withdrawn: its key was revoked before the round was decided"
    )
    assigned_at: datetime
    report_by: datetime
    candidate: RoundMeasurement | None
    deployed: RoundMeasurement | None
    gain: float | None = Field(description="of the candidate over the deployed version, in units of the metric that decides")
    reason: str | None = Field(description="why it gave its place up, one word of docs/protocol.md")
    error: str | None = Field(description="the name of the exception's class, if its device said it")


class RoundJudgementList(Reply):
    """Judges, in no particular order, one page."""

    round: str
    judgements: list[RoundJudgement]
    after: str | None = Field(description="pass as `?after=` for the next page; null on the last")
