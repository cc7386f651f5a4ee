"""A calendar month in UTC, and how it is likely to end (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

WEEK = 7
"""Whole days of which the mean goes on to the month's end."""


@dataclass(frozen=True, slots=True)
class Month:
    """One month."""

    first: date

    @classmethod
    def of(cls, day: date) -> Month:
        """The one in which a day lies."""
        return cls(day.replace(day=1))

    @classmethod
    def parse(cls, text: str) -> Month:
        """`2026-11`."""
        return cls(date.fromisoformat(f"{text}-01"))

    def __str__(self) -> str:
        return self.first.isoformat()[:7]

    @property
    def last(self) -> date:
        """Its last day."""
        return self.next - timedelta(days=1)

    @property
    def next(self) -> date:
        """The first day of the month after it."""
        return (self.first + timedelta(days=31)).replace(day=1)

    def passed(self, now: datetime) -> float:
        """The share of it that is over: 0 to 1."""
        begin, end = (datetime(day.year, day.month, 1, tzinfo=UTC) for day in (self.first, self.next))
        return min(1.0, max(0.0, (now - begin) / (end - begin)))

    def forecast(self, dollars: Mapping[date, float], now: datetime) -> float:
        """What it comes to by its end, if each hour that is left costs as much as one of the last week did, as far as that lies
        in the month. `dollars` are those of its days.
        """
        spent = sum(dollars.values())
        left = (1.0 - self.passed(now)) * (self.next - self.first).days
        if left == 0.0 or not dollars:
            return spent
        since = max(now - timedelta(days=WEEK), datetime(self.first.year, self.first.month, 1, tzinfo=UTC))
        seen = sum(amount * _share(day, since, now) for day, amount in dollars.items())
        passed = (now - since) / timedelta(days=1)
        return spent + (seen / passed * left if passed > 0 else 0.0)


def _share(day: date, since: datetime, now: datetime) -> float:
    """The part of what a day cost that is counted to the span: of its first day what of it lies inside, of today all."""
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = min(begin + timedelta(days=1), now)
    if end <= since:
        return 0.0
    return (end - max(begin, since)) / (end - begin) if end > begin else 1.0
