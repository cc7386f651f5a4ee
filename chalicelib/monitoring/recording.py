"""Makes records of ended rounds and of the fleet, and brings them to CloudWatch.

    ended round, census ──once──▶ record (kept for a day), outgoing record ──one call──▶ CloudWatch; outgoing no more

A record's key says what it is of, so it is made once, however many monitors run. What is outgoing stays so until CloudWatch has
it: nothing is lost to a crash or an outage. A monitor that dies between the call and the deletion sends its batch again; the
schedule runs one monitor at a time, so nothing else sends twice.

A metric of CloudWatch is billed for each hour in which it was sent. So of a fleet whose model rests only what has changed goes
there, and each week once what has not; the records have all of it. Some metrics are the records' alone (`ONLY_RECORDED`).

What a record counts for the objectives is added to its day in the same transaction, so it counts once, too.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.clients.tally import Tally
from chalicelib.instants import Clock
from chalicelib.monitoring import objectives
from chalicelib.monitoring.objectives import Counts
from chalicelib.monitoring.record import Record, is_news, of_fleet, of_round, period, unit
from chalicelib.monitoring.store import MonitoringStore
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.version import Version
from chalicelib.rounds.round import Round
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.metrics import Datum, Metrics
from chalicelib.storage.rows import Unreadable, told

AT_ONCE = 100
"""Rounds that are recorded, and records that are sent, in one run."""


HOUR_SECONDS = 3600.0


class Fresh(StrEnum):
    """What a record of the fleet is the first one of."""

    HOUR = "hour"
    PERIOD = "period"


class Recording:
    """From what is stored to what is measured."""

    def __init__(
        self,
        *,
        store: MonitoringStore,
        rounds: RoundStore,
        registry: RegistryStore,
        metrics: Metrics,
        clock: Clock,
        census_seconds: float,
        keep: timedelta,
    ) -> None:
        self._store = store
        self._rounds = rounds
        self._registry = registry
        self._metrics = metrics
        self._clock = clock
        self._census_seconds = census_seconds
        self._keep = keep

    def record_rounds(self, model: str) -> None:
        """Record the rounds that have ended since the last one that is recorded, oldest first, so that no gap can stay."""
        latest = next(iter(self._rounds.history(model, None, 1)), None)
        if latest is None:
            return
        recorded = self._store.last_round_recorded(model) or 0
        oldest = self._clock() - self._keep
        for number in range(max(recorded, latest.number - AT_ONCE) + 1, latest.number + 1):
            rnd = latest if number == latest.number else self._rounds.entry(model, number)
            if isinstance(rnd, Unreadable):
                rnd.tell()
                continue  # nothing is known of it, also not later
            if rnd is None or rnd.summary is None or rnd.finished_at is None:
                return
            if rnd.finished_at >= oldest:
                counts = objectives.of_round(rnd)
                burned = self._burned(model, rnd.finished_at, counts)
                self._store.record(of_round(rnd, self._version(rnd), self._keep, burned), counts)

    def record_fleet(self, model: str, fleet: Tally, row: Model | Unreadable) -> Fresh | None:
        """Record a model's clients, once in each period of the census; None when they were recorded before. CloudWatch gets
        what is news, and all of it while the model trains. Only then do its clients count for an objective. `row` is the
        model's.
        """
        at = period(self._clock(), self._census_seconds)
        last = self._store.last_of_fleet(model)
        if last is not None and last.at >= at:
            return None
        unreadable = self._rounds.unreadable(model) + self._registry.unreadable(model)
        trains = self._trains(model)
        active = objectives.active(model, fleet) if trains else objectives.NO_EVENTS
        counts = {objectives.ACTIVE.name: active} if active.total else {}
        burned = self._burned(model, at, counts) if trains else None
        record = of_fleet(model, fleet, at, self._deployment(model), unreadable, self._keep, active, burned, _over_budget(row))
        is_new = self._store.record(record, counts, send=trains or is_news(record, last))
        begins = last is None or period(last.at, HOUR_SECONDS) != period(at, HOUR_SECONDS)
        return (Fresh.HOUR if begins else Fresh.PERIOD) if is_new else None

    def deliver(self) -> None:
        """Send what is outgoing to CloudWatch, in one call, and then forget that it was outgoing."""
        waiting = self._store.outgoing(AT_ONCE)
        self._metrics.put([datum for _, record in waiting for datum in _data(record)])
        for key, _ in waiting:
            self._store.delivered(key)

    def _burned(self, model: str, at: datetime, counts: Counts) -> int:
        """How many of a model's error budgets are used up once this counts."""
        now = self._clock()
        days = self._store.days(model, objectives.first_day(now, objectives.WINDOW), objectives.day_of(now))
        found = objectives.budgets([*told(days), objectives.day(model, at, counts)], now)
        return sum(budget.is_burned for budget in found)

    def _version(self, rnd: Round) -> Version | None:
        """The version that a round made, or None when it made none, or one whose row cannot be read."""
        try:
            return self._registry.version(rnd.model, rnd.candidate.version) if rnd.candidate else None
        except Unreadable as unknown:
            unknown.tell()
            return None

    def _trains(self, model: str) -> bool:
        """Whether a round is open, or may be."""
        latest = next(iter(self._rounds.history(model, None, 1)), None)
        return isinstance(latest, Unreadable) or (latest is not None and not latest.is_terminal)

    def _deployment(self, model: str) -> Deployment | None:
        """What a model's clients are served, or None when that cannot be read."""
        try:
            return self._registry.deployment(model)
        except Unreadable as unknown:
            unknown.tell()
            return None


def _over_budget(row: Model | Unreadable) -> bool | None:
    """Whether a model is over its monthly budget; None where it has none, or that cannot be read."""
    if isinstance(row, Unreadable) or row.config.monthly_budget is None:
        return None
    return row.over_budget is not None


def _data(record: Record) -> list[Datum]:
    return [
        Datum(model=record.model, name=name, value=value, unit=unit(name), at=record.at)
        for name, value in sorted(record.sent.items())
    ]
