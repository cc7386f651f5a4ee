"""The operator's bounds: how many requests a second, and a month, a stack shall take from its fleet (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.instants import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceBounds:
    """One row. Before an operator has set it, the ceiling is that of the settings, and there is no budget."""

    revision: int
    ceiling: float
    """Requests a second."""
    budget: int | None = None
    """Requests a month; None for none."""
    at: Instant
    because: str
    by: str | None = None
    heartbeat_seconds_before: float = 0.0
    """The interval that devices were told under the bounds before these: some go by it yet."""

    def may_be_told(self, now: datetime, present_seconds: float) -> float:
        """The longest interval that a device may go by at `now`, where the present one is this."""
        gone = self.at + timedelta(seconds=2 * self.heartbeat_seconds_before)
        return max(present_seconds, self.heartbeat_seconds_before) if now < gone else present_seconds
