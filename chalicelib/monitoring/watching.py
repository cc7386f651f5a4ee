"""Holds a model's newest values against its thresholds; opens, publishes and clears alerts.

Opening is one write that only one monitor can win; the winner publishes. If it dies before it could note that it did, the
alert is published again after a while: at least once, by one at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.instants import Clock
from chalicelib.log import log
from chalicelib.monitoring import objectives
from chalicelib.monitoring.alert import Alert, AlertState, AlertStep, Observation, next_step, observed, opened
from chalicelib.monitoring.message import message_of
from chalicelib.monitoring.record import BURNED, ROLLOUT_TROUBLE, UNFILLED
from chalicelib.monitoring.store import MonitoringStore, Now, is_whole
from chalicelib.monitoring.threshold import Threshold, effective, of_the_stack
from chalicelib.monitoring.training import standing_of
from chalicelib.registry.store import RegistryStore
from chalicelib.rounds.closing import is_unfilled
from chalicelib.rounds.round import Round
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.rows import Unreadable, told
from chalicelib.storage.topics import Topic
from muster.wire.admin import NO_MODEL, RoundConfig, Why

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
        why: Callable[[str], Why],
    ) -> None:
        self._store = store
        self._registry = registry
        self._rounds = rounds
        self._topic = topic
        self._clock = clock
        self._keep = keep
        self._republish = timedelta(seconds=republish_seconds)
        self._why = why

    def seen(self) -> Now:
        """What is so now, for all models: one read for a run."""
        return self._store.now()

    def watch(self, model: str, seen: Now) -> None:
        """Do what is due for every metric of a model that has a threshold, or had one when its alert opened."""
        now = self._clock()
        config, trains = self._known(model)
        thresholds = effective(model, config, self._store.thresholds(model), trains=trains)
        alerts, lasting = seen.alerts_of(model), any(threshold.lasting_seconds for threshold in thresholds.values())
        records = (self._store.recent if lasting else self._store.latest)(model, now - self._keep)
        whole, most = is_whole(records), (self._keep / 2).total_seconds()
        for metric in sorted(thresholds.keys() | alerts.keys()):
            threshold = thresholds.get(metric) or Threshold(model=model, metric=metric)
            # What is kept for an hour cannot be seen to last for two.
            threshold = replace(threshold, lasting_seconds=min(threshold.lasting_seconds, most))
            known = observed(threshold, records, whole=whole)
            self._watch(threshold, known, alerts.get(metric), seen.silent_until(model, metric))

    def watch_stack(self, seen: Now, dead_letters: Callable[[], int], *, hourly: bool) -> None:
        """The same of the stack itself: messages that failed again and again must be none. While all models rest and no alert
        is open, little can fail, and the queue, each look at which is billed, is asked only if this is the look of an `hourly`
        rhythm.
        """
        threshold = of_the_stack()
        present = seen.alerts_of(NO_MODEL).get(threshold.metric)
        is_open = present is not None and present.state is not AlertState.CLEARED
        if seen.pulse is not None and seen.pulse.rests and not is_open and not hourly:
            return
        waiting = dead_letters()
        found = Observation(waiting, self._clock() if threshold.is_breached_by(waiting) else None)
        self._watch(threshold, found, present, seen.silent_until(NO_MODEL, threshold.metric))

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

    def _watch(
        self, threshold: Threshold, seen: Observation | None, present: Alert | None, silent_until: datetime | None
    ) -> None:
        now = self._clock()
        match next_step(threshold, seen, present, now, self._republish, silent_until):
            case AlertStep.OPEN if seen is not None:
                alert = opened(threshold, seen.value, present, now, self._reason(threshold))
                if self._store.open(alert, present) and not (silent_until and now < silent_until):
                    self._publish(alert)
            case AlertStep.PUBLISH if present is not None:
                if self._store.take_publication(present, now):
                    self._publish(present)
            case AlertStep.CLEAR if present is not None:
                if self._store.clear(present, now):
                    log.info("alert cleared", model=present.model, metric=present.metric, alert=present.number)
            case _:
                return

    def _reason(self, threshold: Threshold) -> str | None:
        """What is known of a breach: of a rollout, its figures; of a round in which too few were, what it lacked; of error
        budgets, which are used up, and by what.
        """
        if threshold.metric == UNFILLED:
            last = next((rnd for rnd in self._rounds.history(threshold.model, None, LAST) if _is_unfilled(rnd)), None)
            return last.reason if isinstance(last, Round) else None
        if threshold.metric == BURNED:
            now = self._clock()
            days = self._store.days(threshold.model, objectives.first_day(now, objectives.WINDOW), objectives.day_of(now))
            found = [budget.sentence for budget in objectives.budgets(told(days), now) if budget.is_burned]
            return "; ".join(found) or None
        if threshold.metric != ROLLOUT_TROUBLE:
            return None
        try:
            deployment = self._registry.deployment(threshold.model)
        except Unreadable as unknown:
            unknown.tell()
            return None
        return deployment.because if deployment else None

    def _publish(self, alert: Alert) -> None:
        self._topic.publish(message_of(alert, self._waits_for(alert.model)))
        self._store.published(alert, self._clock())
        log.warning("alert opened", model=alert.model, metric=alert.metric, alert=alert.number, value=alert.value)

    def _waits_for(self, model: str) -> str | None:
        """What the model waits for; None when that cannot be said now: the alert is worth more than the sentence. The stack
        waits for nothing.
        """
        if model == NO_MODEL:
            return None
        try:
            return self._why(model).sentence
        except Exception:  # noqa: BLE001 (it is in the log, and the alert goes out)
            log.exception("an alert goes out without what its model waits for", model=model)
            return None


def _is_unfilled(rnd: Round | Unreadable) -> bool:
    return isinstance(rnd, Round) and is_unfilled(rnd)
