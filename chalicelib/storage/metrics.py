"""CloudWatch: numbers over time.

A number's only dimension is its model. Every other combination of dimensions would be a metric of its own, for which AWS bills
each month (CloudWatch pricing: "custom metrics"); a dimension per round would make a new one each minute. The version and the
round of a number are in the records.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib import metering
from chalicelib.recent import Recent
from muster.pricing.usage import MONTH_HOURS, usage

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.client import CloudWatchClient

NAMESPACE = "Muster"
PUT_BATCH = 1000
"""Values that one PutMetricData takes (CloudWatch API: "PutMetricData")."""

MOST_DATAPOINTS = 1440
"""That one GetMetricStatistics answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Datum:
    """One value of one metric of one model."""

    model: str
    name: str
    value: float
    unit: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """A metric over a span of time; of no values, the rest is None."""

    count: int
    mean: float | None = None
    min: float | None = None
    max: float | None = None
    sum: float | None = None


def over(values: Sequence[float]) -> Aggregate:
    """Of some values."""
    if not values:
        return Aggregate(count=0)
    total = sum(values)
    return Aggregate(count=len(values), mean=total / len(values), min=min(values), max=max(values), sum=total)


class Metrics:
    """Muster's namespace of CloudWatch."""

    def __init__(self, client: CloudWatchClient) -> None:
        self._client = client
        self._billed: Recent[tuple[str, str], datetime] = Recent()

    def put(self, data: Sequence[Datum]) -> None:
        """Record values, a thousand to a request. CloudWatch counts a value that is sent twice twice."""
        everything: list[Any] = [
            {
                "MetricName": datum.name,
                "Dimensions": [{"Name": "Model", "Value": datum.model}],
                "Timestamp": datum.at,
                "Value": datum.value,
                "Unit": datum.unit,
            }
            for datum in data
        ]
        for start in range(0, len(everything), PUT_BATCH):
            self._client.put_metric_data(Namespace=NAMESPACE, MetricData=everything[start : start + PUT_BATCH])
        self._count(data)

    def _count(self, data: Iterable[Datum]) -> None:
        """Note what a metric costs: a share of a month for each hour in which it has a value."""
        for datum in data:
            hour, name = datum.at.replace(minute=0, second=0, microsecond=0), (datum.model, datum.name)
            if self._billed.get(name) != hour:
                self._billed.put(name, hour)
                metering.note(usage(metric_months=1 / MONTH_HOURS), datum.model)

    def aggregate(self, model: str, name: str, end: datetime, hours: int) -> Aggregate:
        """A metric over the hours before `end`. CloudWatch answers in periods; the first one may begin a period early."""
        answer = self._client.get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=name,
            Dimensions=[{"Name": "Model", "Value": model}],
            StartTime=end - timedelta(hours=hours),
            EndTime=end + timedelta(seconds=1),
            Period=period_seconds(hours),
            Statistics=["SampleCount", "Sum", "Minimum", "Maximum"],
        )
        points = answer["Datapoints"]
        count = sum(point["SampleCount"] for point in points)
        if not count:
            return Aggregate(count=0)
        total = sum(point["Sum"] for point in points)
        lowest, highest = min(point["Minimum"] for point in points), max(point["Maximum"] for point in points)
        return Aggregate(count=round(count), mean=total / count, min=lowest, max=highest, sum=total)

    def names(self, model: str) -> set[str]:
        """The metrics of a model that had a value within the last two weeks."""
        pages = self._client.get_paginator("list_metrics").paginate(
            Namespace=NAMESPACE, Dimensions=[{"Name": "Model", "Value": model}]
        )
        return {metric["MetricName"] for page in pages for metric in page["Metrics"]}


def period_seconds(hours: int) -> int:
    """The shortest period in which so many hours, and what is asked for beyond them, can be asked for at once: the last second,
    and of the first period the part that comes before.

    CloudWatch keeps one-minute periods for 15 days, five-minute ones for 63, hours for 455 ("Metrics retention").
    """
    step = 60 if hours <= 15 * 24 else 300 if hours <= 63 * 24 else 3600
    return max(1, math.ceil((hours * 3600 + 1) / (MOST_DATAPOINTS - 1) / step)) * step
