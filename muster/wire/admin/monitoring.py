"""Metrics, thresholds and alerts, and everything about a model in one reply."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from muster.wire.admin.clients import FleetStatistics
from muster.wire.admin.configuring import RoundConfig
from muster.wire.admin.models import TrainingReply
from muster.wire.admin.pacing import ModelPace
from muster.wire.admin.rounds import RoundReply
from muster.wire.admin.versions import RolloutReply
from muster.wire.messages import Finite, Label, MetricName, Query, Reply, Request

LONGEST_QUERY_HOURS = 455 * 24
"""CloudWatch keeps a metric for 455 days (CloudWatch: "Metrics retention")."""


class MetricQuery(Query):
    """One metric over the last hours."""

    name: MetricName
    hours: Annotated[int, Field(ge=1, le=LONGEST_QUERY_HOURS)] = 1


class MetricPoint(Reply):
    """One recorded value and what it belongs to."""

    at: datetime
    value: float
    version: int | None
    round: int | None


class MetricReply(Reply):
    """A metric over some hours, as CloudWatch has it, and its recent points. Without values the aggregates are null."""

    model: str
    name: str
    hours: int
    count: int
    mean: float | None
    min: float | None
    max: float | None
    sum: float | None
    points: list[MetricPoint] = Field(description="points of the last hours, oldest first, as far back as they are kept")


class MetricSummary(Reply):
    """A metric over the last hour, from its recent points."""

    count: int
    mean: float
    min: float
    max: float
    sum: float
    last: float


SeverityName = Literal["info", "warning", "critical"]

NO_MODEL = "-"
"""In the place of a model's name, of what concerns the whole stack. No model is called so."""

LONGEST_SILENCE_SECONDS = 31 * 86_400.0
LONGEST_LASTING_SECONDS = 6 * 3600.0
"""Records of the last two hours of rounds, and of half a day of the fleet, are looked at."""


class SetThreshold(Request):
    """The bounds within which a metric is well. Without either the metric is not watched."""

    minimum: Finite | None = None
    maximum: Finite | None = None
    lasting_seconds: Annotated[float, Field(ge=0.0, le=LONGEST_LASTING_SECONDS)] = Field(
        0.0, description="for how long all recorded values must have been outside before an alert opens"
    )
    severity: SeverityName = Field("warning", description="how soon somebody should look")

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> SetThreshold:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum must not exceed maximum ({self.maximum}), got {self.minimum}")
        return self


class SetSilence(Request):
    """Tell nobody of a metric's alerts for a while. They open and clear all the same; one that is open when the silence ends is
    published then.
    """

    seconds: Annotated[float, Field(ge=0.0, le=LONGEST_SILENCE_SECONDS)] = Field(description="0 ends a silence")
    because: Label = "no reason given"


class SilenceReply(Reply):
    """Until when nobody is told."""

    model: str = Field(description="`-`: the stack itself")
    metric: str
    until: datetime
    because: str
    by: str | None


class TestMessageReply(Reply):
    """A test message that SNS has taken."""

    __test__ = False

    message_id: str = Field(description="SNS's")


class ThresholdReply(Reply):
    """A metric that is watched."""

    model: str
    metric: str
    minimum: float | None
    maximum: float | None
    lasting_seconds: float = 0.0
    severity: SeverityName = "warning"
    is_default: bool
    value: float | None = Field(description="the newest recorded value; null when none is recent")
    in_breach: bool


class ThresholdList(Reply):
    """The thresholds of a model, by metric."""

    thresholds: list[ThresholdReply]


class AlertReply(Reply):
    """A metric that left its bounds: once open until it recovers, whatever happens in between."""

    model: str = Field(description="`-`: the stack itself")
    metric: str
    number: int = Field(description="the metric's first alert is 1")
    state: Literal["open", "acknowledged", "cleared"]
    value: float = Field(description="when it opened")
    minimum: float | None
    maximum: float | None
    severity: SeverityName = "warning"
    because: str | None = Field(None, description="what is known of why: of a rollout, its figures")
    silent_until: datetime | None = Field(None, description="when somebody is told of it; null: at once")
    opened_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    cleared_at: datetime | None


class AlertList(Reply):
    """Alerts of a model, or of the stack: those that are open, and the last that were cleared, newest first."""

    alerts: list[AlertReply]
    silences: list[SilenceReply] = Field([], description="that go on, whether an alert is open or not")


class StorageAmount(Reply):
    """Some files, each counted once however many versions name it."""

    count: int
    bytes: int


class StorageReply(Reply):
    """What a model's versions take, as the sweep counts it once in 25 hours; a file that two models name is counted in both."""

    checkpoints: StorageAmount
    states: StorageAmount = Field(description="of optimizers")
    deltas: StorageAmount
    expiring: StorageAmount = Field(
        description="of all these, what goes when everything is deleted that nothing keeps; the count is of versions"
    )
    deleted: int = Field(description="versions of which only the row is left")
    counted_at: datetime


class ModelStatus(Reply):
    """Everything about one model in one call."""

    model: str
    config: RoundConfig
    config_revision: int
    training: TrainingReply
    deployed_version: int
    deployment_revision: int
    rollout: RolloutReply | None = Field(None, description="the rollout that goes on; null when all get one version")
    experiments: list[str] = Field([], description="the names of the experiments that go on")
    newest_version: int
    round: RoundReply | None
    clients: FleetStatistics
    pace: ModelPace | None = Field(None, description="how often its devices come; null from a server of before")
    alerts: list[AlertReply] = Field(description="those that are open")
    metrics: dict[str, MetricSummary] = Field(description="the last hour's, by name")
    storage: StorageReply | None = Field(None, description="what its versions take; null before the first count")
