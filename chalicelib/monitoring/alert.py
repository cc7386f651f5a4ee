"""A breach, from its opening to its end (pure).

             outside for long enough         inside, or watched no more
    (none) ─────────────────▶ OPEN ──────────────────────────────────────────▶ CLEARED
                               │  ▲ still outside: nothing                     ▲
                               └──┘                                            │
                               operator ──▶ ACKNOWLEDGED ──────────────────────┘

A metric's alerts are numbered, and the last one is its present: whoever writes the next number first has opened it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from chalicelib.instants import Instant
from chalicelib.monitoring.record import Record
from chalicelib.monitoring.threshold import Severity, Threshold
from muster.wire.admin import NO_MODEL

KEEP_CLEARED = timedelta(days=90)
"""How long an alert is kept after it was cleared."""


class AlertState(StrEnum):
    """Where an alert stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert of one metric."""

    model: str
    metric: str
    number: int
    value: float
    """When it opened."""
    opened_at: Instant
    publishing_at: Instant
    """When somebody last set out to publish it. It is published by one at a time."""
    minimum: float | None = None
    maximum: float | None = None
    severity: Severity = Severity.WARNING
    because: str | None = None
    """What is known of why."""
    published_at: Instant | None = None
    acknowledged_at: Instant | None = None
    acknowledged_by: str | None = None
    cleared_at: Instant | None = None
    ttl: int | None = None

    @property
    def state(self) -> AlertState:
        """Where it stands."""
        if self.cleared_at:
            return AlertState.CLEARED
        return AlertState.ACKNOWLEDGED if self.acknowledged_at else AlertState.OPEN

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        too_low = self.minimum is not None and self.value < self.minimum
        bound = f"below {self.minimum:g}" if too_low else f"above {self.maximum:g}"
        why = f": {self.because}" if self.because else ""
        of = "the stack" if self.model == NO_MODEL else self.model
        return f"{self.metric} of {of} is {self.value:g}, {bound}{why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Nobody is told of a metric's alerts before `until`."""

    model: str
    metric: str
    until: Instant
    because: str
    by: str | None = None
    ttl: int


@dataclass(frozen=True, slots=True)
class Observation:
    """A metric's newest value, and since when all its values lie outside; None: the newest lies inside."""

    value: float
    outside_since: datetime | None = None


def observed(threshold: Threshold, records: Iterable[Record], *, whole: bool = True) -> Observation | None:
    """What is known of a metric, from recent records in any order; None when none of them has it.

    Where they are not the `whole` of what was recorded, and all lie outside, nobody knows since when: for ever, rather than for
    too short a time to open an alert.
    """
    told = sorted(
        ((each.at, each.metrics[threshold.metric]) for each in records if threshold.metric in each.metrics), reverse=True
    )
    if not told:
        return None
    since: datetime | None = None
    for at, value in told:
        if not threshold.is_breached_by(value):
            break
        since = at
    else:
        if not whole:
            since = datetime.min.replace(tzinfo=UTC)
    return Observation(told[0][1], since)


class AlertStep(StrEnum):
    """What follows from a new value."""

    OPEN = "open"
    CLEAR = "clear"
    PUBLISH = "publish"


def next_step(
    threshold: Threshold,
    seen: Observation | None,
    present: Alert | None,
    now: datetime,
    republish: timedelta,
    silent_until: datetime | None = None,
) -> AlertStep | None:
    """What is due at `now` for a metric, from what was seen of it and its last alert; None when nothing is.

    Without a recent value nothing is known, and nothing changes. An alert whose publication has been under way for longer
    than `republish` was lost with whoever did it, and is published again; so is one that opened in a silence, after that.
    """
    is_open = present is not None and present.state is not AlertState.CLEARED
    if is_open and not threshold.is_watched:
        return AlertStep.CLEAR
    if seen is not None:
        if is_open and seen.outside_since is None:
            return AlertStep.CLEAR
        lasts = seen.outside_since is not None and now - seen.outside_since >= timedelta(seconds=threshold.lasting_seconds)
        if lasts and threshold.is_watched and not is_open:
            return AlertStep.OPEN
    silent = silent_until is not None and now < silent_until
    if present and is_open and not silent and not present.published_at and now - present.publishing_at >= republish:
        return AlertStep.PUBLISH
    return None


def opened(threshold: Threshold, value: float, last: Alert | None, now: datetime, because: str | None = None) -> Alert:
    """The alert that a breach opens."""
    number = last.number + 1 if last else 1
    return Alert(
        model=threshold.model,
        metric=threshold.metric,
        number=number,
        value=value,
        opened_at=now,
        publishing_at=now,
        minimum=threshold.minimum,
        maximum=threshold.maximum,
        severity=threshold.severity,
        because=because,
    )
