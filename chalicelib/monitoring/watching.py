"""Holds a model's newest values against its thresholds; opens, publishes and clears alerts.

Opening is one write that only one monitor can win; the winner publishes. If it dies before it could note that it did, the
alert is published again after a while: at least once, by one at a time.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from chalicelib.instants import Clock, text
from chalicelib.log import log
from chalicelib.monitoring.alert import Alert, AlertStep, next_step, opened
from chalicelib.monitoring.record import ROLLOUT_TROUBLE, UNFILLED, newest
from chalicelib.monitoring.store import MonitoringStore
from chalicelib.monitoring.threshold import Threshold, effective
from chalicelib.monitoring.training import standing_of
from chalicelib.registry.store import RegistryStore
from chalicelib.rounds.closing import is_unfilled
from chalicelib.rounds.round import Round
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.rows import Unreadable
from chalicelib.storage.topics import Topic
from muster.wire.admin import RoundConfig

LAST = 5
"""Rounds among which the one is looked for of which an alert speaks."""


class Watching:
    """What is due when values change."""

    def __init__(
        self,
        *,
        store: MonitoringStore,
        registry: RegistryStore,
        rounds: RoundStore,
        topic: Topic,
        clock: Clock,
        keep: timedelta,
        republish_seconds: float,
    ) -> None:
        self._store = store
        self._registry = registry
        self._rounds = rounds
        self._topic = topic
        self._clock = clock
        self._keep = keep
        self._republish = timedelta(seconds=republish_seconds)

    def watch(self, model: str) -> None:
        """Do what is due for every metric of a model that has a threshold, or had one when its alert opened."""
        now = self._clock()
        config, trains = self._known(model)
        thresholds = effective(model, config, self._store.thresholds(model), trains=trains)
        latest = newest(self._store.latest(model, now - self._keep))
        alerts = self._store.alerts(model)
        for metric in sorted(thresholds.keys() | alerts.keys()):
            threshold = thresholds.get(metric) or Threshold(model=model, metric=metric)
            self._watch(threshold, latest.get(metric), alerts.get(metric), now)

    def _known(self, model: str) -> tuple[RoundConfig | None, bool]:
        """The model's configuration, and whether it trains. When its row cannot be read, which is itself watched, nothing is
        known of the one, and the other is taken for granted: better an alert too many.
        """
        try:
            found = self._registry.model(model)
        except Unreadable as unknown:
            unknown.tell()
            return None, True
        return (found.config, standing_of(found, self._rounds) == "running") if found else (None, False)

    def _watch(self, threshold: Threshold, value: float | None, present: Alert | None, now: datetime) -> None:
        match next_step(threshold, value, present, now, self._republish):
            case AlertStep.OPEN if value is not None:
                alert = opened(threshold, value, present, now, self._why(threshold))
                if self._store.open(alert, present):
                    self._publish(alert)
            case AlertStep.PUBLISH if present is not None:
                if self._store.take_publication(present, now):
                    self._publish(present)
            case AlertStep.CLEAR if present is not None:
                if self._store.clear(present, now):
                    log.info("alert cleared", model=present.model, metric=present.metric, alert=present.number)
            case _:
                return

    def _why(self, threshold: Threshold) -> str | None:
        """What is known of a breach: of a rollout, its figures; of a round in which too few were, what it lacked."""
        if threshold.metric == UNFILLED:
            last = next((rnd for rnd in self._rounds.history(threshold.model, None, LAST) if _is_unfilled(rnd)), None)
            return last.reason if isinstance(last, Round) else None
        if threshold.metric != ROLLOUT_TROUBLE:
            return None
        try:
            deployment = self._registry.deployment(threshold.model)
        except Unreadable as unknown:
            unknown.tell()
            return None
        return deployment.because if deployment else None

    def _publish(self, alert: Alert) -> None:
        self._topic.publish(
            f"Muster: {alert.sentence}",
            {
                "alert": alert.sentence,
                "model": alert.model,
                "metric": alert.metric,
                "number": alert.number,
                "value": alert.value,
                "minimum": alert.minimum,
                "maximum": alert.maximum,
                "opened_at": text(alert.opened_at),
                "next": f"muster status {alert.model}; muster alerts ack {alert.model} {alert.metric}",
            },
        )
        self._store.published(alert, self._clock())
        log.warning("alert opened", model=alert.model, metric=alert.metric, alert=alert.number, value=alert.value)


def _is_unfilled(rnd: Round | Unreadable) -> bool:
    return isinstance(rnd, Round) and is_unfilled(rnd)
