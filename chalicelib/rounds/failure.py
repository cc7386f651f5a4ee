"""The work of a place that its device gave up, and how many did, by reason (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from chalicelib.instants import Instant
from muster.wire.failures import FailureReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A device's word on why it gave its place up; final, for it is given no other place of that kind in the round."""

    reason: FailureReason
    at: Instant
    error: str | None = None
    """The name of the exception's class, if the device said it. It stays in this row and in one line of the log."""


def by_reason(failures: Iterable[Failure]) -> dict[str, int]:
    """How many there are of each reason: never more entries than there are words."""
    return dict(sorted(Counter(failure.reason.value for failure in failures).items()))
