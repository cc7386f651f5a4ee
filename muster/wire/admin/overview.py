"""Why a model stands where it stands, and all models of a stack at a glance."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from muster.wire.admin.models import TrainingReply
from muster.wire.admin.monitoring import AlertReply
from muster.wire.messages import Reply


class Waits(StrEnum):
    """What a model waits for, for machines; the sentence says it to people."""

    UNREADABLE = "unreadable"
    """For an operator: a row that decides cannot be read."""
    TICK = "tick"
    """For the tick, which has never run, or not for some minutes."""
    FAILING = "failing"
    """For what fails again and again to succeed."""
    IDLE = "idle"
    """For nothing: it was never trained."""
    STOPPED = "stopped"
    """For an operator, who has stopped training."""
    FINISHED = "finished"
    """For nothing: all rounds that were wanted have completed."""
    OPENING = "opening"
    """For the next look, which opens a round."""
    INTERVAL = "interval"
    """For the time at which the next round may open."""
    BUDGET = "budget"
    """For the next month, or a larger budget."""
    DEVICES = "devices"
    """For devices: too few are active to fill the round."""
    SITES = "sites"
    """For clients that the configuration names."""
    UPDATES = "updates"
    """For updates of a round that collects."""
    INSPECTION = "inspection"
    """For updates that are being looked into."""
    LOOK = "look"
    """For a look at what is due already."""
    AGGREGATION = "aggregation"
    """For the sum of a round's updates."""
    JUDGES = "judges"
    """For what judges measure of a candidate."""
    ROLLOUT = "rollout"
    """For the next step of a rollout."""
    PAUSED = "paused"
    """For an operator: a rollout is paused."""
    EXPERIMENT = "experiment"
    """For an experiment to be ended."""


class Why(Reply):
    """What a model waits for, since when, what ends that, and what a person should do, if somebody must."""

    waits_for: Waits
    sentence: str
    since: datetime | None = Field(None, description="null: not known")
    until: datetime | None = Field(None, description="when the wait is over at the latest; null: nothing ends it by itself")
    needs_somebody: bool = Field(False, description="whether it goes on only after somebody has done something")
    command: str | None = Field(None, description="what to type next; null: nothing is to be done")
    also: list[str] = Field([], description="what else is not as it should be, or goes on beside it")


class ModelOverview(Reply):
    """A model at a glance."""

    model: str
    why: Why
    training: TrainingReply | None = Field(description="null where the model's row cannot be read")
    deployed_version: int | None
    candidate_version: int | None = Field(None, description="of the rollout that goes on")
    percent: float | None = Field(None, description="of the clients that are given the candidate")
    round: int | None = Field(None, description="the current or last one; null: there was none")
    phase: str | None = None
    accepted: int | None = Field(None, description="updates of that round, as the last look has counted them")
    goal: int | None = None
    active: int | None = Field(None, description="clients that live and say that they run it; null before they were counted")
    alerts: list[AlertReply] = Field([], description="those that are open")


class AlarmReply(Reply):
    """An alarm of the stack's own that rings (CloudWatch)."""

    name: str
    description: str
    since: datetime | None


class Overview(Reply):
    """All models of a stack, and what concerns all of them."""

    at: datetime
    ticked_at: datetime | None = Field(description="when the tick last ran; null: never")
    counted_at: datetime | None = Field(description="when the fleet was last counted; null: never")
    clients: int | None
    active: int | None
    dead_letters: int | None = Field(description="messages that failed five times; null where that is not known")
    alarms: list[AlarmReply]
    alerts: list[AlertReply] = Field([], description="open ones of the stack itself")
    troubles: list[str] = Field(description="what concerns the whole stack")
    models: list[ModelOverview]
