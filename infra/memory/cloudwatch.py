"""CloudWatch: values that are put, added up by periods, and listed by their metrics.

What it does not do: forget, be late, or refuse values of long ago. As in CloudWatch, dimensions are never added up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from infra.memory.service import Answer, Request, Service, ServiceError, utc_now

PUT_BATCH = 1000
"""Values that one PutMetricData takes (CloudWatch API: "PutMetricData")."""

MOST_DATAPOINTS = 1440
"""That one GetMetricStatistics answers (CloudWatch API: "GetMetricStatistics"). Whether a last period that is not whole counts
is not said there; here it does not."""

LIST_PAGE = 500
"""Metrics that one ListMetrics answers (CloudWatch API: "ListMetrics")."""

LARGEST = 2.0**360
"""Of a value, in magnitude (CloudWatch API: "MetricDatum")."""

ALARM_STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")

Name = tuple[str, str, tuple[tuple[str, str], ...]]
"""Namespace, metric, and its dimensions in order: what one metric is."""

STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "SampleCount": lambda found: float(len(found)),
    "Sum": math.fsum,
    "Average": lambda found: math.fsum(found) / len(found),
    "Minimum": min,
    "Maximum": max,
}


@dataclass(frozen=True, slots=True)
class Value:
    """One value, and when it was."""

    at: datetime
    value: float
    unit: str


class CloudWatch(Service):
    """All metrics."""

    CALLS: ClassVar = {
        "PutMetricData": "Namespace MetricData",
        "GetMetricStatistics": "Namespace MetricName Dimensions StartTime EndTime Period Statistics",
        "ListMetrics": "Namespace MetricName Dimensions NextToken",
        "PutMetricAlarm": "AlarmName AlarmDescription Namespace MetricName Statistic Period EvaluationPeriods Threshold "
        "ComparisonOperator",
        "SetAlarmState": "AlarmName StateValue StateReason",
        "DescribeAlarms": "AlarmNames StateValue",
    }

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__()
        self._now = now
        self._values: dict[Name, list[Value]] = {}
        self._alarms: dict[str, dict[str, Any]] = {}

    def put_metric_data(self, request: Request) -> Answer:
        data = request.get("MetricData", [])
        if not data:
            raise ServiceError("MissingParameter", "The parameter MetricData is required.")
        if len(data) > PUT_BATCH:
            raise _invalid(f"The collection MetricData must not have a size greater than {PUT_BATCH}.")
        taken = []
        for number, datum in enumerate(data, 1):
            if unknown := datum.keys() - {"MetricName", "Dimensions", "Timestamp", "Value", "Unit"}:
                raise NotImplementedError(f"a value with {', '.join(sorted(unknown))} is not put in this process")
            value = float(datum["Value"])
            if not abs(value) <= LARGEST:
                raise _invalid(f"The value {value} for parameter MetricData.member.{number}.Value is invalid.")
            at = _utc(datum.get("Timestamp") or self._now())
            taken.append((_name(request["Namespace"], datum), Value(at, value, datum.get("Unit", "None"))))
        for name, one in taken:
            self._values.setdefault(name, []).append(one)
        return {}

    def get_metric_statistics(self, request: Request) -> Answer:
        start, end, period = _utc(request["StartTime"]), _utc(request["EndTime"]), request["Period"]
        if start >= end:
            raise _invalid("The parameter StartTime must be less than the parameter EndTime.")
        if period <= 0 or period % 60:
            raise _invalid("The parameter Period must be a value that is a multiple of 60.")
        if (asked := (end - start) // timedelta(seconds=period)) > MOST_DATAPOINTS:
            says = f"You have requested up to {asked:,} datapoints, which exceeds the limit of {MOST_DATAPOINTS:,}."
            raise ServiceError("InvalidParameterCombination", says)
        if unknown := set(request.get("Statistics", [])) - STATISTICS.keys():
            raise _invalid(f"The parameter Statistics must not be {', '.join(sorted(unknown))}.")
        start = start.replace(second=0, microsecond=0)  # "GetMetricStatistics", StartTime: rounded down to a whole minute
        periods: dict[tuple[int, str], list[float]] = {}
        for one in self._values.get(_name(request["Namespace"], request), []):
            if start <= one.at < end:
                periods.setdefault(((one.at - start) // timedelta(seconds=period), one.unit), []).append(one.value)
        points = [
            {
                "Timestamp": start + number * timedelta(seconds=period),
                "Unit": unit,
                **{statistic: STATISTICS[statistic](found) for statistic in request.get("Statistics", [])},
            }
            for (number, unit), found in periods.items()
        ]
        return {"Label": request["MetricName"], "Datapoints": points}

    def list_metrics(self, request: Request) -> Answer:
        found = [name for name in sorted(self._values) if _is_listed(name, request)]
        start = int(request.get("NextToken", "0"))
        metrics = [
            {
                "Namespace": namespace,
                "MetricName": metric,
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions],
            }
            for namespace, metric, dimensions in found[start : start + LIST_PAGE]
        ]
        more = {"NextToken": str(start + LIST_PAGE)} if len(found) > start + LIST_PAGE else {}
        return {"Metrics": metrics, **more}

    # ---- alarms, which ring when they are told to: nothing is held against its threshold

    def put_metric_alarm(self, request: Request) -> Answer:
        self._alarms[request["AlarmName"]] = {
            **request,
            "StateValue": "INSUFFICIENT_DATA",
            "StateUpdatedTimestamp": self._now(),
        }
        return {}

    def set_alarm_state(self, request: Request) -> Answer:
        alarm = self._alarms.get(request["AlarmName"])
        if alarm is None:
            raise ServiceError("ResourceNotFound", "Alarm does not exist", known_as="ResourceNotFound")
        if request["StateValue"] not in ALARM_STATES:
            raise _invalid(f"The parameter StateValue must be one of {', '.join(ALARM_STATES)}.")
        alarm |= {"StateValue": request["StateValue"], "StateUpdatedTimestamp": self._now()}
        return {}

    def describe_alarms(self, request: Request) -> Answer:
        wanted, state = request.get("AlarmNames"), request.get("StateValue")
        found = [
            {
                name: alarm[name]
                for name in ("AlarmName", "AlarmDescription", "StateValue", "StateUpdatedTimestamp")
                if name in alarm
            }
            for name, alarm in sorted(self._alarms.items())
            if (wanted is None or name in wanted) and state in (None, alarm["StateValue"])
        ]
        return {"MetricAlarms": found, "CompositeAlarms": []}


def _name(namespace: str, said: Mapping[str, Any]) -> Name:
    dimensions = sorted((one["Name"], one["Value"]) for one in said.get("Dimensions", []))
    return namespace, said["MetricName"], tuple(dimensions)


def _is_listed(name: Name, request: Request) -> bool:
    namespace, metric, dimensions = name
    wanted = request.get("Dimensions", [])
    return (
        request.get("Namespace", namespace) == namespace
        and request.get("MetricName", metric) == metric
        and all(any(one["Name"] == key and one.get("Value", value) == value for key, value in dimensions) for one in wanted)
    )


def _utc(at: Any) -> datetime:
    if not isinstance(at, datetime):
        raise NotImplementedError(f"{at!r} is not a time that the store in this process reads")
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _invalid(says: str) -> ServiceError:
    return ServiceError("InvalidParameterValue", says)
