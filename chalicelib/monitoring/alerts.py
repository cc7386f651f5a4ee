"""What operators ask of thresholds and alerts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from chalicelib.errors import Refusal, near
from chalicelib.instants import Clock, text
from chalicelib.log import log
from chalicelib.monitoring import message
from chalicelib.monitoring.alert import KEEP_CLEARED, Alert, AlertState, Silence
from chalicelib.monitoring.record import newest
from chalicelib.monitoring.store import MonitoringStore
from chalicelib.monitoring.threshold import Severity, Threshold, effective
from chalicelib.monitoring.training import standing_of
from chalicelib.registry.catalogue import Catalogue
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.topics import Topic
from muster.wire import admin
from muster.wire.admin import RoundConfig
from muster.wire.problems import Problem

_METRIC = re.compile(r"[a-z][a-z0-9_]{0,39}")

CLEARED_SHOWN = 5
"""Alerts of each metric that a list shows, the present one included."""


class Alerts:
    """Thresholds are set and listed, alerts listed and acknowledged."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        rounds: RoundStore,
        store: MonitoringStore,
        topic: Callable[[], Topic],
        clock: Clock,
        keep: timedelta,
    ) -> None:
        self._catalogue = catalogue
        self._rounds = rounds
        self._store = store
        self._topic = topic
        self._clock = clock
        self._keep = keep

    def thresholds(self, model: str) -> admin.ThresholdList:
        """What is watched, and how it stands.

        Raises:
            Refusal: `unknown-model`.
        """
        config, trains = self._known(model)
        latest = newest(self._store.latest(model, self._clock() - self._keep))
        stored = self._store.thresholds(model)
        watched, chosen = effective(model, config, stored, trains=trains).values(), {threshold.metric for threshold in stored}
        return admin.ThresholdList(
            thresholds=[_threshold(t, latest.get(t.metric), t.metric not in chosen) for t in watched if t.is_watched]
        )

    def set_threshold(self, model: str, metric: str, request: admin.SetThreshold) -> admin.ThresholdReply:
        """Watch a metric within new bounds, or, without bounds, no more; a repeat is the same.

        Raises:
            Refusal: `unknown-model`, `unknown-metric` (what cannot be a metric's name).
        """
        self._catalogue.model(model)
        _check_metric(metric)
        threshold = Threshold(
            model=model,
            metric=metric,
            minimum=request.minimum,
            maximum=request.maximum,
            lasting_seconds=request.lasting_seconds,
            severity=Severity(request.severity),
        )
        self._store.set_threshold(threshold)
        latest = newest(self._store.latest(model, self._clock() - self._keep))
        return _threshold(threshold, latest.get(metric), is_default=False)

    def _known(self, model: str) -> tuple[RoundConfig, bool]:
        """A model's configuration, and whether rounds are to come."""
        found = self._catalogue.model(model)
        return found.config, standing_of(found, self._rounds) == "running"

    def open(self, model: str) -> list[admin.AlertReply]:
        """The open alerts of a model, newest first."""
        now, seen = self._clock(), self._store.now()
        found = [alert for alert in seen.alerts_of(model).values() if alert.state is not AlertState.CLEARED]
        silent = {alert.metric: seen.silent_until(model, alert.metric) for alert in found}
        return _sorted(found, {metric: until for metric, until in silent.items() if until and until > now})

    def recent(self, model: str) -> admin.AlertList:
        """The open alerts of a model, or of the stack (`admin.NO_MODEL`), and the last that were cleared, newest first; and the
        silences that go on.

        Raises:
            Refusal: `unknown-model`.
        """
        self._check_model(model)
        last = self._store.alerts(model)
        before = (alert for metric in last for alert in self._store.past(model, metric, CLEARED_SHOWN - 1))
        now = self._clock()
        silences = [_silenced(one) for one in self._store.silences(model) if one.until > now]
        silent = {one.metric: one.until for one in silences}
        return admin.AlertList(alerts=_sorted([*last.values(), *before], silent), silences=silences)

    def _check_model(self, model: str) -> None:
        """Refuse what is neither a model nor the stack."""
        if model != admin.NO_MODEL:
            self._catalogue.model(model)

    def silence(self, model: str, metric: str, request: admin.SetSilence, by: str | None) -> admin.SilenceReply:
        """Tell nobody of a metric's alerts for a while; the last who says so counts.

        Raises:
            Refusal: `unknown-model`, `unknown-metric` (what cannot be a metric's name).
        """
        self._check_model(model)
        _check_metric(metric)
        until = self._clock() + timedelta(seconds=request.seconds)
        ttl = int((until + KEEP_CLEARED).timestamp())
        said = Silence(model=model, metric=metric, until=until, because=request.because, by=by, ttl=ttl)
        self._store.silence(said)
        log.info("alerts silenced", model=model, metric=metric, until=text(until), by=by, because=request.because)
        return _silenced(said)

    def test(self, by: str | None) -> admin.TestMessageReply:
        """Send a message that says that messages arrive."""
        return admin.TestMessageReply(message_id=self._topic().publish(message.for_test(by)))

    def acknowledge(self, model: str, metric: str, by: str) -> admin.AlertReply:
        """Note who looks after an open alert; the first who does so stays.

        Raises:
            Refusal: `unknown-model`, `no-open-alert`.
        """
        self._check_model(model)
        alert = self._store.alerts(model).get(metric)
        if alert is not None and alert.state is AlertState.OPEN:
            alert = self._store.acknowledge(alert, by, self._clock()) or self._store.alerts(model).get(metric)
        if alert is None or alert.state is AlertState.CLEARED:
            known = near(metric, (found.metric for found in self.open(model)))
            of = "the stack" if model == admin.NO_MODEL else model
            raise Refusal(Problem.NO_OPEN_ALERT, f"{of} has no open alert of {metric!r}", expected=known, got=metric)
        return reply(alert)


def _check_metric(metric: str) -> None:
    """Refuse what cannot be a metric's name."""
    if not _METRIC.fullmatch(metric):
        raise Refusal(
            Problem.UNKNOWN_METRIC,
            f"{metric[:48]!r} cannot be a metric",
            expected=f"a name like {_METRIC.pattern}",
            got=metric[:48],
        )


def reply(alert: Alert, silent_until: datetime | None = None) -> admin.AlertReply:
    """An alert as operators see it."""
    return admin.AlertReply(
        model=alert.model,
        metric=alert.metric,
        number=alert.number,
        state=alert.state.value,
        value=alert.value,
        minimum=alert.minimum,
        maximum=alert.maximum,
        severity=alert.severity.value,
        because=alert.because,
        silent_until=silent_until,
        opened_at=alert.opened_at,
        acknowledged_at=alert.acknowledged_at,
        acknowledged_by=alert.acknowledged_by,
        cleared_at=alert.cleared_at,
    )


def _silenced(silence: Silence) -> admin.SilenceReply:
    return admin.SilenceReply(
        model=silence.model, metric=silence.metric, until=silence.until, because=silence.because, by=silence.by
    )


def _sorted(alerts: Iterable[Alert], silent: Mapping[str, datetime] | None = None) -> list[admin.AlertReply]:
    told = (reply(alert, None if alert.cleared_at else (silent or {}).get(alert.metric)) for alert in alerts)
    return sorted(told, key=lambda alert: alert.opened_at, reverse=True)


def _threshold(threshold: Threshold, value: float | None, is_default: bool) -> admin.ThresholdReply:
    return admin.ThresholdReply(
        model=threshold.model,
        metric=threshold.metric,
        minimum=threshold.minimum,
        maximum=threshold.maximum,
        lasting_seconds=threshold.lasting_seconds,
        severity=threshold.severity.value,
        is_default=is_default,
        value=value,
        in_breach=value is not None and threshold.is_breached_by(value),
    )
