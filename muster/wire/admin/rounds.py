"""Rounds and their files."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from muster.wire.admin.costs import Bill
from muster.wire.deciding import DecidingMetric
from muster.wire.messages import ClientId, Label, Query, Reply, Request


class RoundReply(Reply):
    """A round as operators see it. Counts are derived from its receipts, never from counters."""

    round: str
    number: int
    phase: Literal["collecting", "aggregating", "evaluating", "completed", "abandoned", "unreadable"] = Field(
        description="unreadable: its row is of another release, or damaged; only its number is known; `abandon` takes it away"
    )
    config_revision: int | None = Field(description="of the configuration that it opened with; null of an unreadable round")
    base_version: int | None = Field(description="null of an unreadable round, as are the next two")
    opened_at: datetime | None
    report_by: datetime | None
    closed_at: datetime | None
    finished_at: datetime | None
    assigned: int
    reported: int
    accepted: int
    rejected: dict[str, int]
    late: int
    failed: dict[str, int] = Field({}, description="by reason: trainings that devices gave up; their places are free again")
    judges_failed: dict[str, int] = Field({}, description="by reason: candidates that devices gave up judging")
    uploaded_bytes: int
    examples: int
    evaluations: int = Field(description="judges that have measured its version")
    judges_needed: int | None = Field(
        None, description="with so many it is decided, without waiting; null of an unreadable round, as is the next one"
    )
    judges_asked: int | None = Field(
        None, description="so many may judge at most: more than are needed, because some of them never come back"
    )
    version: int | None
    metric: DecidingMetric | None = Field(None, description="what decides in this round; null of an unreadable one")
    gain: float | None = Field(description="of its version over the one that was deployed, in units of the metric")
    deployed: bool
    reason: str | None = Field(description="why it was abandoned, or why its version was not deployed")
    lacks: str | None = Field(None, description="while it collects and has places left: how many, and who could come for them")
    spent: Bill | None = Field(
        None,
        description="what it has used, and what that costs (docs/cost.md); null in lists, and where nothing was counted",
    )
    counted_at: datetime | None = Field(
        None, description="of a round of many places that goes on: when they were counted; null: now, or at its end"
    )


def phases(rnd: RoundReply, now: datetime) -> tuple[float, float]:
    """Seconds that a round collected, and that it then added up and was judged; so far, if it goes on."""
    if rnd.opened_at is None:
        return 0.0, 0.0
    end = rnd.finished_at or now
    closed = min(rnd.closed_at or end, end)
    return max(0.0, (closed - rnd.opened_at).total_seconds()), max(0.0, (end - closed).total_seconds())


class RoundList(Reply):
    """Rounds, newest first, one page."""

    rounds: list[RoundReply]
    before: int | None = Field(description="pass as `?before=` for the next page; null on the last")


class RoundFilesPage(Query):
    """A page of the files that a round's version was made of."""

    after: ClientId | None = Field(None, description="only updates of clients after this one, in the manifest's order")


class RoundFile(Reply):
    """A file that a round's version was made of."""

    kind: Literal["manifest", "base", "state", "update"]
    name: str | None = Field(description="the client of an update, the letter of an optimizer's state; null for the others")
    sha256: str
    bytes: int | None = Field(description="null for the manifest")
    url: str = Field(description="presigned GET; do not log it")


class RoundFileList(Reply):
    """The files that a round's version was made of, one page: first manifest, base and state, then updates by client."""

    round: str
    version: int = Field(description="what was made of them")
    files: list[RoundFile]
    after: str | None = Field(description="pass as `?after=` for the next page; null on the last")


class AbandonRound(Request):
    """End an open round. What is deployed stays deployed."""

    because: Label = "an operator abandoned it"
