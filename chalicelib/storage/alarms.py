"""CloudWatch's alarms, of which only those are of interest that ring."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from chalicelib.storage.answers import insist

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.client import CloudWatchClient

NAMES = (
    "messages-failed", "inspections-wait", "work-waits", "tick-is-silent", "tick-fails", "monitor-is-silent", "monitor-fails",
    "api-fails", "api-is-slow", "rounds-are-throttled",
)  # fmt: skip
"""Those of `infra/resources.yaml`. A stack may be called `muster` and another one `muster-2`: a prefix would find both's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One that rings."""

    name: str
    """Without the stack's."""
    description: str
    since: datetime | None


class Alarms:
    """The alarms of a stack, whose names begin with the stack's."""

    def __init__(self, client: CloudWatchClient, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def ringing(self) -> list[Alarm]:
        """Those that ring, by name: one request."""
        names = [self._prefix + name for name in NAMES]
        answer = insist(self._client.describe_alarms, "MetricAlarms", AlarmNames=names, StateValue="ALARM")
        return [
            Alarm(
                name=alarm["AlarmName"].removeprefix(self._prefix),
                description=alarm.get("AlarmDescription", ""),
                since=alarm.get("StateTransitionedTimestamp") or alarm.get("StateUpdatedTimestamp"),
            )
            for alarm in sorted(answer["MetricAlarms"], key=lambda alarm: alarm["AlarmName"])
        ]
