"""What operators ask of metrics."""

from __future__ import annotations

from datetime import timedelta

from chalicelib.errors import Refusal, near
from chalicelib.instants import Clock
from chalicelib.monitoring.record import COUNTS, ONLY_RECORDED
from chalicelib.monitoring.store import HISTORY, MonitoringStore, is_whole
from chalicelib.registry.catalogue import Catalogue
from chalicelib.storage.metrics import Metrics, over
from muster.wire import admin
from muster.wire.problems import Problem


class MetricHistory:
    """Queries."""

    def __init__(
        self, *, catalogue: Catalogue, store: MonitoringStore, metrics: Metrics, clock: Clock, keep: timedelta
    ) -> None:
        self._catalogue = catalogue
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._keep = keep

    def query(self, model: str, query: admin.MetricQuery) -> admin.MetricReply:
        """A metric over the last hours. The points are those of the recent records, and so are the aggregates where the records
        are all there is of these hours; else they are CloudWatch's, which of a fleet that rests has only what changed. Of what
        CloudWatch never gets they are the records', as far back as those are kept.

        Raises:
            Refusal: `unknown-model`, `unknown-metric`.
        """
        self._catalogue.model(model)
        now = self._clock()
        span = timedelta(hours=query.hours)
        records = self._store.history(model, now - min(self._keep, span))
        points = [
            admin.MetricPoint(at=record.at, value=record.metrics[query.name], version=record.version, round=record.round)
            for record in sorted(records, key=lambda record: record.at)
            if query.name in record.metrics
        ]
        if query.name in ONLY_RECORDED or (span <= self._keep and is_whole(records, HISTORY)):
            found = over([point.value for point in points])
        else:
            found = self._metrics.aggregate(model, query.name, now, query.hours)
        if not found.count and not points:
            self._check_name(model, query.name)
        return admin.MetricReply(
            model=model, name=query.name, hours=query.hours, count=found.count, mean=found.mean, min=found.min, max=found.max,
            sum=found.sum, points=points,
        )  # fmt: skip

    def _check_name(self, model: str, name: str) -> None:
        """Refuse a metric that no model has by itself and this one never had. One without a value lately is an answer."""
        recent = self._store.recent(model, self._clock() - self._keep)
        recorded = {metric for record in recent for metric in record.metrics}
        known = {*COUNTS, *ONLY_RECORDED, *recorded, *self._metrics.names(model)}
        if name not in known:
            raise Refusal(Problem.UNKNOWN_METRIC, f"{model} has no metric {name!r}", expected=near(name, known), got=name)
